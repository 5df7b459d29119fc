--- What a run begins with: a compiled workflow, and an input that fits it.
local compile = require "orrery.definition.compile"
local errors = require "orrery.errors"
local load_file = require "orrery.definition.load"
local workflow = require "orrery.definition.workflow"

local prepare = {}

--- Compiles what may be a workflow, a path, or compiled already. Raises all mistakes.
---@param what any
---@return orrery.Compiled
function prepare.compiled(what)
  if type(what) == "table" and not workflow.state(what) and what.plan and what.def then return what end
  if type(what) == "string" or (type(what) == "table" and not workflow.state(what) and what.source) then
    what = load_file.load(what)
  end
  local compiled, problems = compile.workflow(what)
  if not compiled then errors.raise(problems) end
  return compiled
end

--- Checks an input against the workflow's schema and fills in defaults. Raises `validation_error`
--- with all that is wrong.
---@param compiled orrery.Compiled
---@param input any
---@return any
function prepare.input(compiled, input)
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

return prepare
