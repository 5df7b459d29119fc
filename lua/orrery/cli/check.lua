--- `orrery check FILE…`: every mistake of every file, one sentence a line.
local files = require "orrery.cli.files"

local check = {}

function check.main(args)
  local found, all = 0, {}
  for _, file in ipairs(args.file) do
    local problems = files.check(file)
    found = found + #problems
    for _, problem in ipairs(problems) do
      if args.json then
        all[#all + 1] = { file = file, message = problem.message, where = problem.where, node = problem.node,
          field = problem.field, kind = problem.kind }
      else
        io.stderr:write(files.sentence(problem, file), "\n")
      end
    end
    if #problems == 0 and not args.json then io.stdout:write(file, ": no mistakes\n") end
  end
  if args.json then files.json({ problems = require("orrery.core").json.array(all), count = found }) end
  return found == 0 and 0 or 2
end

return check
