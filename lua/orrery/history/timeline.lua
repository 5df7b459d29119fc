--- The time chart of a run as data: when each node was queued, ran, waited and was to be tried
--- again, which dependency let it start, and the measured critical path, the chain of nodes that
--- the run's end waited for.
local json = require("orrery.core").json
local spans = require "orrery.history.spans"
local stored = require "orrery.history.graph.stored"

local timeline = {}

local MOST = 5000

-- Dependencies that had settled when a node started, in that order. Times that are equal are so to
-- the microsecond.
local function settled_before(node, deps, by_name, definition)
  local list = {}
  for _, dep in ipairs(deps) do
    local other = by_name[definition.nodes[dep.node].name]
    if other and other.ended and other.ended <= node.started + 1e-6 then list[#list + 1] = other end
  end
  table.sort(list, function(a, b)
    if a.ended ~= b.ended then return a.ended < b.ended end
    return a.name < b.name
  end)
  return list
end

-- Which of them let it start, by its join.
local function released_by(node, own, by_name, definition)
  local list = settled_before(node, own.deps, by_name, definition)
  local need = own.join == "any" and 1 or own.join == "need" and own.need
  if not need then return list[#list] end
  for _, other in ipairs(list) do
    if other.state == "completed" then need = need - 1 end
    if need == 0 then return other end
  end
  return list[#list]
end

-- From the node that ended last, back to one that nothing kept.
local function critical_path(nodes, by, now)
  local last
  for _, node in ipairs(nodes) do
    local ended = node.started and (node.ended or now)
    if ended and (not last or ended > (last.ended or now)) then last = node end
  end
  local path, seen = {}, {}
  while last and not seen[last] do
    seen[last] = true
    table.insert(path, 1, last.name)
    last = by[last.name]
  end
  return path
end

-- The nodes that have started; of more than so many the longest, and those of the critical path.
local function chosen(nodes, path, now, most)
  local list, kept, on_path = {}, {}, {}
  for _, name in ipairs(path) do on_path[name] = true end
  for i, node in ipairs(nodes) do
    if node.started then
      list[#list + 1] = { i, on_path[node.name] and math.huge or (node.ended or now) - node.started }
    end
  end
  if #list > most then
    table.sort(list, function(a, b)
      if a[2] ~= b[2] then return a[2] > b[2] end
      return a[1] < b[1]
    end)
  end
  for n = 1, math.min(#list, most) do kept[n] = list[n][1] end
  return kept, #list
end

-- Spans for JSON: one that an attempt left in the tables, where the journal says nothing.
local function shown(list, node)
  if not list or #list == 0 then
    return { { kind = "run", from = node.started, to = node.ended, failed = node.state == "failed" or nil } }
  end
  return list
end

--- The chart of a run.
---@param db orrery.Store
---@param run table row of `find.one`
---@param nodes { name: string, state: string, started: number|nil, ended: number|nil }[] in the
---  order of the definition
---@param now number
---@param most? integer (5000) nodes; of more the longest
---@return table { from, to?, started, nodes = { [name] = { queued?, by?, spans } }, critical =
---  names }: `started`, how many
--- have; `queued`, when one could have started; `by`, the dependency that let it; times in seconds
--- since the epoch
function timeline.of(db, run, nodes, now, most)
  local definition, by_name, index = stored.definition(db, run), {}, {}
  for _, node in ipairs(nodes) do by_name[node.name] = node end
  for i, node in ipairs(definition and definition.nodes or {}) do index[node.name] = i end
  local seen, by, made = spans.of(db, run), {}, {}
  for _, node in ipairs(nodes) do
    local place = node.started and index[node.name]
    by[node.name] = place and released_by(node, definition.nodes[place], by_name, definition)
  end
  local path = critical_path(nodes, by, now)
  local kept, started = chosen(nodes, path, now, most or MOST)
  for _, i in ipairs(kept) do
    local node = nodes[i]
    local before = by[node.name]
    local let = before and before.ended or run.started or node.started
    made[node.name] = { queued = math.min(node.started, let),
      by = before and before.name, spans = json.array(shown(seen[index[node.name] or i], node)) }
  end
  return { from = run.started or run.created, to = run.ended, started = started, nodes = json.object(made),
    critical = json.array(path) }
end

return timeline
