--- `orrery pause`: pauses runs, a workflow with all its runs, or a pool. What runs goes on; nothing more starts.
local history = require "orrery.cli.history"

local pause = {}

local LIVE = "owner IS NOT NULL AND state NOT IN ('completed', 'failed', 'cancelled', 'compensated', 'compensation_failed')"

-- Leaves a message for live runs. One that has ended meanwhile needs none.
local function tell_live(db, workflow, name, text)
  for row in db:each("SELECT id FROM runs WHERE " .. LIVE .. " AND (?1 IS NULL OR workflow = ?1)", workflow) do
    pcall(db.send, db, row.id, name, text)
  end
end

--- Pauses a workflow or lets it go on, with its live runs. Ends the command where no such workflow has run.
---@param db orrery.Store
---@param name string
---@param paused boolean
---@return boolean changed
function pause.workflow(db, name, paused)
  require("orrery.cli.filter").check_workflow(db, name)
  local flag = paused and 1 or 0
  tell_live(db, name, paused and "pause" or "resume", "{}")
  return db:change { { "UPDATE workflows SET paused = ?1 WHERE name = ?2 AND paused <> ?1", flag, name } } > 0
end

--- Pauses a pool or lets it go on. Pools are known by name only: one that nothing draws from yet may be paused as well.
---@param db orrery.Store
---@param name string
---@param paused boolean
---@return boolean changed
function pause.pool(db, name, paused)
  tell_live(db, nil, "pool", require("orrery.core").json.encode { name = name, paused = paused })
  if not paused then return db:change { { "UPDATE pools SET paused = 0 WHERE name = ? AND paused = 1", name } } > 0 end
  return db:change { { "INSERT INTO pools(name, paused) VALUES(?, 1) ON CONFLICT(name) DO UPDATE SET paused = 1 WHERE paused = 0",
    name } } > 0
end

--- Whether the options mean the workflow itself and not some of its runs.
---@param args table
---@return boolean
function pause.whole_workflow(args)
  return args.workflow ~= nil and #(args.run or {}) == 0 and not args.since and not args["until"] and not args.limit
    and #(args.state or {}) == 0 and #(args.label or {}) == 0
end

--- Tells what became of a workflow or a pool.
---@param args table
---@param what "workflow"|"pool"
---@param name string
---@param paused boolean
---@param changed boolean
function pause.tell(args, what, name, paused, changed)
  if args.json then
    history.json { [what] = name, paused = paused, changed = changed }
  elseif args.quiet then
    return
  elseif paused then
    print(("%s %s %s; `%s` lets it go on"):format(what, name, changed and "is paused" or "was paused already",
      history.typed(("resume --%s %s"):format(what, history.word(name)))))
  else
    print(("%s %s %s"):format(what, name, changed and "goes on" or "was not paused"))
  end
end

pause.main = history.command("pause", function(db, args)
  if args.pool then
    if #(args.run or {}) > 0 or require("orrery.cli.filter").given(args) then
      history.stop(2, "--pool pauses a pool, and runs are paused on their own: give one of them")
    end
    return pause.tell(args, "pool", args.pool, true, pause.pool(db, args.pool, true))
  end
  if pause.whole_workflow(args) then
    return pause.tell(args, "workflow", args.workflow, true, pause.workflow(db, args.workflow, true))
  end
  return require("orrery.cli.message").command(db, args, "pause", { done = "asked to pause",
    one = "it stays paused until", several = "they stay paused until" })
end)

return pause
