--- Starting runs: the input is checked, the plan is cut to what is asked for, and the runtime takes over.
local compile = require "orrery.compile"
local core = require "orrery.core"
local errors = require "orrery.errors"
local events = require "orrery.events"
local load_file = require "orrery.load"
local pools = require "orrery.pools"
local workflow = require "orrery.workflow"

local run = {}

local OPTIONS = {
  input = true, context = true, only = true, from = true, concurrency = true, clock = true, seed = true,
  on_event = true, runtime = true, id = true, journal = true, store = true, durability = true, key = true, labels = true,
  adopt = true, forked_from = true,
}

local function check_options(options, who)
  if options == nil then return {} end
  if type(options) ~= "table" then error(("%s: expected a table of options, got %s"):format(who, errors.show(options)), 4) end
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
  return options
end

--- Compiles what may be a workflow, a path, or compiled already. Raises all mistakes.
---@param what any
---@return orrery.Compiled
function run.compiled(what)
  if type(what) == "table" and not workflow.state(what) and what.plan and what.def then return what end
  if type(what) == "string" or (type(what) == "table" and not workflow.state(what) and what.source) then
    what = load_file.load(what)
  end
  local compiled, problems = compile.workflow(what)
  if not compiled then errors.raise(problems) end
  return compiled
end

--- Checks an input against the workflow's schema and fills in defaults. Raises `validation_error` with all that is wrong.
---@param compiled orrery.Compiled
---@param input any
---@return any
function run.check_input(compiled, input)
  if not compiled.input then return input end
  local value, found = compiled.input:check(input == nil and {} or input, { root = "input" })
  if not found then return value end
  local problems = {}
  for i, problem in ipairs(found) do
    problems[i] = { kind = "bad_input", field = problem.field,
      message = ('workflow "%s": %s'):format(compiled.name, problem.message) }
  end
  errors.raise(problems, "validation_error")
end

local function cut(compiled, options)
  if not options.only and not options.from then return compiled end
  return require("orrery.prune").compiled(compiled, options, core.plan)
end

local by_store = {} -- url -> { rt, durable }, so that all runs of one store share one thread and one owner

--- The runtime of the runs of a store, one for each.
---@param url string
---@param durability? "strict"|"relaxed"|"none"
---@param output_limit? integer bytes of JSON that one output may have
---@param crash_limit? integer interruptions after which an attempt fails with crash_loop
---@return orrery.Runtime
function run.runtime_of_store(url, durability, output_limit, crash_limit)
  local known = by_store[url]
  local rt = known and known.rt
  if not rt or (known.durable and not rt:durable()) then -- there is none, or it was closed
    rt = core.runtime { store = url, durability = durability, output_limit = output_limit, crash_limit = crash_limit }
    by_store[url] = { rt = rt, durable = rt:durable() }
    if rt:durable() then pools.pause(rt, rt:store()) end
  end
  return rt
end

local function runtime_of(options)
  if options.runtime then return options.runtime end
  if options.clock then return core.runtime { clock = options.clock, store = options.store, durability = options.durability } end
  local url = options.store or os.getenv "ORRERY_STORE"
  if url and url ~= "" then return run.runtime_of_store(url, options.durability) end
  return core.runtime()
end

-- The breakers of a workflow's nodes by name; nil where it has none.
local function breakers_of(def)
  local found
  for _, node in ipairs(def.nodes) do
    if node.breaker then
      found = found or {}
      found[node.breaker.name] = found[node.breaker.name] or node.breaker
    end
  end
  return found
end

-- A breaker is the runtime's, and its events name no run: a run is told of those that its nodes have, and which one a
-- node waits for. Returns the event to tell, a copy where something is added, because others hear the same table.
local function with_breaker(event, started, breakers)
  local key, value
  if event.event == "node_waiting" then
    local why = started:why(event.node, event.item)
    if why.kind == "breaker" then key, value = "breaker", why.name end
  elseif event.event == "breaker_opened" then
    key, value = "cooldown", breakers[event.breaker].cooldown
  end
  if value == nil then return event end
  local told = {}
  for name, field in pairs(event) do told[name] = field end
  told[key] = value
  return told
end

local live = setmetatable({}, { __mode = "v" }) -- id -> run, of all runtimes

--- The run with that id that this process runs, or nil.
---@param id string
---@return orrery.Run|nil
function run.live(id)
  local found = live[id]
  return found and not found.ended and found.state ~= "interrupted" and found or nil
end

-- Whether an event that names no run concerns one with these breakers: of a breaker of its own, or of the store.
local function is_shared(event, breakers)
  if event.run ~= nil then return false end
  return event.event == "log" or (breakers ~= nil and event.breaker ~= nil and breakers[event.breaker] ~= nil)
end

