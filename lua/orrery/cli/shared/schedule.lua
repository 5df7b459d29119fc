--- How long a workflow takes on so many slots, as the engine starts its nodes: whenever a slot is
--- free the ready node with the longest path to the end, of equal ones the first. Conditions, pools
--- and priorities are left out.
local schedule = {}

---@class orrery.cli.Graph
---@field n integer
---@field before integer[] by node: how many it depends on
---@field after integer[][] by node: those that depend on it
---@field order integer[] the nodes, each behind those it depends on

--- The graph of a definition.
---@param def table
---@return orrery.cli.Graph
function schedule.graph(def)
  local n = #def.nodes
  local graph = { n = n, before = {}, after = {}, order = {} }
  for i = 1, n do graph.before[i], graph.after[i] = 0, {} end
  for i = 1, n do
    for _, dep in ipairs(def.nodes[i].deps or {}) do
      graph.before[i] = graph.before[i] + 1
      table.insert(graph.after[dep.node], i)
    end
  end
  local open, order = table.move(graph.before, 1, n, 1, {}), graph.order
  for i = 1, n do
    if open[i] == 0 then order[#order + 1] = i end
  end
  for at = 1, n do
    for _, to in ipairs(graph.after[order[at]]) do
      open[to] = open[to] - 1
      if open[to] == 0 then order[#order + 1] = to end
    end
  end
  return graph
end

--- The longest path from each node to the end, itself included.
---@param graph orrery.cli.Graph
---@param seconds number[] by node
---@return number[] by node
---@return number longest
function schedule.ranks(graph, seconds)
  local rank, longest = {}, 0
  for at = graph.n, 1, -1 do
    local i, rest = graph.order[at], 0
    for _, to in ipairs(graph.after[i]) do rest = math.max(rest, rank[to]) end
    rank[i] = seconds[i] + rest
    longest = math.max(longest, rank[i])
  end
  return rank, longest
end

--- The nodes of the longest path, from the first on.
---@param graph orrery.cli.Graph
---@param seconds number[]
---@return integer[]
function schedule.path(graph, seconds)
  local rank = schedule.ranks(graph, seconds)
  local path, at = {}, nil
  for i = 1, graph.n do
    if graph.before[i] == 0 and (not at or rank[i] > rank[at]) then at = i end
  end
  while at do
    path[#path + 1] = at
    local best
    for _, to in ipairs(graph.after[at]) do
      if not best or rank[to] > rank[best] then best = to end
    end
    at = best
  end
  return path
end

-- A binary heap of numbers that `first(a, b)` puts in order.
local function push(heap, value, first)
  local at = #heap + 1
  heap[at] = value
  while at > 1 and first(value, heap[at // 2]) do
    heap[at], heap[at // 2] = heap[at // 2], value
    at = at // 2
  end
end

local function pop(heap, first)
  local top, value = heap[1], table.remove(heap)
  if #heap == 0 then return top end
  local at = 1
  while true do
    local child = 2 * at
    if child < #heap and first(heap[child + 1], heap[child]) then child = child + 1 end
    if child > #heap or not first(heap[child], value) then break end
    heap[at], at = heap[child], child
  end
  heap[at] = value
  return top
end

--- How long all of it takes.
---@param graph orrery.cli.Graph
---@param seconds number[] by node
---@param slots integer
---@return number
function schedule.makespan(graph, seconds, slots)
  local rank = schedule.ranks(graph, seconds)
  local open, over = table.move(graph.before, 1, graph.n, 1, {}), {}
  local ready, running, now = {}, {}, 0
  local function sooner(a, b) return over[a] < over[b] or over[a] == over[b] and a < b end
  local function longer(a, b) return rank[a] > rank[b] or rank[a] == rank[b] and a < b end
  for i = 1, graph.n do
    if open[i] == 0 then push(ready, i, longer) end
  end
  while #ready > 0 or #running > 0 do
    while #ready > 0 and #running < slots do
      local i = pop(ready, longer)
      over[i] = now + seconds[i]
      push(running, i, sooner)
    end
    local done = pop(running, sooner)
    now = over[done]
    for _, to in ipairs(graph.after[done]) do
      open[to] = open[to] - 1
      if open[to] == 0 then push(ready, to, longer) end
    end
  end
  return now
end

return schedule
