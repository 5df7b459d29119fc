--- A schedule played through before it is used: its times on a calendar that goes by at once, with
--- runs that take as long as those of the past took.
local hash = require "orrery.calendar.hash"
local judge = require "orrery.schedule.judge"
local wall = require "orrery.calendar.wall"

local simulate = {}

local MOST = 1000000 -- times
local SHOWN = 1000 -- runs that are listed one by one

-- ---- its world ----------------------------------------------------------------------------------

local World = {}
World.__index = World

function World:alive() return self.running end

function World:start(_, time)
  local n = #self.seconds
  local took = n > 0 and self.seconds[1 + hash(tostring(time)) % n] or 0
  local run = { time = time, began = self.now, ends = self.now + took, beside = #self.running }
  self.running[#self.running + 1] = run
  self.count = self.count + 1
  if #self.runs < SHOWN then self.runs[#self.runs + 1] = run end
  self.first, self.last = self.first or run.began, run.began
  self.most_late = math.max(self.most_late, self.now - judge.due(self.entry, time))
  self.beside = math.max(self.beside, #self.running)
  return true
end

function World:cancel(_, run)
  if run.ends > self.now then run.ends, self.cancelled = self.now, self.cancelled + 1 end
end

function World:skip(_, from, to, n, reason)
  local word = reason:match "^[^:]*"
  self.skipped[word] = (self.skipped[word] or 0) + n
  if #self.skips < SHOWN then self.skips[#self.skips + 1] = { time = from, last = to, n = n,
    reason = reason } end
end

function World.mark() end
function World.answer() end

-- Lets those go that have ended; when the next one ends.
function World:settle(now)
  self.now = now
  local left, soonest = {}, nil
  for _, run in ipairs(self.running) do
    if run.ends > now then
      left[#left + 1] = run
      soonest = math.min(soonest or run.ends, run.ends)
    end
  end
  self.running = left
  return soonest
end

-- ---- changes of the clock -----------------------------------------------------------------------

-- How many times lie in a stretch of the clock.
local function within(trigger, from, to)
  local n = 0
  for _, spec in ipairs(trigger.times.crons or {}) do
    local at = wall.next(spec, from - 1)
    while at and at < to and n < 100000 do
      n, at = n + 1, wall.next(spec, at)
    end
  end
  return n
end

local function follows_clock(trigger)
  for _, spec in ipairs(trigger.times.crons or {}) do
    if not spec.elapsed then return true end
  end
  return false
end

local function effect(trigger, skipped, n)
  if n == 0 then return "none" end
  if skipped then return follows_clock(trigger) and "right after" or "not" end
  return follows_clock(trigger) and "once" or "twice"
end

-- The changes of the clock from one instant to another, and what they do to the times.
local function changes_of(trigger, from, to)
  local zone, list = trigger.times.zone, {}
  local offset, _, at = zone:segment(from)
  while at <= to do
    local after, _, stop = zone:segment(at)
    if after ~= offset then
      local skipped = after > offset
      local n = within(trigger, at + math.min(offset, after), at + math.max(offset, after))
      list[#list + 1] = { time = at, by = after - offset, times = n, runs = effect(trigger, skipped, n) }
    end
    offset, at = after, stop
  end
  return list
end

-- ---- the whole ----------------------------------------------------------------------------------

---@class orrery.Simulated
---@field from number
---@field to number
---@field runs integer
---@field first number|nil
---@field last number|nil
---@field skipped table<string, integer> by reason
---@field cancelled integer runs that a later one cancelled
---@field most_late number seconds by which a run began late because of another
---@field beside integer the most runs at one time
---@field changes { time: integer, by: integer, times: integer, runs: string }[] changes of the clock by so many
--- seconds; how many times lie in the hour that is skipped or comes twice, and whether they run
--- "right after", "not", "once" or "twice"
---@field list table[] the first runs
---@field skips table[] the first skips
---@field cut boolean whether it ended before `to`: there are too many times

--- Plays it.
---@param trigger orrery.Trigger a schedule
---@param options { from: number, to: number, seconds: number[] } seconds: how long runs take, one of these each
---@return orrery.Simulated
function simulate.run(trigger, options)
  local entry = { id = trigger.id, trigger = trigger, watermark = options.from, asked = {} }
  local world = setmetatable({ entry = entry, seconds = options.seconds, running = {}, runs = {}, skips = {},
    skipped = {}, count = 0, cancelled = 0, most_late = 0, beside = 0 }, World)
  local now, cut = options.from, false
  while now <= options.to do
    world:settle(now)
    local wake, waits = judge.look(entry, world, now)
    local soonest = world:settle(now)
    if waits and #world.running == 0 then soonest = now end -- it was cancelled, and what waits begins
    if not wake and not soonest then break end
    now = math.max(math.min(wake or math.huge, soonest or math.huge), now)
    cut = world.count >= MOST
    if cut then break end
  end
  return { from = options.from, to = options.to, runs = world.count, first = world.first, last = world.last,
    skipped = world.skipped, cancelled = world.cancelled, most_late = world.most_late, beside = world.beside,
    changes = changes_of(trigger, options.from, options.to), list = world.runs, skips = world.skips,
      cut = cut }
end

return simulate
