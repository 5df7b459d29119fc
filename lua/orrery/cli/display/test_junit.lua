--- `orrery test --junit FILE`: the results in JUnit's XML, as the node type test.suite writes it.
local report = {}

local STATUS = { passed = "passed", failed = "failed", error = "error", skipped = "skipped" }

local function case_of(result)
  local place = result.line and ("%s:%d"):format(result.file, result.line) or result.file
  local message = result.message and tostring(result.message) or nil
  return {
    name = result.name or "loads", suite = result.file,
    class = (result.file:gsub("%.lua$", ""):gsub("/", ".")),
    status = STATUS[result.status] or "error", seconds = result.seconds,
    message = message and message:match "[^\n]*",
    output = message and place .. "\n" .. message,
  }
end

--- Writes the report.
---@param path string
---@param total table results, seconds and began
function report.write(path, total)
  local cases = {}
  for i, result in ipairs(total.results) do cases[i] = case_of(result) end
  local text = require "orrery.stdlib.test.shared.junit".text { name = "orrery test", cases = cases,
    seconds = total.seconds, began = total.began, host = require("luv").os_gethostname() }
  local flow = require "orrery"
  flow.now(flow.file.write { path = path, content = text, mkdirs = true })
end

return report
