--- A workflow drawn as SVG 1.1, from our own layers. One style sheet serves light and dark
--- backgrounds.
local coordinates = require "orrery.history.graph.coordinates"
local term = require "orrery.cli.display.term"

local svg = {}

local MARGIN, TITLE = 24, 34

-- Hues for node types, as far apart as the first few allow; a type keeps its colour within one
-- drawing.
local HUES = { 212, 28, 140, 280, 180, 50, 245, 320, 95, 195, 262, 160 }

-- Plain values and no CSS variables, which viewers other than browsers do not know.
local THEMES = {
  light = { ink = "#1f2933", soft = "#5f6b78", line = "#7b8794", paper = "#ffffff", fill = { 0.70, 0.94 },
    edge = { 0.50, 0.45 } },
  dark = { ink = "#e6ebf0", soft = "#a3afbb", line = "#8290a0", paper = "#14181d", fill = { 0.38, 0.20 },
    edge = { 0.45, 0.60 } },
}

local COLOURS = [[
.paper { fill: $paper; }
.label { stroke: $paper; }
text { fill: $ink; }
.type, .label, .legend { fill: $soft; }
.edge { stroke: $line; }
.tip { fill: $line; }
]]

local SHAPES = [[
text { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
.title { font-size: 15px; font-weight: 600; }
.name { font-size: 12px; font-weight: 600; text-anchor: middle; }
.type { font-size: 10px; text-anchor: middle; }
.label { font-size: 10px; text-anchor: middle; paint-order: stroke; stroke-width: 4px; }
.legend { font-size: 10px; }
.edge { fill: none; stroke-width: 1.3; }
.dashed { stroke-dasharray: 5 3; }
.box { stroke-width: 1.4; }
]]

-- CSS Color 3, section 4.2.4: HSL to RGB.
local function hex(hue, saturation, lightness)
  local a = saturation * math.min(lightness, 1 - lightness)
  local function channel(n)
    local k = (n + hue / 30) % 12
    return math.floor(255 * (lightness - a * math.max(-1, math.min(k - 3, 9 - k, 1))) + 0.5)
  end
  return ("#%02x%02x%02x"):format(channel(0), channel(8), channel(4))
end

local function style_of(theme, hues, order)
  local out = { (COLOURS:gsub("%$(%a+)", theme)) }
  for i, name in ipairs(order) do
    local hue = hues[name]
    local fill, edge = hex(hue, theme.fill[1], theme.fill[2]), hex(hue, theme.edge[1], theme.edge[2])
    out[#out + 1] = (".t%d { fill: %s; stroke: %s; }\n"):format(i, fill, edge)
  end
  return table.concat(out)
end

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }
local function escape(text) return (term.clean(text):gsub('[&<>"]', ENTITIES)) end

local function caption(node) return term.cut(coordinates.caption(node), coordinates.CAPTION) end

local function label_of(node) return term.cut(term.clean(node.name), coordinates.NAME) end

local function left(x) return x + MARGIN end
local function down(y) return y + MARGIN + TITLE end

local function round(x) return ("%.1f"):format(x):gsub("%.0$", "") .. "" end

-- A curve through the points: vertical tangents at every one, so that bends are smooth. It leaves
-- room for its tip.
local function curve(points)
  local x, y = left(points[1].x), down(points[1].y)
  local parts = { ("M%s %s"):format(round(x), round(y)) }
  for i = 2, #points do
    local nx, ny = left(points[i].x), down(points[i].y) - (i == #points and 5 or 0)
    local half = (ny - y) / 2
    parts[#parts + 1] = ("C%s %s %s %s %s %s")
      :format(round(x), round(y + half), round(nx), round(ny - half), round(nx), round(ny))
    x, y = nx, ny
  end
  return table.concat(parts)
end

local function draw_edges(out, view, g)
  for e, edge in ipairs(view.edges) do
    out[#out + 1] = ('<path class="edge%s" marker-end="url(#tip)" d="%s"/>\n')
      :format(edge.dashed and " dashed" or "", curve(g.lines[e]))
  end
  for e, edge in ipairs(view.edges) do
    if edge.label then
      local a, b = g.lines[e][1], g.lines[e][2]
      out[#out + 1] = ('<text class="label" x="%s" y="%s">%s</text>\n'):format(
        round(left(a.x * 0.35 + b.x * 0.65)),
        round(down(a.y) + (coordinates.LAYER - coordinates.HEIGHT) * 0.68), escape(edge.label))
    end
  end
end

local function hues_of(view)
  local hues, order, class = {}, {}, {}
  for _, node in ipairs(view.nodes) do
    if not hues[node.type] then
      hues[node.type] = HUES[#order % #HUES + 1]
      order[#order + 1] = node.type
      class[node.type] = #order
    end
  end
  return hues, order, class
end

local function draw_nodes(out, view, g, class)
  for i, node in ipairs(view.nodes) do
    local box = g.boxes[i]
    local x, y = left(box.x), down(box.y)
    local middle = x + box.width / 2
    out[#out + 1] = ('<g><title>%s (%s)</title><rect class="box t%d" x="%s" y="%s" width="%s" height="%d" '
      .. 'rx="7"/>'
      .. '<text class="name" x="%s" y="%s">%s</text><text class="type" x="%s" y="%s">%s</text></g>\n'):format(
      escape(node.name), escape(node.type), class[node.type], round(x), round(y), round(box.width),
      box.height, round(middle), round(y + 17), escape(label_of(node)), round(middle), round(y + 31),
      escape(caption(node)))
  end
end

local function draw_legend(out, order, y, width)
  local x = MARGIN
  for i, name in ipairs(order) do
    local needed = term.width(name) * 6.2 + 30
    if x > MARGIN and x + needed > width - MARGIN then x, y = MARGIN, y + 18 end
    out[#out + 1] = ('<rect class="box t%d" x="%s" y="%s" width="10" height="10" rx="2"/><text '
      .. 'class="legend" x="%s" y="%s">%s</text>\n')
      :format(i, round(x), round(y), round(x + 15), round(y + 9), escape(name))
    x = x + needed
  end
  return y + 18
end

--- Draws a workflow.
---@param view orrery.graph.View
---@return string a whole SVG document
function svg.draw(view)
  local g = coordinates.of(view, function(text) return term.width(term.clean(text)) end)
  local hues, order, class = hues_of(view)
  local title = ("%s · %s, %s")
    :format(view.name, term.plural(#view.nodes, "node"), term.plural(view.layers, "layer"))
  local width = math.max(g.width + MARGIN * 2, term.width(title) * 9 + MARGIN * 2, 240)
  local body = {}
  draw_edges(body, view, g)
  draw_nodes(body, view, g, class)
  local height = draw_legend(body, order, down(g.height) + 22, width) + MARGIN / 2
  return table.concat {
    '<?xml version="1.0" encoding="UTF-8"?>\n',
    ('<svg xmlns="http://www.w3.org/2000/svg" width="%s" height="%s" viewBox="0 0 %s %s" role="img">\n')
      :format(
      round(width), round(height), round(width), round(height)),
    ("<title>%s</title>\n"):format(escape(title)),
    "<style>\n", SHAPES, style_of(THEMES.light, hues, order),
    "@media (prefers-color-scheme: dark) {\n", style_of(THEMES.dark, hues, order), "}\n</style>\n",
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="4" refY="4" markerWidth="7" markerHeight="7" '
      .. 'orient="auto">'
      .. '<path class="tip" d="M0 0.8L8 4L0 7.2z"/></marker></defs>\n',
    '<rect class="paper" width="100%" height="100%"/>\n',
    ('<text class="title" x="%d" y="%d">%s</text>\n'):format(MARGIN, MARGIN + 8, escape(title)),
    table.concat(body), "</svg>\n",
  }
end

return svg
