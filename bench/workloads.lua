-- The durable workloads: what Orrery and the peers run, and what the reports call it. A workload is
-- RUNS runs of NODES steps, at most `in_flight` of them at a time. Short form: a tenth of the size.

local workloads = {}

---@class bench.Workload
---@field id string
---@field kind "chain"|"fan"|"steps"|"alone" what durable.lua and the peers' programs know it by
---@field label string
---@field runs integer
---@field nodes integer
---@field in_flight integer
---@field ours? true the peers have nothing of the kind, or it is too long for them

local ALL = {
  { id = "chain", kind = "chain", label = "(1) a chain of %s", runs = 1, nodes = 1000, in_flight = 1 },
  { id = "fan", kind = "fan", label = "(2) a fan of %s", runs = 1, nodes = 1000, in_flight = 1 },
  { id = "wide", kind = "fan", label = "(2b) a fan of %s", runs = 1, nodes = 10000, in_flight = 1 },
  { id = "many", kind = "chain", label = "(3) %s runs × %s, %s in flight", runs = 1000, nodes = 10,
    in_flight = 100 },
  { id = "steps", kind = "steps", label = "(3b) %s runs × %s `ctx:step` in a node, %s in flight", runs = 1000,
    nodes = 10,
    in_flight = 100, ours = true },
  { id = "sustained", kind = "chain", label = "(3c) %s runs × %s, %s in flight", runs = 20000, nodes = 10,
    in_flight = 100,
    ours = true },
  { id = "alone", kind = "alone", label = "(4) one run of one step, alone (of %s)", runs = 500, nodes = 1,
    in_flight = 1 },
}

local function with_commas(n) return (tostring(n):reverse():gsub("(%d%d%d)(%d)", "%1,%2"):reverse()) end

---@param quick boolean
---@return bench.Workload[]
function workloads.list(quick)
  local list = {}
  for i, w in ipairs(ALL) do
    local runs, nodes, in_flight = w.runs, w.nodes, w.in_flight
    if quick and runs > 1 then runs, in_flight = runs // 10, math.max(1, in_flight // 10) end
    if quick and runs == 1 then nodes = nodes // 10 end
    local label = w.runs == 1 and w.label:format(with_commas(nodes))
      or w.label:format(with_commas(runs), with_commas(nodes), with_commas(in_flight))
    list[i] = { id = w.id, kind = w.kind, label = label, runs = runs, nodes = nodes, in_flight = in_flight,
      ours = w.ours }
  end
  return list
end

---The command that runs a workload in Orrery.
---@param orrery string path of the command
---@param workload bench.Workload
---@param mode "strict"|"relaxed"
---@param file string of the store
---@return string
function workloads.command(orrery, workload, mode, file)
  return ("%s bench/durable.lua %s %s %s %d %d %d"):format(orrery, workload.kind, mode, file, workload.runs,
    workload.nodes, workload.in_flight)
end

return workloads
