-- The tables of durable runs: Orrery and the limits, recovery, and the targets for both.

local harness = require "harness"
local section = require "durable_section"
local workloads = require "workloads"

local report = {}

local median = harness.median

local function ratio(a, b) return a and b and a / b end

local function cell(format, value) return value and format:format(value) or "-" end

local function steps_a_second(key) return ratio(median(key .. ".steps"), median(key .. ".seconds")) end
local function us_a_step(key)
  local rate = steps_a_second(key)
  return rate and 1e6 / rate
end

---The columns of every table of durable runs, from the samples below a key.
---@param key string
---@return string cells
function report.cells(key)
  local seconds, steps = median(key .. ".seconds"), median(key .. ".steps")
  local alone = median(key .. ".p99") -- the time of one run; steps are those of all
  return table.concat({
    cell("%.2f", seconds and seconds * 1e3),
    cell("%.1f", not alone and us_a_step(key) or seconds and seconds * 1e6),
    cell("%.0f", not alone and ratio(steps, seconds) or nil),
    cell("%.1f", ratio(median(key .. ".peak_rss"), 1e6)),
    cell("%.2f", median(key .. ".cpu")),
  }, " | ")
end

report.HEAD = "| ms | µs a step | steps/s | memory, MB | CPU, s |"
report.RULE = "|---:|---:|---:|---:|---:|"

local function durable_table(size)
  local lines = { "| durable runs, on " .. size.disk .. " " .. report.HEAD .. " tables, ms |",
    "|---" .. report.RULE .. "---:|" }
  for _, workload in ipairs(workloads.list(size.quick)) do
    for _, mode in ipairs(section.MODES) do
      local key = "durable." .. workload.id .. "." .. mode
      lines[#lines + 1] = ("| %s, %s | %s | %s |"):format(workload.label, mode, report.cells(key),
        cell("%.0f", ratio(median(key .. ".tables"), 1e-3)))
    end
  end
  for _, limit in ipairs(section.LIMITS) do
    lines[#lines + 1] = ("| %s | %s | - |"):format(limit.label, report.cells("durable." .. limit.id))
  end
  return table.concat(lines, "\n")
end

local function recovery_table(size)
  local few, many = section.recovered(size.quick)
  local lines = { "| recovery | first handler, ms | all done, ms | memory, MB | CPU, s |",
    "|---|---:|---:|---:|---:|" }
  for _, row in ipairs { { "few", few }, { "many", many } } do
    local key = "recovery." .. row[1]
    lines[#lines + 1] = ("| %d unfinished runs | %s | %s | %s | %s |"):format(row[2],
      cell("%.1f", ratio(median(key .. ".first"), 1e-3)),
      cell("%.0f", ratio(median(key .. ".seconds"), 1e-3)),
      cell("%.1f", ratio(median(key .. ".peak_rss"), 1e6)), cell("%.2f", median(key .. ".cpu")))
  end
  return table.concat(lines, "\n")
end

local function opening_table(size)
  local lines = { ("| a store of %s whose process was killed | open, ms | first handler, ms |")
    :format(size.quick and "64 MB" or "1 GB"), "|---|---:|---:|" }
  for _, row in ipairs { { "warm", "in memory" }, { "cold", "not in memory" } } do
    local key = "opening." .. row[1]
    lines[#lines + 1] = ("| %s | %s | %s |"):format(row[2],
      cell("%.1f", ratio(median(key .. ".opened"), 1e-3)),
      cell("%.1f", ratio(median(key .. ".first"), 1e-3)))
  end
  return table.concat(lines, "\n")
end

---The tables in Markdown; none of what was not run.
---@param size { disk: string?, quick: boolean }
---@return string[]
function report.tables(size)
  local tables = {}
  if median "durable.commit1.steps" then tables[#tables + 1] = durable_table(size) end
  if median "recovery.many.seconds" then tables[#tables + 1] = recovery_table(size) end
  if median "opening.cold.first" then tables[#tables + 1] = opening_table(size) end
  return tables
end

---What was promised of durable runs, in the shape of report.lua's promises.
---@return table[]
function report.promises()
  local commit, many = steps_a_second "durable.commit1", steps_a_second "durable.many.strict"
  local function scaled(key, factor) return ratio(median(key), 1 / factor) end
  return {
    { "durable steps, (3) strict / one commit a step", ratio(many, commit), "%.1f", 10, "≥" },
    { "the same, where the journal's shape allows it", ratio(many, commit), "%.1f", 20, "≥" },
    { "durable steps, (1) strict, in commits a step",
      ratio(us_a_step "durable.chain.strict", us_a_step "durable.commit1"),
      "%.2f", 2, "<" },
    { "durable fan of 10,000, strict, s", median "durable.wide.strict.seconds", "%.3f", 0.5, "<" },
    { "one run of one step alone, strict, ms", scaled("durable.alone.strict.seconds", 1e3), "%.2f", 1, "<" },
    { "recovery of 10,000 runs, first handler, ms", scaled("recovery.many.first", 1e3), "%.1f", 100, "<" },
    { "recovery, memory with ten times as many runs",
      ratio(median "recovery.many.peak_rss", median "recovery.few.peak_rss"),
      "%.2f", 1.5, "<" },
    { "a store of 1 GB after a kill, first handler, ms", scaled("opening.warm.first", 1e3), "%.1f", 100,
      "<" },
    { "the same, not in memory", scaled("opening.cold.first", 1e3), "%.1f", 500, "<" },
    { "a page of a million runs, by each pair of filters, ms", median "lists.first", "%.1f", 50, "<" },
    { "the next page", median "lists.next", "%.1f", 50, "<" },
  }
end

return report
