--- Files of time zones: TZif of the versions 1 to 4 (RFC 8536, RFC 9636), with the rule for all
--- times after the last one that is listed.
local date = require "orrery.calendar.date"

local tzif = {}

--- A text of POSIX, "CET-1CEST,M3.5.0,M10.5.0/3".
---@class orrery.ZoneRule
---@field standard integer seconds from UTC
---@field summer? integer the same while the clock is changed, nil: it never is
---@field from? orrery.RuleDay when the clock is changed, in the time that was before
---@field to? orrery.RuleDay when it is changed back

---@class orrery.RuleDay
---@field kind "month"|"julian"|"day"
---@field day integer the weekday of "month", from 0; of "julian" from 1, without February 29; of "day" from 0
---@field month? integer
---@field week? integer 5: the last
---@field time integer seconds after midnight, may be less than 0 and more than a day

-- ---- the rule -----------------------------------------------------------------------------------

-- "[+-]hh[:mm[:ss]]" at a place -> seconds, the place after it.
local function read_time(text, at)
  local sign, hours, stop = text:match("^([+-]?)(%d+)()", at)
  if not sign or #hours > 3 then return nil end
  local seconds = math.tointeger(tonumber(hours)) * 3600
  for _, unit in ipairs { 60, 1 } do
    local digits, after = text:match("^:(%d%d)()", stop)
    if not digits then break end
    seconds, stop = seconds + math.tointeger(tonumber(digits)) * unit, after
  end
  return sign == "-" and -seconds or seconds, stop
end

local function read_name(text, at)
  return text:match("^<[%w+-]+>()", at) or text:match("^%a+()", at)
end

local function read_day(text, at)
  local day, stop
  local month, week, weekday, after = text:match("^M(%d+)%.(%d)%.(%d)()", at)
  if month then
    day, stop = { kind = "month", month = math.tointeger(tonumber(month)),
      week = math.tointeger(tonumber(week)), day = math.tointeger(tonumber(weekday)) }, after
    if day.month < 1 or day.month > 12 or day.week < 1 or day.week > 5 or day.day > 6 then return nil end
  else
    local letter, number, behind = text:match("^(J?)(%d+)()", at)
    if not letter or #number > 3 then return nil end
    day, stop = { kind = letter == "J" and "julian" or "day", day = math.tointeger(tonumber(number)) }, behind
  end
  day.time = 7200
  if text:sub(stop, stop) == "/" then
    day.time, stop = read_time(text, stop + 1)
    if not day.time then return nil end
  end
  return day, stop
end

--- Reads a rule.
---@param text string
---@return orrery.ZoneRule|nil
function tzif.rule(text)
  local at = read_name(text, 1)
  local west, summer
  if at then west, at = read_time(text, at) end
  if not west then return nil end
  local rule = { standard = -west }
  if at > #text then return rule end
  at = read_name(text, at)
  if not at then return nil end
  rule.summer = rule.standard + 3600
  if text:sub(at, at) ~= "," then
    summer, at = read_time(text, at)
    if not summer then return nil end
    rule.summer = -summer
  end
  if text:sub(at, at) ~= "," then return nil end
  rule.from, at = read_day(text, at + 1)
  if not rule.from or text:sub(at, at) ~= "," then return nil end
  rule.to, at = read_day(text, at + 1)
  if not rule.to or at <= #text then return nil end
  return rule
end

local function day_of(rule_day, year)
  if rule_day.kind == "day" then return date.days(year, 1, 1) + rule_day.day end
  if rule_day.kind == "julian" then
    local leap = date.length(year, 2) == 29 and rule_day.day >= 60
    return date.days(year, 1, 1) + rule_day.day - 1 + (leap and 1 or 0)
  end
  local first = date.days(year, rule_day.month, 1)
  local day = first + (rule_day.day - date.weekday(first)) % 7 + (rule_day.week - 1) * 7
  local length = date.length(year, rule_day.month)
  while day >= first + length do day = day - 7 end
  return day
