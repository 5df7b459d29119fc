--- Cron expressions: from the text to sets of numbers. Five fields, or six with the seconds first:
---
---   second minute hour day-of-month month weekday
---
--- An item is `*`, a value, a range, each with `/step`, or `H` (a value that follows from the name
--- of the schedule). Days of the month also have `L`, `L-3`, `15W`, `LW`; weekdays `5L`, `fri#2`.
--- Which days they are follows from a month's length and its first weekday. Every part of a text is
--- looked at once, and a text is short.
local errors = require "orrery.errors"
local hash = require "orrery.calendar.hash"

local cron = {}

---@class orrery.Cron
---@field text string
---@field second integer a set: bit n stands for n
---@field minute integer
---@field hour integer
---@field month integer
---@field days orrery.CronDays
---@field elapsed boolean hours, minutes or seconds begin with *: it follows the time that passes, not the clock
---@field months table<integer, integer> days of a month, by its length and first weekday

---@class orrery.CronDays what is said of days
---@field any_day boolean every day of the month is good
---@field any_weekday boolean
---@field days integer
---@field weekdays integer
---@field from_end integer[] days before the last
---@field to_end { from: integer, step: integer }[] from a day to the last
---@field nearest (integer|"L")[] the workday next to a day
---@field nth { day: integer, n: integer }[] the n-th such weekday, 0: the last

local LONGEST = 256 -- bytes

local function numbered(words, from)
  local names, i = {}, from
  for word in words:gmatch "%S+" do names[word], i = i, i + 1 end
  return names
end

-- `wraps`: a range may go on from the beginning. `hashed`: where H may fall, if not everywhere.
local FIELDS = {
  { name = "second", what = "a second, 0-59", low = 0, high = 59 },
  { name = "minute", what = "a minute, 0-59", low = 0, high = 59 },
  { name = "hour", what = "an hour, 0-23", low = 0, high = 23, wraps = 24 },
  { name = "day of the month", what = "a day of the month, 1-31", low = 1, high = 31, hashed = 28,
    is_day = true },
  { name = "month", what = "a month, 1-12 or jan-dec", low = 1, high = 12, wraps = 12,
    names = numbered("jan feb mar apr may jun jul aug sep oct nov dec", 1) },
  { name = "weekday", what = "a weekday, 0-7 (0 and 7 are Sunday) or sun-sat", low = 0, high = 7, last = 6,
    wraps = 7, hashed = 6, names = numbered("sun mon tue wed thu fri sat", 0), is_weekday = true },
}

local MACROS = {
  ["@yearly"] = "0 0 1 1 *", ["@annually"] = "0 0 1 1 *", ["@monthly"] = "0 0 1 * *",
  ["@weekly"] = "0 0 * * 0", ["@daily"] = "0 0 * * *", ["@midnight"] = "0 0 * * *", ["@hourly"] = "0 * * * *",
}

-- ---- reading ------------------------------------------------------------------------------------

---@class orrery.CronReader
---@field text string
---@field name string of the schedule

local function fail(r, at, message)
  error({ column = at, message = ('cron "%s", column %d: %s'):format(r.text, at, message) }, 0)
end

local function read_value(r, f, text, at)
  local n = text:find "^%d%d?%d?%d?$" and math.tointeger(tonumber(text)) or f.names and f.names[text:lower()]
  if not n then
    fail(r, at, ("expected %s, got '%s'%s"):format(f.what, text,
      f.names and errors.did_you_mean(text:lower(), f.names) or ""))
  end
  if n < f.low or n > f.high then fail(r, at, ("%d is no %s; expected %s"):format(n, f.name, f.what)) end
  return n
end

local function read_step(r, f, text, at, span)
  local n = text:find "^%d+$" and #text <= 4 and math.tointeger(tonumber(text))
  if not n or n == 0 then
    fail(r, at, ("a step is a whole number of at least 1, got '%s'"):format(text))
  end
  if n > span + 1 then
    fail(r, at, ('a step of %d leads out of these %ss at once; write a single value, or every = "…" for a '
      .. "time that is no part of an hour, day or month"):format(n, f.name))
  end
  return n
