--- What a workflow leaves to the history of its runs: `retry = "learned"` of nodes, and `estimates
--- = "learned"` of the workflow. Compiled alone, such a node is tried again as `standard` says, and
--- has no estimate; a run in a store begins with what was learned until then.
local errors = require "orrery.errors"

local learned = {}

local function copy(t)
  local c = {}
  for key, value in pairs(t) do c[key] = value end
  return c
end

---@class orrery.Learned by node
---@field retry table<string, table[]>|nil policies, as a definition has them
---@field estimates table<string, number>|nil seconds

-- Two digits: plans of equal estimates share their policies.
local function rounded(seconds) return tonumber(("%.2g"):format(seconds)) end

--- The same workflow with what was learned. The policies are part of its definition, and so are
--- kept with the run. The estimates are not: they order what is ready, and may be others when it
--- goes on.
---@param compiled orrery.Compiled
---@param found orrery.Learned
---@param plan fun(def: table): orrery.Plan|nil, table|nil `core.plan`
---@return orrery.Compiled
function learned.compiled(compiled, found, plan)
  local retry, estimates = found.retry or {}, found.estimates or {}
  if next(retry) == nil and next(estimates) == nil then return compiled end
  local made, planned_def = copy(compiled), copy(compiled.def)
  made.def = copy(compiled.def)
  made.def.nodes, planned_def.nodes = {}, {}
  for i = 1, #compiled.def.nodes do
    local node = copy(compiled.def.nodes[i])
    if node.learned then node.retry = retry[node.name] or node.retry end
    local planned = node
    if node.estimate == nil and estimates[node.name] then
      planned = copy(node)
      planned.estimate = rounded(estimates[node.name])
    end
    made.def.nodes[i], planned_def.nodes[i] = node, planned
  end
  local planned, wrong = plan(planned_def)
  if not planned then errors.raise(require "orrery.definition.plan_problems"(wrong, made.def, {})) end
  made.plan, made.learned_retry = planned, next(retry) and retry or nil
  return made
end

return learned
