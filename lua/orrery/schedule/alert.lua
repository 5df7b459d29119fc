--- Runs that tell of something: `flow.alert { on, … }`. One begins when it comes, one when it is
--- over, and one now and then while it lasts, where that is asked for.
---
--- What it knows is kept: whether it lasts, since when, and a number that the runs' keys are made
--- of, so that a crash between the start of a run and the note of it tells nothing twice. Only for
--- how long a run has not moved is known to the process alone: a restart counts from anew.
local book = require "orrery.schedule.book"
local core = require "orrery.core"
local duration = require "orrery.duration"
local uv = require "luv"

local alert = {}

local MANY = 1000 -- runs that a look goes over: the last of the window
local BEFORE = 200 -- runs before the window that percentiles are of
local ENOUGH = 20 -- of them at least
local LATER = 1e12 -- a time that no run has

---@class orrery.AlertFinding
---@field value number|string
---@field message string
---@field run? string an example

-- ---- what may be --------------------------------------------------------------------------------

local JUDGE = {}

local function percent(share) return ("%d %%"):format(math.floor(share * 100 + 0.5)) end

local function ended(db, trigger, since, before, limit)
  return db:rows("runs_ended_last", { workflow = trigger.about, since = since, before = before,
    limit = limit })
end

local FAILED = { failed = true, compensated = true, compensation_failed = true }