end

-- The values from one to another, which may go on from the beginning.
local function range_of(r, f, from, to, step, at)
  local count = to - from
  if count < 0 then
    if not f.wraps then
      fail(r, at, ("the range %d-%d goes backwards; write the lower %s first"):format(from, to, f.name))
    end
    count = count % f.wraps
  end
  local set = 0
  for i = 0, count, step do
    local value = from + i
    if f.wraps and value > (f.last or f.high) then value = value - f.wraps end
    set = set | 1 << value
  end
  return set
end

-- H, H(10-20), either with a step.
local function read_hashed(r, f, body, step, at)
  local low, high = f.low, f.hashed or f.high
  local from, to = body:match "^[Hh]%((%w+)%-(%w+)%)$"
  if from then
    low, high = read_value(r, f, from, at + 2), read_value(r, f, to, at + 3 + #from)
    if low > high then fail(r, at, "the range of H goes backwards; write the lower value first") end
  elseif #body > 1 then
    fail(r, at, ("expected H, or H(from-to), got '%s'"):format(body))
  end
  local n = hash(r.name .. " " .. f.name)
  if not step then return 1 << (low + n % (high - low + 1)) end
  local every = read_step(r, f, step, at + #body + 1, high - low)
  return range_of(r, f, low + n % every, high, every, at)
end

-- A value, a range or a star, with a step or without one: a set.
local function read_set(r, f, body, step, at)
  local last = f.last or f.high
  if body:find "^[Hh]$" or body:find "^[Hh]%(" then return read_hashed(r, f, body, step, at) end
  local from, to
  if body == "*" or body == "?" then
    from, to = f.low, last
  else
    local a, b = body:match "^([^-]+)%-([^-]+)$"
    from = read_value(r, f, a or body, at)
    to = b and read_value(r, f, b, at + #a + 1) or step and math.max(last, from) or from
  end
  local every = step and read_step(r, f, step, at + #body + 1, last - f.low) or 1
  return range_of(r, f, from, to, every, at)
end

-- What only days of the month have. True: it was such an item.
local function read_day(r, f, body, step, at, days)
  local upper = body:upper()
  local back = upper:match "^L%-(%d%d?)$"
  if upper == "L" or back then
    if step then fail(r, at + #body, "L is one day and has no step") end
    local n = math.tointeger(tonumber(back or "0"))
    if n > 30 then fail(r, at + 2, "L-n goes back from the last day of the month by at most 30") end
    days.from_end[#days.from_end + 1] = n
    return true
  end
  local number = upper:match "^(%w+)W$"
  if number then
    if step then fail(r, at + #body, "W is one day and has no step") end
    days.nearest[#days.nearest + 1] = number == "L" and "L" or read_value(r, f, number, at)
    return true
  end
  local from = upper:match "^(%d%d?)%-L$"
  if from then
    days.to_end[#days.to_end + 1] = { from = read_value(r, f, from, at),
      step = step and read_step(r, f, step, at + #body + 1, 30) or 1 }
    return true
  end
  return false
end

-- What only weekdays have: fri#2, 5L, mon-fri#L.
local function read_weekday(r, f, body, step, at, days)
  local base, n = body:match "^(.-)#(.*)$"
  if not base and body:find "[%w][Ll]$" and not f.names[body:lower()] then base, n = body:sub(1, -2), "L" end
  if not base then
    if body:find "^[Ll]%w*$" then
      fail(r, at, "L stands behind a weekday: 5L is the last Friday of the month")
    end
    return false
  end
  if step then fail(r, at + #body, "the n-th weekday of a month has no step") end
  if not n:find "^[1-5Ll]$" then
    fail(r, at + #base, ("expected which one of the month, #1 to #5 or #L for the last, got '#%s'"):format(n))
  end
  local set = read_set(r, f, base, nil, at)
  for day = 0, 6 do
    if set >> day & 1 == 1 then
      days.nth[#days.nth + 1] = { day = day, n = math.tointeger(tonumber(n)) or 0 }
    end
  end
  return true
end

local function read_item(r, f, piece, at, days)
  if piece == "" then fail(r, at, ("expected %s, got nothing"):format(f.what)) end
  local body, step = piece:match "^([^/]*)/(.*)$"
  body = body or piece
  if f.is_day and read_day(r, f, body, step, at, days) then return 0 end
  if f.is_weekday and read_weekday(r, f, body, step, at, days) then return 0 end
  return read_set(r, f, body, step, at)
end

-- A field: a list of items with commas between them.
local function read_field(r, f, word, at, days)
  local set = 0
  for start, piece in (word .. ","):gmatch "()([^,]*)," do
    set = set | read_item(r, f, piece, at + start - 1, days)
  end
  return set
end

local function split(r)
  local words = {}
  for at, word in r.text:gmatch "()(%S+)" do words[#words + 1] = { at = at, word = word } end
  local first = words[1] and words[1].word or ""
  local zone = first:match "^C?R?O?N?_?TZ=(.*)$"
  if zone then fail(r, 1, ('the zone stands beside the expression: zone = "%s"'):format(zone)) end
  if #words ~= 5 and #words ~= 6 then
    fail(r, words[7] and words[7].at or #r.text + 1,
      ("expected five fields (minute, hour, day of the month, month, weekday), or six with the "
      .. "second first, got %d")
      :format(#words))
  end
  if #words == 5 then table.insert(words, 1, { at = 1, word = "0" }) end
  return words
end

local function expand_macro(r)
  local word = r.text:match "^%s*(@%S*)"
  if not word then return end
  local meant = MACROS[word:lower()]
  if meant then
    r.text = meant
  elseif word == "@every" then
    fail(r, 1, 'intervals are no part of an expression; write every = "15m"')
  elseif word == "@reboot" then
    fail(r, 1, "@reboot is no time; start what is to run once with the program itself")
  else
    fail(r, 1, ("there is no '%s'%s"):format(word, errors.suggest(word:lower(), MACROS)))
  end
end

local STARS = { [1] = true, [2] = true, [3] = true } -- fields whose * has it follow the time that passes

local function read(r)
  expand_macro(r)
  local words = split(r)
  local days = { from_end = {}, to_end = {}, nearest = {}, nth = {} }
  local sets, elapsed = {}, false
  for i, f in ipairs(FIELDS) do
    local word = words[i].word
    sets[i] = read_field(r, f, word, words[i].at, days)
    if STARS[i] and word:find "^[*?]" then elapsed = true end
  end
  days.days, days.weekdays = sets[4], sets[6]
  days.any_day, days.any_weekday = words[4].word:find "^[*?]$" ~= nil, words[6].word:find "^[*?]$" ~= nil
  return { second = sets[1], minute = sets[2], hour = sets[3], month = sets[5], days = days,
    elapsed = elapsed,
    months = {} }
end

--- Reads an expression.
---@param text string
---@param name? string of the schedule: what H follows from
---@return orrery.Cron|nil
---@return { message: string, column: integer }|nil problem
function cron.parse(text, name)
  if type(text) ~= "string" then
    return nil, { column = 1, message = "cron: expected an expression, \"30 2 * * *\", got "
      .. errors.show(text) }
  end
  if #text > LONGEST or text:find "[%c\x80-\xff]" then
    return nil, { column = 1,
      message = ("cron: an expression has at most %d bytes of plain text"):format(LONGEST) }
  end
  local r = { text = text, name = name or "" }
  local ok, result = pcall(read, r)
  if not ok then
    if type(result) == "table" then return nil, result end
    error(result, 0)
  end
  result.text = text
  if not require("orrery.calendar.wall").next(result, 0) then
    return nil, { column = 1,
      message = ('cron "%s": no day of any year fits; look at day and month'):format(text) }
  end
  return result
end

return cron
