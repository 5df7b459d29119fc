--- `orrery retry`: runs what failed or was cancelled in ended runs, and all that follows from it,
--- again.
local resume = require "orrery.cli.resume"
local runs = require "orrery.store.resume"

local retry = {}

local function main(args)
  local rt, store = resume.open("retry", args)
  if not rt then return store end
  if #(args.run or {}) == 0 and not require("orrery.cli.shared.chosen").given(args) then
    args.run = { require("orrery.history.find").LAST }
  end
  local rows = resume.chosen("retry", args, store)
  if #rows > 1 or #(args.run or {}) == 0 then
    return require("orrery.cli.shared.many").run("retry", args, rt, resume.each_of(rows), function(row, alone)
      if alone then resume.go_there(args, rt, row.id) end
      local run = runs.retry(row.id, resume.options_of(args, rt))
      return run
    end)
  end
  resume.go_there(args, rt, rows[1].id)
  local made, why, _, compiled =
    pcall(require("orrery.store.run_code").of, rt, rows[1].id, resume.options_of(args, rt))
  if not made then return resume.fail("retry", why) end
  return resume.follow("retry", args, rt, compiled, function(on_event)
    local run = runs.retry(rows[1].id, resume.options_of(args, rt, on_event, compiled))
    return run
  end)
end

function retry.main(args) return require("orrery.cli.shared.session").guard("retry", main, args) end

return retry
