--- Dates in the form of ISO 8601 (RFC 3339): 2026-01-31, 2026-01-31T08:00:00Z.
local dates = {}

local LONGEST = 64 -- bytes of a date
local MONTHS = { jan = 1, feb = 2, mar = 3, apr = 4, may = 5, jun = 6, jul = 7, aug = 8, sep = 9, oct = 10,
  nov = 11, dec = 12 }
local FULL = { "january", "february", "march", "april", "may", "june", "july", "august", "september",
  "october",
  "november", "december" }
for month, name in ipairs(FULL) do MONTHS[name] = month end

-- ---- formats ------------------------------------------------------------------------------------

-- Parts of a format, the longer ones first, with what they take.
local PARTS = {
  { "YYYY", "year", "^%d%d%d%d" }, { "YY", "short_year", "^%d%d" },
  { "MMMM", "name", "^%a+" }, { "MMM", "name", "^%a%a%a" }, { "MM", "month", "^%d%d" },
  { "M", "month", "^%d%d?" },
  { "DD", "day", "^%d%d" }, { "D", "day", "^%d%d?" },
  { "hh", "hour", "^%d%d" }, { "h", "hour", "^%d%d?" }, { "mm", "minute", "^%d%d" }, { "ss", "second",
  "^%d%d" },
}

local function part_at(format, at)
  for _, part in ipairs(PARTS) do
    if format:sub(at, at + #part[1] - 1) == part[1] then return part end
  end
end

-- A list of parts and of texts between them.
local function parse(format)
  local list, at, has = {}, 1, {}
  while at <= #format do
    local part = part_at(format, at)
    list[#list + 1] = part or format:sub(at, at)
    if part then has[part[2]] = true end
    at = at + (part and #part[1] or 1)
  end
  if not ((has.year or has.short_year) and (has.month or has.name) and has.day) then
    return nil,
      ("%q is no format of a date; expected one such as DD.MM.YYYY, of YYYY YY MMMM MMM MM M DD D hh "
      .. "h mm ss"):format(format)
  end
  return list
end

--- Reads formats, separated by "|".
---@param text string|nil
---@return table|nil formats
---@return string|nil mistake
function dates.formats(text)
  local formats = {}
  for format in (text or ""):gmatch "[^|]+" do
    local parsed, mistake = parse(format)
    if not parsed then return nil, mistake end
    formats[#formats + 1] = parsed
  end
  return formats
end

local function match(text, format)
  local found, at = {}, 1
  for _, part in ipairs(format) do
    local piece
    if type(part) == "string" then
      piece = text:sub(at, at) == part and part
    else
      piece = text:match(part[3], at)
      found[part[2]] = piece
    end
    if not piece then return nil end
    at = at + #piece
  end
  return at == #text + 1 and found or nil
end

-- ---- dates --------------------------------------------------------------------------------------

local function days_of(year, month)
  if month == 2 then return (year % 4 == 0 and year % 100 ~= 0 or year % 400 == 0) and 29 or 28 end
  return (month == 4 or month == 6 or month == 9 or month == 11) and 30 or 31
end

-- Years of two digits as strptime of POSIX has them.
local function full_year(found)
  if found.year then return tonumber(found.year) end
  local year = tonumber(found.short_year)
  return year + (year < 69 and 2000 or 1900)
end

-- Days since 1970-01-01; years are taken to begin in March, so that a leap day is a year's last.
local function days_since_epoch(year, month, day)
  if month <= 2 then year, month = year - 1, month + 12 end
  return 365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day - 1 - 719468
end

local function in_utc(at, fraction, zone)
  local seconds = days_since_epoch(at.year, at.month,
    at.day) * 86400 + at.hour * 3600 + at.minute * 60 + at.second
  local sign, hours, minutes = zone:match "^([+-])(%d%d):?(%d%d)$"
  if sign then seconds = seconds - tonumber(sign .. 1) * (tonumber(hours) * 3600 + tonumber(minutes) * 60) end
  return os.date("!%Y-%m-%dT%H:%M:%S", seconds) .. fraction .. "Z"
end

-- The date that was found in a text, checked; nil where there is no such day or time.
local function normal(found, fraction, zone)
  local at = { year = full_year(found), month = tonumber(found.month or MONTHS[(found.name or ""):lower()]),
    day = tonumber(found.day), hour = tonumber(found.hour or 0), minute = tonumber(found.minute or 0),
    second = tonumber(found.second or 0) }
  local good = at.month and at.month >= 1 and at.month <= 12 and at.day >= 1
    and at.day <= days_of(at.year, at.month) and at.hour < 24 and at.minute < 60 and at.second < 60
  if not good then return nil end
  if zone ~= "" and at.year >= 1000 then return in_utc(at, fraction, zone) end
  local date = ("%04d-%02d-%02d"):format(at.year, at.month, at.day)
  if not found.hour then return date end
  return date .. ("T%02d:%02d:%02d"):format(at.hour, at.minute, at.second) .. fraction .. zone
end

local ISO_DATE = parse "YYYY-MM-DD"
local ISO_TIME, ISO_MINUTE = parse "YYYY-MM-DDThh:mm:ss", parse "YYYY-MM-DDThh:mm"

-- ISO 8601, with a blank for the T as well.
local function iso(text)
  local found = match(text, ISO_DATE)
  if found then return normal(found, "", "") end
  text = text:gsub("^(%d%d%d%d%-%d%d%-%d%d)[ t](%d)", "%1T%2"):gsub("z$", "Z")
  local head, zone = text:match "^(.-)([+-]%d%d:?%d%d)$"
  if not head then head, zone = text:match "^(.-)(Z?)$" end
  local whole, fraction = head:match "^([^.]*)(%.?%d*)$"
  found = whole and (match(whole, ISO_TIME) or fraction == "" and match(whole, ISO_MINUTE))
  return found and fraction ~= "." and normal(found, fraction, zone) or nil
end

--- A date in the form of ISO 8601, in UTC where it names a zone.
---@param text string in that form, or in one of the formats
---@param formats table
---@return string|nil date
---@return string|nil reason
function dates.normal(text, formats)
  text = text:match "^%s*(.*%S)" or ""
  if #text <= LONGEST then
    local date = iso(text)
    for i = 1, #formats do
      if date then break end
      local found = match(text, formats[i])
      date = found and normal(found, "", "")
    end
    if date then return date end
  end
  return nil, "it is no date"
end

return dates
