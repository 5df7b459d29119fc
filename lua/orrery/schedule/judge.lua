--- What becomes of the times of a schedule, one after the other. It knows no clock and no store: a
--- time goes in, and what it decides is done by its world.
---
--- Up to its watermark a schedule is done with: all times until then have begun or were skipped. A
--- time that could not begin within a minute was missed, unless it waits for the end of a run.
local judge = {}

---@class orrery.ScheduleEntry
---@field id string
---@field trigger orrery.Trigger
---@field watermark number
---@field queued number|nil up to here what has not begun waits for the end of a run
---@field paused number|nil
---@field asked { time: number, kind: string }[] runs that somebody asked for, in order

---@class orrery.ScheduleWorld
---@field alive fun(self, entry): any[] its runs that have not ended
---@field start fun(self, entry, time: number, cause: string): boolean, string|nil whether it has begun, or why it cannot
---@field cancel fun(self, entry, run: any, hard: boolean)
---@field mark fun(self, entry) its watermark and what waits have changed
---@field skip fun(self, entry, from: number, to: number, n: integer, reason: string)
---@field answer fun(self, entry, time: number)

local LATE = 60 -- seconds; what begins later than that was missed
local YEAR = 366 * 86400
local MOST = 10000 -- times of one skip that are counted; that number stands for more as well
local MANY = 200 -- decisions of one look

judge.LATE = LATE

--- When a time is due: its jitter follows from schedule and time.
---@param entry orrery.ScheduleEntry
---@param time number
---@return number
function judge.due(entry, time)
  local jitter = entry.trigger.jitter
  if not jitter or jitter == 0 then return time end
  local part = require "orrery.calendar.hash"(("%s %d"):format(entry.id, time)) / 4294967296
  return time + part * jitter
end

-- The last time that was due at a moment.
local function last_due(entry, now)
  local at = entry.trigger.times:prev(math.floor(now) + 1)
  while at and at > entry.watermark and judge.due(entry, at) > now do at = entry.trigger.times:prev(at) end
  return at
end

local function mark(entry, world, watermark, queued)
  entry.watermark, entry.queued = watermark or entry.watermark, queued or entry.queued
  world:mark(entry)
end

-- Skips all times from one to another.
local function skip(entry, world, from, to, reason)
  world:skip(entry, from, to, entry.trigger.times:count(from, to, MOST), reason)
  mark(entry, world, to)
end

-- Skips those before the last of several; whether there were any.
local function keep_last(entry, world, time, last, reason)
  if last <= time then return false end
  skip(entry, world, time, entry.trigger.times:prev(last), reason)
  return true
end

local function start(entry, world, time)
  local ok, message = world:start(entry, time, "time")
  if ok then return mark(entry, world, time) end
  world:skip(entry, time, time, 1, "refused: " .. tostring(message))
  mark(entry, world, time)
end

-- ---- missed times -------------------------------------------------------------------------------

-- What is to be done with times that could not begin when they were due, up to the last of them.
local MISSED = {
  none = function(entry, world, time, last) skip(entry, world, time, last, "missed") end,
  last = function(entry, world, time, last)
    keep_last(entry, world, time, last, "missed")
    mark(entry, world, nil, last)
  end,
  all = function(entry, world, _, last) mark(entry, world, nil, last) end,
}

local function is_waiting(entry, time) return entry.queued ~= nil and time <= entry.queued end

-- Whether the time was missed, and something was decided about it.
local function was_missed(entry, world, time, now)
  if is_waiting(entry, time) or now - judge.due(entry, time) <= LATE then return false end
  local window = entry.trigger.times:prev(now - YEAR)
  if window and time <= window then
    skip(entry, world, time, window, "missed: more than a year ago")
    return true
  end
  local last = last_due(entry, now - LATE)
  MISSED[entry.trigger.missed or "none"](entry, world, time, math.max(last or time, time))
  return true
end

-- ---- runs that overlap --------------------------------------------------------------------------

-- They wait for the run's end; further times are noted when they are due.
local function wait(entry, world, last, now)
  if not is_waiting(entry, last) then mark(entry, world, nil, last) end
  local after = entry.trigger.times:next(math.max(last, math.floor(now)))
  return true, after and judge.due(entry, after)
end

local function stop_others(hard)
  return function(entry, world, time, last, now)
    for _, run in ipairs(world:alive(entry)) do world:cancel(entry, run, hard) end
    keep_last(entry, world, time, last, "overlap")
    return wait(entry, world, last, now)
  end
end

-- What becomes of a due time while a run of the schedule goes on: true, and when to look again
-- unless that is the end of the run; false where it is decided.
local OVERLAP = {
  skip = function(entry, world, time, last, now)
    if entry.trigger.missed == "all" and is_waiting(entry, time) then return wait(entry, world, last, now) end
    skip(entry, world, time, time, "overlap")
    return false
  end,
  queue_all = function(entry, world, _, last, now) return wait(entry, world, last, now) end,
  queue_one = function(entry, world, time, last, now)
    keep_last(entry, world, time, last, "overlap")
    return wait(entry, world, last, now)
  end,
  cancel = stop_others(false),
  terminate = stop_others(true),
}

local ONE_WAITS = { queue_one = true, cancel = true, terminate = true }

-- Decides about a time that is due. True, and when: nothing can be done until then.
local function decide(entry, world, time, now)
  if was_missed(entry, world, time, now) then return false end
  local last = math.max(last_due(entry, now) or time, time)
  if entry.paused then
    skip(entry, world, time, last, "paused")
    return false
  end
  local overlap = entry.trigger.overlap or "skip"
  if overlap ~= "allow" and #world:alive(entry) > 0 then
    return OVERLAP[overlap](entry, world, time, last, now)
  end
  if ONE_WAITS[overlap] and is_waiting(entry, time) and keep_last(entry, world, time, last, "overlap") then
    time = last
  end
  start(entry, world, time)
  return false
end

-- What somebody has asked for comes first, one run after the other.
local function answer(entry, world)
  while entry.asked[1] do
    if entry.trigger.overlap ~= "allow" and #world:alive(entry) > 0 then return true end
    local asked = table.remove(entry.asked, 1)
    local ok, message = world:start(entry, asked.time, asked.kind)
    if not ok then world:skip(entry, asked.time, asked.time, 1, "refused: " .. tostring(message)) end
    world:answer(entry, asked.time)
  end
end

--- Decides about all times of a schedule that are due.
---@param entry orrery.ScheduleEntry
---@param world orrery.ScheduleWorld
---@param now number seconds since 1970
---@return number|nil wake when to look again; nil: not for the sake of time
---@return boolean|nil waits for the end of a run
function judge.look(entry, world, now)
  local asked = answer(entry, world)
  for _ = 1, MANY do
    local time = entry.trigger.times:next(entry.watermark)
    if not time then return nil, asked end
    local due = judge.due(entry, time)
    if due > now then return due, asked end
    local waits, wake = decide(entry, world, time, now)
    if waits then return wake, true end
  end
  return now
end

return judge
