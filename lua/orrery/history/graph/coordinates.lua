--- Where the nodes of a graph stand in a drawing, and which way its edges take: what an SVG, the
--- page and the API draw alike. Units are pixels at a scale of one; x grows to the right, y
--- downwards, from the upper left corner.
local layout = require "orrery.history.graph.layout"

local coordinates = {}

local CHAR, SMALL, PAD = 7.3, 6.1, 14 -- width of a letter in bold and in small type; room beside a text
local HEIGHT, LAYER, GAP, LEAST = 40, 84, 26, 64

--- The longest a name and what stands under it may be: columns.
coordinates.NAME, coordinates.CAPTION = 40, 44

--- Of a box, and from the top of one layer to that of the next.
coordinates.HEIGHT, coordinates.LAYER = HEIGHT, LAYER

--- What stands under the name of a node: its type and its policies.
---@param node orrery.graph.ViewNode
---@return string
function coordinates.caption(node)
  return #node.marks > 0 and node.type .. " · " .. table.concat(node.marks, ", ") or node.type
end

local function columns(text) return utf8.len(text) or #text end

local function top(layer) return (layer - 1) * LAYER end

-- Through the middle of the gaps that other layers leave, from the foot of one box to the head of
-- another.
local function points_of(g, path)
  local points = {}
  for i, index in ipairs(path) do
    local v = g.vertices[index]
    local y = i == 1 and HEIGHT or i == #path and 0 or HEIGHT / 2
    points[i] = { x = v.x, y = top(v.layer) + y }
  end
  return points
end

---@class orrery.graph.Coordinates
---@field width number
---@field height number
---@field boxes { x: number, y: number, width: number, height: number }[] by node; x: its left side
---@field lines { x: number, y: number }[][] by edge: what it runs through

--- Lays a graph out.
---@param view orrery.graph.View
---@param width_of? fun(text: string): number columns of a text; otherwise its characters
---@return orrery.graph.Coordinates
function coordinates.of(view, width_of)
  width_of = width_of or columns
  local function size_of(node)
    return math.max(LEAST, math.min(width_of(node.name), coordinates.NAME) * CHAR + PAD * 2,
      math.min(width_of(coordinates.caption(node)), coordinates.CAPTION) * SMALL + PAD * 2)
  end
  local g = layout.of(view, { size_of = size_of, gap = GAP })
  local boxes, lines = {}, {}
  for i, node in ipairs(view.nodes) do
    local v = g.vertices[i]
    boxes[i] = { x = v.x - v.size / 2, y = top(node.layer), width = v.size, height = HEIGHT }
  end
  for e in ipairs(view.edges) do lines[e] = points_of(g, g.paths[e]) end
  return { width = g.width, height = top(view.layers) + HEIGHT, boxes = boxes, lines = lines }
end

return coordinates
