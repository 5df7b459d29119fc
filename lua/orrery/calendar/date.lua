--- Dates of the Gregorian calendar as numbers: days since 1970-01-01, and seconds since then on
--- some clock ("wall" seconds, which know of no zone).
local date = {}

local DAY = 86400
date.DAY = DAY

--- The number of a day in the proleptic Gregorian calendar (Howard Hinnant, "chrono-compatible
--- low-level date algorithms"). Months and days outside their range carry over.
---@param year integer
---@param month integer
---@param day integer
---@return integer days since 1970-01-01
function date.days(year, month, day)
  year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
  if month <= 2 then year, month = year - 1, month + 12 end
  local era, of_era = year // 400, year % 400
  local of_year = (153 * (month - 3) + 2) // 5 + day - 1
  return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468
end

--- The date of a day.
---@param days integer
---@return integer year
---@return integer month
---@return integer day
function date.civil(days)
  days = days + 719468
  local era, of_era = days // 146097, days % 146097
  local year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
  local of_year = of_era - (365 * year + year // 4 - year // 100)
  local month = (5 * of_year + 2) // 153
  local day = of_year - (153 * month + 2) // 5 + 1
  month = month < 10 and month + 3 or month - 9
  return year + era * 400 + (month <= 2 and 1 or 0), month, day
end

--- The weekday of a day: 0 is Sunday.
---@param days integer
---@return integer
function date.weekday(days) return (days + 4) % 7 end

--- How many days a month has.
---@param year integer
---@param month integer
---@return integer
function date.length(year, month) return date.days(year, month + 1, 1) - date.days(year, month, 1) end

--- Wall seconds as a text, "2026-01-31T02:30:00".
---@param wall number with a fraction as milliseconds, where it has one
---@return string
function date.text(wall)
  local whole = math.floor(wall)
  local year, month, day = date.civil(whole // DAY)
  local of_day = whole % DAY
  local ms = math.floor((wall - whole) * 1000)
  return ("%04d-%02d-%02dT%02d:%02d:%02d%s"):format(year, month, day, of_day // 3600, of_day // 60 % 60,
    of_day % 60, ms > 0 and (".%03d"):format(ms) or "")
end

--- An offset from UTC as a text: "Z", "+01:00".
---@param offset integer seconds
---@return string
function date.offset(offset)
  if offset == 0 then return "Z" end
  local size = math.abs(offset)
  local text = ("%s%02d:%02d"):format(offset < 0 and "-" or "+", size // 3600, size // 60 % 60)
  return size % 60 == 0 and text or ("%s:%02d"):format(text, size % 60)
end

local function whole(text) return text and text ~= "" and math.tointeger(tonumber(text)) or 0 end

local function offset_of(text)
  if text:find "^[zZ]$" then return 0 end
  local sign, hours, minutes = text:match "^([+-])(%d%d):?(%d%d)$"
  if not sign then return nil end
  return (whole(hours) * 3600 + whole(minutes) * 60) * (sign == "-" and -1 or 1)
end

--- Reads "2026-01-31", "2026-01-31 02:30", "2026-01-31T02:30:00Z" or with an offset, "+01:00".
---@param text string
---@return integer|nil wall
---@return integer|nil offset where the text says one
function date.parse(text)
  local y, m, d, rest = text:match "^(%d%d%d%d)%-(%d%d)%-(%d%d)(.*)$"
  local year, month, day = whole(y), whole(m), whole(d)
  if not y or month < 1 or month > 12 or day < 1 or day > date.length(year, month) then return nil end
  local wall = date.days(year, month, day) * DAY
  if rest == "" then return wall end
  local hour, minute, second, zone = rest:match "^[T ](%d%d):(%d%d):(%d%d)(.*)$"
  if not hour then hour, minute, zone = rest:match "^[T ](%d%d):(%d%d)(.*)$" end
  if not hour or whole(hour) > 23 or whole(minute) > 59 or whole(second) > 59 then return nil end
  wall = wall + whole(hour) * 3600 + whole(minute) * 60 + whole(second)
  if zone == "" then return wall end
  local offset = offset_of(zone)
  if offset then return wall, offset end
  return nil
end

return date
