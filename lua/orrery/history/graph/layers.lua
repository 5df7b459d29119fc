--- The layers of a graph: each node one below the lowest of those it is after (Kahn).

---@param n integer nodes
---@param edges { from: integer, to: integer }[]
---@return integer[]|nil layers by node, from 1; nil where edges close a cycle
---@return integer deepest
return function(n, edges)
  local layers, open, next_of, ready = {}, {}, {}, {}
  for i = 1, n do layers[i], open[i], next_of[i] = 1, 0, {} end
  for _, edge in ipairs(edges) do
    open[edge.to] = open[edge.to] + 1
    table.insert(next_of[edge.from], edge.to)
  end
  for i = 1, n do
    if open[i] == 0 then ready[#ready + 1] = i end
  end
  local at, deepest = 0, n > 0 and 1 or 0
  while at < #ready do
    at = at + 1
    local below = layers[ready[at]] + 1
    for _, after in ipairs(next_of[ready[at]]) do
      layers[after], open[after] = math.max(layers[after], below), open[after] - 1
      deepest = math.max(deepest, layers[after])
      if open[after] == 0 then ready[#ready + 1] = after end
    end
  end
  return at == n and layers or nil, deepest
end
