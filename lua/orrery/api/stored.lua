--- What the C API asks of runs that may be in the store only: their state, resuming them, and
--- messages to them.
local backup = require "orrery.store.backup"
local columns = require "orrery.history.column"
local core = require "orrery.core"
local launch = require "orrery.runtime.launch"
local pools = require "orrery.runtime.pools"
local resume = require "orrery.store.resume"
local run_row = require "orrery.history.run_row"
local start = require "orrery.start"

local host = {}

local json = core.json

--- Starts a run. Where a run has the key already, that one is returned: a record where it has ended
--- or another process runs it. With a key this waits for the disk, so that runs that were just
--- started are found in the store.
---@param rt orrery.Runtime
---@param compiled orrery.Compiled
---@param options orrery.RunOptions
---@return orrery.Run|table
function host.start(rt, compiled, options)
  options.runtime, options.trigger = rt, { kind = "c_api" }
  if options.key then rt:sync() end
  return (start.start(compiled, options))
end

--- Called when the runtime of a host is ready: pools that are paused in the store give no places.
---@param rt orrery.Runtime
function host.open(rt)
  if rt:durable() then pools.pause(rt, rt:store()) end
end

--- Called when the runtime of a host that keeps its state has been closed.
---@param rt orrery.Runtime
function host.close(rt)
  local workers = package.loaded["orrery.worker.pools"]
  if workers then workers.close(rt) end
end

--- Copies the store, with all that was recorded until now. Returns why the copy cannot have that
--- name; nil where it was made. Raises a message where writing fails.
---@param rt orrery.Runtime with a store
---@param path string
---@return string|nil
function host.backup(rt, path)
  local refusal = backup.refusal(path)
  if refusal then return refusal end
  rt:sync()
  backup.write(rt:store(), path)
end

--- The row of a run in the store, up to date; nil where there is none.
---@param rt orrery.Runtime
---@param id string
---@return table|nil
function host.row(rt, id)
  if not rt:durable() then return nil end
  local row = run_row.find(rt:store(), id)
  if row and run_row.ENDED[row.state] then return row end
  rt:sync()
  rt:store():project()
  return run_row.find(rt:store(), id)
end

-- The JSON of a column without the escapes by which the store keeps bytes that are no text, and
-- keys that begin with a $.
local function text_of(store, column)
  local text = columns.text(store, column)
  if not text or not text:find('{"$', 1, true) then return text end
  local ok, plain = pcall(function() return json.encode(columns.decode(store, text)) end)
  return ok and plain or text
end

--- A column of a run as JSON text.
---@param rt orrery.Runtime
---@param row table of `host.row`
---@param name "output"|"error"
---@return string|nil
function host.column(rt, row, name)
  return text_of(rt:store(), row[name])
end

--- The state of a node of a run in the store, and its output as JSON text; nil where there is no
--- such node.
---@param rt orrery.Runtime
---@param row table of `host.row`
---@param name string
---@return string|nil state
---@return string|nil output
function host.node(rt, row, name)
  local store = rt:store()
  local node = require("orrery.history.nodes").find(store, row, name)
  if not node then return nil end
  return node.state, text_of(store, node.output)
end

--- All that is known of a run, as `orrery show --json` prints it.
---@param rt orrery.Runtime
---@param row table of `host.row`
---@return table
function host.info(rt, row)
  local store = rt:store()
  return require("orrery.history.details").of(store, require("orrery.history.find").one(store, row.id), true)
end

--- Resumes a run of the store, or retries what failed in it.
---@param rt orrery.Runtime
---@param row table of `host.row`
---@param how "resume"|"retry"|"retry_items"
---@return orrery.Run
function host.go_on(rt, row, how)
  local act = how == "resume" and resume.resume or resume.retry
  return (act(row.id, { runtime = rt, items = how == "retry_items" }))
end

--- The hash of a workflow's definition, which is everything but its code; "" for a graph of
--- functions.
---@param compiled orrery.Compiled
---@return string
function host.definition_hash(compiled)
  if not compiled.def then return "" end
  return core.sha256(require("orrery.bundle").definition(compiled))
end

--- Lets a run of a save go on.
---@param rt orrery.Runtime
---@param compiled orrery.Compiled
---@param go_on fun(plan: orrery.Plan, options: table): orrery.Run
---@return orrery.Run
function host.load(rt, compiled, go_on)
  return launch.with(rt, compiled, nil, function() return go_on(compiled.plan, { env = compiled.env }) end)
end

--- Leaves a message for a run in its inbox: "cancel", "pause" or "resume", or a signal.
---@param rt orrery.Runtime
---@param row table of `host.row`
---@param what string
---@param name? string of the signal
---@param data? any of the signal; of "cancel" the reason
function host.send(rt, row, what, name, data)
  local message = name and { name = name, data = data, sent = core.time() } or { reason = data }
  rt:store():send(row.id, what, json.encode(message, { binary = true }))
end

return host
