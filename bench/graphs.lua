-- The graphs of graphs.h for the contestants in Lua. Nodes count from 1 here; the edges come in the
-- same order.

local graphs = {}

local function chain(n, edge)
  for i = 2, n do edge(i - 1, i) end
end

local function tree(n, edge)
  for i = 2, n do edge(i // 2, i) end
end

local function wavefront(n, edge)
  local side = math.tointeger(n ^ 0.5)
  for i = 1, n do
    if i > side then edge(i - side, i) end
    if (i - 1) % side ~= 0 then edge(i - 1, i) end
  end
end

local function fan(n, edge)
  for i = 2, n - 1 do edge(1, i) end
  for i = 2, n - 1 do edge(i, n) end
end

local shapes = { chain = chain, tree = tree, wavefront = wavefront, fan = fan }

---Calls `edge(from, to)` for each edge of a shape.
---@param shape "chain"|"tree"|"wavefront"|"fan"
---@param nodes integer at least 4; the wavefront rounds it down to a square
---@param edge fun(from: integer, to: integer)
---@return integer nodes how many the graph has
---@return integer mark differs where edges or their order do; the same as graph_mark's
function graphs.each(shape, nodes, edge)
  local make = shapes[shape]
  if not make then
    error("no shape '" .. tostring(shape) .. "', expected chain, tree, wavefront or fan", 2)
  end
  if shape == "wavefront" then
    local side = math.floor(nodes ^ 0.5)
    nodes = side * side
  end
  local mark = 0
  make(nodes, function(from, to)
    mark = (mark * 31 + (from - 1) * 7 + (to - 1)) & 0xffffffff
    edge(from, to)
  end)
  return nodes, mark
end

---Bytes of memory that this process has resident (Linux, proc(5): statm, second field, in pages of
---4 KiB).
---@return integer
function graphs.rss()
  local file = assert(io.open("/proc/self/statm"))
  local pages = file:read("a"):match("^%d+ (%d+)")
  file:close()
  return math.tointeger(tonumber(pages)) * 4096
end

return graphs
