--- What a run takes from the history of its workflow when it is created: `retry = "learned"`,
--- `estimates = "learned"`.
local core = require "orrery.core"
local durations = require "orrery.history.durations"
local learned = require "orrery.definition.learned"
local nodes = require "orrery.definition.nodes"
local retries = require "orrery.history.advice.retries"

local MOST_RUNS = 200

local function retry_of(store, compiled)
  local tasks, found = {}, {}
  for _, task in ipairs(retries.tasks(store:each_row("attempts_of_workflow", { workflow = compiled.name,
    limit = MOST_RUNS }))) do
    tasks[task.node] = tasks[task.node] or {}
    table.insert(tasks[task.node], task)
  end
  for i = 1, #compiled.def.nodes do
    local node = compiled.def.nodes[i]
    local policies = node.learned and tasks[node.name] and retries.learn(tasks[node.name])
    -- alone it is `standard`, which the node has anyway
    if policies and #policies > 1 then found[node.name] = policies end
  end
  return found
end

local function estimates_of(store, compiled)
  local found = {}
  for name, list in pairs(durations.of(store, compiled.name)) do
    found[name] = durations.percentile(list, 0.5)
  end
  return found
end

local function learns_retry(def)
  for _, node in nodes.built(def) do
    if node.learned then return true end
  end
  return false
end

--- The workflow as a run of this runtime begins it.
---@param rt orrery.Runtime
---@param compiled orrery.Compiled
---@return orrery.Compiled
return function(rt, compiled)
  local store = rt:durable() and not compiled.learned_retry and rt:store()
  if not store then return compiled end
  pcall(store.project, store) -- what was recorded last may be missing
  return learned.compiled(compiled, {
    retry = learns_retry(compiled.def) and retry_of(store, compiled) or nil,
    estimates = compiled.def.estimates == "learned" and estimates_of(store, compiled) or nil,
  }, core.plan)
end