function JUDGE.failures(db, trigger, now)
  local rows, n, last = ended(db, trigger, now - trigger.window, LATER, MANY), 0, nil
  for _, row in ipairs(rows) do
    if FAILED[row.state] then n, last = n + 1, last or row.id end
  end
  local limit = trigger.limit
  local over = n > 0 and #rows >= trigger.least
    and (limit.share and n / #rows >= limit.share or limit.count and n >= limit.count)
  return over and { value = limit.share and n / #rows or n, run = last,
    message = ("%d of the last %d runs of %s failed (%s)"):format(n, #rows, trigger.about,
      percent(n / #rows)) }
end

-- The duration that is too long; nil: too few runs are known.
local function too_long(db, trigger, now)
  local limit = trigger.limit
  if limit.seconds then return limit.seconds end
  local times = {}
  for _, row in ipairs(ended(db, trigger, 0, now - trigger.window, BEFORE)) do
    if row.state == "completed" then times[#times + 1] = row.ended - row.created end
  end
  if #times < ENOUGH then return nil end
  table.sort(times)
  return times[math.ceil(limit.percentile * #times)] * limit.factor
end

local function open(db, trigger) return db:rows("runs_open", { workflow = trigger.about, limit = MANY }) end

function JUDGE.slow(db, trigger, now)
  local most, longest, id = too_long(db, trigger, now), 0, nil
  if not most then return nil end
  local function look(rows)
    for _, row in ipairs(rows) do
      local took = (row.ended or now) - row.created
      if took > longest then longest, id = took, row.id end
    end
  end
  look(open(db, trigger))
  look(ended(db, trigger, now - trigger.window, LATER, MANY))
  return longest > most and { value = longest, run = id,
    message = ("a run of %s took %s, more than %s"):format(trigger.about, duration.format(longest),
      duration.format(most)) }
end

function JUDGE.skipped(db, trigger, now)
  local n, reason = 0, nil
  local asked = { before = math.maxinteger, schedule = trigger.fields.schedule, limit = MANY }
  for _, row in ipairs(db:rows("schedule_skips", asked)) do
    if row.noted >= now - trigger.window and row.reason ~= "paused" then
      n, reason = n + row.n, reason or row.schedule .. ": " .. row.reason
    end
  end
  return n >= trigger.limit.count and { value = n,
    message = ("%d times of schedules were skipped (%s)"):format(n, reason) }
end

-- A run moves when its journal grows.
function JUDGE.stalled(db, trigger, now, memory)
  local moved, longest, id = {}, 0, nil
  for _, row in ipairs(open(db, trigger)) do
    local known = memory[row.id]
    moved[row.id] = known and known.seq == row.seq and known or { seq = row.seq, at = now }
    local still = now - moved[row.id].at
    if still > longest then longest, id = still, row.id end
  end
  for key in pairs(memory) do memory[key] = moved[key] end
  for key, value in pairs(moved) do memory[key] = value end
  return longest >= trigger.limit.seconds and { value = longest, run = id,
    message = ("a run of %s has not moved for %s"):format(trigger.about, duration.format(longest)) }
end

function JUDGE.disk(db, trigger)
  local found, why = uv.fs_statfs(db.path:match "^(.*)/[^/]*$" or ".")
  if not found then error("the disk of the store cannot be asked: " .. tostring(why), 0) end
  local share, bytes, limit = found.bavail / found.blocks, found.bavail * found.bsize, trigger.limit
  local low = limit.share and share < limit.share or limit.count and bytes < limit.count
  return low and { value = limit.share and share or bytes,
    message = ("the disk of the store has %s left, %d MiB"):format(percent(share), bytes >> 20) }
end

-- ---- what is told -------------------------------------------------------------------------------

local TITLE = { failures = "Runs of %s fail", slow = "Runs of %s are slow", skipped = "Schedules are skipped",
  stalled = "A run of %s has stalled", disk = "The disk is nearly full" }

local function message_of(entry, state, status, finding, now)
  local trigger = entry.trigger
  local title = TITLE[trigger.on]:format(trigger.about)
  return { alert = entry.id, number = status.number, state = state, on = trigger.on, workflow = trigger.about,
    title = state == "resolved" and "Over: " .. title or title,
    message = finding and finding.message or "It is over: " .. status.message,
    level = state == "resolved" and "info" or "error", value = finding and finding.value,
    run = finding and finding.run, since = status.since, time = now }
end

-- Begins the run that tells it, unless it has begun. What cannot begin is noted as a skip.
local function tell(ticker, entry, state, status, finding, now)
  local key = book.key(entry.id, ("%06d-%s"):format(status.number, state == "reminder"
    and ("reminder-%06d"):format(status.reminders) or state))
  if ticker:has(entry.trigger.workflow, key) then return end
  local run, why = ticker:begin(entry, key, message_of(entry, state, status, finding, now), now)
  if not run then ticker.book:skip(entry.id, now, now, 1, "refused: " .. why) end
end

-- Runs that were to tell something and failed: nobody may have heard of it.
local function note_untold(ticker, entry)
  for id, run in pairs(entry.own) do
    if run.ended then
      entry.own[id] = nil
      if run.state ~= "completed" then
        ticker.count.untold = ticker.count.untold + 1
        warn(("orrery: alert %s: run %s, which was to tell it, is %s; that makes %d so far"):format(entry.id,
          id, run.state, ticker.count.untold))
      end
    end
  end
end

local function status_of(entry)
  local ok, status = pcall(core.json.decode, entry.seen or "")
  return ok and type(status) == "table" and status or { number = 0 }
end

-- What is known after a look; nothing changes while it lasts, or while nothing is.
local function go_on(ticker, entry, status, finding, now)
  local remind = entry.trigger.remind
  if finding and not status.since then
    local new = { number = status.number + 1, since = now, told = now, reminders = 0,
      message = finding.message }
    tell(ticker, entry, "firing", new, finding, now)
    return new
  elseif finding and remind and now >= status.told + remind then
    status.told, status.reminders, status.message = now, status.reminders + 1, finding.message
    tell(ticker, entry, "reminder", status, finding, now)
    return status
  elseif not finding and status.since then
    tell(ticker, entry, "resolved", status, nil, now)
    return { number = status.number }
  end
end

--- Looks at what it is about, and tells what has changed.
---@param ticker orrery.Ticker
---@param entry table
---@param now number
---@return number|nil wake
function alert.look(ticker, entry, now)
  if not ticker.rt:durable() then return nil end
  note_untold(ticker, entry)
  if entry.paused then return nil end
  if entry.looked and now >= entry.looked and now < entry.looked + entry.trigger.every then
    return entry.looked + entry.trigger.every
  end
  entry.looked = now
  ticker.moved[entry.id] = ticker.moved[entry.id] or {}
  local finding = JUDGE[entry.trigger.on](ticker.rt:store(), entry.trigger, now, ticker.moved[entry.id])
  local changed = go_on(ticker, entry, status_of(entry), finding, now)
  if changed then ticker.book:mark(entry.id, { seen = core.json.encode(changed) }) end
  return now + entry.trigger.every
end

return alert
