--- Orrery: workflows in Lua. `local flow = require "orrery"`.
---
--- Everything a script uses is here; the node types are fields of it by their names
--- (`flow.http.get`, `flow.delay`), loaded when they are first used.
local compile = require "orrery.definition.compile"
local core = require "orrery.core"
local errors = require "orrery.errors"
local groups = require "orrery.definition.groups"
local load_file = require "orrery.definition.load"
local start = require "orrery.start"
local types = require "orrery.definition.type"
local workflow = require "orrery.definition.workflow"

local flow = {
  version = require "orrery.version",
  workflow = workflow.new,
  types = types.all,
  type_of = types.type_of,
  parallel = groups.parallel,
  sequence = groups.sequence,
  error = errors.error,
  load = load_file.load,
  compile = compile.workflow,
  run = start.run,
  start = start.start,
  sleep = core.sleep,
  outcome = core.outcome,
  later = core.later,
  await = core.await,
  gather = core.gather,
  running = core.running,
  spawn = core.spawn,
  fs = core.fs,
  archive = core.archive,
  transfer = core.transfer,
  smtp = core.smtp,
  json = core.json,
}

--- Makes a schema from its shorthand or from a JSON Schema (see `orrery.schema`, which is loaded
--- when the first schema is made).
---@param fields table
---@param options? orrery.json_schema.Options for a JSON Schema
---@return orrery.Schema
function flow.schema(fields, options)
  local made = require("orrery.schema").new(fields, 2, options)
  return made
end

--- Declares a node type. See `orrery.definition.type_declare`.
---@param t table
---@return orrery.NodeType
function flow.type(t)
  local made = types.declare(t)
  return made
end

--- Reads a text with `${…}`, as config may hold it, that comes from elsewhere, such as a file. It
--- reads no outputs of nodes, because nothing would wait for them. See `orrery.expr.text`.
---@param text string
---@param options? {root: string?, name: string?} root: a further name that expressions may read; name: what messages call it
---@return fun(ctx: orrery.Context, value: any): string render
function flow.template(text, options)
  local render = require("orrery.expr.text")(text, options)
  return render
end

--- Stands for a value that is looked up when a node uses it, and never kept or shown. See
--- `orrery.secret`.
---@param from string|{file: string}|{command: string[]} the name of a variable, a file, or a command that prints it
---@return orrery.Secret
function flow.secret(from)
  local made = require("orrery.secret").new(from)
  return made
end

--- A value as it may be shown: `•••` stands for the secrets that have been looked up.
---@param value any is not changed
---@return any
function flow.masked(value)
  local mask = package.loaded["orrery.mask"] -- nothing is known before it
  return mask and mask.value(value) or value
end

--- Declares a channel of one's own for `notify`: `flow.notify.NAME`. See
--- `orrery.definition.channel`.
---@param channel table
---@return orrery.NodeType
function flow.channel(channel)
  local made = require("orrery.definition.channel").declare(channel)
  return made
end

--- Gives a function a name, by which nodes of the type `action` call it: declares the node type
--- `action.NAME`. Without a function it makes such a node, as node types do.
---@param name string|table
---@param what? (fun(ctx: orrery.Context, input: table, inputs: table): any)|orrery.NodeType the function, or a
--- table of `run`, `config`, `doc` and the other fields of a node type but the name
---@return any type
function flow.action(name, what)
  if what == nil then return types.space "action"(name) end
  local made = require("orrery.definition.action").declare(name, what)
  return made
end

--- Waits, in a handler, until as many as are needed have arrived at a barrier. See
--- `orrery.runtime.barrier`.
---@param name string
---@param options { count: integer, across: "branches"|"runs"|nil, timeout: orrery.Duration? }
---@return { place: integer, count: integer }
function flow.arrive(name, options)
  local place = require("orrery.runtime.barrier").arrive(name, options)
  return place
end

--- Publishes a message on the bus. See `orrery.bus`.
---@param topic string
---@param message any
---@param options? { stream: boolean?, max_length: integer? }
---@return { id: string, receivers: integer|nil }
function flow.publish(topic, message, options)
  local made = require("orrery.bus").publish(topic, message, options)
  return made
end

--- Waits, in a handler, for a message on the bus. See `orrery.bus`.
---@param topic string
---@param options? { group: string?, timeout: orrery.Duration? }
---@return { id: string|nil, message: any }
function flow.receive(topic, options)
  local got = require("orrery.bus").receive(topic, options)
  return got
end

--- Makes a saga, a workflow of steps that can be undone: `flow.saga "order" :step("reserve",
--- reserve, release)`.
---@param name string
---@param options? orrery.WorkflowOptions
---@return orrery.Saga
function flow.saga(name, options)
  local made = require("orrery.definition.saga").new(name, options, 2)
  return made