-- Tells one run's events to a function, from the first to the last. Events that come before the run is known are kept
-- until it is.
local function follow(rt, fn, breakers)
  local started, id, early, off = nil, nil, {}, nil
  local function tell(event)
    local own = event.run == id
    if not own and not is_shared(event, breakers) then return end
    fn(breakers and with_breaker(event, started, breakers) or event)
    if own and events.ENDS[event.event] and not event.node then off() end
  end
  off = rt:on(function(event)
    if started then tell(event) else early[#early + 1] = event end
  end)
  local function begun(the_run)
    started, id = the_run, the_run.id
    for _, event in ipairs(early) do tell(event) end
  end
  return begun, off
end

--- Lets `go` bring a run about on a runtime where everything that runs need is in place, and tells its events from the
--- first on.
---@param rt orrery.Runtime
---@param compiled orrery.Compiled
---@param on_event? fun(event: table)
---@param go fun(): orrery.Run
---@return orrery.Run
function run.launch(rt, compiled, on_event, go)
  pools.apply(rt)
  events.attach(rt)
  local begun, off
  if on_event then begun, off = follow(rt, on_event, breakers_of(compiled.def)) end
  local ok, started = pcall(go)
  if not ok then
    if off then off() end
    error(started, 0)
  end
  live[started.id] = started
  if begun then begun(started) end
  return started
end

local function check_id(rt, id)
  if id == nil or not rt:durable() or type(id) ~= "string" then return end
  local known = require("orrery.resume").row(rt:store(), id:lower())
  if known then
    errors.raise({ { kind = "duplicate_id", message = ("id: there is a run %s already: of workflow \"%s\", %s; an id is given once"):format(
      known.id, known.workflow, known.state) } }, "duplicate_id")
  end
end

local listening = false -- to modules that handlers require: they are kept in the store of the handler's run

-- What a durable run is resumed with; nil, and it is not, for a workflow that no file holds.
local function bundle_for(rt, compiled)
  if not rt:durable() then return nil end
  local bundle = require "orrery.bundle"
  if not listening then
    listening = true
    bundle.on_module(function(module, grown)
      local own = core.running_runtime()
      if own then own:keep_module(grown.hash, module.name, module.path, module.source) end
    end)
  end
  return (bundle.of(compiled))
end

local function start(what, options, who)
  options = check_options(options, who)
  local compiled = run.compiled(what)
  local input = run.check_input(compiled, options.input)
  compiled = cut(compiled, options)
  local rt = runtime_of(options)
  if options.key ~= nil then
    local known = require("orrery.resume").by_key(rt, compiled, options)
    if known then return known, rt end
  end
  check_id(rt, options.id)
  return run.launch(rt, compiled, options.on_event, function()
    return rt:start(compiled.plan, { input = input, context = options.context, labels = options.labels, key = options.key,
      seed = options.seed, concurrency = options.concurrency, id = options.id, env = compiled.env,
      journal = options.journal, durability = options.durability, adopt = options.adopt, forked_from = options.forked_from,
      bundle = bundle_for(rt, compiled), paused = rt:durable() and require("orrery.resume").is_paused(rt, compiled.name) })
  end), rt
end

--- Starts a run and returns at once. Raises mistakes of the definition and of the input.
---@param what orrery.Workflow|orrery.Compiled|string
---@param options? orrery.RunOptions
---@return orrery.Run
function run.start(what, options)
  return (start(what, options, "flow.start"))
end

--- Starts a run and waits for its end; inside a handler the wait yields. A failed run is returned, not raised.
---@param what orrery.Workflow|orrery.Compiled|string
---@param options? orrery.RunOptions
---@return orrery.Run
function run.run(what, options)
  local started, rt = start(what, options, "flow.run")
  local other
  if type(started) == "userdata" then
    rt:wait(started)
    local err = started.error
    other = err and err.code == "duplicate_key" and err.details and err.details.run -- its key was taken meanwhile
  elseif started.existing and not started.ended then
    other = started.id
  end
  return other and require("orrery.resume").finished(rt, other) or started
end

local by_path = {} -- path -> { text, compiled }, so that a workflow called for each of many items is compiled once

local function compiled_file(path)
  local file = io.open(path, "rb")
  local text = file and file:read "a"
  if file then file:close() end
  local known = by_path[path]
  if text and known and known.text == text then return known.compiled end
  local compiled = run.compiled(path)
  by_path[path] = { text = text, compiled = compiled }
  return compiled
end

--- What `ctx:call` needs of a workflow: its plan and how to start it. Raises mistakes.
---@param what orrery.Workflow|string
---@param input any
---@param id? string of a run that was begun before a restart: the plan is that of the code it began with, nil where nobody knows it
---@return orrery.Plan|nil plan
---@return table|nil options
function run.for_call(what, input, id)
  if id then
    local kept = require("orrery.resume").begun_code(core.running_runtime(), id)
    return kept and kept.plan, kept and { env = kept.env }
  end
  local compiled = type(what) == "string" and compiled_file(what) or run.compiled(what)
  local rt = core.running_runtime()
  return compiled.plan, { input = run.check_input(compiled, input), env = compiled.env, bundle = rt and bundle_for(rt, compiled) }
end

return run
