--- The times that a cron expression means on a clock without a zone: the next and the last before,
--- found field by field.
local date = require "orrery.calendar.date"

local wall = {}

local DAY = date.DAY
local MONTHS = 12 * 50 -- that are looked at: a fifth Friday in February comes every 28 years, or 40

-- ---- days ---------------------------------------------------------------------------------------

-- The workday nearest to a day, in the same month.
local function workday(day, first, length)
  local weekday = (first + day - 1) % 7
  if weekday == 6 then return day > 1 and day - 1 or day + 2 end
  if weekday == 0 then return day < length and day + 1 or day - 2 end
  return day
end

local function by_day(days, first, length)
  local set = days.days
  for _, n in ipairs(days.from_end) do
    if n < length then set = set | 1 << (length - n) end
  end
  for _, range in ipairs(days.to_end) do
    for day = range.from, length, range.step do set = set | 1 << day end
  end
  for _, day in ipairs(days.nearest) do
    if day == "L" then day = length end
    if day <= length then set = set | 1 << workday(day, first, length) end
  end
  return set
end

local function by_weekday(days, first, length)
  local set = 0
  for day = 1, length do
    if days.weekdays >> ((first + day - 1) % 7) & 1 == 1 then set = set | 1 << day end
  end
  for _, nth in ipairs(days.nth) do
    local day = 1 + (nth.day - first) % 7 + (math.max(nth.n, 1) - 1) * 7
    while nth.n == 0 and day + 7 <= length do day = day + 7 end
    set = set | 1 << day
  end
  return set
end

-- The days of a month, as a set: where both are restricted, either is enough.
local function days_of(spec, year, month)
  local length, first = date.length(year, month), date.weekday(date.days(year, month, 1))
  local key = length * 8 + first
  local known = spec.months[key]
  if known then return known end
  local days = spec.days
  local set = 0
  if days.any_day and days.any_weekday then set = -1 end
  if not days.any_day then set = set | by_day(days, first, length) end
  if not days.any_weekday then set = set | by_weekday(days, first, length) end
  set = set & ((1 << (length + 1)) - 2)
  spec.months[key] = set
  return set
end

-- ---- looking ------------------------------------------------------------------------------------

-- The first number of a set from one on, upwards or downwards.
local function scan(set, from, step, most)
  for value = from, step > 0 and most or 0, step do
    if set >> value & 1 == 1 then return value end
  end
end

local function time_of_day(spec, second, step)
  local h, m, s = second // 3600, second // 60 % 60, second % 60
  local edge = step > 0 and 0 or 59
  local hour = scan(spec.hour, h, step, 23)
  while hour do
    local minute = scan(spec.minute, hour == h and m or edge, step, 59)
    while minute do
      local found = scan(spec.second, hour == h and minute == m and s or edge, step, 59)
      if found then return hour * 3600 + minute * 60 + found end
      minute = scan(spec.minute, minute + step, step, 59)
    end
    hour = scan(spec.hour, hour + step, step, 23)
  end
end

-- The time from `at` on, in one direction.
local function find(spec, at, step)
  local year, month, day = date.civil(at // DAY)
  local second = at % DAY
  local edge = step > 0 and 0 or DAY - 1
  for _ = 1, MONTHS do
    if spec.month >> month & 1 == 1 then
      local days = days_of(spec, year, month)
      local found = scan(days, day, step, 31)
      while found do
        local time = time_of_day(spec, found == day and second or edge, step)
        if time then return date.days(year, month, found) * DAY + time end
        found = scan(days, found + step, step, 31)
      end
    end
    year, month = year + (month + step - 1) // 12, (month + step - 1) % 12 + 1
    day, second = step > 0 and 1 or 31, edge
  end
end

--- The next time after one, in wall seconds; nil: there is none.
---@param spec orrery.Cron
---@param after integer
---@return integer|nil
function wall.next(spec, after) return find(spec, after + 1, 1) end

--- The last time before one.
---@param spec orrery.Cron
---@param before integer
---@return integer|nil
function wall.prev(spec, before) return find(spec, before - 1, -1) end

--- Whether a time is one of them. `minutes`: its seconds do not matter.
---@param spec orrery.Cron
---@param at integer
---@param minutes? boolean
---@return boolean
function wall.fits(spec, at, minutes)
  local year, month, day = date.civil(at // DAY)
  local second = at % DAY
  return spec.month >> month & 1 == 1 and days_of(spec, year, month) >> day & 1 == 1
    and spec.hour >> (second // 3600) & 1 == 1 and spec.minute >> (second // 60 % 60) & 1 == 1
    and (minutes or spec.second >> (second % 60) & 1 == 1)
end

return wall
