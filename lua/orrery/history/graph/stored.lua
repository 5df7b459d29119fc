--- The graph of a run, from the definition that its bundle keeps.
local column = require "orrery.history.column"
local layers_of = require "orrery.history.graph.layers"
local view_of = require "orrery.history.graph.view"

local stored = {}

-- An entry of `after` is a name, or a table with the node and an outcome or a condition.
local function deps_of(node, index)
  local deps = {}
  for _, entry in ipairs(type(node.after) == "table" and node.after or {}) do
    local other = type(entry) == "table" and entry or { node = entry }
    local from = index[other.node]
    if from then deps[#deps + 1] = { node = from, port = other.port, when = other.when } end
  end
  return deps
end

--- A definition as it is kept, for `view.of`: each node with `deps`.
---@param db orrery.Store
---@param run { bundle: string|nil }
---@return table|nil definition nil where the run has none
function stored.definition(db, run)
  local row = run.bundle and db:get("bundle", run.bundle)
  local definition = row and column.plain(row.definition)
  if type(definition) ~= "table" or type(definition.nodes) ~= "table" then return nil end
  local index = {}
  for i, node in ipairs(definition.nodes) do index[node.name] = i end
  for _, node in ipairs(definition.nodes) do node.deps = deps_of(node, index) end
  return definition
end

--- The view of such a definition.
---@param definition table of `stored.definition`
---@return orrery.graph.View|nil nil for one with a cycle, which only a damaged store has
function stored.view(definition)
  local edges = {}
  for i, node in ipairs(definition.nodes) do
    for _, dep in ipairs(node.deps) do edges[#edges + 1] = { from = dep.node, to = i } end
  end
  local layers = layers_of(#definition.nodes, edges)
  return layers and view_of.of(definition, layers)
end

return stored
