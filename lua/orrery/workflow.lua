--- The workflow value: assigning a field adds a node, reading a field reads it back.
---
--- A workflow is a table without fields of its own; what it holds is kept here, apart from it, so that every
--- assignment is seen and no name is taken. A mistake in an assignment is noted, not raised: `check` reports all of
--- them at once. Only reading a node that is not there raises, because nothing sensible can be returned.
local errors = require "orrery.errors"
local where = require "orrery.where"

local workflow = {}

---@class orrery.WorkflowState
---@field name string
---@field place string "file:line" of its creation
---@field options table what `flow.workflow` was called with
---@field count integer
---@field names string[] by node
---@field specs table[] by node: the table that was assigned
---@field index table<string, integer> node by name
---@field name_of table<table, string> name by the assigned table
---@field lines integer[] by node: the line of its assignment
---@field source string the chunk in which the workflow was made
---@field sources table<integer, string> by node, where it was assigned in another chunk
---@field edges table[] edges that stand apart from the nodes (JSON)
---@field problems orrery.Problem[] noted while it was built
---@field paths? fun(i: integer): string where node i stands in a JSON file

---@type table<table, orrery.WorkflowState>
local states = setmetatable({}, { __mode = "k" })

local NAME = "^[A-Za-z_][A-Za-z0-9_-]*$"
local here, find = where.here, string.find

local function note(state, source, line, problem)
  problem.where = where.text(source, line)
  state.problems[#state.problems + 1] = problem
end

local function name_problem(name)
  if type(name) ~= "string" then
    return ("a node's name is a string, got %s; assign with w.name = … or w[\"name\"] = …"):format(errors.show(name))
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
  if states[spec] then
    return ('node "%s": a workflow is no node; run it from one: flow.call { workflow = … }'):format(
      name)
  end
end

local function name_of_spec(spec)
  return type(spec) == "table" and spec or nil
end

local function assignment_problem(state, name, spec)
  local message = name_problem(name)
  if message then return { kind = "bad_name", message = message } end
  message = workflow.spec_problem(name, spec)
  if message then return { kind = "not_a_node", node = name, message = message } end
  local earlier = state.index[name]
  if earlier then
    return { kind = "duplicate_name", node = name, message = ('node "%s" is already there, assigned at %s; a node is '
      .. "assigned once, give this one another name"):format(name, workflow.place(state, earlier)) }
  end
  local other = state.name_of[name_of_spec(spec)]
  if other then
    return { kind = "shared_table", node = name, message = ('node "%s": the same table is already node "%s"; make a '
      .. "table of its own for each node"):format(name, other) }
  end
end

-- Adds a node without looking whether it may be added.
local function add(state, name, spec, source, line)
  local i = state.count + 1
  state.count = i
  state.names[i] = name
  state.specs[i] = spec
  state.index[name] = i
  state.name_of[spec] = name
  state.lines[i] = line
  if source ~= state.source then state.sources[i] = source end
end

-- The usual case is decided first and in few steps: a plain table under a new name.
local function assign(state, name, spec)
  local source, line = here(3)
  local usual = type(name) == "string" and type(spec) == "table" and not getmetatable(spec) and not state.index[name]
    and not state.name_of[spec] and find(name, NAME)
  local problem = not usual and assignment_problem(state, name, spec)
  if problem then
    note(state, source, line, problem)
  else
    add(state, name, spec, source, line)
  end
end

local function read(state, name)
  local i = state.index[name]
  if i then return state.specs[i] end
  local source, line = here(3)
  errors.raise { {
    kind = "unknown_node", where = where.text(source, line), node = tostring(name),
    message = ('workflow "%s" has no node %s so far%s'):format(state.name,
      type(name) == "string" and ("%q"):format(name) or errors.show(name), errors.suggest(name, state.names)),
  } }
end

-- Each workflow has a metatable of its own, so that an assignment finds its state without a look into a table.
local function meta_of(state)
  return {
    __name = "orrery.workflow",
    __metatable = "orrery.workflow",
    __index = function(_, name) return (read(state, name)) end,
    __newindex = function(_, name, spec) assign(state, name, spec) end,
    __len = function() return state.count end,
    __tostring = function() return ('workflow "%s" (%d nodes)'):format(state.name, state.count) end,
    __pairs = function()
      local i = 0
      return function()
        i = i + 1
        return state.names[i], state.specs[i]
      end
    end,
  }
end

local function file_stem(source)
  return source:match("([^/\\]+)%.[^./\\]+$") or "workflow"
end

local made -- a list of the workflows that are made, while somebody wants to know

local noting = { __close = function(list) made = list.former end }

--- Notes the workflows that are made from here on, until the list is closed: `local list <close> = workflow.note_made()`.
---@return table list of workflows
function workflow.note_made()
  made = setmetatable({ former = made }, noting)
  return made
end

--- Makes an empty workflow.
---@param options table see `flow.workflow`
---@param source string where, as `where.here` gives it
---@param line integer
---@return table w
---@return orrery.WorkflowState state
function workflow.make(options, source, line)
  local state = {
    place = where.text(source, line), source = source,
    options = type(options) == "table" and options or {},
    count = 0, names = {}, specs = {}, index = {}, name_of = {}, sources = {}, lines = {}, edges = {}, problems = {},
  }
  state.name = type(state.options.name) == "string" and state.options.name or file_stem(source)
  local w = setmetatable({}, meta_of(state))
  states[w] = state
  if made then made[#made + 1] = w end
  if type(options) ~= "table" then
    note(state, source, line, { kind = "wrong_type",
      message = "flow.workflow takes a table of options, { name = … }, got " .. errors.show(options) })
  end
  return w, state
end

--- Makes a workflow, `flow.workflow { name = "weather", … }`. Assign its nodes to it.
---@param options orrery.WorkflowOptions
---@return orrery.Workflow
function workflow.new(options)
  local source, line = here(2)
  return (workflow.make(options, source, line))
end

--- Adds a node from a place that is known already (a group, a JSON file), noting what is wrong with it.
---@return boolean added
function workflow.add(state, name, spec, source, line)
  local problem = assignment_problem(state, name, spec)
  if problem then
    note(state, source, line, problem)
    return false
  end
  add(state, name, spec, source, line)
  return true
end

--- Where a node was assigned.
---@param state orrery.WorkflowState
---@param i integer
---@return string
function workflow.place(state, i)
  if state.paths then return state.paths(i) end
  return where.text(state.sources[i] or state.source, state.lines[i], state.specs[i])
end

--- A number that grows with every assignment, the mistaken ones included.
---@param state orrery.WorkflowState
---@return integer
function workflow.version(state) return state.count + #state.problems end

--- Makes another value count as the workflow: it may be run, compiled, checked and returned from a file in its place.
---@param other table
---@param w orrery.Workflow
function workflow.stand_for(other, w) states[other] = states[w] end

--- What a workflow holds, or nil when the value is no workflow.
---@param w any
---@return orrery.WorkflowState|nil
function workflow.state(w)
  return type(w) == "table" and states[w] or nil
end

return workflow
