--- `orrery test --tap`: the Test Anything Protocol, version 14.
local out = require "orrery.cli.shared.out"

local report = {}

local function escaped(text) return (text:gsub("[\r\n]+", " "):gsub("[\\#]", "\\%0")) end

-- A text as a block of YAML.
local function block(key, text)
  local lines = { "  " .. key .. ": |" }
  for line in (text:gsub("\n$", "") .. "\n"):gmatch "(.-)\n" do lines[#lines + 1] = "    " .. line end
  return table.concat(lines, "\n") .. "\n"
end

local function details(event)
  local text = "  ---\n"
  if event.message then text = text .. block("message", tostring(event.message)) end
  text = text .. ("  at: %s\n"):format(event.line and ("%s:%d"):format(event.file, event.line) or event.file)
  if event.seconds then text = text .. ("  duration_ms: %.3f\n"):format(event.seconds * 1000) end
  return text .. "  ...\n"
end

--- Begins a report.
---@return { report: fun(event: table), finish: fun(total: table) }
function report.new()
  local n = 0
  out.line "TAP version 14"
  local function report_one(event)
    if event.event ~= "test" and event.event ~= "problem" then return end
    n = n + 1
    local good = event.status == "passed" or event.status == "skipped"
    local skip = event.status == "skipped"
      and " # SKIP" .. (event.message and " " .. escaped(event.message) or "") or ""
    out.line(("%s %d - %s%s"):format(good and "ok" or "not ok", n, escaped(event.name or event.file), skip))
    if not good then out.write(details(event)) end
    out.flush()
  end
  return { report = report_one, finish = function() out.line("1.." .. n) end }
end

return report
