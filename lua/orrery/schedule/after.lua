--- Runs that begin after runs of another workflow: `flow.after_run { workflow, state }`.
---
--- Ends are looked for in the tables, so that those of other processes are found, and those from
--- before a restart; each run is followed by one, which has a key made of its id.
local book = require "orrery.schedule.book"

local after = {}

local MANY = 100
local ASIDE = 60 -- seconds by which an end may be seen later than one that came after it

--- Starts what follows.
---@param ticker orrery.Ticker
---@param entry table
---@param now number
---@return number|nil wake
function after.look(ticker, entry, now)
  local trigger = entry.trigger
  if not ticker.rt:durable() or entry.paused then return nil end
  local born = entry.seen and tonumber(entry.seen)
  if not born then
    born = entry.watermark
    ticker.book:mark(entry.id, { seen = ("%.6f"):format(born) })
  end
  local since = math.max(born, entry.watermark - ASIDE)
  local rows = ticker.rt:store():rows("runs_ended", { workflow = trigger.after, since = since,
    states = trigger.state, limit = MANY })
  for _, row in ipairs(rows) do
    local key = book.key(entry.id, row.id)
    if not ticker:has(trigger.workflow, key) then
      local value = { workflow = trigger.after, run = row.id, state = row.state, time = row.ended,
        id = entry.id }
      local run, message = ticker:begin(entry, key, value, row.ended)
      if not run then ticker.book:skip(entry.id, row.ended, row.ended, 1, "refused: " .. message) end
    end
    if row.ended > entry.watermark then entry.watermark = row.ended end
  end
  if #rows > 0 and entry.watermark > entry.row.watermark then
    ticker.book:mark(entry.id, { watermark = entry.watermark })
  end
  return #rows == MANY and entry.watermark > entry.row.watermark and now or nil
end

return after
