--- Mistakes in the workflows that a workflow calls, as far as it says beforehand which: nodes of
--- the type `workflow` with a file or a value, and `ctx:call` in handlers with a text or a variable
--- from outside.
local Builder = require "orrery.definition.node"
local bytecode = require "orrery.bundle.bytecode"
local compile = require "orrery.definition.compile"
local errors = require "orrery.errors"
local groups = require "orrery.definition.groups"
local load_file = require "orrery.definition.load"
local types = require "orrery.definition.type"
local workflow = require "orrery.definition.workflow"

---@class orrery.Call
---@field what string|table a path or a workflow
---@field input any what it is given, where that is known; nil: it is not
---@field node string
---@field where string
---@field field string
---@field limits orrery.Limits|nil of the workflow that calls

local function is_static(text) return not text:find("${", 1, true) end

-- The workflow that a node of the type runs; nil where the run decides.
local function call_of_node(spec, T)
  local config = Builder.config_of(spec)
  types.place_positional(T, config)
  local what = config.workflow
  if type(what) == "string" and is_static(what) or workflow.state(what) then
    local input = config.input
    if type(input) == "string" then return { what = what, field = "workflow" } end
    return { what = what, field = "workflow", input = input == nil and {} or input }
  end
end

local function add_calls_of_handler(list, fn, where)
  local source = where:match "^(.*):%d+$"
  for _, call in ipairs(bytecode.calls(fn, "call")) do
    if type(call.value) == "string" or workflow.state(call.value) then
      list[#list + 1] = { what = call.value, field = "run",
        where = source and call.line and ("%s:%d"):format(source, call.line) or where }
    end
  end
end

---@param compiled orrery.Compiled
---@return orrery.Call[]
local function calls_of(compiled)
  local state, list = workflow.state(compiled.workflow), {}
  local flat = groups.flatten(state)
  for i = 1, flat.count do
    local spec, first = flat.specs[i], #list
    local T = types.of(spec) or types.named(spec)
    if T and T.name == "workflow" and types.is_standard(T) then
      list[#list + 1] = call_of_node(spec, T)
    elseif type(rawget(spec, "run")) == "function" then
      add_calls_of_handler(list, rawget(spec, "run"), flat.place(i))
    end
    for k = first + 1, #list do
      local call = list[k]
      call.node, call.limits, call.where = flat.names[i], state.limits, call.where or flat.place(i)
    end
  end
  return list
end

-- Its workflow. A definition that is data loads its children as such.
local function load(call)
  if type(call.what) ~= "string" then return call.what end
  if not call.limits then return load_file.load(call.what) end
  local guard = require("orrery.definition.limits").guard(call.limits, "workflow")
  return guard({ workflow = call.what }).workflow
end

local function note(problems, call, kind, message)
  problems[#problems + 1] = { kind = kind, node = call.node, field = call.field, where = call.where,
    message = ('node "%s": %s: %s'):format(call.node, call.field, message) }
end

-- What of the input that the caller writes does not fit.
local function check_input(problems, call, child)
  if call.input == nil or not child.input then return end
  local _, found = child.input:check(call.input, { root = "input", templates = true })
  for _, problem in ipairs(found or {}) do
    note(problems, call, "bad_input", ('workflow "%s": %s'):format(child.name, problem.message))
  end
end

-- A file that cannot be had is a mistake of the caller; what is wrong in it stands at its own
-- place.
local function note_load(problems, call, problem)
  local found = errors.problems_of(problem)
  for _, each in ipairs(found or {}) do
    if each.where then problems[#problems + 1] = each else note(problems, call, each.kind, each.message) end
  end
  if not found then
    note(problems, call, type(problem) == "table" and problem.code or "load_error",
      type(problem) == "table" and problem.message or tostring(problem))
  end
end

-- Lines and columns of what is wrong with the calls of a JSON definition.
local function add_places(problems, compiled)
  local state = workflow.state(compiled.workflow)
  if state.text and #problems > 0 then
    require("orrery.definition.json_places").add(problems, state.text, state.place)
  end
end

--- All mistakes of the workflows that it calls, of those that they call, and of what they are
--- given.
---@param compiled orrery.Compiled
---@return orrery.Problem[]
---@return orrery.Compiled[] children each once
return function(compiled)
  local problems, children, queue = {}, {}, { compiled }
  local seen = { [compiled.workflow] = compiled } -- by workflow or path
  local origin = load_file.origin(compiled.workflow)
  if origin and origin.path then seen[origin.path] = compiled end
  local at = 0
  while queue[at + 1] do
    at = at + 1
    for _, call in ipairs(calls_of(queue[at])) do
      local child = seen[call.what]
      if child == nil then
        local ok, w = pcall(load, call)
        local mistakes
        if ok then child, mistakes = compile.workflow(w) else note_load(problems, call, w) end
        for _, mistake in ipairs(mistakes or {}) do problems[#problems + 1] = mistake end
        seen[call.what] = child or false
        if child then queue[#queue + 1], children[#children + 1] = child, child end
      end
      if child then check_input(problems, call, child) end
    end
    add_places(problems, queue[at])
  end
  return problems, children
end
