--- Advice about a workflow by what its runs have shown: timeouts, retries, pools, breakers,
--- priorities, nodes worth a cache, estimates. Each piece has the figures behind it; where they are
--- too few it says so.
local durations = require "orrery.history.durations"
local facts_of = require "orrery.history.advice.facts"
local numbers = require "orrery.history.advice.numbers"
local of_nodes = require "orrery.history.advice.nodes"
local waits = require "orrery.history.advice.waits"

local advice = {}

local RUNS = 5 -- below which nothing is said of a workflow

-- ---- estimates ----------------------------------------------------------------------------------

local function advise_estimates(facts, add)
  local estimates, names = {}, {}
  if facts.estimates then return end
  for _, name in ipairs(facts.names) do
    local node = facts.nodes[name]
    local p50 = #node.seconds >= RUNS and durations.percentile(node.seconds, 0.5)
    if p50 and p50 >= 0.001 and not node.definition.estimate then
      names[#names + 1] = name
      local enough = #node.seconds >= numbers.ENOUGH
      estimates[name] = { estimate = p50, runs = #node.seconds,
        p95 = enough and durations.percentile(node.seconds, 0.95) or nil }
    end
  end
  if #names > 1 then
    add("estimate", 'estimates = "learned"', { nodes = names, estimates = estimates })
  end
end

-- ---- all of it ----------------------------------------------------------------------------------

---@class orrery.Advice
---@field workflow string
---@field node string|nil
---@field kind string
---@field proposal string as a definition has it
---@field figures table

-- Nodes of which there are too few attempts for percentiles.
local function few_of(facts)
  local few = {}
  for _, name in ipairs(facts.names) do
    local n = #facts.nodes[name].tasks
    if n > 0 and n < numbers.ENOUGH then few[#few + 1] = { node = name, attempts = n } end
  end
  return few
end

--- What is proposed for a workflow.
---@param db orrery.Store
---@param workflow string
---@return { workflow: string, runs: integer, advice: orrery.Advice[], few: { node: string, attempts: integer }[], too_few: boolean }
function advice.of(db, workflow)
  local facts, list = facts_of(db, workflow), {}
  local made = { workflow = workflow, runs = facts.runs, advice = list, few = few_of(facts),
    too_few = facts.runs < RUNS }
  if made.too_few then return made end
  local function add(kind, proposal, figures, node)
    list[#list + 1] = { workflow = workflow, node = node, kind = kind, proposal = proposal,
      figures = figures }
  end
  for _, name in ipairs(facts.names) do
    local function say(kind, proposal, figures) add(kind, proposal, figures, name) end
    for _, advise in ipairs(of_nodes) do advise(facts.nodes[name], say, facts) end
  end
  waits.pools(facts, add)
  waits.priorities(facts, add)
  advise_estimates(facts, add)
  return made
end

return advice
