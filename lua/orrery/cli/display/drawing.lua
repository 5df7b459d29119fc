--- Small workflows drawn with box characters: layers from top to bottom, edges as lines in the
--- channels between them. Lines of one source share a row of the channel; where two lines meet or
--- cross, their directions are joined in one glyph.
local layout = require "orrery.history.graph.layout"
local term = require "orrery.cli.display.term"
local trim_end = require "orrery.text".trim_end

local drawing = {}

local BOX, GAP = 4, 3            -- lines of a box, columns between boxes
local MOST_NODES, MOST_ROWS = 60, 12 -- beyond, or with a fuller channel, a list is easier to read

-- Directions of a line in a cell, as bits, and what they look like together.
local UP, RIGHT, DOWN, LEFT = 1, 2, 4, 8
local GLYPHS = {
  [UP | DOWN] = "│", [LEFT | RIGHT] = "─", [UP | RIGHT] = "└", [UP | LEFT] = "┘", [DOWN | RIGHT] = "┌",
  [DOWN | LEFT] = "┐",
  [UP | DOWN | RIGHT] = "├", [UP | DOWN | LEFT] = "┤", [LEFT | RIGHT | DOWN] = "┬", [LEFT | RIGHT | UP] = "┴",
  [UP | RIGHT | DOWN | LEFT] = "┼", [UP] = "│", [DOWN] = "│", [LEFT] = "─", [RIGHT] = "─",
}

local function label_of(node) return term.cut(term.clean(node.name), 24) end
local function type_of(node) return term.cut(term.clean(node.type), 24) end

local function size_of(node)
  return math.max(term.width(label_of(node)), term.width(type_of(node))) + 4
end

-- ---- channels -----------------------------------------------------------------------------------

