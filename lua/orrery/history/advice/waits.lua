--- What is proposed where nodes wait to start: more places, or another order.
local durations = require "orrery.history.durations"
local numbers = require "orrery.history.advice.numbers"

local waits = {}

local LONG = 0.1 -- seconds of waiting at 95 %, from which on it counts

-- How many of a pool's nodes wanted to run in one run, at the times when one became able to; at
-- 95 %.
local function demand_of(spans)
  local times, list = {}, {}
  for _, span in ipairs(spans) do
    times[#times + 1] = { span.ready, 1, span.run }
    times[#times + 1] = { span.ended, -1, span.run }
  end
  table.sort(times, function(a, b)
    if a[3] ~= b[3] then return a[3] < b[3] end
    return a[1] < b[1] or a[1] == b[1] and a[2] < b[2]
  end)
  local now = 0 -- at the end of a run it is 0 again
  for _, time in ipairs(times) do
    now = now + time[2]
    if time[2] > 0 then list[#list + 1] = now end
  end
  table.sort(list)
  return durations.percentile(list, 0.95)
end

-- Nodes by the pool they draw from; "" for those that only the run's `concurrency` bounds.
local function by_pool(facts)
  local pools, names = {}, {}
  for _, name in ipairs(facts.names) do
    local node = facts.nodes[name]
    local pool = type(node.definition.pool) == "string" and node.definition.pool:match "^[^:$]*" or ""
    if not pools[pool] then
      pools[pool], names[#names + 1] = { waits = {}, spans = {} }, pool
    end
    table.move(node.waits, 1, #node.waits, #pools[pool].waits + 1, pools[pool].waits)
    table.move(node.spans, 1, #node.spans, #pools[pool].spans + 1, pools[pool].spans)
  end
  return pools, names
end

--- More places, where nodes wait for one.
---@param facts orrery.AdviceFacts
---@param add fun(kind: string, proposal: string, figures: table, node: string|nil)
function waits.pools(facts, add)
  local pools, names = by_pool(facts)
  for _, name in ipairs(names) do
    local of = pools[name]
    table.sort(of.waits)
    local max = name == "" and facts.concurrency or facts.pools[name] and facts.pools[name].max
    local figures = #of.waits >= numbers.ENOUGH and numbers.spread(of.waits)
    if figures and max and figures.p95 >= LONG then
      figures.max, figures.demand = max, demand_of(of.spans)
      local wanted = math.max(max + 1, figures.demand)
      add(name == "" and "concurrency" or "pool", name == "" and ("concurrency = %d"):format(wanted)
        or ("flow.pool(%q, { max = %d })"):format(name, wanted), figures)
    end
  end
end

-- By node: those that come after it.
local function followers(facts)
  local after = {}
  for _, name in ipairs(facts.names) do
    for _, before in ipairs(facts.nodes[name].after or {}) do
      after[before] = after[before] or {}
      table.insert(after[before], name)
    end
  end
  return after
end

-- By node: the longest chain from it to the end, by what nodes took. Without recursion: what
-- follows a node is looked at first.
local function ranks(facts, after)
  local rank, stack = {}, {}
  local function push(name)
    rank[name] = false -- it is on the stack
    stack[#stack + 1] = { name = name, after = after[name] or {}, at = 1, rest = 0 }
  end
  local function step(top)
    local to = top.after[top.at]
    if to == nil then
      rank[top.name] = top.rest + (durations.mean(facts.nodes[top.name].seconds) or 0)
      stack[#stack] = nil
    elseif rank[to] == nil then
      push(to)
    else
      top.rest, top.at = math.max(top.rest, rank[to] or 0), top.at + 1
    end
  end
  for _, name in ipairs(facts.names) do
    if rank[name] == nil then push(name) end
    while #stack > 0 do step(stack[#stack]) end
  end
  return rank
end

-- The longest chain of all, and how long it takes.
local function longest(facts)
  local after, at, path = followers(facts), nil, {}
  local rank = ranks(facts, after)
  for _, name in ipairs(facts.names) do
    if #(facts.nodes[name].after or {}) == 0 and (not at or rank[name] > rank[at]) then at = name end
  end
  local seconds = at and rank[at] or 0
  while at do
    local best
    path[#path + 1] = at
    for _, to in ipairs(after[at] or {}) do
      if not best or rank[to] > rank[best] then best = to end
    end
    at = best
  end
  return path, seconds
end

--- A higher priority for nodes on the longest path that wait to start.
---@param facts orrery.AdviceFacts
---@param add fun(kind: string, proposal: string, figures: table, node: string|nil)
function waits.priorities(facts, add)
  local path, seconds = longest(facts)
  for _, name in ipairs(path) do
    local node = facts.nodes[name]
    local figures = #node.waits >= numbers.ENOUGH and numbers.spread(node.waits)
    if figures and figures.p95 >= LONG and not node.definition.priority then
      figures.path, figures.seconds = path, seconds
      add("priority", 'priority = "high"', figures, name)
    end
  end
end

return waits
