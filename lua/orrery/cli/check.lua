--- `orrery check FILE…`: every mistake of every file, one sentence a line, and warnings, which change no exit code.
local files = require "orrery.cli.files"

local check = {}

local function as_data(into, file, problems)
  for _, problem in ipairs(problems) do
    into[#into + 1] = { file = file, message = problem.message, where = problem.where, node = problem.node,
      field = problem.field, kind = problem.kind }
  end
end

local function as_text(file, problems, warnings)
  for _, problem in ipairs(problems) do io.stderr:write(files.sentence(problem, file), "\n") end
  for _, problem in ipairs(warnings) do io.stderr:write(problem.where, ": warning: ", problem.message, "\n") end
  if #problems == 0 then io.stdout:write(file, ": no mistakes\n") end
end

function check.main(args)
  local found, problems, warnings = 0, {}, {}
  for _, file in ipairs(args.file) do
    local mistakes, doubts = files.check(file)
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
