--- Coordinates for a layered drawing, after Sugiyama, Tagawa, Toda (1981): layers are given, the
--- order within a layer comes from barycentre sweeps, positions from pulling every vertex towards
--- its neighbours without overlap.
---
--- An edge that spans layers is led through a virtual vertex in each of them. Where that would need
--- more than `MAX_VIRTUAL` of them the longest edges are drawn straight instead, so that time stays
--- linear in the graph.
local layout = {}

local MAX_VIRTUAL = 20000
local SWEEPS = 8

---@class orrery.graph.Vertex
---@field node integer|nil index into the view's nodes; nil for a virtual vertex
---@field layer integer
---@field size number its width
---@field x number its centre

local function new_vertex(g, layer, node, size)
  local v = #g.vertices + 1
  g.vertices[v] = { node = node, layer = layer, size = size, x = 0, up = {}, down = {} }
  local list = g.layers[layer]
  list[#list + 1] = v
  return v
end

local function connect(g, from, to)
  local down, up = g.vertices[from].down, g.vertices[to].up
  down[#down + 1], up[#up + 1] = to, from
end

-- Vertices for nodes and long edges; `paths[e]` lists the vertices that edge e runs through.
local function build(view, size_of, gap)
  local g = { vertices = {}, layers = {}, paths = {}, gap = gap }
  for l = 1, view.layers do g.layers[l] = {} end
  for i, node in ipairs(view.nodes) do new_vertex(g, node.layer, i, size_of(node)) end
  local order = {}
  for e = 1, #view.edges do order[e] = e end
  local function span(e)
    return view.nodes[view.edges[e].to].layer - view.nodes[view.edges[e].from].layer
  end
  table.sort(order, function(a, b)
    local sa, sb = span(a), span(b)
    if sa ~= sb then return sa < sb end
    return a < b
  end)
  local virtual = 0
  for _, e in ipairs(order) do
    local edge = view.edges[e]
    local first, last = view.nodes[edge.from].layer, view.nodes[edge.to].layer
    virtual = virtual + last - first - 1
    local path = { edge.from }
    if virtual <= MAX_VIRTUAL then
      for l = first + 1, last - 1 do
        local v = new_vertex(g, l, nil, gap / 2)
        connect(g, path[#path], v)
        path[#path + 1] = v
      end
      connect(g, path[#path], edge.to)
    end
    path[#path + 1] = edge.to
    g.paths[e] = path
  end
  return g
end

-- ---- order --------------------------------------------------------------------------------------

local function number(g, list)
  for at, v in ipairs(list) do g.vertices[v].at = at end
end

local function sort_layer(g, list, side)
  for _, v in ipairs(list) do
    local vertex = g.vertices[v]
    local neighbours, sum = vertex[side], 0
    for _, n in ipairs(neighbours) do sum = sum + g.vertices[n].at end
    vertex.key = #neighbours > 0 and sum / #neighbours or vertex.at
  end
  table.sort(list, function(a, b)
    local va, vb = g.vertices[a], g.vertices[b]
    if va.key ~= vb.key then return va.key < vb.key end
    return va.at < vb.at
  end)
  number(g, list)
end

-- Crossings between two neighbouring layers: inversions of the edges' lower ends, counted with a
-- Fenwick tree (Barth, Jünger, Mutzel 2002).
local function crossings_between(g, upper, lower)
  local ends, tree, total = {}, {}, 0
  for _, v in ipairs(upper) do
    local lows = {}
    for _, n in ipairs(g.vertices[v].down) do lows[#lows + 1] = g.vertices[n].at end
    table.sort(lows)
    table.move(lows, 1, #lows, #ends + 1, ends)
  end
  for i = 1, #lower do tree[i] = 0 end
  for seen, at in ipairs(ends) do
    local before, i = 0, at
    while i > 0 do before, i = before + tree[i], i - (i & -i) end
    total = total + (seen - 1 - before)
    i = at
    while i <= #lower do tree[i], i = tree[i] + 1, i + (i & -i) end
  end
  return total
end

local function crossings(g)
  local total = 0
  for l = 1, #g.layers - 1 do total = total + crossings_between(g, g.layers[l], g.layers[l + 1]) end
  return total
end

local function copy_of(layers)
  local copy = {}
  for l, list in ipairs(layers) do copy[l] = table.move(list, 1, #list, 1, {}) end
  return copy
end

local function order(g)
  for _, list in ipairs(g.layers) do number(g, list) end
  local best, kept = crossings(g), copy_of(g.layers)
  for sweep = 1, SWEEPS do
    if best == 0 then break end
    if sweep % 2 == 1 then
      for l = 2, #g.layers do sort_layer(g, g.layers[l], "up") end
    else
      for l = #g.layers - 1, 1, -1 do sort_layer(g, g.layers[l], "down") end
    end
    local now = crossings(g)
    if now < best then best, kept = now, copy_of(g.layers) end
  end
  g.layers, g.crossings = kept, best
  for _, list in ipairs(g.layers) do number(g, list) end
end

-- ---- positions ----------------------------------------------------------------------------------

local function distance(g, a, b)
  return (g.vertices[a].size + g.vertices[b].size) / 2 + g.gap
end

-- Least-squares positions with minimal distances for a fixed order: neighbours that would overlap
-- form a block that sits at the mean of what its members want (pool adjacent violators).
local function place(g, list, wanted)
  local blocks, offset = {}, { 0 }
  for i = 2, #list do offset[i] = offset[i - 1] + distance(g, list[i - 1], list[i]) end
  for i in ipairs(list) do
    local block = { sum = wanted[i] - offset[i], n = 1, first = i }
    while #blocks > 0 do
      local last = blocks[#blocks]
      if last.sum / last.n <= block.sum / block.n then break end
      block = { sum = last.sum + block.sum, n = last.n + block.n, first = last.first }
      blocks[#blocks] = nil
    end
    blocks[#blocks + 1] = block
  end
  for b, block in ipairs(blocks) do
    local last = blocks[b + 1] and blocks[b + 1].first - 1 or #list
    for i = block.first, last do g.vertices[list[i]].x = block.sum / block.n + offset[i] end
  end
end

local function pull(g, list, sides)
  local wanted = {}
  for i, v in ipairs(list) do
    local vertex, sum, n = g.vertices[v], 0, 0
    for _, side in ipairs(sides) do
      for _, other in ipairs(vertex[side]) do sum, n = sum + g.vertices[other].x, n + 1 end
    end
    wanted[i] = n > 0 and sum / n or vertex.x
  end
  place(g, list, wanted)
end

local function positions(g)
  for _, list in ipairs(g.layers) do
    local x = 0
    for i, v in ipairs(list) do
      if i > 1 then x = x + distance(g, list[i - 1], v) end
      g.vertices[v].x = x
    end
    for _, v in ipairs(list) do g.vertices[v].x = g.vertices[v].x - x / 2 end
  end
  for _ = 1, 3 do
    for l = 2, #g.layers do pull(g, g.layers[l], { "up" }) end
    for l = #g.layers - 1, 1, -1 do pull(g, g.layers[l], { "down" }) end
  end
  for l = 1, #g.layers do pull(g, g.layers[l], { "up", "down" }) end
  local least = math.huge
  for _, vertex in ipairs(g.vertices) do least = math.min(least, vertex.x - vertex.size / 2) end
  g.width = 0
  for _, vertex in ipairs(g.vertices) do
    vertex.x = vertex.x - least
    g.width = math.max(g.width, vertex.x + vertex.size / 2)
  end
end

--- Lays a graph out.
---@param view orrery.graph.View
---@param options { size_of: fun(node: orrery.graph.ViewNode): number, gap: number }
---@return { vertices: orrery.graph.Vertex[], layers: integer[][], paths: integer[][], width: number, crossings: integer }
--- `vertices[i]` is node i; `paths[e]` the vertices of edge e
function layout.of(view, options)
  local g = build(view, options.size_of, options.gap)
  order(g)
  positions(g)
  return g
end

return layout
