--- `orrery retry`: runs what failed or was cancelled in ended runs, and all that follows from it, again.
local resume = require "orrery.cli.resume"
local runs = require "orrery.resume"

local retry = {}

local function main(args)
  local rt, store = resume.open("retry", args)
  if not rt then return store end
  local rows = resume.chosen("retry", args, store)
  if #rows == 0 and not require("orrery.cli.filter").given(args) then
    return resume.fail("retry", "name a run, or choose several: orrery retry --workflow etl --state failed")
  end
  if #rows > 1 or #(args.run or {}) == 0 then
    return require("orrery.cli.many").run("retry", args, rt, resume.each_of(rows), function(row)
      local run = runs.retry(row.id, resume.options_of(args, rt))
      return run
    end)
  end
  local made, why, _, compiled = pcall(runs.code_of, rt, rows[1].id, resume.options_of(args, rt))
  if not made then return resume.fail("retry", why) end
  return resume.follow("retry", args, rt, compiled, function(on_event)
    local run = runs.retry(rows[1].id, resume.options_of(args, rt, on_event, compiled))
    return run
  end)
end

function retry.main(args) return require("orrery.cli.history").guard("retry", main, args) end

return retry