-- The lines that leave one layer, by source: { from = column, to = { columns }, first, last }.
local function nets_of(g, list)
  local nets = {}
  for _, v in ipairs(list) do
    local vertex = g.vertices[v]
    if #vertex.down > 0 then
      local net = { from = vertex.column, to = {}, first = vertex.column, last = vertex.column }
      for _, n in ipairs(vertex.down) do
        local column = g.vertices[n].column
        net.to[#net.to + 1] = column
        net.first, net.last = math.min(net.first, column), math.max(net.last, column)
      end
      nets[#nets + 1] = net
    end
  end
  return nets
end

-- The nets that must have a row above each net's own: a line that comes down a column has to turn
-- off before another one turns into that column.
local function blockers_of(nets)
  local source, blockers = {}, {}
  for _, net in ipairs(nets) do
    if net.first < net.last then source[net.from] = net end
  end
  for _, net in ipairs(nets) do
    blockers[net] = {}
    for _, column in ipairs(net.to) do
      local above = source[column]
      if above and above ~= net then table.insert(blockers[net], above) end
    end
  end
  return blockers
end

-- The first row at or below `row` in which nothing shares a column with the net.
local function free_row(rows, net, row)
  while true do
    rows[row] = rows[row] or {}
    local free = true
    for _, other in ipairs(rows[row]) do
      if other.first <= net.last and net.first <= other.last then free = false end
    end
    if free then return row end
    row = row + 1
  end
end

-- Gives each net that bends a row. Returns how many rows there are, or nil where two lines block
-- each other.
local function assign_rows(nets)
  local blockers, rows = blockers_of(nets), {}
  local function visit(net, depth)
    if net.row or net.first == net.last then return true end
    if depth > #nets then return false end
    local row = 1
    for _, above in ipairs(blockers[net]) do
      if not visit(above, depth + 1) then return false end
      row = math.max(row, above.row + 1)
    end
    net.row = free_row(rows, net, row)
    table.insert(rows[net.row], net)
    return true
  end
  for _, net in ipairs(nets) do
    if not visit(net, 1) then return nil end
  end
  return #rows
end

-- ---- the canvas ---------------------------------------------------------------------------------

local function new_canvas() return { lines = {}, marks = {} } end

local function join(canvas, row, column, bits)
  local line = canvas.lines[row] or {}
  canvas.lines[row] = line
  line[column] = (line[column] or 0) | bits
end

local function put(canvas, row, column, text)
  local marks = canvas.marks[row] or {}
  canvas.marks[row] = marks
  marks[#marks + 1] = { column = column, text = text }
end

local function vertical(canvas, column, first, last)
  for row = first, last do join(canvas, row, column, UP | DOWN) end
end

local function horizontal(canvas, row, first, last)
  for column = first, last do
    join(canvas, row, column, (column > first and LEFT or 0) | (column < last and RIGHT or 0))
  end
end

local function draw_net(canvas, net, top, bottom)
  if not net.row then return vertical(canvas, net.from, top, bottom) end
  local row = top + net.row
  vertical(canvas, net.from, top, row - 1)
  join(canvas, row, net.from, UP)
  horizontal(canvas, row, net.first, net.last)
  for _, column in ipairs(net.to) do
    join(canvas, row, column, DOWN)
    vertical(canvas, column, row + 1, bottom)
  end
end

local function draw_box(canvas, vertex, node, top)
  local inner = vertex.size - 2
  local left = vertex.column - vertex.size // 2
  local open = #vertex.down > 0 and vertex.column - left - 1
  local function centred(text)
    local free = inner - term.width(text)
    return (" "):rep(free // 2) .. text .. (" "):rep(free - free // 2)
  end
  put(canvas, top, left, "┌" .. ("─"):rep(inner) .. "┐")
  put(canvas, top + 1, left, "│" .. centred(label_of(node)) .. "│")
  put(canvas, top + 2, left, "│" .. centred(type_of(node)) .. "│")
  put(canvas, top + 3, left,
    "└" .. (open and ("─"):rep(open) .. "┬" .. ("─"):rep(inner - open - 1) or ("─"):rep(inner)) .. "┘")
end

local function line_text(canvas, row)
  local cells, last = {}, 0
  for column, bits in pairs(canvas.lines[row] or {}) do
    cells[column], last = GLYPHS[bits], math.max(last, column)
  end
  local covered = {}
  for _, mark in ipairs(canvas.marks[row] or {}) do
    cells[mark.column] = mark.text
    local width = term.width(mark.text)
    for column = mark.column + 1, mark.column + width - 1 do covered[column] = true end
    last = math.max(last, mark.column + width - 1)
  end
  local parts = {}
  for column = 1, last do
    if not covered[column] then parts[#parts + 1] = cells[column] or " " end
  end
  return trim_end(table.concat(parts))
end

-- ---- the drawing --------------------------------------------------------------------------------

local function place_columns(g)
  for _, list in ipairs(g.layers) do
    local free = 1
    for _, v in ipairs(list) do
      local vertex = g.vertices[v]
      vertex.size = math.floor(vertex.size)
      local left = math.max(free, math.floor(vertex.x - vertex.size / 2) + 1)
      vertex.column = left + vertex.size // 2
      free = left + vertex.size + 1
    end
  end
end

--- Draws a workflow, or gives nil where a drawing would not fit or not help.
---@param view orrery.graph.View
---@param width integer columns there are
---@return string|nil
function drawing.draw(view, width)
  if #view.nodes > MOST_NODES then return nil end
  local g = layout.of(view, { size_of = size_of, gap = GAP })
  if g.width > width then return nil end
  place_columns(g)
  local canvas, top = new_canvas(), 1
  for l, list in ipairs(g.layers) do
    local nets = nets_of(g, list)
    local rows = assign_rows(nets)
    if not rows or rows > MOST_ROWS then return nil end
    local below = top + BOX
    local bottom = below + rows + (rows > 0 and 1 or 0)
    for _, v in ipairs(list) do
      local vertex = g.vertices[v]
      if vertex.node then
        draw_box(canvas, vertex, view.nodes[vertex.node], top)
      else
        vertical(canvas, vertex.column, top - 1, below - 1)
      end
    end
    for _, net in ipairs(nets) do draw_net(canvas, net, below, bottom) end
    for _, v in ipairs(g.layers[l + 1] or {}) do
      local vertex = g.vertices[v]
      if vertex.node and #vertex.up > 0 then put(canvas, bottom, vertex.column, "▼") end
    end
    top = bottom + 1
  end
  local lines = {}
  for row = 1, top - 2 do lines[row] = line_text(canvas, row) end
  while lines[#lines] == "" do lines[#lines] = nil end
  return table.concat(lines, "\n") .. "\n"
end

return drawing
