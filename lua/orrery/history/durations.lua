--- How long the nodes of a workflow took, and what they counted, in its newest runs.
local durations = {}

local MOST_RUNS = 200 -- the newest

--- The place of the nearest rank: of values in rising order the one at ⌈p · n⌉.
---@param sorted number[]
---@param p number 0 to 1
---@return number|nil
function durations.percentile(sorted, p)
  return sorted[math.max(1, math.ceil(p * #sorted - 1e-9))]
end

--- The mean of numbers; nil of none.
---@param list number[]
---@return number|nil
function durations.mean(list)
  local sum = 0
  for _, value in ipairs(list) do sum = sum + value end
  return #list > 0 and sum / #list or nil
end

--- Seconds from the first attempt of a node to its end, waits and backoff included, of nodes that
--- completed and were computed by the run itself.
---@param db orrery.Store
---@param workflow string
---@return table<string, number[]> by node, in rising order
---@return integer runs that were looked at
function durations.of(db, workflow)
  local by_node, last, runs = {}, nil, 0
  for row in db:each_row("node_durations", { workflow = workflow, limit = MOST_RUNS }) do
    local list = by_node[row.node] or {}
    by_node[row.node] = list
    list[#list + 1] = math.max(0, row.seconds)
    if row.run ~= last then last, runs = row.run, runs + 1 end
  end
  for _, list in pairs(by_node) do table.sort(list) end
  return by_node, runs
end

---@class orrery.Cost what is known of one thing that is counted
---@field name string
---@field runs integer that counted it
---@field mean number of a run
---@field p95 number of a run
---@field total number of all of them

--- What the nodes of a workflow counted by `ctx:cost` in its newest runs that are over.
---@param db orrery.Store
---@param workflow string
---@param nodes? table<string, any> only those of these names
---@return orrery.Cost[] by name
function durations.costs(db, workflow, nodes)
  local sums, names, made = {}, {}, {}
  for row in db:each_row("costs_of_workflow", { workflow = workflow, limit = MOST_RUNS }) do
    if not nodes or nodes[row.node] ~= nil then
      local of = sums[row.name]
      if not of then
        of, names[#names + 1] = {}, row.name
        sums[row.name] = of
      end
      of[row.run] = (of[row.run] or 0) + row.amount
    end
  end
  table.sort(names)
  for i, name in ipairs(names) do
    local list = {}
    for _, amount in pairs(sums[name]) do list[#list + 1] = amount end
    table.sort(list)
    local mean = durations.mean(list)
    made[i] = { name = name, runs = #list, mean = mean, p95 = durations.percentile(list, 0.95),
      total = mean * #list }
  end
  return made
end

return durations
