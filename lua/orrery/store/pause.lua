--- Pausing a workflow with all its runs, or a pool, and letting it go on. What runs goes on;
--- nothing more starts.
local core = require "orrery.core"

local pause = {}

-- Leaves a message for live runs. One that has ended meanwhile needs none.
local function notify_live(db, workflow, name, text)
  for row in db:each_row("runs_owned", { workflow = workflow }) do pcall(db.send, db, row.id, name, text) end
end

--- Pauses a workflow or lets it go on, with its live runs.
---@param db orrery.Store
---@param name string
---@param paused boolean
---@return boolean changed
function pause.workflow(db, name, paused)
  notify_live(db, name, paused and "pause" or "resume", "{}")
  return db:perform(paused and "workflow_pause" or "workflow_resume", { name = name }) > 0
end

--- Pauses a pool or lets it go on. Pools are known by name only: one that nothing draws from yet
--- may be paused as well.
---@param db orrery.Store
---@param name string
---@param paused boolean
---@return boolean changed
function pause.pool(db, name, paused)
  notify_live(db, nil, "pool", core.json.encode { name = name, paused = paused })
  return db:perform(paused and "pool_pause" or "pool_resume", { name = name }) > 0
end

return pause
