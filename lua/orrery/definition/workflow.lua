--- The workflow value: assigning a field adds a node, reading a field reads it back.
---
--- A workflow is a table without fields of its own; what it holds is kept here, apart from it, so
--- that every assignment is seen and no name is taken. A mistake in an assignment is noted, not
--- raised: `check` reports all of them at once. Only reading a node that is not there raises,
--- because nothing sensible can be returned.
local core = require "orrery.core"
local defer = require "orrery.defer"
local where = require "orrery.where"

local workflow = {}

defer(workflow, "orrery.definition.workflow_problems", { "spec_problem", "assignment_problem",
  "raise_unknown" })

---@class orrery.WorkflowState
---@field name string
---@field place string "file:line" of its creation
---@field options table what `flow.workflow` was called with
---@field count integer
---@field names string[] by node
---@field specs table[] by node: the table that was assigned
---@field index table<string, integer> node by name
---@field name_of table<table, string> name by the assigned table
---@field lines table<integer, integer> by node: the line of its assignment; left out of most whose line is that of the node before
---@field source string the chunk in which the workflow was made
---@field sources table<integer, string> by node, where it was assigned in another chunk
---@field grouped boolean|nil whether a group is among the nodes
---@field edges table[] edges that stand apart from the nodes (JSON)
---@field problems orrery.Problem[] noted while it was built
---@field text string|nil of a JSON definition
---@field paths? fun(i: integer): string where node i stands in a JSON file

---@type table<table, orrery.WorkflowState>
local states = setmetatable({}, { __mode = "k" })

local here = where.here

local function note(state, source, line, problem)
  problem.where = where.text(source, line)
  state.problems[#state.problems + 1] = problem
end

-- Adds a node without checking whether it may be added.
local function add(state, name, spec, source, line)
  local i = state.count + 1
  state.count = i
  state.names[i] = name
  state.specs[i] = spec
  state.index[name] = i
  state.name_of[spec] = name
  if not state.paths then state.lines[i] = line end
  if source ~= state.source then state.sources[i] = source end
  local meta = getmetatable(spec)
  if type(meta) == "table" and meta.orrery_group then state.grouped = true end
end

local function assign(state, name, spec)
  local source, line = here(3)
  local problem = workflow.assignment_problem(state, name, spec)
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
  workflow.raise_unknown(state, name, source, line)
end

-- Each workflow has a metatable of its own, so that an assignment finds its state without a look
-- into a table.
local function meta_of(state)
  return {
    __name = "orrery.workflow",
    __metatable = "orrery.workflow",
    __index = function(_, name) return (read(state, name)) end,
    __newindex = core.node_setter(state, function(_, name, spec) assign(state, name, spec) end),
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

local made -- a list of the workflows that are made, while one is wanted

local noting = { __close = function(list) made = list.former end }

--- Notes the workflows that are made from here on, until the list is closed:
--- `local list <close> = workflow.note_made()`.
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
  local names, specs = {}, {}
  local state = {
    place = where.text(source, line), source = source,
    options = type(options) == "table" and options or {},
    count = 0, names = names, specs = specs, index = {}, name_of = core.node_names(names, specs),
    sources = {}, lines = {}, edges = {}, problems = {},
  }
  state.name = type(state.options.name) == "string" and state.options.name or file_stem(source)
  local w = setmetatable({}, meta_of(state))
  states[w] = state
  if made then made[#made + 1] = w end
  if type(options) ~= "table" then
    local got = require("orrery.errors").show(options)
    note(state, source, line, { kind = "wrong_type",
      message = "flow.workflow takes a table of options, { name = … }, got " .. got })
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

-- The usual case, decided in few steps: a plain table under a new name.
local function is_usual(state, name, spec)
  return type(name) == "string" and type(spec) == "table" and getmetatable(spec) == nil
    and state.index[name] == nil and not state.name_of[spec] and not states[spec]
    and name:find "^[%a_][%w_-]*$" ~= nil
end

--- Adds a node from a place that is known already (a group, a JSON file), noting what is wrong with
--- it.
---@return boolean added
function workflow.add(state, name, spec, source, line)
  if not is_usual(state, name, spec) then
    local problem = workflow.assignment_problem(state, name, spec)
    if problem then
      note(state, source, line, problem)
      return false
    end
  end
  add(state, name, spec, source, line)
  return true
end

-- A line is left out where it is that of the node before, but for every 64th node (setter.c).
local function line_of(state, i)
  local lines = state.lines
  while not lines[i] do i = i - 1 end
  return lines[i]
end

--- Where a node was assigned.
---@param state orrery.WorkflowState
---@param i integer
---@return string
function workflow.place(state, i)
  if state.paths then return state.paths(i) end
  return where.text(state.sources[i] or state.source, line_of(state, i), state.specs[i])
end

--- A number that grows with every assignment, the mistaken ones included.
---@param state orrery.WorkflowState
---@return integer
function workflow.version(state) return state.count + #state.problems end

--- Makes another value count as the workflow: it may be run, compiled, checked and returned from a
--- file in its place.
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
