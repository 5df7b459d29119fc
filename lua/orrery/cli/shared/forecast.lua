--- What `orrery plan --estimate` expects of a workflow: how long it takes on so many slots, which
--- nodes are the longest path, what it costs. A node counts as long as it took in the runs of the
--- store, else as its `estimate` says, else as the mean of the others.
local durations = require "orrery.history.durations"
local schedule = require "orrery.cli.shared.schedule"

local forecast = {}

local ENOUGH = 20     -- runs, from which on a 95th percentile says something
local DRAWS = 200     -- of what the nodes take, for percentiles of the whole
local WORK = 2000000  -- nodes that are drawn at most, so that a large plan is drawn seldomer
local SLOTS = { 1, 2, 4, 8, 16 }

-- By node: seconds that are expected, and what they were in the past where that is known.
local function times_of(def, past)
  local times = { seconds = {}, past = {}, history = 0, estimate = 0, unknown = {} }
  local sum, known = 0, 0
  for i = 1, #def.nodes do
    local node = def.nodes[i]
    local list = past and past[node.name]
    times.past[i] = list
    local seconds = list and durations.mean(list) or node.estimate
    if list then times.history = times.history + 1
    elseif seconds then times.estimate = times.estimate + 1
    else times.unknown[#times.unknown + 1] = i end
    times.seconds[i] = seconds
    if seconds then sum, known = sum + seconds, known + 1 end
  end
  times.mean = known > 0 and sum / known or 1
  for _, i in ipairs(times.unknown) do times.seconds[i] = times.mean end
  return times
end

-- An equal plan and an equal history give equal figures.
local function chance(seed)
  local state = seed
  return function(n) -- 1 to n
    state = (state * 6364136223846793005 + 1442695040888963407)
    return (state >> 33) % n + 1
  end
end

local function draw(times, n, pick)
  local seconds = {}
  for i = 1, n do
    local list = times.past[i]
    seconds[i] = list and list[pick(#list)] or times.seconds[i]
  end
  return seconds
end

-- Of the drawn times of the whole: their mean and 95th percentile on so many slots.
local function on_slots(graph, times, slots)
  if times.history == 0 then return schedule.makespan(graph, times.seconds, slots), nil end
  local pick, list = chance(slots), {}
  for k = 1, math.max(20, math.min(DRAWS, WORK // graph.n)) do
    list[k] = schedule.makespan(graph, draw(times, graph.n, pick), slots)
  end
  table.sort(list)
  return durations.mean(list), durations.percentile(list, 0.95)
end

--- What is expected.
---@param compiled orrery.Compiled
---@param db orrery.Store|nil
---@param slots integer[]|nil
---@return table data as `orrery plan --estimate --json` prints it
function forecast.of(compiled, db, slots)
  local def = compiled.def
  local past, runs = nil, 0
  if db then past, runs = durations.of(db, compiled.name) end
  local times, graph = times_of(def, past), schedule.graph(def)
  local _, longest = schedule.ranks(graph, times.seconds)
  local names, work, nodes = {}, 0, {}
  for i, at in ipairs(schedule.path(graph, times.seconds)) do names[i] = def.nodes[at].name end
  for i = 1, graph.n do
    work = work + times.seconds[i]
    nodes[def.nodes[i].name] = true
  end
  local made = { runs = runs, nodes = graph.n, by_history = times.history, by_estimate = times.estimate,
    unknown = #times.unknown, mean = times.mean, work = work,
    critical_path = { nodes = names, seconds = longest }, slots = {},
    costs = db and durations.costs(db, compiled.name, nodes) or {}, few = runs < ENOUGH }
  for k, n in ipairs(slots or SLOTS) do
    local expected, p95 = on_slots(graph, times, n)
    made.slots[k] = { slots = n, seconds = expected, p95 = runs >= ENOUGH and p95 or nil,
      bound = math.max(longest, work / n) }
  end
  return made
end

forecast.ENOUGH = ENOUGH

return forecast
