--- The times of a schedule: expressions or an interval, in a zone, between two ends, without those
--- that are excluded.
local cron = require "orrery.calendar.cron"
local date = require "orrery.calendar.date"
local duration = require "orrery.duration"
local errors = require "orrery.errors"
local moments = require "orrery.calendar.moments"
local wall = require "orrery.calendar.wall"
local zones = require "orrery.calendar.zone"

local DAY = date.DAY

---@class orrery.Times
---@field zone orrery.Zone
---@field private crons orrery.Cron[]|nil
---@field private every integer|nil seconds
---@field private anchor integer|nil
---@field private start integer|nil the first that may be
---@field private stop integer|nil the last
---@field private days { from: integer, to: integer }[] excluded
---@field private yearly table<integer, true> excluded: month * 32 + day
---@field private lines orrery.Cron[] excluded
local Times = {}
Times.__index = Times

local times = {}

--- The fields of a schedule that are about its times.
times.FIELDS = { "cron", "every", "anchor", "zone", "except", "start", "end" }

-- ---- reading ------------------------------------------------------------------------------------

---@class orrery.TimesReader
---@field made orrery.Times
---@field name string of the schedule
---@field problems { field: string, message: string }[]

local function say(r, field, message)
  r.problems[#r.problems + 1] = { field = field, message = message }
end

local function list_of(value) return type(value) == "table" and value or { value } end

local READ = {}

function READ.zone(r, value)
  local zone, message = zones.find(value)
  if zone then r.made.zone = zone else say(r, "zone", "zone: " .. message) end
end

function READ.cron(r, value)
  r.made.crons = {}
  if type(value) == "table" and #value == 0 then
    return say(r, "cron", "cron: expected an expression, \"30 2 * * *\", or a list of them")
  end
  for i, text in ipairs(list_of(value)) do
    local spec, problem = cron.parse(text, r.name)
    if spec then
      r.made.crons[i] = spec
    else
      say(r, type(value) == "table" and ("cron[%d]"):format(i) or "cron", problem.message)
    end
  end
end

function READ.every(r, value)
  local seconds, message = duration.parse(value)
  if not seconds then return say(r, "every", "every: " .. message) end
  r.made.every = math.tointeger(seconds)
  if not r.made.every or seconds < 1 then
    say(r, "every", "every: an interval is whole seconds, and at least one")
  end
end

local function instant(r, field, value)
  if math.type(value) == "integer" then return value end
  local at = type(value) == "string" and r.made.zone:parse(value)
  if at then return at end
  say(r, field, ('%s: expected a time, "2026-01-31" or "2026-01-31T09:30", in the zone of the schedule or '
    .. 'with an offset ("…Z"), got %s'):format(field, errors.show(value)))
end

function READ.anchor(r, value) r.made.anchor = instant(r, "anchor", value) end
function READ.start(r, value) r.made.start = instant(r, "start", value) end
READ["end"] = function(r, value) r.made.stop = instant(r, "end", value) end

local EXCEPT = 'expected a date ("2026-12-24"), dates ("2026-12-24/2027-01-02"), a day of each '
  .. 'year ("--12-25") or a cron line ("* * * * sun")'

local function day_of(text)
  local at = #text == 10 and date.parse(text)
  return at and at // DAY
end

local function read_excluded(r, text)
  local made = r.made
  local month, day = text:match "^%-%-(%d%d)%-(%d%d)$"
  if month then
    month, day = math.tointeger(tonumber(month)), math.tointeger(tonumber(day))
    if month < 1 or month > 12 or day < 1 or day > date.length(2024, month) then return EXCEPT end
    made.yearly[month * 32 + day] = true
    return nil
  end
  if text:find "^%d%d%d%d%-" then
    local first, last = text:match "^([^/]*)/(.*)$"
    local from, to = day_of(first or text), day_of(last or text)
    if not from or not to or from > to then return EXCEPT end
    made.days[#made.days + 1] = { from = from, to = to }
    return nil
  end
  local spec, problem = cron.parse(text, r.name)
  made.lines[#made.lines + 1] = spec
  return problem and problem.message
end

function READ.except(r, value)
  for i, text in ipairs(list_of(value)) do
    local wrong = EXCEPT .. ", got " .. errors.show(text)
    if type(text) == "string" then wrong = read_excluded(r, text) end
    if wrong then
      say(r, type(value) == "table" and ("except[%d]"):format(i) or "except", "except: " .. wrong)
    end
  end
end

local function check_kind(r, fields)
  if (fields.cron == nil) == (fields.every == nil) then
    say(r, "cron", 'a schedule has either cron = "30 2 * * *" or every = "15m"')
  end
  if fields.anchor ~= nil and fields.every == nil then
    say(r, "anchor", "anchor: only intervals (every = …) count from a time")
  end
end

--- Reads the fields that are about times.
---@param fields table
---@param name string of the schedule, from which H follows
---@return orrery.Times|nil
---@return { field: string, message: string }[]|nil problems
function times.read(fields, name)
  local made = setmetatable({ zone = zones.UTC, anchor = 0, days = {}, yearly = {}, lines = {} }, Times)
  local r = { made = made, name = name, problems = {} }
  check_kind(r, fields)
  if fields.zone ~= nil then READ.zone(r, fields.zone) end -- before what is told in it
  for _, field in ipairs(times.FIELDS) do
    if field ~= "zone" and fields[field] ~= nil then READ[field](r, fields[field]) end
  end
  if #r.problems > 0 then return nil, r.problems end
  if made.start and made.stop and made.start > made.stop then
    return nil, { { field = "end", message = "end: it is before start" } }
  end
  return made
end

-- ---- looking ------------------------------------------------------------------------------------

local MINUTES, HOURS = (1 << 60) - 1, (1 << 24) - 1

-- The seconds of the clock for which a line excludes all or nothing.
local function unit_of(spec)
  if spec.minute ~= MINUTES then return 60 end
  return spec.hour == HOURS and DAY or 3600
end

-- Whether a time is excluded: for how many seconds of the clock, which begin with a multiple of
-- them; nil: it is not.
local function excluded(self, shown)
  local day = shown // DAY
  for _, range in ipairs(self.days) do
    if day >= range.from and day <= range.to then return DAY end
  end
  if next(self.yearly) then
    local _, month, of_month = date.civil(day)
    if self.yearly[month * 32 + of_month] then return DAY end
  end
  for _, spec in ipairs(self.lines) do
    if wall.fits(spec, shown, true) then return unit_of(spec) end
  end
end

local function first_of(self, at, find, better)
  local best
  for _, spec in ipairs(self.crons) do
    local found = find(spec, self.zone, at)
    if found and (not best or better(found, best)) then best = found end
  end
  return best
end

local function is_less(a, b) return a < b end
local function is_more(a, b) return a > b end

local function next_of_all(self, at)
  if self.every then return self.anchor + ((math.floor(at) - self.anchor) // self.every + 1) * self.every end
  return first_of(self, at, moments.next, is_less)
end

local function prev_of_all(self, at)
  if self.every then return self.anchor + ((math.ceil(at) - self.anchor - 1) // self.every) * self.every end
  return first_of(self, at, moments.prev, is_more)
end

local MOST = 50000 -- times that are excluded, one after the other

--- The first time after one; nil: there is none.
---@param at number seconds since 1970
---@return integer|nil
function Times:next(at)
  if self.start and at < self.start then at = self.start - 1 end
  for _ = 1, MOST do
    at = next_of_all(self, at)
    if not at or self.stop and at > self.stop then return nil end
    local shown = math.floor(self.zone:wall(at))
    local unit = excluded(self, shown)
    if not unit then return at end
    at = math.max(at, self.zone:instant((shown // unit + 1) * unit) - 1)
  end
end

--- The last time before one; nil: there is none.
---@param at number
---@return integer|nil
function Times:prev(at)
  if self.stop and at > self.stop then at = self.stop + 1 end
  for _ = 1, MOST do
    at = prev_of_all(self, at)
    if not at or self.start and at < self.start then return nil end
    local shown = math.floor(self.zone:wall(at))
    local unit = excluded(self, shown)
    if not unit then return at end
    at = math.min(at, (self.zone:instant(shown // unit * unit)))
  end
end

--- How many times there are from one to another, both among them, at most `most`.
---@param from integer
---@param to integer
---@param most integer
---@return integer
function Times:count(from, to, most)
  local n, at = 0, from - 1
  while n < most do
    at = self:next(at)
    if not at or at > to then break end
    n = n + 1
  end
  return n
end

return times
