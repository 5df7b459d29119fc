--- Why a run's nodes are where they are, as data: what is known, and what helps.
local column = require "orrery.history.column"
local facts = require "orrery.history.why"
local items = require "orrery.history.items"
local nodes = require "orrery.history.nodes"
local owners = require "orrery.history.owners"
local reasons = require "orrery.history.reasons"
local remedies = require "orrery.history.remedies"
local json = require("orrery.core").json

local reported = {}

-- What helps against what a node waits for: the name of what can be done, and with what.
local HELPS = {
  signal = function(db, run, said)
    if said.child then
      local child = reasons.child_run(db, run, said.child)
      return child and { act = "see", run = child }
    end
    return said.name and { act = said.approval and "approve" or "signal", signal = said.name }
  end,
  dependency = function(_, run, said) return said.by and { act = "see", run = run.id, node = said.by } end,
  pool = function(_, _, said) return said.limit == 0 and { act = "resume_pool", pool = said.name } or nil end,
  lock = function(_, _, said)
    return said.by_run and { act = said.alive and "see" or "resume", run = said.by_run } or nil
  end,
}

local HELD = {
  workflow_paused = function(run) return { act = "resume_workflow", workflow = run.workflow } end,
  run_paused = function(run) return { act = "resume", run = run.id } end,
}

local function unsettled(db, run, row, said, made)
  local held = facts.held(db, run, row)
  local owner = not run.ended and owners.of(db, run)
  if not held then
    said = facts.unsettled(db, run, row, said)
    made.held_back = run.state == "paused" or nil
  end
  made.held = held
  made.abandoned = not run.ended and not (owner and owner.alive) or nil
  made.left = facts.is_left(db, run, said) or nil
  local help = held and HELD[held] and HELD[held](run)
    or not held and HELPS[said.kind] and HELPS[said.kind](db, run, said)
  if made.abandoned and (said.kind ~= "signal" or said.child) then help = { act = "resume", run = run.id } end
  made.help = help or nil
  return said
end

local function retry_of(run, row)
  if run.state ~= "failed" and run.state ~= "cancelled" then return nil end
  return (row.state == "failed" or row.state == "cancelled") and { act = "retry", run = run.id } or nil
end

--- Why a node is where it is.
---@param db orrery.Store
---@param run table row of `find.one`
---@param row table of `nodes`
---@return table { node, item, item_name, state, attempts, error, source, kind, … as of `orrery.Why`,
---  held: "ended"|"workflow_paused"|"run_paused"|nil, abandoned: true|nil nobody runs its run,
---  left: true|nil the signal is there, help: { act, … }|nil what can be done, try: string|nil what
---  may help
---  against its error, place: string[]|nil the user's lines of its traceback }
function reported.node(db, run, row)
  local said, made = facts.said(row), {}
  if facts.SETTLED[row.state] then
    said.kind = said.kind or "settled"
    made.failed_items = row.state == "completed" and items.failed(db, row) or nil
    made.help = retry_of(run, row)
  else
    said = unsettled(db, run, row, said, made)
  end
  for key, value in pairs(said) do made[key] = value end
  made.node, made.item, made.item_name = row.node, row.item > 0 and row.item or nil, row.item_name
  made.state, made.attempts, made.source = row.state, row.attempts, row.source
  made.error = column.plain(row.error)
  if type(made.error) == "table" then
    made.try, made.place = remedies.of(made.error, row.attempts), json.array(remedies.lines(made.error))
  end
  return made
end

local MOST = 200

--- The same of the nodes of a run that did not simply complete, the first ones of them.
---@param db orrery.Store
---@param run table row of `find.one`
---@return table[] list
---@return boolean more there are others
function reported.run(db, run)
  local list, names = {}, items.names(db, run)
  for row in nodes.notable(db, run, MOST + 1) do
    if #list == MOST then return list, true end
    row.item_name = names[row.node][row.item]
    list[#list + 1] = reported.node(db, run, row)
  end
  return list, false
end

return reported
