--- What `orrery test` shows: a character for each test, or with --verbose a line; then what failed,
--- and the counts.
local out = require "orrery.cli.shared.out"
local term = require "orrery.cli.display.term"

local report = {}

local WIDTH = 72 -- characters of a line of them

local MARKS = {
  passed = { ".", "green", "passed" }, failed = { "F", "red", "FAILED" }, error = { "E", "red", "ERROR" },
  skipped = { "s", "yellow", "skipped" },
}

local function seconds_text(seconds)
  return seconds < 1 and ("%.0f ms"):format(seconds * 1000) or ("%.2f s"):format(seconds)
end

-- Lines of a difference get colours.
local function painted(paint, line)
  if line:find "^%- " then return paint("green", line) end
  if line:find "^%+ " then return paint("red", line) end
  return line
end

local function complaint(paint, result)
  local mark = MARKS[result.status] or MARKS.error
  local place = result.line and ("%s:%d"):format(result.file, result.line) or result.file
  local lines = { "", ("%s %s  %s"):format(paint(mark[2], mark[3]), paint("bold", place), result.name or "") }
  lines[2] = lines[2]:gsub("%s+$", "")
  for line in (tostring(result.message or ""):gsub("%s+$", "") .. "\n"):gmatch "(.-)\n" do
    lines[#lines + 1] = ("  " .. painted(paint, line)):gsub("%s+$", "")
  end
  local trace = result.trace or {}
  for i = 1, #trace > 1 and #trace or 0 do -- one alone is the place above
    lines[#lines + 1] = (i == 1 and "  raised at " or "            ") .. trace[i]
  end
  return table.concat(lines, "\n") .. "\n"
end

local function counts(paint, total)
  local parts = { paint(total.passed > 0 and "green" or "dim", total.passed .. " passed") }
  parts[2] = total.failed > 0 and paint("red", total.failed .. " failed") or "0 failed"
  if total.skipped > 0 then parts[3] = paint("yellow", total.skipped .. " skipped") end
  return table.concat(parts, ", ") .. (" (%s)\n"):format(seconds_text(total.seconds))
end

local function said_of_snapshots(total)
  local text = {}
  for _, kind in ipairs { "written", "updated", "removed", "unused" } do
    local list = total[kind] or {}
    if #list > 0 then
      local names = #list <= 3 and ": " .. table.concat(list, ", ") or ""
      local remedy = kind == "unused" and "; --update removes what no test asks for" or ""
      text[#text + 1] = ("%s %s%s%s\n"):format(term.plural(#list, "snapshot"), kind, names, remedy)
    end
  end
  return table.concat(text)
end

--- Begins a report.
---@param args { verbose: boolean|nil }
---@return { report: fun(event: table), finish: fun(total: table) }
function report.new(args)
  local paint, column, file = term.painter(term.wants_colour(term.is_tty(out.fd))), 0, nil
  local function line(event)
    local mark = MARKS[event.status]
    if event.file ~= file then
      out.write((file and "\n" or "") .. paint("bold", event.file) .. "\n")
      file = event.file
    end
    local why = event.status == "skipped" and event.message and ": " .. event.message or ""
    out.write(("  %s  %s%s %s\n"):format(paint(mark[2], ("%-7s"):format(mark[3])), event.name, why,
      paint("dim", "(" .. seconds_text(event.seconds) .. ")")))
  end
  local function dot(event)
    local mark = MARKS[event.status]
    out.write(paint(mark[2], mark[1]))
    column = column + 1
    if column % WIDTH == 0 then out.write "\n" end
    out.flush()
  end
  local self = {}
  function self.report(event)
    if event.event ~= "test" then return end
    if args.verbose then line(event) else dot(event) end
  end
  function self.finish(total)
    if column % WIDTH ~= 0 then out.write "\n" end
    for _, result in ipairs(total.results) do
      if result.status ~= "passed" and result.status ~= "skipped" then out.write(complaint(paint, result)) end
    end
    local snapshots = said_of_snapshots(total)
    out.write("\n", snapshots, counts(paint, total))
  end
  return self
end

return report
