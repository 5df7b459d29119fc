--- Orrery: workflows in Lua. `local flow = require "orrery"`.
---
--- What is here is the whole of what a script uses; the node types are fields of it by their names (`flow.http.get`,
--- `flow.delay`), loaded when they are first used.
local core = require "orrery.core"
local compile = require "orrery.compile"
local duration = require "orrery.duration"
local errors = require "orrery.errors"
local events = require "orrery.events"
local groups = require "orrery.groups"
local load_file = require "orrery.load"
local now = require "orrery.now"
local pools = require "orrery.pools"
local retry = require "orrery.retry"
local run = require "orrery.run"
local types = require "orrery.type"
local workflow = require "orrery.workflow"

local flow = {
  version = "0.1.0",
  workflow = workflow.new,
  type = types.declare,
  types = types.all,
  parallel = groups.parallel,
  sequence = groups.sequence,
  pool = pools.declare,
  error = errors.error,
  duration = duration.seconds,
  retries = retry.PRESETS,
  load = load_file.load,
  compile = compile.workflow,
  run = run.run,
  start = run.start,
  now = now.perform,
  sleep = core.sleep,
  outcome = core.outcome,
  later = core.later,
  await = core.await,
  gather = core.gather,
  running = core.running,
  spawn = core.spawn,
  transfer = core.transfer,
  json = core.json,
}

--- Makes a schema from its shorthand (see `orrery.schema`, which is loaded when the first schema is made).
---@param fields table
---@return orrery.Schema
function flow.schema(fields)
  local made = require("orrery.schema").new(fields, 2)
  return made
end

--- Makes a saga, a workflow of steps that can be undone: `flow.saga "order" :step("reserve", reserve, release)`.
---@param name string
---@param options? orrery.WorkflowOptions
---@return orrery.Saga
function flow.saga(name, options)
  local made = require("orrery.saga").new(name, options, 2)
  return made
end

--- All mistakes of a workflow or of the file at a path, in the order of the nodes; none: an empty list.
---@param what orrery.Workflow|string|{source: string, name: string?}
---@return orrery.Problem[]
function flow.check(what)
  local w = what
  if type(what) == "string" or (type(what) == "table" and not workflow.state(what) and what.source) then
    local loaded, problems = load_file.try(what)
    if not loaded then return problems end
    w = loaded
  end
  local compiled, problems = compile.workflow(w)
  return compiled and {} or problems
end

--- Calls a function for every event whose name fits a pattern in which * stands for anything.
---@param pattern string
---@param fn fun(event: table)
---@return fun() off
function flow.on(pattern, fn)
  return events.on(pattern, fn, core.runtime())
end

--- Makes a runtime of its own: `clock = "virtual"` jumps over waits. Without options it is the one everything runs on. With
--- `resume` the unfinished runs of its store go on, a few at a time; see `orrery.recover`.
---@param options? table see `core.runtime`
---@return orrery.Runtime
function flow.runtime(options)
  if options == nil then return core.runtime() end
  local rt = core.runtime(options)
  pools.apply(rt)
  if options.resume then require("orrery.recover").begin(rt, options.resume) end
  return rt
end

--- Lets a run of a store go on whose process is gone. See `orrery.resume`.
---@param id string
---@param options? orrery.ResumeOptions
---@return orrery.Run
function flow.resume(id, options)
  local started = require("orrery.resume").resume(id, options)
  return started
end

--- Runs what failed in an ended run, and what follows from it, again. See `orrery.resume`.
---@param id string
---@param options? orrery.ResumeOptions
---@return orrery.Run
function flow.retry(id, options)
  local started = require("orrery.resume").retry(id, options)
  return started
end

--- Starts a run that takes over what another has completed. See `orrery.fork`.
---@param id string
---@param options? orrery.ForkOptions
---@return orrery.Run
function flow.fork(id, options)
  local started = require("orrery.fork").fork(id, options)
  return started
end

core.set_compiler(run.for_call, function(...) require("orrery.resume").take_orphans(...) end)

local function words()
  local names = types.words()
  for name in pairs(flow) do names[#names + 1] = name end
  return names
end

return setmetatable(flow, {
  __index = function(_, word)
    if type(word) ~= "string" or word:find "^_" then return nil end
    local found = types.space(word)
    if found ~= nil then return found end
    error(('flow has no "%s"%s'):format(word, errors.did_you_mean(word, words())), 2)
  end,
  __newindex = function(_, word)
    error(("flow.%s cannot be set; a node is assigned to a workflow, w.%s = …"):format(tostring(word), tostring(word)), 2)
  end,
})
