--- Sagas: steps that follow each other, each with what undoes it. `flow.saga "order"
--- :step("reserve", reserve, release)`.
---
--- A saga is an ordinary workflow that is written as a chain: each step becomes a node after the
--- one before it, and its undoing that node's `compensate`. The value that is returned can be used
--- wherever a workflow can. It has methods, which a workflow value cannot have, since its fields
--- are its nodes.
local errors = require "orrery.errors"
local keys = require "orrery.definition.node_keys"
local types = require "orrery.definition.type"
local where = require "orrery.where"
local workflow = require "orrery.definition.workflow"

local saga = {}

---@type table<orrery.Saga, {workflow: orrery.Workflow, state: orrery.WorkflowState, source: string, line: integer, last: string|nil}>
local chains = setmetatable({}, { __mode = "k" })

local Saga = {}
Saga.__index = Saga
Saga.__name = "orrery.saga"
Saga.__metatable = "orrery.saga"

function Saga:__tostring() return tostring(chains[self].workflow) end
function Saga:__len() return #chains[self].workflow end

local function chain_of(self)
  local chain = chains[self]
  if not chain then
    error("call :step on a saga: flow.saga \"order\" :step(\"reserve\", reserve, release)", 3)
  end
  return chain
end

-- Where a step was written. The last one of a chain that is returned is a tail call, which leaves
-- no trace of its place: then its function's first line stands for it, or the place of the saga.
local function place_of(chain, action)
  if not debug.getinfo(2, "t").istailcall then
    local source, line = where.here(3)
    return source, line
  end
  if type(action) ~= "function" then return chain.source, chain.line end
  local info = debug.getinfo(action, "S")
  return info.short_src, info.linedefined
end

-- What the step does as the table of its node, or nil and what is wrong with it.
local function node_of(action)
  if type(action) == "function" then return { run = action } end
  if type(action) ~= "table" then
    return nil, "expected a function(ctx, inputs) or a node as what it does, got " .. errors.show(action)
  end
  if rawget(action, "after") ~= nil then
    return nil, "a step comes after the one before it; leave `after` out of its node"
  end
  return action
end

-- Puts the keys of a step into its node.
local function add_keys(node, options, say)
  for key, value in next, options do
    if key == "after" then
      say "a step comes after the one before it; leave `after` out of its options"
    elseif key == "compensate" then
      say "what undoes a step is the third argument of :step"
    elseif not keys.READ[key] then
      say(("unknown option %q%s"):format(tostring(key), errors.suggest(key, keys.NAMES)))
    elseif rawget(node, key) ~= nil then
      say(("%s stands both in its node and in its options; keep one"):format(key))
    else
      rawset(node, key, value)
    end
  end
end

local function add_undo(node, undo, say)
  if undo == nil or undo == false then return end
  if rawget(node, "compensate") ~= nil then
    return say "its node has a `compensate` already; leave the third argument of :step out"
  end
  if type(undo) ~= "function" and (type(undo) ~= "table" or types.of(undo)) then
    return say(("expected a function(ctx, inputs), or a table { run = …, retry = 3 }, as what undoes it, got "
      .. "%s"):format(
      errors.show(undo)))
  end
  rawset(node, "compensate", undo)
end

--- Adds a step: what it does, what undoes it (nil where nothing has to be), and keys of its node.
---@param name string
---@param action function|table a function(ctx, inputs), or a node
---@param undo? function|table a function(ctx, inputs), or `{ run = …, retry = …, timeout = … }`
---@param options? table keys of the node: retry, timeout, pool, …
---@return orrery.Saga self
function Saga:step(name, action, undo, options)
  local chain = chain_of(self)
  local source, line = place_of(chain, action)
  local function say(message)
    local problems = chain.state.problems
    problems[#problems + 1] = { kind = "bad_step", where = where.text(source, line),
      message = ("step %s: %s")
        :format(type(name) == "string" and ("%q"):format(name) or errors.show(name), message) }
  end
  local node, mistake = node_of(action)
  if not node then
    say(mistake)
    return self
  end
  if options ~= nil and type(options) ~= "table" then
    say("expected a table of the node's keys, { retry = 3 }, as the fourth argument, got "
      .. errors.show(options))
  elseif options then
    add_keys(node, options, say)
  end
  add_undo(node, undo, say)
  local after = chain.last
  if workflow.add(chain.state, name, node, source, line) then
    rawset(node, "after", after)
    chain.last = name
  end
  return self
end

--- Makes a saga without steps.
---@param name string
---@param options? table those of flow.workflow
---@param level? integer whose call it is, 1 being the caller
---@return orrery.Saga
function saga.new(name, options, level)
  local source, line = where.here((level or 1) + 1)
  local made, odd = {}, options ~= nil and type(options) ~= "table"
  for key, value in next, odd and {} or options or {} do made[key] = value end
  made.name = name
  local w, state = workflow.make(made, source, line)
  local function say(message)
    state.problems[#state.problems + 1] = { kind = "wrong_type", where = where.text(source, line),
      message = message }
  end
  if name == nil then say 'flow.saga takes a name, flow.saga("order", { … }), and got none' end
  if odd then say("flow.saga takes a name and a table of options, got " .. errors.show(options)) end
  local self = setmetatable({}, Saga)
  chains[self] = { workflow = w, state = state, source = source, line = line }
  workflow.stand_for(self, w)
  return self
end

return saga