end

--- All mistakes of a workflow or of the file at a path, in the order of the nodes, or, where it has
--- none itself, of the workflows that it calls, whose files are loaded; none: an empty list.
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
  if compiled then problems = require "orrery.bundle.children"(compiled) end
  return problems
end

--- Calls a function for every event whose name fits a pattern in which * stands for anything.
---@param pattern string
---@param fn fun(event: table)
---@return fun() off
function flow.on(pattern, fn)
  return require("orrery.events").on(pattern, fn, core.runtime())
end

--- Reads a pattern for names, in which * is any text and ? one byte: "*.txt".
---@param pattern string at most 255 bytes
---@return fun(name: string): boolean match takes at most the name's length times the pattern's
function flow.glob(pattern)
  local match, message = require("orrery.glob")(pattern)
  if not match then error("flow.glob: " .. message, 2) end
  return match
end

--- Makes a runtime of its own: `clock = "virtual"` jumps over waits. Without options, returns the
--- runtime that is used by default. With `resume` the unfinished runs of its store are resumed, a
--- few at a time; see `orrery.store.recover`.
---@param options? table see `core.runtime`
---@return orrery.Runtime
function flow.runtime(options)
  if options == nil then return core.runtime() end
  local workers, bus = options.workers, options.bus
  if workers ~= nil or bus ~= nil then
    local others = {}
    for key, value in pairs(options) do others[key] = value end
    others.workers, others.bus = nil, nil
    options = others
  end
  local rt = core.runtime(options)
  if bus ~= nil then require("orrery.bus").set(rt, bus) end
  if workers ~= nil then require("orrery.worker.pools").set(rt, workers) end
  require("orrery.runtime.pools").apply(rt)
  if options.trust and options.store then require("orrery.store.trust").give(options.store) end
  if options.resume then require("orrery.store.recover").begin(rt, options.resume) end
  return rt
end

--- Resumes a run of a store whose process is gone. See `orrery.store.resume`.
---@param id string
---@param options? orrery.ResumeOptions
---@return orrery.Run
function flow.resume(id, options)
  local started = require("orrery.store.resume").resume(id, options)
  return started
end

--- Runs what failed in an ended run, and what follows from it, again. See `orrery.store.resume`.
---@param id string
---@param options? orrery.ResumeOptions
---@return orrery.Run
function flow.retry(id, options)
  local started = require("orrery.store.resume").retry(id, options)
  return started
end

--- Starts a run that takes over what another has completed. See `orrery.store.fork`.
---@param id string
---@param options? orrery.ForkOptions
---@return orrery.Run
function flow.fork(id, options)
  local started = require("orrery.store.fork").fork(id, options)
  return started
end

core.set_compiler(start.for_call, function(...) require("orrery.store.resume").take_orphans(...) end,
  function(...) require("orrery.store.singleton").supersede(...) end)

-- What is loaded when it is first looked at.
local LATER = {
  agent = function() return require "orrery.definition.agent" end,
  connector = function() return require "orrery.definition.connector" end,
  resp = function() return require("orrery.redis").new end,
  webhook_headers = function() return require("orrery.signature").headers end,
  rows = function() return require "orrery.rows" end,
  url = function() return require "orrery.url" end,
  retries = function() return require("orrery.definition.retry_policy").PRESETS end,
  duration = function() return require("orrery.duration").seconds end,
  pool = function() return require("orrery.definition.pools").declare end,
  now = function() return require("orrery.now").perform end,
  invariant = function() return require("orrery.simulated").invariant end,
  model = function() return require("orrery.simulated").model end,
  effect = function() return require("orrery.simulated").effect end,
}

for _, kind in ipairs { "schedule", "hook", "watch", "after_run", "alert" } do
  LATER[kind] = function() return require("orrery.definition.triggers").maker(kind) end
end

local function words()
  local names = types.words()
  for name in pairs(flow) do names[#names + 1] = name end
  for name in pairs(LATER) do names[#names + 1] = name end
  return names
end

local byte, UNDERSCORE = string.byte, 95

return setmetatable(flow, {
  __index = function(_, word)
    if type(word) ~= "string" or byte(word) == UNDERSCORE then return nil end
    if LATER[word] then return LATER[word]() end
    local found = types.space(word)
    if found ~= nil then return found end
    error(('flow has no "%s"%s'):format(word, errors.did_you_mean(word, words())), 2)
  end,
  __newindex = function(_, word)
    error(("flow.%s cannot be set; a node is assigned to a workflow, w.%s = …")
      :format(tostring(word), tostring(word)), 2)
  end,
})
