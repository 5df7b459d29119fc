--- Durations: "250ms", "1h30m", ISO 8601 ("PT5S"), or a number of seconds; and seconds in words for
--- people.
---
--- The short form is Prometheus's: whole numbers with the units y w d h m s ms, each at most once
--- and in falling order; a year is 365 days there. In ISO 8601 (section 4.4.3.2) the last part may
--- have a fraction. ISO years and months are spans of a calendar, whose length depends on when they
--- begin, so they are refused unless they are zero.
local nearest = require "orrery.nearest"

local duration = {}

local MINUTE, HOUR, DAY = 60, 3600, 86400

-- What a signed count of 64 bits holds in nanoseconds, which the runtime counts in: about 292
-- years.
local LONGEST = 9223372036

local LONGEST_TEXT = 64 -- bytes; what is longer is no duration that anybody writes

local UNITS = {
  { "y", 365 * DAY }, { "w", 7 * DAY }, { "d", DAY }, { "h", HOUR }, { "m", MINUTE }, { "s", 1 },
  { "ms", 0.001 },
}
local UNIT = {}
for rank, unit in ipairs(UNITS) do UNIT[unit[1]] = { rank = rank, seconds = unit[2] } end

-- Spellings that people try first.
local ALIASES = {
  sec = "s", secs = "s", second = "s", seconds = "s", min = "m", mins = "m", minute = "m", minutes = "m",
  hr = "h",
  hrs = "h", hour = "h", hours = "h", day = "d", days = "d", week = "w", weeks = "w", year = "y", years = "y",
  msec = "ms", millis = "ms", milliseconds = "ms", M = "m", H = "h", D = "d", S = "s", W = "w", Y = "y",
  MS = "ms",
}

local function quote(text)
  if #text > 40 then text = text:sub(1, 37) .. "..." end
  return (("%q"):format(text):gsub("\\\n", "\\n"))
end

local FORMS = 'expected a duration such as "250ms", "5s", "1h30m", "3d" or "PT5S"'

local function refuse(text, why)
  return nil, ("%s is not a duration: %s"):format(quote(text), why)
end

local function bounded(seconds, shown)
  if seconds <= LONGEST then return math.tointeger(seconds) or seconds end
  return nil, ("%s is longer than 292 years, the longest duration there is"):format(shown)
end

local function unknown_unit(text, number, unit, rest)
  if rest:find "^[.,]%d" then
    return refuse(text, 'numbers are whole; use a smaller unit ("1500ms", "1d12h") or ISO 8601 ("PT1.5S")')
  end
  if unit == "" then
    return refuse(text, ('%s has no unit; write "%ss" for seconds, or one of ms s m h d w y')
      :format(number, number))
  end
  local meant = ALIASES[unit] or ALIASES[unit:lower()] or nearest(unit, { "ms" })
  return refuse(text, ('unknown unit "%s"%s; the units are ms s m h d w y'):format(
    unit, meant and ('; did you mean "%s"?'):format(meant) or ""))
end

local function parse_short(text)
  if text == "0" then return 0 end
  local seconds, rank, at = 0, 0, 1
  while at <= #text do
    local digits, unit, next_at = text:match("^(%d+)(%a*)()", at)
    if not digits then return refuse(text, FORMS) end
    if not UNIT[unit] then return unknown_unit(text, digits, unit, text:sub(next_at)) end
    if UNIT[unit].rank <= rank then
      return refuse(text, ("units stand once each, the longest first: y w d h m s ms; \"%s\" comes after "
        .. "\"%s\""):format(
        unit, UNITS[rank][1]))
    end
    rank = UNIT[unit].rank
    -- milliseconds are divided, not multiplied: 0.001 has no exact binary form, a quotient is
    -- rounded once
    local count = tonumber(digits) + 0.0 -- a float, which cannot wrap around
    seconds = seconds + (unit == "ms" and count / 1000 or count * UNIT[unit].seconds)
    at = next_at
  end
  return bounded(seconds, quote(text))
end

