--- `orrery pause`: pauses runs, a workflow with all its runs, or a pool. Attempts that run go on;
--- no others start.
local out = require "orrery.cli.shared.out"
local session = require "orrery.cli.shared.session"
local stored = require "orrery.store.pause"

local pause = {}

--- Pauses or resumes a workflow. Ends the command where no such workflow has run.
---@param db orrery.Store
---@param name string
---@param paused boolean
---@return boolean changed
function pause.workflow(db, name, paused)
  require("orrery.history.filter").check_workflow(db, name)
  return stored.workflow(db, name, paused)
end

--- Whether the options name the workflow itself and not some of its runs.
---@param args table
---@return boolean
function pause.whole_workflow(args)
  return args.workflow ~= nil and #(args.run or {}) == 0 and not args.since and not args["until"]
    and not args.limit
    and #(args.state or {}) == 0 and #(args.label or {}) == 0
end

--- Prints what was done to a workflow or a pool.
---@param args table
---@param what "workflow"|"pool"
---@param name string
---@param paused boolean
---@param changed boolean
function pause.report(args, what, name, paused, changed)
  if args.json then
    session.json { [what] = name, paused = paused, changed = changed }
  elseif args.quiet then
    return
  elseif paused then
    out.line(("%s %s %s; `%s` lets it go on"):format(what, name,
      changed and "is paused" or "was paused already",
      session.typed(("resume --%s %s"):format(what, session.word(name)))))
  else
    out.line(("%s %s %s"):format(what, name, changed and "goes on" or "was not paused"))
  end
end

pause.main = session.command("pause", function(db, args)
  if args.pool then
    if #(args.run or {}) > 0 or require("orrery.cli.shared.chosen").given(args) then
      session.stop(2, "--pool pauses a pool, and runs are paused on their own: give one of them")
    end
    return pause.report(args, "pool", args.pool, true, stored.pool(db, args.pool, true))
  end
  if pause.whole_workflow(args) then
    return pause.report(args, "workflow", args.workflow, true, pause.workflow(db, args.workflow, true))
  end
  return require("orrery.cli.shared.message").command(db, args, "pause", { done = "asked to pause",
    one = "it stays paused until", several = "they stay paused until" })
end)

return pause
