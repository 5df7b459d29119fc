--- What the C API asks of runs that may be in the store only: how they are, and that they go on, hear something, or end.
local core = require "orrery.core"
local pools = require "orrery.pools"
local resume = require "orrery.resume"
local run = require "orrery.run"
local stored = require "orrery.store"

local host = {}

local json = core.json

--- Starts a run. One that has the key already is returned as it is, a record where it is over or another process's. Where there is a
--- key, runs that were just started have to be in the store to be found: waits for the disk.
---@param rt orrery.Runtime
---@param compiled orrery.Compiled
---@param options orrery.RunOptions
---@return orrery.Run|table
function host.start(rt, compiled, options)
  options.runtime = rt
  if options.key then rt:sync() end
  return (run.start(compiled, options))
end

--- The runtime of a host is ready: pools that the store says are paused give no places.
---@param rt orrery.Runtime
function host.open(rt)
  if rt:durable() then pools.pause(rt, rt:store()) end
end

--- The row of a run in the store, brought up to date where it may not be; nil where there is none.
---@param rt orrery.Runtime
---@param id string
---@return table|nil
function host.row(rt, id)
  if not rt:durable() then return nil end
  local row = resume.row(rt:store(), id)
  if row and resume.ENDED[row.state] then return row end
  rt:sync()
  rt:store():project()
  return resume.row(rt:store(), id)
end

-- The JSON of a column as anybody reads it: without the escapes by which the store tells what is no text, or begins with a $.
local function text_of(store, column)
  local text = stored.text(store, column)
  if not text or not text:find('{"$', 1, true) then return text end
  local ok, plain = pcall(function() return json.encode(json.decode(text, { binary = true })) end)
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

--- The state of a node of a run in the store, and its output as JSON text; nil where there is no such node.
---@param rt orrery.Runtime
---@param row table of `host.row`
---@param name string
---@return string|nil state
---@return string|nil output
function host.node(rt, row, name)
  local store = rt:store()
  local node = store:query("SELECT state, output FROM nodes WHERE run = ? AND node = ? AND item = 0", row.number, name)[1]
  if not node then return nil end
  return node.state, text_of(store, node.output)
end

--- All that is known of a run, as `orrery show --json` prints it.
---@param rt orrery.Runtime
---@param row table of `host.row`
---@return table
function host.info(rt, row)
  local store = rt:store()
  return require("orrery.cli.record").of(store, require("orrery.cli.filter").one(store, row.id), true)
end

--- Lets a run of the store go on, or runs what failed in it again.
---@param rt orrery.Runtime
---@param row table of `host.row`
---@param how "resume"|"retry"
---@return orrery.Run
function host.go_on(rt, row, how)
  return (resume[how](row.id, { runtime = rt }))
end

--- Leaves a message for a run in its inbox: "cancel", "pause" or "resume", or a signal.
---@param rt orrery.Runtime
---@param row table of `host.row`
---@param what string
---@param name? string of the signal
---@param data? any
function host.send(rt, row, what, name, data)
  local text = name and json.encode({ name = name, data = data, sent = core.time() }, { binary = true }) or "{}"
  rt:store():send(row.id, what, text)
end

return host
