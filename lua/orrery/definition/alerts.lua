--- What a trigger `flow.alert { on, … }` may say: what it is about, and its limit.
local duration = require "orrery.duration"
local errors = require "orrery.errors"

local alerts = {}

---@class orrery.AlertLimit
---@field share? number from 0 to 1: of the runs, or of the disk that is free
---@field count? integer runs, times, or bytes
---@field seconds? number
---@field percentile? number of the durations before the window
---@field factor? number that one of these is multiplied by

--- What it may be about.
alerts.ON = { "failures", "slow", "skipped", "stalled", "disk" }

local function share(text)
  local n = type(text) == "string" and tonumber(text:match "^([%d.]+)%s*%%$")
  return n and n > 0 and n <= 100 and { share = n / 100 } or nil
end

local function count(value)
  return math.type(value) == "integer" and value >= 1 and { count = value } or nil
end

local function seconds(value)
  local n = duration.parse(value)
  return n and n > 0 and { seconds = n } or nil
end

-- "p95", or "2 p95": twice that.
local function percentile(value)
  if type(value) ~= "string" then return nil end
  local factor, p = value:match "^([%d.]*)%s*p(%d%d?)$"
  factor, p = factor and (factor == "" and 1 or tonumber(factor)), tonumber(p)
  return factor and factor > 0 and p > 0 and { percentile = p / 100, factor = factor } or nil
end

-- on -> its limit where none is given (nil: it has to be), how it may be written, in words, and
-- what tells it which runs it is about.
local OF = {
  failures = { limit = 1, read = { count, share }, words = 'a number of runs, or a share of them, "20%"',
    of = "workflow" },
  slow = { read = { seconds, percentile },
    words = 'a duration, "10m", or one of the runs before, "2 p95": twice what 95 of 100 stay below',
    of = "workflow" },
  skipped = { limit = 1, read = { count }, words = "a number of times", of = "schedule" },
  stalled = { limit = "10m", read = { seconds }, words = 'a duration, "10m"', of = "workflow" },
  disk = { limit = "10%", read = { share, count },
    words = 'a share that is free, "10%", or a number of bytes' },
}

local function read_limit(kind, value)
  for _, read in ipairs(kind.read) do
    local limit = read(value)
    if limit then return limit end
  end
end

local function check_about(made, kind, fields, say)
  for _, field in ipairs { "workflow", "schedule" } do
    if fields[field] ~= nil and kind.of ~= field then
      say(field, "bad_value", ("%s: an alert on %s is not about one"):format(field, made.on))
    end
  end
  if kind.of == "workflow" and fields.workflow == nil then
    say("workflow", "missing", ("an alert on %s needs workflow"):format(made.on))
  end
end

local HOUR, LOOK = 3600, 30

--- Reads what depends on what the alert is about, and fills in what is left out.
---@param made orrery.Trigger
---@param fields table as it was written
---@param say fun(field: string, kind: string, message: string)
function alerts.read(made, fields, say)
  local own = made.id:match "^(.*):"
  made.about, made.workflow = fields.workflow, own
  made.window, made.every, made.least = made.window or HOUR, made.every or LOOK, made.least or 1
  if made.every < 1 then say("every", "bad_value", "every: expected a second or more") end
  local kind = OF[made.on]
  if not kind then return end -- told already
  check_about(made, kind, fields, say)
  if fields.workflow == own then
    say("workflow", "bad_value", "workflow: its own runs tell of others; watch them by another workflow")
  end
  local value = fields.limit
  if value == nil then value = kind.limit end
  if value == nil then return say("limit", "missing", ("an alert on %s needs limit"):format(made.on)) end
  made.limit = read_limit(kind, value)
  if not made.limit then
    say("limit", "bad_value", ("limit: of %s it is %s; got %s"):format(made.on, kind.words,
      errors.show(value)))
  end
end

return alerts
