--- A run as plain data, and what a person is told of it: its state, and a short id.
local column = require "orrery.history.column"

local plain_run = {}

-- How many letters two texts share from the start.
local function common(a, b)
  local n = math.min(#a, #b)
  for i = 1, n do
    if a:byte(i) ~= b:byte(i) then return i - 1 end
  end
  return n
end

local SHORTEST = 8

--- The shortest beginning of an id that no other run has.
---@param id string
---@param before string|nil the id before it in the order of ids
---@param after string|nil
---@return string
function plain_run.short(id, before, after)
  local n = SHORTEST
  if before then n = math.max(n, common(id, before) + 1) end
  if after then n = math.max(n, common(id, after) + 1) end
  if id:sub(n, n) == "-" then n = n + 1 end
  return id:sub(1, n)
end

--- A run as plain data: what every command with --json calls a run.
---@param row table of `runs`
---@return table
function plain_run.of(row)
  return {
    id = row.id, workflow = row.workflow, state = row.state,
    created = row.created, started = row.started, ended = row.ended,
    labels = column.plain(row.labels) or require("orrery.core").json.object(),
    context = column.plain(row.context), key = row.key, parent = row.parent_id, durability = row.durability,
    nodes = row.nodes, completed = row.completed, failed = row.failed, skipped = row.skipped,
    cancelled = row.cancelled, running = row.running, waiting = row.waiting,
    owned = row.owned, error = column.plain(row.error),
  }
end

-- States of runs that need a process.
local ACTIVE = { running = true, compensating = true }
local WAITS = { pending = true, waiting = true } -- pending: for its lock

--- States of nodes that need a process: without one, their attempt was cut off.
plain_run.INTERRUPTED = { running = true, compensating = true }

-- A run that only waits needs none; but one that did not let it go in good order has left it.
local function is_left(run) return ACTIVE[run.state] or WAITS[run.state] and run.owner ~= nil end

--- The state of a run as a person is told it: what its process has left unfinished when it ended is
--- `interrupted`.
---@param run { state: string, owned: boolean|nil, owner: any } `owner` as it was left, nil where it
---  was let go
---@return string
function plain_run.state(run)
  return run.owned == false and is_left(run) and "interrupted" or run.state
end

return plain_run
