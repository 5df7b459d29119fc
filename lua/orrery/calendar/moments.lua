--- When the times of an expression come in a zone, as instants.
---
--- An expression whose hours, minutes and seconds are said (`30 2 * * *`) means times that the
--- clock shows: one that a change of the clock skips comes right after it, one that is shown twice
--- comes once, the first time. An expression with a star there (`0 * * * *`, `*/15 2 * * *`)
--- follows the time that passes: whenever the clock shows such a time. Several that fall on one
--- instant are one.
local wall = require "orrery.calendar.wall"

local moments = {}

-- ---- that follow the time that passes -----------------------------------------------------------

local function next_elapsed(spec, zone, time)
  local at = time + 1
  while true do
    local offset, _, to = zone:segment(at)
    local found = wall.next(spec, at + offset - 1)
    if not found then return nil end
    if found - offset < to then return found - offset end
    at = to
  end
end

local function prev_elapsed(spec, zone, time)
  local at = time - 1
  while true do
    local offset, from = zone:segment(at)
    local found = wall.prev(spec, at + offset + 1)
    if not found then return nil end
    if found - offset >= from then return found - offset end
    at = from - 1
  end
end

-- ---- that follow the clock ----------------------------------------------------------------------

-- What the clock shows next that it has not shown before; it shows `shown` for the second time,
-- until the end of the repeated time.
local function end_of_repeated(zone, time)
  local offset, from = zone:segment(time)
  if from == math.mininteger then return nil end
  local before = zone:segment(from - 1)
  local new = from + before -- what it had come to before it was set back
  return time + offset < new and new or nil
end

local function next_shown(spec, zone, time)
  local shown = zone:wall(time)
  local repeated = end_of_repeated(zone, time)
  local found = wall.next(spec, repeated and repeated - 1 or shown)
  while found do
    local at = zone:instant(found)
    if at > time then return at end
    found = wall.next(spec, found)
  end
end

local function prev_shown(spec, zone, time)
  local shown = zone:wall(time)
  local found = wall.prev(spec, end_of_repeated(zone, time) or shown)
  while found do
    local at = zone:instant(found)
    if at < time then return at end
    found = wall.prev(spec, found)
  end
end

-- ---- both ---------------------------------------------------------------------------------------

--- The first instant after one.
---@param spec orrery.Cron
---@param zone orrery.Zone
---@param time number seconds since 1970
---@return integer|nil nil: there is none
function moments.next(spec, zone, time)
  return (spec.elapsed and next_elapsed or next_shown)(spec, zone, math.floor(time))
end

--- The last instant before one.
---@param spec orrery.Cron
---@param zone orrery.Zone
---@param time number
---@return integer|nil
function moments.prev(spec, zone, time)
  return (spec.elapsed and prev_elapsed or prev_shown)(spec, zone, math.ceil(time))
end

return moments
