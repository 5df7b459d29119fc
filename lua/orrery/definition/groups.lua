--- Groups: nodes made of nodes. `flow.parallel { a, b }` and `flow.sequence { a, b }` are assigned
--- like a node and become their members plus a closing node that bears the group's name.
---
--- A member is named after its group: `build_1`, `build_2`, or `build_docs` where it has a name of
--- its own (`docs = …` in a parallel group, `{ docs = … }` as a step of a sequence). What the group
--- comes after, its members come after (in a sequence the first one). The closing node's output is
--- the members' outputs in a parallel group, as an array or by name, and the last member's in a
--- sequence.
local errors = require "orrery.errors"
local types = require "orrery.definition.type"
local where = require "orrery.where"
local workflow = require "orrery.definition.workflow"

local groups = {}

-- `when` of a group and of its member: a list under this metatable, all of which must hold.
groups.ALL = { __name = "orrery.all" }

local metas = {
  parallel = { __name = "orrery.group", orrery_group = "parallel", orrery_places = {} },
  sequence = { __name = "orrery.group", orrery_group = "sequence", orrery_places = {} },
}

--- The metatables of closing nodes, by the kind of their group.
groups.CLOSINGS = {
  parallel = { __name = "orrery.node", orrery_closing = "parallel" },
  sequence = { __name = "orrery.node", orrery_closing = "sequence" },
}

local function make(kind, members)
  local source, line = where.here(3)
  local group = {}
  if type(members) == "table" then
    for key, value in next, members do group[key] = value end
  else
    group.orrery_bad = ("flow.%s takes a table of nodes, got %s"):format(kind, errors.show(members))
  end
  return setmetatable(group, types.placed(metas[kind], source, line))
end

--- Nodes that run side by side.
---@param members table nodes, in order or by name, and the keys after, when, join, priority, pool, doc
---@return table group to be assigned to a workflow or put into another group
function groups.parallel(members) return (make("parallel", members)) end

--- Nodes that run one after another.
---@param members table nodes in order, each a node or `{ name = node }`, and the keys of `parallel`
---@return table group
function groups.sequence(members) return (make("sequence", members)) end

--- "parallel", "sequence", or nil when the node is no group.
---@param spec any
---@return string|nil
function groups.kind(spec)
  local meta = getmetatable(spec)
  return type(meta) == "table" and meta.orrery_group or nil
end

--- The kind of group that the node closes, or nil.
---@param spec table
---@return string|nil
function groups.closes(spec)
  local meta = getmetatable(spec)
  return type(meta) == "table" and meta.orrery_closing or nil
end

---@class orrery.Flat the nodes of a workflow with its groups opened
---@field count integer
---@field names string[]
---@field specs table[]
---@field index table<string, integer>
---@field name_of table<table, string>
---@field place fun(i: integer): string
---@field lines integer[]|nil by node, where the place of the first node of a line holds for the line
---@field groups table<string, string[]> names of all members by the group's name, inner groups' included
---@field problems orrery.Problem[]

--- The names of all nodes but the members of groups: who depends on a node that closes a group, and
--- runs however things end, depends on its members as well.
---@param flat orrery.Flat
---@return string[]
function groups.outermost(flat)
  local inside, list = {}, {}
  for _, members in next, flat.groups do
    for _, name in ipairs(members) do inside[name] = true end
  end
  for i = 1, flat.count do
    if not inside[flat.names[i]] then list[#list + 1] = flat.names[i] end
  end
  return list
end

--- Opens the groups of a workflow. A workflow without groups is returned as it is, nothing copied.
---@param state orrery.WorkflowState
---@return orrery.Flat
function groups.flatten(state)
  if state.grouped then return require("orrery.definition.flatten")(state) end
  return {
    count = state.count, names = state.names, specs = state.specs, index = state.index,
    name_of = state.name_of,
    place = function(i) return workflow.place(state, i) end,
    lines = not state.paths and state.lines or nil,
    groups = {}, problems = {},
  }
end

return groups
