--- `orrery check FILE…`: every mistake of every file and of the workflows that it calls, one
--- sentence a line, and warnings, which do not change the exit code.
---
--- Of several files each is checked by a process of its own: what one leaves behind (globals,
--- modules, node types, pools) or breaks is nothing to the others.
local out = require "orrery.cli.shared.out"
local files = require "orrery.cli.shared.files"

local check = {}

local function as_data(into, file, problems)
  for _, problem in ipairs(problems) do
    into[#into + 1] = { file = file, message = problem.message, where = problem.where, node = problem.node,
      field = problem.field, kind = problem.kind, line = problem.line, column = problem.column }
  end
end

local function as_text(file, problems, warnings)
  for _, problem in ipairs(problems) do out.err(files.sentence(problem, file), "\n") end
  for _, problem in ipairs(warnings) do
    out.err(problem.where, ": warning: ", problem.message, "\n")
  end
  if #problems == 0 then out.write(file, ": no mistakes\n") end
end

-- The command line that checks one file and reports as JSON.
local function command_for(file, args)
  local argv = { require("luv").exepath(), "check", "--json" }
  for _, name in ipairs(args.require or {}) do
    argv[#argv + 1], argv[#argv + 2] = "-l", name
  end
  argv[#argv + 1], argv[#argv + 2] = "--", file
  return argv
end

-- The report is the last line; what stands before it, the file has printed itself.
local function report_of(result)
  local printed, line = result.stdout:match "^(.-)([^\n]*)\n?$"
  local ok, report = pcall(require("orrery.core").json.decode, line)
  if ok and type(report) == "table" and report.problems then return printed, report end
  return result.stdout, nil
end

local function how_it_ended(result)
  return result.signal and ("by signal %s"):format(tostring(result.signal))
    or ("with exit code %s"):format(tostring(result.code))
end

-- Mistakes and warnings of a file, found by a process of its own.
local function apart(file, args)
  local flow = require "orrery"
  local result = flow.now(flow.exec { argv = command_for(file, args), check = false })
  local printed, report = report_of(result)
  out.err(printed, result.stderr)
  if report then return report.problems, report.warnings end
  return { { kind = "load_error",
    message = ("the process ended %s while the file was checked; a file that defines a workflow must not "
      .. "end it"):format(how_it_ended(result)) } }, {}
end

function check.main(args)
  local found, problems, warnings = 0, {}, {}
  for _, file in ipairs(args.file) do
    local mistakes, doubts
    if #args.file > 1 then mistakes, doubts = apart(file, args) else mistakes, doubts = files.check(file) end
    found = found + #mistakes
    if args.json then
      as_data(problems, file, mistakes)
      as_data(warnings, file, doubts)
    else
      as_text(file, mistakes, doubts)
    end
  end
  if args.json then
    local array = require("orrery.core").json.array
    files.json({ problems = array(problems), warnings = array(warnings), count = found })
  end
  return found == 0 and 0 or 2
end

return check
