--- What is wrong with an assignment to a workflow, and with a name that is read and not there.
local errors = require "orrery.errors"
local where = require "orrery.where"
local workflow = require "orrery.definition.workflow"

local NAME = "^[A-Za-z_][A-Za-z0-9_-]*$"

local function name_problem(name)
  if type(name) ~= "string" then
    return ("a node's name is a string, got %s; assign with w.name = … or w[\"name\"] = …")
      :format(errors.show(name))
  end
  if not name:find(NAME) then
    return ("%q is not a node's name; a name is a letter or _, then letters, digits, _ and -"):format(name)
  end
end

--- What is wrong with a value that should be a node, or nil.
---@param name string
---@param spec any
---@return string|nil
function workflow.spec_problem(name, spec)
  if spec == nil then
    return ('node "%s": nil is no node; a node cannot be removed, build the workflow without it'):format(name)
  end
  if type(spec) == "function" then
    return ('node "%s": a function is no node; write { run = function(ctx, inputs) … end }'):format(name)
  end
  if type(spec) ~= "table" then
    return ('node "%s": expected a node (a table with `run`, or a call of a node type), got %s'):format(
      name, errors.show(spec))
  end
  local meta = getmetatable(spec)
  if meta and meta.orrery_is_type then
    return ('node "%s": %s is a node type, not a node; call it: %s { … }'):format(name, spec.name, spec.name)
  end
  if workflow.state(spec) then
    return ('node "%s": a workflow is no node; run it from one: flow.call { workflow = … }'):format(
      name)
  end
end

local function name_of_spec(spec)
  return type(spec) == "table" and spec or nil
end

--- What is wrong with an assignment, or nil.
---@param state orrery.WorkflowState
---@param name any
---@param spec any
---@return orrery.Problem|nil without its place
function workflow.assignment_problem(state, name, spec)
  local message = name_problem(name)
  if message then return { kind = "bad_name", message = message } end
  message = workflow.spec_problem(name, spec)
  if message then return { kind = "not_a_node", node = name, message = message } end
  local earlier = state.index[name]
  if earlier then
    return { kind = "duplicate_name", node = name,
      message = ('node "%s" is already there, assigned at %s; a node is '
      .. "assigned once, give this one another name"):format(name, workflow.place(state, earlier)) }
  end
  local other = state.name_of[name_of_spec(spec)]
  if other then
    return { kind = "shared_table", node = name,
      message = ('node "%s": the same table is already node "%s"; make a '
      .. "table of its own for each node"):format(name, other) }
  end
end

--- Raises that a node which is read is not there.
---@param state orrery.WorkflowState
---@param name any
---@param source string where it is read, as `where.here` gives it
---@param line integer
function workflow.raise_unknown(state, name, source, line)
  errors.raise { {
    kind = "unknown_node", where = where.text(source, line), node = tostring(name),
    message = ('workflow "%s" has no node %s so far%s'):format(state.name,
      type(name) == "string" and ("%q"):format(name) or errors.show(name), errors.suggest(name, state.names)),
  } }
end

return workflow
