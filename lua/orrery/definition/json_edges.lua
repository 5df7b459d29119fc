--- Edges of a JSON definition, which stand apart from its nodes. Loaded with the first that has
--- any.
local errors = require "orrery.errors"

local function read_edge(state, flat, b, resolver, edge)
  local i = flat.index[edge.to]
  b.i, b.name, b.with = i or 1, edge.to, nil
  local first = #b.problems
  local j, port
  if not i then
    b:bad("to", "unknown_node",
      ('to: there is no node "%s"%s'):format(tostring(edge.to), b:nearest_node(edge.to)))
  end
  if type(edge.from) == "string" then
    j, port = resolver:find(edge.from, "from")
  else
    b:bad("from", "wrong_type", "from: expected a node's name, got " .. errors.show(edge.from))
  end
  b.mentions = nil
  local when = edge.when ~= nil and b:condition("when", edge.when) or nil
  for k = first + 1, #b.problems do
    b.problems[k].where = ("%s: %s.%s"):format(state.place, edge.path, b.problems[k].field)
    b.problems[k].node = i and edge.to or nil
    b.problems[k].message = ("edge: " .. b.problems[k].message:gsub('^node ".-": ', ""))
  end
  return i, j and { node = j, port = port, when = when }
end

--- Edges by the node they lead to. An edge's condition is evaluated when `from` settles, so what
--- else it mentions is not waited for.
---@param state orrery.WorkflowState
---@param flat orrery.Flat
---@param b orrery.NodeBuilder
---@param resolver orrery.Dependencies
---@return table<integer, table[]>
return function(state, flat, b, resolver)
  local by_node = {}
  for _, edge in ipairs(state.edges) do
    local i, dep = read_edge(state, flat, b, resolver, edge)
    if i and dep then
      by_node[i] = by_node[i] or {}
      table.insert(by_node[i], dep)
    end
  end
  return by_node
end
