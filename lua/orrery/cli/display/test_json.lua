--- `orrery test --json`: one event a line, as `orrery.testing.execute` reports them; the last is
--- { event = "end" } with the counts.
local files = require "orrery.cli.shared.files"
local json = require "orrery.core".json
local out = require "orrery.cli.shared.out"

local report = {}

-- Values that differ are in the message; they may be no plain data.
local function plain(event)
  local made = {}
  for key, value in pairs(event) do made[key] = value end
  for _, key in ipairs { "written", "updated", "unused", "trace" } do
    if made[key] then made[key] = json.array(made[key]) end
  end
  return made
end

--- Begins a report.
---@return { report: fun(event: table), finish: fun(total: table) }
function report.new()
  return {
    report = function(event)
      files.json(plain(event))
      out.flush()
    end,
    finish = function(total)
      files.json { event = "end", passed = total.passed, failed = total.failed, skipped = total.skipped,
        seconds = total.seconds }
    end,
  }
end

return report
