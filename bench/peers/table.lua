-- The report of the comparison with the peers, in Markdown: one table over workloads and
-- contestants, and what was promised.

local durable_report = require "durable_report"
local harness = require "harness"

local report = {}

---The peers, as contestants.lua knows them.
report.PEERS = { "restate", "dbos" }

local CONTESTANTS = {
  { id = "orrery_strict", label = "Orrery, strict" },
  { id = "orrery_relaxed", label = "Orrery, relaxed" },
  { id = "restate", label = "Restate" },
  { id = "dbos", label = "DBOS on PostgreSQL" },
}

local OURS = "orrery_strict"
local FASTER, LIGHTER = 20, 0.1 -- what was promised of (3), against the faster peer

local median = harness.median

local function ratio(a, b) return a and b and a / b end

local function cell(format, value) return value and format:format(value) or "-" end

local function row(workload, contestant)
  local key = workload.id .. "." .. contestant.id
  local over, ours = median(key .. ".over"), workload.id .. "." .. OURS
  local cells = over and ("more than %g | - | - | - | -"):format(over * 1e3) or durable_report.cells(key)
  local slower = ratio(median(key .. ".seconds"), median(ours .. ".seconds"))
  return ("| %s | %s | %s | %s |"):format(contestant.label, cells, cell("%.2f", slower),
    cell("%.2f", ratio(median(key .. ".peak_rss"), median(ours .. ".peak_rss"))))
end

local function workload_table(workload)
  local lines = { "| " .. workload.label .. " " .. durable_report.HEAD
    .. " time, of ours | memory, of ours |",
    "|---" .. durable_report.RULE .. "---:|---:|" }
  for _, contestant in ipairs(CONTESTANTS) do lines[#lines + 1] = row(workload, contestant) end
  return table.concat(lines, "\n")
end

-- The peer that takes less time for (3).
local function faster_peer()
  local best
  for _, peer in ipairs(report.PEERS) do
    local seconds = median("many." .. peer .. ".seconds")
    if seconds and (not best or seconds < median("many." .. best .. ".seconds")) then best = peer end
  end
  return best
end

local function promises()
  local peer = faster_peer()
  if not peer then return "No peer ran (3)." end
  local function against(key) return median("many." .. peer .. key), median("many." .. OURS .. key) end
  local theirs, ours = against ".seconds"
  local faster = ratio(theirs, ours)
  local their_memory, our_memory = against ".peak_rss"
  local lighter = ratio(our_memory, their_memory)
  local function line(name, value, sign, bound, kept)
    return ("| %s | %s | %s %g | %s |"):format(name, cell("%.2f", value), sign, bound,
      value == nil and "not measured" or kept and "reached" or "**not reached**")
  end
  return table.concat({ "| promise | measured | bound | |", "|---|---:|---:|---|",
    line("(3) strict, steps a second / " .. peer .. "'s", faster, "≥", FASTER, faster and faster >= FASTER),
    line("(3) strict, memory / " .. peer .. "'s", lighter, "≤", LIGHTER, lighter and lighter <= LIGHTER) },
    "\n")
end

local function header(machine, size)
  local lines = {
    ("%s, %d processors, %.0f GB; %s. All stores on %s.")
      :format(machine.cpu, machine.processors, machine.memory / 1e9,
      machine.kernel, size.disk),
    ("Medians of %d rounds. %s."):format(size.rounds, machine.date),
  }
  if size.quick then
    lines[#lines + 1] = "Short form: it shows that the comparison works, not how fast anything is."
  end
  harness.warn(lines, machine)
  return table.concat(lines, "\n")
end

---@param machine table see harness.machine; also load, others, quiet
---@param size { rounds: integer, quick: boolean, disk: string }
---@param list bench.Workload[]
---@return string Markdown
function report.text(machine, size, list)
  local parts = { header(machine, size) }
  for _, workload in ipairs(list) do parts[#parts + 1] = workload_table(workload) end
  parts[#parts + 1] = promises()
  return table.concat(parts, "\n\n") .. "\n"
end

return report
