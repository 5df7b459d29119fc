--- Time zones of the system: which time the clocks show at an instant, and when they show a time.
---
--- Between two changes of the clock its offset from UTC is one number: a segment. A time that a
--- change skips stands for the moment of the change, one that comes twice for its first coming.
local date = require "orrery.calendar.date"
local tzif = require "orrery.calendar.tzif"

---@class orrery.Zone
---@field name string
---@field private file orrery.ZoneFile
---@field private years table<integer, table[]> the changes that the rule makes around a year
local Zone = {}
Zone.__index = Zone

local zone = {}

local BEGIN, NEVER = math.mininteger, math.maxinteger

-- ---- segments -----------------------------------------------------------------------------------

-- The changes of a rule in a year and those beside it, without those that change nothing.
local function around(self, year)
  local known = self.years[year]
  if known then return known end
  local all = {}
  for y = year - 1, year + 1 do
    for _, change in ipairs(tzif.changes(self.file.rule, y)) do
      local last = all[#all]
      if last and last.at >= change.at then all[#all] = change -- it was for no time at all
      else all[#all + 1] = change end
    end
  end
  if self.held > 64 then self.years, self.held = {}, 0 end
  self.years[year], self.held = all, self.held + 1
  return all
end

-- The segment of an instant for which the rule stands, which begins at `from` at the earliest.
local function by_rule(self, time, from)
  local rule = self.file.rule
  if not rule.summer then return rule.standard, from, NEVER end
  local year = date.civil((time + rule.standard) // date.DAY)
  local all = around(self, year)
  for i = #all, 1, -1 do
    if all[i].at <= time then
      return all[i].offset, math.max(from, all[i].at), all[i + 1] and all[i + 1].at or NEVER
    end
  end
  return rule.standard, from, all[1].at
end

-- How many of the listed changes are not after an instant.
local function count(times, time)
  local low, high = 0, #times
  while low < high do
    local middle = (low + high + 1) // 2
    if times[middle] <= time then low = middle else high = middle - 1 end
  end
  return low
end

--- The segment in which an instant lies.
---@param time integer seconds since 1970
---@return integer offset of its clock, seconds from UTC
---@return integer from its first second
---@return integer to the first second after it
function Zone:segment(time)
  local file = self.file
  local n = count(file.times, time)
  local from = n > 0 and file.times[n] or BEGIN
  if n == #file.times and file.rule then
    if n == 0 or file.rule.summer then return by_rule(self, time, from) end
  end
  return n > 0 and file.offsets[n] or file.first, from, file.times[n + 1] or NEVER
end

--- What the clock shows at an instant, in wall seconds.
---@param time number
---@return number wall
---@return integer offset
function Zone:wall(time)
  local offset = self:segment(math.floor(time))
  return time + offset, offset
end

local WIDEST = 30 * 3600 -- by which two offsets of a zone may differ

--- When the clock shows a time: the instant; where it comes twice the first, and where a change of
--- the clock skips it, the moment of the change.
---@param wall integer
---@return integer time
---@return boolean skipped
function Zone:instant(wall)
  local at = wall - WIDEST
  while true do
    local offset, _, to = self:segment(at)
    local time = wall - offset
    if time < at then return at, true end -- the segment begins later than that
    if time < to then return time, false end
    at = to
  end
end

--- An instant as a text, "2026-01-31T02:30:00+01:00".
---@param time number
---@return string
function Zone:text(time)
  local wall, offset = self:wall(time)
  return date.text(wall) .. date.offset(offset)
end

--- The instant that a text says, a time of this zone unless it says an offset; nil: it is none.
---@param text string as of `date.parse`
---@return integer|nil
function Zone:parse(text)
  local wall, offset = date.parse(text)
  if not wall then return nil end
  return offset and wall - offset or (self:instant(wall))
end

-- ---- finding them -------------------------------------------------------------------------------

local function make(name, file)
  return setmetatable({ name = name, file = file, years = {}, held = 0 }, Zone)
end

local UTC = make("UTC", { times = {}, offsets = {}, first = 0 })

local known = {} -- folder and name -> zone

local function folder()
  local own = os.getenv "TZDIR"
  return own and own ~= "" and own or "/usr/share/zoneinfo"
end

local function read_file(path)
  local file = io.open(path, "rb")
  local text = file and file:read((1 << 20) + 1) -- nil for a folder
  if file then file:close() end
  return text
end

-- A name cannot lead out of the folder.
local function is_name(name)
  if #name > 100 or not name:find "^[%w_+-][%w_+/-]*$" or name:find "//"
    or name:find "/$" then return false end
  return true
end

local function names()
  local list = {}
  for line in (read_file(folder() .. "/tzdata.zi") or ""):gmatch "[^\n]+" do
    local name = line:match "^Z (%S+)" or line:match "^L %S+ (%S+)"
    if name then list[#list + 1] = name end
  end
  return list
end

local function unknown(name)
  local nearest = require "orrery.nearest"(name, names())
  return nil, ("there is no time zone '%s' in %s%s"):format(name, folder(),
    nearest and ("; did you mean '%s'?"):format(nearest)
    or ': write a name such as "Europe/Berlin"; the package tzdata has them')
end

-- The zone of this machine: TZ, else /etc/localtime.
local function local_zone()
  local name = (os.getenv "TZ" or ""):gsub("^:", "")
  if name ~= "" and name ~= "local" then return zone.find(name) end
  local text = read_file "/etc/localtime"
  local file = text and tzif.read(text)
  return make("local", file or UTC.file)
end

--- The zone of a name, "Europe/Berlin", from the system's files; "local" is that of this machine,
--- and "UTC" needs no file.
---@param name string
---@return orrery.Zone|nil
---@return string|nil message
function zone.find(name)
  if name == "UTC" then return UTC end
  if name == "local" then return local_zone() end
  if type(name) ~= "string" or not is_name(name) then
    return nil, ('expected the name of a time zone, "Europe/Berlin", got %s'):format(
      require("orrery.errors").show(name))
  end
  local path = folder() .. "/" .. name
  if known[path] then return known[path] end
  local text = read_file(path)
  if not text then return unknown(name) end
  local file = tzif.read(text)
  if not file then return nil, ("the file %s is no time zone, or is damaged"):format(path) end
  known[path] = make(name, file)
  return known[path]
end

--- A zone of the text of its file, for tests.
---@param name string
---@param text string
---@return orrery.Zone|nil
function zone.of_text(name, text)
  local file = tzif.read(text)
  return file and make(name, file)
end

zone.UTC = UTC

return zone
