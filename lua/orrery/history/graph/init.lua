--- The graph of a workflow or a run as plain data, for who draws it elsewhere: coordinates, edges,
--- and the same folded.
local coordinates = require "orrery.history.graph.coordinates"
local fold = require "orrery.history.graph.fold"
local json = require("orrery.core").json
local stored = require "orrery.history.graph.stored"

local graph = {}

--- Of more nodes nobody sees anything in a drawing, and each costs time.
graph.MOST = 20000

local function round(x) return math.floor(x * 10 + 0.5) / 10 end

-- Indices count from 0, as they do where this is read.
local function from_zero(list)
  if not list then return nil end
  local made = {}
  for i, index in ipairs(list) do made[i] = index - 1 end
  return json.array(made)
end

local function placed(view)
  local g = coordinates.of(view)
  local nodes, edges = {}, {}
  for i, node in ipairs(view.nodes) do
    local box = g.boxes[i]
    nodes[i] = { name = node.name, type = node.type, layer = node.layer, marks = json.array(node.marks),
      x = round(box.x), y = box.y, width = round(box.width), height = box.height,
      members = from_zero(node.members) }
  end
  for e, edge in ipairs(view.edges) do
    local points = {}
    for _, point in ipairs(g.lines[e]) do
      points[#points + 1] = round(point.x)
      points[#points + 1] = point.y
    end
    edges[e] = { from = edge.from - 1, to = edge.to - 1, label = edge.label, dashed = edge.dashed,
      points = json.array(points) }
  end
  return { width = round(g.width), height = g.height, nodes = json.array(nodes), edges = json.array(edges) }
end

--- A view with its coordinates.
---@param view orrery.graph.View
---@return table data { name, width, height, nodes, edges, folded }: a node is { name, type, layer,
---  marks, x, y, width,
--- height }, an edge { from, to, label, dashed, points = { x, y, x, y, … } } with indices from 0;
--- `folded` is the same with groups and many nodes that are alike as one node each, which has their
--- indices as `members`, and is not there where nothing is to be folded. Without nodes and edges,
--- but with `total`, where there are more than `graph.MOST`
function graph.of(view)
  if #view.nodes > graph.MOST then return { name = view.name, total = #view.nodes } end
  local data, folded = placed(view), fold.of(view)
  data.name, data.folded = view.name, folded and placed(folded) or nil
  return data
end

--- The graph of a run; nil where the store does not have its definition.
---@param db orrery.Store
---@param run { bundle: string|nil, nodes: integer|nil, workflow: string }
---@return table|nil
function graph.of_run(db, run)
  if (run.nodes or 0) > graph.MOST then return { name = run.workflow, total = run.nodes } end
  local definition = stored.definition(db, run)
  local view = definition and stored.view(definition)
  return view and graph.of(view) or nil
end

return graph
