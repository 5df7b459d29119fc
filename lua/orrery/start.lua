--- `flow.run`, `flow.start` and the workflows that `ctx:call` calls: the input is checked, the plan
--- is cut to what `only` and `from` leave, and the runtime runs it.
local compile = require "orrery.definition.compile"
local core = require "orrery.core"
local errors = require "orrery.errors"

local start = {}

-- Loaded with the first run.
local function launch() return require "orrery.runtime.launch" end
local function prepare() return require "orrery.definition.prepare" end

local OPTIONS = {
  input = true, context = true, only = true, from = true, concurrency = true, clock = true, seed = true,
  on_event = true, runtime = true, id = true, journal = true, store = true, durability = true, key = true,
  labels = true, trigger = true,
  adopt = true, forked_from = true,
}

local function check_options(options, who)
  if options == nil then return {} end
  if type(options) ~= "table" then
    error(("%s: expected a table of options, got %s"):format(who, errors.show(options)), 4)
  end
  for key in pairs(options) do
    if not OPTIONS[key] then
      local names = {}
      for name in pairs(OPTIONS) do names[#names + 1] = name end
      error(("%s: unknown option %q%s"):format(who, tostring(key), errors.suggest(key, names)), 4)
    end
  end
  if options.on_event ~= nil and type(options.on_event) ~= "function" then
    error(("%s: on_event is a function(event), got %s"):format(who, errors.show(options.on_event)), 4)
  end
  local trigger = options.trigger
  if trigger ~= nil and (type(trigger) ~= "table" or type(trigger.kind) ~= "string") then
    error(("%s: trigger says what starts the run, { kind = \"webhook\", payload = … }, got %s"):format(who,
      errors.show(trigger)), 4)
  end
  return options
end

local function cut(compiled, options)
  if not options.only and not options.from then return compiled end
  return require("orrery.definition.only").compiled(compiled, options, core.plan)
end

local function runtime_of(options)
  if options.runtime then return options.runtime end
  if options.clock then
    return core.runtime { clock = options.clock, store = options.store, durability = options.durability }
  end
  local hosted = not options.store and core.host_runtime()
  if hosted then return hosted end
  local url = options.store or os.getenv "ORRERY_STORE"
  if url and url ~= "" then return require("orrery.runtime.of_store")(url, options.durability) end
  return core.runtime()
end

local function check_id(rt, id)
  if id == nil or not rt:durable() or type(id) ~= "string" then return end
  local known = require("orrery.history.run_row").find(rt:store(), id:lower())
  if known then
    errors.raise({ { kind = "duplicate_id",
      message = ("id: there is a run %s already: of workflow \"%s\", %s; an id is given once"):format(
      known.id, known.workflow, known.state) } }, "duplicate_id")
  end
end

local function begin(what, options, who)
  options = check_options(options, who)
  local compiled = prepare().compiled(what)
  local input = prepare().input(compiled, options.input)
  compiled = cut(compiled, options)
  local rt = runtime_of(options)
  if options.key ~= nil then
    local known = require("orrery.store.idempotency")(rt, compiled, options)
    if known then return known, rt end
  end
  check_id(rt, options.id)
  if not compiled.def or not compiled.def.singleton then
    return launch().begin(rt, compiled, input, options), rt
  end
  return require("orrery.store.singleton").begin(rt, compiled, input, options), rt
end

--- Starts a run and returns at once. Raises mistakes of the definition and of the input.
---@param what orrery.Workflow|orrery.Compiled|string
---@param options? orrery.RunOptions
---@return orrery.Run
function start.start(what, options)
  return (begin(what, options, "flow.start"))
end

--- Starts a run and waits for its end; inside a handler the wait yields. A failed run is returned,
--- not raised.
---@param what orrery.Workflow|orrery.Compiled|string
---@param options? orrery.RunOptions
---@return orrery.Run
function start.run(what, options)
  local started, rt = begin(what, options, "flow.run")
  local other
  if type(started) == "userdata" then
    rt:wait(started)
    local err = started.error
    other = err and err.code == "duplicate_key"
    and err.details and err.details.run -- another run got its key meanwhile
    if err and err.code == "conflict" then -- or its lock
      return require("orrery.store.singleton").refused(rt, prepare().compiled(what), err)
    end
  elseif started.existing and not started.ended then
    other = started.id
  end
  return other and require("orrery.store.elsewhere").finished(rt, other) or started
end

compile.set_identity(function(compiled)
  local bundle = require "orrery.bundle"
  local made = bundle.running() or compiled and bundle.of(compiled)
  return made and made.hash
end)

compile.set_work(function(...) return require "orrery.worker.call"(...) end)

-- path -> { text, compiled }, so that a workflow called for each of many items is compiled once
local by_path = {}

local function compiled_file(path)
  local file = io.open(path, "rb")
  local text = file and file:read "a"
  if file then file:close() end
  local known = by_path[path]
  if text and known and known.text == text then return known.compiled end
  local compiled = prepare().compiled(path)
  by_path[path] = { text = text, compiled = compiled }
  return compiled
end

local stand_in

--- Sets what gives the plan that is run in place of a called workflow's, nil: nothing does. For
--- simulations.
---@param fn? fun(compiled: orrery.Compiled): orrery.Plan
function start.set_stand_in(fn) stand_in = fn end

--- What `ctx:call` needs of a workflow: its plan and how to start it. Raises mistakes.
---@param what orrery.Workflow|string
---@param input any
---@param id? string of a run that was begun before a restart: the plan is that of the code it began
---  with, nil where nobody knows it
---@return orrery.Plan|nil plan
---@return table|nil options
function start.for_call(what, input, id)
  if id and not stand_in then
    local kept = require("orrery.store.run_code").begun(core.running_runtime(), id)
    return kept and kept.plan, kept and { env = kept.env }
  end
  local compiled = type(what) == "string" and compiled_file(what) or prepare().compiled(what)
  local rt = core.running_runtime()
  input = prepare().input(compiled, input)
  if not stand_in then compiled = launch().learned(rt, compiled) end
  local lock, on_conflict = launch().lock_of(compiled, input)
  local plan = stand_in and stand_in(compiled) or compiled.plan
  return plan, { input = input, env = compiled.env, lock = lock, on_conflict = on_conflict,
    bundle = rt and launch().bundle_for(rt, compiled) }
end

return start