end

--- The changes of the clock that a rule makes in a year: when, in seconds since 1970, and the
--- offset from then on, in their order.
---@param rule orrery.ZoneRule with `summer`
---@param year integer
---@return { at: integer, offset: integer }[]
function tzif.changes(rule, year)
  local from = { at = day_of(rule.from, year) * date.DAY + rule.from.time - rule.standard,
    offset = rule.summer }
  local to = { at = day_of(rule.to, year) * date.DAY + rule.to.time - rule.summer, offset = rule.standard }
  if from.at <= to.at then return { from, to } end
  return { to, from }
end

-- ---- the file -----------------------------------------------------------------------------------

local HEAD = ">c4 c1 c15 I4 I4 I4 I4 I4 I4"
local HEAD_SIZE = 44
local MOST = 1 << 20 -- bytes of a file

local function read_head(text, at)
  if #text < at + HEAD_SIZE - 1 then return nil end
  local magic, version, _, isut, isstd, leap, time, kind, char = string.unpack(HEAD, text, at)
  if magic ~= "TZif" then return nil end
  return { version = version, isut = isut, isstd = isstd, leap = leap, time = time, kind = kind, char = char }
end

local function size_of(head, wide)
  return head.time * (wide + 1) + head.kind * 6 + head.char + head.leap * (wide + 4) + head.isstd + head.isut
end

-- Seconds that were inserted before a time of a file that counts them.
local function inserted(leaps, time)
  local sum = 0
  for _, leap in ipairs(leaps) do
    if leap.at <= time then sum = leap.sum end
  end
  return sum
end

local function read_block(text, at, head, wide)
  local number = wide == 8 and ">i8" or ">i4"
  local times, offsets, leaps = {}, {}, {}
  local kinds = at + head.time * wide
  local types = kinds + head.time
  local after = types + head.kind * 6 + head.char
  for i = 1, head.leap do
    local place = after + (i - 1) * (wide + 4)
    leaps[i] = { at = string.unpack(number, text, place), sum = string.unpack(">i4", text, place + wide) }
  end
  local function offset_of(kind)
    if kind >= head.kind then return nil end
    return (string.unpack(">i4", text, types + kind * 6))
  end
  for i = 1, head.time do
    local time = string.unpack(number, text, at + (i - 1) * wide)
    times[i], offsets[i] = time - inserted(leaps, time), offset_of(text:byte(kinds + i - 1))
    if not offsets[i] or i > 1 and times[i] < times[i - 1] then return nil end
  end
  local first = offset_of(0)
  return first and { times = times, offsets = offsets, first = first }
end

---@class orrery.ZoneFile
---@field times integer[] when the clock was changed, seconds since 1970
---@field offsets integer[] the offset from then on, seconds from UTC
---@field first integer the offset before
---@field rule orrery.ZoneRule|nil for all times after the last of them

--- Reads the text of a file; nil where it is none, or is damaged.
---@param text string
---@return orrery.ZoneFile|nil
function tzif.read(text)
  local head = #text <= MOST and read_head(text, 1) or nil
  if not head or head.kind == 0 then return nil end
  if head.version == "\0" then
    if #text < HEAD_SIZE + size_of(head, 4) then return nil end
    return read_block(text, 1 + HEAD_SIZE, head, 4)
  end
  local second = 1 + HEAD_SIZE + size_of(head, 4)
  head = read_head(text, second)
  if not head or head.kind == 0 then return nil end
  local at = second + HEAD_SIZE
  local stop = at + size_of(head, 8)
  if #text < stop then return nil end
  local zone = read_block(text, at, head, 8)
  local footer = text:match("^\n([^\n]*)\n", stop)
  if not zone or not footer then return nil end
  if footer == "" then return zone end
  zone.rule = tzif.rule(footer)
  return zone.rule and zone
end

return tzif
