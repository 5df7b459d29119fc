--- The measured critical path of a run that is over: from the node that ended last back, each time
--- to the dependency that it waited for longest.
local stored = require "orrery.history.graph.stored"

local critical = {}

-- By node: the names of those it depends on, as the code that the run began with says.
local function dependencies(db, run)
  local definition = stored.definition(db, run)
  if not definition then return nil end
  local after = {}
  for _, node in ipairs(definition.nodes) do
    local names = {}
    for k, dep in ipairs(node.deps) do names[k] = definition.nodes[dep.node].name end
    after[node.name] = names
  end
  return after
end

local function last_of(names, by_name)
  local last
  for _, name in ipairs(names) do
    local node = by_name[name]
    if node and node.ended and (not last or node.ended > last.ended) then last = node end
  end
  return last
end

---@class orrery.MeasuredPath
---@field nodes { name: string, waited: number, took: number }[] waited: ready, until its first attempt began
---@field seconds number from the run's start to the end of the last of them
---@field waited number of that: ready, but not begun

--- The path; nil where the run has not ended, or nobody knows what its nodes depend on.
---@param db orrery.Store
---@param run { bundle: string|nil, started: number|nil, ended: number|nil, nodes: table[] }
---@return orrery.MeasuredPath|nil
function critical.of(db, run)
  local after = run.ended and run.started and dependencies(db, run)
  if not after then return nil end
  local by_name, names = {}, {}
  for i, node in ipairs(run.nodes) do
    names[i] = node.name
    if node.started and node.ended then by_name[node.name] = node end
  end
  local at = last_of(names, by_name)
  if not at then return nil end
  local path = { nodes = {}, seconds = at.ended - run.started, waited = 0 }
  while at do
    local before = last_of(after[at.name] or {}, by_name)
    local waited = math.max(0, at.started - (before and before.ended or run.started))
    table.insert(path.nodes, 1, { name = at.name, waited = waited, took = at.ended - at.started })
    path.waited = path.waited + waited
    by_name[at.name], at = nil, before
  end
  return path
end

return critical
