--- The code that a run of a store goes on with: that of its bundle, or today's where its journal
--- fits it.
local bundle = require "orrery.bundle"
local core = require "orrery.core"
local errors = require "orrery.errors"
local prepare = require "orrery.definition.prepare"
local run_row = require "orrery.history.run_row"

local run_code = {}

local function raise(code, message)
  error(setmetatable({ code = code, message = message, retryable = false }, core.error_mt), 0)
end

local loaded = setmetatable({}, { __mode = "v" }) -- hash -> compiled, so that runs of one bundle share it

local function from_bundle(store, row)
  if not row.bundle then
    raise("no_bundle", ("run %s cannot be resumed: its workflow was made by a script, prompt or program and "
      .. "has no source in the store"):format(row.id))
  end
  require "orrery.store.trust".check(store.url)
  local compiled = loaded[row.bundle]
  if compiled then return compiled end
  local kept = store:get("bundle", row.bundle)
  if not kept then
    raise("no_bundle", ("run %s cannot be resumed: its bundle is not in the store"):format(row.id))
  end
  if not bundle.is_whole(kept) then
    raise("store_error", ("run %s began with bundle %s, which is not what was written: restore a backup of "
      .. "the store"):format(row.id, row.bundle))
  end
  compiled = bundle.load(kept, store:get("module", row.bundle))
  loaded[row.bundle] = compiled
  return compiled
end

--- The code that a run began with, where the store has it.
---@param rt orrery.Runtime
---@param id string
---@return orrery.Compiled|nil
function run_code.begun(rt, id)
  local store = rt:store()
  if not store then return nil end
  local row = run_row.find(store, id)
  if not row then -- the tables may be a moment behind
    store:project()
    row = run_row.find(store, id)
  end
  return row and row.bundle and from_bundle(store, row) or nil
end

local function touched_nodes(store, row)
  local touched = {}
  for _, node in ipairs(store:rows("node_states", { run = row.number })) do
    if node.state ~= "pending" then touched[node.node] = node.state end
  end
  return touched
end

-- Today's code for a run that began with other code, where its journal fits it.
local function current_code(store, row, path)
  local kept = row.bundle and store:get("bundle", row.bundle)
  if not kept then
    raise("no_bundle", ("run %s has no bundle in the store to compare today's code with"):format(row.id))
  end
  if not path then require "orrery.store.trust".check(store.url) end -- which names the file
  path = path or kept.arguments and core.json.decode(kept.arguments, { binary = true }).path
  if not path then
    raise("no_source", ("run %s was not loaded from a file; name the file of today's code"):format(row.id))
  end
  local compiled = prepare.compiled(path)
  store:project()
  local problems = bundle.fits(kept.definition, bundle.definition(compiled), touched_nodes(store, row))
  if #problems == 0 then return compiled end
  local found = {}
  for i, problem in ipairs(problems) do
    found[i] = { kind = "definition_changed", node = problem.node,
      message = ("the journal does not fit %s: %s"):format(path, problem.message) }
  end
  errors.raise(found, "definition_changed")
end

--- Notes that the run goes on with this code from now on.
---@param store orrery.Store
---@param row table of `run_row.find`
---@param compiled orrery.Compiled
function run_code.move_to(store, row, compiled)
  local made = bundle.of(compiled)
  if not made or made.hash == row.bundle then return end
  store:perform("run_move", { run = row.number, hash = made.hash, workflow = made.workflow,
    definition = made.definition, sources = made.sources, arguments = made.arguments, engine = made.engine,
    created = core.time() })
end

--- A run's row, and the code it goes on with.
---@param rt orrery.Runtime
---@param id string
---@param options orrery.ResumeOptions
---@return orrery.Store
---@return table row
---@return orrery.Compiled
function run_code.of(rt, id, options)
  local store = rt:store()
  if not store then
    raise("no_store", "this runtime has no store to find runs in; open it with "
      .. "flow.runtime { store = \"sqlite:PATH\" }")
  end
  if type(id) ~= "string" then error("expected the id of a run, got " .. errors.show(id), 0) end
  local row = run_row.find(store, id)
  if not row then raise("run_not_found", ("there is no run %s in %s"):format(tostring(id), rt:url())) end
  if options.trust then require "orrery.store.trust".give(store.url) end
  if options.compiled then return store, row, options.compiled end
  local compiled = options.code and current_code(store, row, options.code ~= true and options.code or nil)
    or from_bundle(store, row)
  return store, row, compiled
end

return run_code
