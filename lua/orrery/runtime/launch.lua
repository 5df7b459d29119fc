--- Starting or resuming a run on a runtime: pools and listeners are in place before, and its events
--- are reported from the first on.
local core = require "orrery.core"
local events = require "orrery.events"
local nodes = require "orrery.definition.nodes"
local pools = require "orrery.runtime.pools"

local launch = {}

-- The breakers of a workflow's nodes by name; nil where it has none.
local function breakers_of(def)
  local found
  for _, node in nodes.built(def) do
    if node.breaker then
      found = found or {}
      found[node.breaker.name] = found[node.breaker.name] or node.breaker
    end
  end
  return found
end

-- A breaker belongs to the runtime, and its events name no run: a run's listener gets those of the
-- breakers of its nodes, and the breaker that a node waits for. Returns the event to report; a copy
-- where something is added, because other listeners get the same table.
local function with_breaker(event, started, breakers)
  local key, value
  if event.event == "node_waiting" then
    local why = started:why(event.node, event.item)
    if why.kind == "breaker" then key, value = "breaker", why.name end
  elseif event.event == "breaker_opened" then
    key, value = "cooldown", breakers[event.breaker].cooldown
  end
  if value == nil then return event end
  local copy = {}
  for name, field in pairs(event) do copy[name] = field end
  copy[key] = value
  return copy
end

local live = setmetatable({}, { __mode = "v" }) -- id -> run, of all runtimes

--- The run with that id that this process runs, or nil.
---@param id string
---@return orrery.Run|nil
function launch.live(id)
  local found = live[id]
  return found and not found.ended and found.state ~= "interrupted" and found or nil
end

--- The runs that this process runs.
---@return orrery.Run[]
function launch.all()
  local list = {}
  for id in pairs(live) do list[#list + 1] = launch.live(id) end
  return list
end

-- Whether an event that names no run concerns one with these breakers: of a breaker of its own, or
-- of the store.
local function is_shared(event, breakers)
  if event.run ~= nil then return false end
  return event.event == "log" or (breakers ~= nil and event.breaker ~= nil and breakers[event.breaker] ~= nil)
end

-- Reports one run's events to a function, from the first to the last. Events that come before the
-- run is known are kept until it is.
local function follow(rt, fn, breakers)
  local started, id, early, off = nil, nil, {}, nil
  local function report(event)
    local own = event.run == id
    if not own and not is_shared(event, breakers) then return end
    fn(breakers and with_breaker(event, started, breakers) or event)
    if own and events.ENDS[event.event] and not event.node then off() end
  end
  off = rt:on(function(event)
    if started then report(event) else early[#early + 1] = event end
  end)
  local function begun(the_run)
    started, id = the_run, the_run.id
    for _, event in ipairs(early) do report(event) end
  end
  return begun, off
end

--- Calls `go` to start or resume a run, on a runtime where pools and listeners are in place, and
--- reports its events from the first on.
---@param rt orrery.Runtime
---@param compiled orrery.Compiled
---@param on_event? fun(event: table)
---@param go fun(): orrery.Run
---@return orrery.Run
function launch.with(rt, compiled, on_event, go)
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

local listening = false -- to modules that handlers require: they are kept in the store of the handler's run

--- The bundle that a durable run is resumed with; nil for a workflow that no file holds, whose runs
--- cannot be resumed.
---@param rt orrery.Runtime
---@param compiled orrery.Compiled
---@return orrery.Bundle|nil
function launch.bundle_for(rt, compiled)
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

-- The lock of a run, and what becomes of it where another has that.
local function lock_of(compiled, input, context)
  if not compiled.def or not compiled.def.singleton then return nil end
  return require("orrery.definition.singleton").of(compiled, input, context)
end

--- The lock of a run that a handler calls: its context is that of the caller, and given to it only.
---@param compiled orrery.Compiled
---@param input any
---@return string|nil lock
---@return string|nil on_conflict
function launch.lock_of(compiled, input)
  local ctx = core.running()
  return lock_of(compiled, input, ctx and ctx.context)
end

-- Whether something of it is left to what earlier runs have shown.
local function learns(def)
  if def.estimates then return true end
  for _, node in nodes.built(def) do
    if node.learned then return true end
  end
  return false
end

local learning = setmetatable({}, { __mode = "k" }) -- compiled -> whether it learns

--- The workflow as a run begins it: with what the store has shown, where it leaves something to
--- that.
---@param rt orrery.Runtime|nil
---@param compiled orrery.Compiled
---@return orrery.Compiled
function launch.learned(rt, compiled)
  if not rt or not compiled.def then return compiled end
  if learning[compiled] == nil then learning[compiled] = learns(compiled.def) end
  return learning[compiled] and require("orrery.runtime.learned")(rt, compiled) or compiled
end

--- Begins a run. Returns at once.
---@param rt orrery.Runtime
---@param compiled orrery.Compiled
---@param input any checked already
---@param options orrery.RunOptions
---@return orrery.Run
function launch.begin(rt, compiled, input, options)
  compiled = launch.learned(rt, compiled)
  local lock, on_conflict = lock_of(compiled, input, options.context)
  return launch.with(rt, compiled, options.on_event, function()
    return rt:start(compiled.plan, {
      input = input, context = options.context, labels = options.labels, key = options.key,
      seed = options.seed,
      concurrency = options.concurrency, id = options.id, env = compiled.env, journal = options.journal,
      lock = lock, on_conflict = on_conflict,
      durability = options.durability, adopt = options.adopt, forked_from = options.forked_from,
      trigger = options.trigger,
      folder = rt:durable() and core.cwd() or nil,
      bundle = launch.bundle_for(rt, compiled),
      paused = rt:durable() and require("orrery.history.pauses").holds(rt, compiled.name),
    })
  end)
end

return launch
