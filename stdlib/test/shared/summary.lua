--- What came of many cases: counts, a report, and the error where one has failed.
local flow = require "orrery"
local junit = require "orrery.stdlib.test.shared.junit"
local uv = require "luv"

local summary = {}

local NAMED = 3 -- cases that the sentence of an error names
local SHOWN = 200

local COUNTS = { passed = "passed", failed = "failed", error = "errors", skipped = "skipped" }

--- Counts cases.
---@param name string
---@param cases table[]
---@param seconds number
---@return table output of `test.suite`
function summary.of(name, cases, seconds)
  local made = { name = name, total = #cases, passed = 0, failed = 0, errors = 0, skipped = 0, flaky = 0,
    seconds = seconds, cases = flow.json.array(cases) }
  for _, case in ipairs(cases) do
    local key = COUNTS[case.status]
    made[key] = made[key] + 1
    if case.flaky then made.flaky = made.flaky + 1 end
  end
  return made
end

local function one_line(text)
  text = tostring(text or ""):match "[^\r\n]*"
  return #text > SHOWN and text:sub(1, SHOWN - 3) .. "..." or text
end

local function said_of(case)
  return case.message and ("%s (%s)"):format(case.name, one_line(case.message)) or case.name
end

local function list_of(failed)
  local parts = {}
  for i = 1, math.min(NAMED, #failed) do parts[i] = said_of(failed[i]) end
  if #failed > NAMED then parts[#parts + 1] = ("and %d more"):format(#failed - NAMED) end
  return table.concat(parts, "; ")
end

-- The cases that failed, and what the error says of the whole.
local function failure_of(made)
  local failed = {}
  for _, case in ipairs(made.cases) do
    if case.status == "failed" or case.status == "error" then failed[#failed + 1] = case end
  end
  if #failed == 0 then return nil end
  local details = {}
  for key, value in pairs(made) do details[key] = value end
  details.cases = flow.json.array(failed)
  return { code = "tests_failed", details = details,
    message = ("%s: %d of %d cases failed: %s"):format(made.name, #failed, made.total, list_of(failed)) }
end

local function write_report(config, made, began)
  local text = junit.text { name = made.name, cases = made.cases, seconds = made.seconds, began = began,
    host = uv.os_gethostname(), properties = config.properties }
  flow.file.write { path = config.report, content = text, mkdirs = true }
end

--- Writes the report, and outputs the counts or fails. *Waits.*
---@param config table of `test.suite`
---@param made table of `summary.of`
---@param began number seconds since 1970
---@return table made
function summary.finish(config, made, began)
  local e = config.check and failure_of(made) or nil
  if config.report then
    local ok, problem = pcall(write_report, config, made, began)
    if not ok and not e then error(problem, 0) end
    made.report = ok and config.report or nil
    if e then
      e.message = e.message .. (ok and "; the report is " .. config.report
        or "; and its report could not be written: " .. tostring(problem.message or problem))
      e.details.report = made.report
    end
  end
  if e then flow.error(e) end
  return made
end

return summary