local ISO_DATE = { Y = { 1, 0 }, M = { 2, 0 }, W = { 3, 7 * DAY }, D = { 4, DAY } }
local ISO_TIME = { H = { 5, HOUR }, M = { 6, MINUTE }, S = { 7, 1 } }
local CALENDAR = {
  [1] = 'an ISO year has no fixed length; write days ("P365D"), or "1y" for 365 days',
  [2] = 'an ISO month has no fixed length; write days ("P30D")',
}

local function parse_iso(text)
  local at, seconds, rank, units, fraction = 2, 0, 0, ISO_DATE, false
  while at <= #text do
    if text:sub(at, at) == "T" and units == ISO_DATE and at < #text then
      units, at = ISO_TIME, at + 1
    end
    local number, letter, next_at = text:match("^(%d+[.,]?%d*)(%u)()", at)
    local unit = letter and units[letter]
    if not unit or number:find "[.,]$" or unit[1] <= rank or fraction then
      return refuse(text, 'expected ISO 8601 such as "PT5S", "P1DT2H" or "P2W", parts in falling order, a '
        .. 'fraction '
        .. "only in the last")
    end
    rank, at = unit[1], next_at
    fraction = number:find "[.,]" ~= nil
    local count = tonumber((number:gsub(",", "."))) + 0.0
    if CALENDAR[rank] and count ~= 0 then return refuse(text, CALENDAR[rank]) end
    seconds = seconds + count * unit[2]
  end
  if rank == 0 then return refuse(text, 'it has no part; write for instance "PT5S"') end
  return bounded(seconds, quote(text))
end

local function parse_number(x)
  if x ~= x then return nil, "NaN is not a duration" end
  if x < 0 then return nil, ("%s is negative; a duration is zero or more"):format(x) end
  return bounded(x, tostring(x))
end

--- Reads a duration.
---@param x string|number text, or a number of seconds
---@return number|nil seconds an integer where they are whole
---@return string|nil message one sentence
function duration.parse(x)
  if type(x) == "number" then return parse_number(x) end
  if type(x) ~= "string" then
    return nil, ("%s, or a number of seconds, got %s")
      :format(FORMS, x == nil and "nothing" or "a " .. type(x))
  end
  if #x > LONGEST_TEXT then
    return refuse(x, ("it has %d bytes, and %d is the most"):format(#x, LONGEST_TEXT))
  end
  local text = x:match "^%+?(P.*)$"
  if text then return parse_iso(text) end
  if x:find "^%-[%dP]" then return refuse(x, "it is negative; a duration is zero or more") end
  if x == "" then return nil, FORMS .. ", got an empty string" end
  return parse_short(x)
end

--- The same, raising the message.
---@param x string|number
---@return number seconds
function duration.seconds(x)
  local seconds, message = duration.parse(x)
  if not seconds then error(message, 2) end
  return seconds
end

local function trimmed(number, unit)
  return (("%.1f"):format(number):gsub("%.0$", "")) .. unit
end

--- A duration for people, in two units at most: "250ms", "1.5s", "2m05s", "1h02m", "3d04h".
---@param seconds number
---@return string
function duration.format(seconds)
  if seconds ~= seconds or seconds < 0 then return "?" end
  if seconds == math.huge then return "forever" end
  if seconds == 0 then return "0s" end
  if seconds < 0.00995 then return trimmed(math.max(seconds * 1000, 0.1), "ms") end
  if seconds < 0.9995 then return ("%.0fms"):format(seconds * 1000) end
  if seconds < 59.95 then return trimmed(seconds, "s") end
  local whole = math.floor(seconds + 0.5)
  if whole < HOUR then return ("%dm%02ds"):format(whole // MINUTE, whole % MINUTE) end
  local minutes = math.floor(seconds / MINUTE + 0.5)
  if minutes < 1440 then return ("%dh%02dm"):format(minutes // 60, minutes % 60) end
  local hours = math.floor(seconds / HOUR + 0.5)
  return ("%dd%02dh"):format(hours // 24, hours % 24)
end

return duration
