--- What a server measures, gathered when somebody asks. Counts of runs are the engine's own
--- (`rt:tally`); what only the store knows is read by the thread of the reads, at most once in five
--- seconds. No label holds what has no bound: of workflows, pools and breakers 100 have samples of
--- their own and all others share the name `other`.
local core = require "orrery.core"
local families = require "orrery.serve.metrics.families"
local text = require "orrery.serve.metrics.text"
local uv = require "luv"

---@class orrery.serve.Gathered what families take their values from
---@field tally table of `rt:tally`
---@field pools table[]
---@field breakers { name: string, state: string }[]
---@field kept { runs: table[], bytes: table<string, integer> }

---@class orrery.serve.Metrics
local Metrics = {}
Metrics.__index = Metrics

local metrics = {}

local MOST = 100
local KEPT = 5000 -- ms that what the store says is good

--- Begins to measure a host.
---@param host orrery.serve.Host
---@return orrery.serve.Metrics
function metrics.new(host)
  local bounds = host.rt:tally().bounds
  return setmetatable({ host = host, started = core.time(), bounds = bounds, routes = {},
    kept = { runs = {}, bytes = {} }, kept_at = -KEPT }, Metrics)
end

-- ---- requests -----------------------------------------------------------------------------------

local function new_route(bounds)
  local histogram = { sum = 0.0 }
  for i = 1, #bounds + 1 do histogram[i] = 0 end
  return { codes = {}, histogram = histogram }
end

--- Counts a request that was answered. Routes are those of the table, so they have a bound.
---@param row orrery.serve.Route|nil nil: it found none
---@param status integer
---@param seconds number
function Metrics:answered(row, status, seconds)
  local name = row and row.does or "none"
  local route = self.routes[name]
  if not route then
    route = new_route(self.bounds)
    self.routes[name] = route
  end
  route.codes[status] = (route.codes[status] or 0) + 1
  if row and row.streams then return end
  local h, i = route.histogram, 1
  while self.bounds[i] and seconds > self.bounds[i] do i = i + 1 end
  h[i], h.sum = h[i] + 1, h.sum + seconds
end

local function sorted_keys(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

local function requests_of(self)
  local requests, latencies = {}, {}
  for _, name in ipairs(sorted_keys(self.routes)) do
    local route, timed = self.routes[name], 0
    for _, code in ipairs(sorted_keys(route.codes)) do
      requests[#requests + 1] = { route = name, code = tostring(code), n = route.codes[code] }
    end
    for _, n in ipairs(route.histogram) do timed = timed + n end
    if timed > 0 then latencies[#latencies + 1] = { route = name, histogram = route.histogram } end
  end
  return requests, latencies
end

-- ---- bounded lists ------------------------------------------------------------------------------

-- Rows with one name are added up; those behind the first so many are `other`.
local function bounded(rows, field, sums)
  local by, order = {}, {}
  table.sort(rows, function(a, b) return a[field] < b[field] end)
  for _, row in ipairs(rows) do
    local name = row[field]
    if not by[name] and #order >= MOST then name = "other" end
    local into = by[name]
    if not into then
      into = { [field] = name }
      by[name], order[#order + 1] = into, into
    end
    for _, key in ipairs(sums) do
      local value = row[key]
      if type(value) == "boolean" then into[key] = into[key] or value
      else into[key] = (into[key] or 0) + (value or 0) end
    end
  end
  return order
end

local POOL = { "max", "used", "waiting", "paused" }
local ENDS = { "unfinished", "completed", "failed", "cancelled", "compensated", "compensation_failed" }

-- The state of a breaker is no sum, so those above the bound are left out.
local function breakers_of(states)
  local list = {}
  for i, name in ipairs(sorted_keys(states)) do
    if i <= MOST then list[i] = { name = name, state = states[name] } end
  end
  return list
end

-- ---- the store ----------------------------------------------------------------------------------

local function size(path)
  local stat = path and uv.fs_stat(path)
  return stat and stat.size or 0
end

--- What the store knows; for the thread of the reads.
---@param db orrery.Store
---@return table
function metrics.read(db)
  return { runs = bounded(require("orrery.history.statistics").workflows(db), "workflow", ENDS),
    bytes = { tables = size(db.path), log = size(db.path and db.path .. "-wal") } }
end

-- Those who ask at once have one look done for them all.
local function kept_of(self)
  if uv.now() - self.kept_at < KEPT then return self.kept end
  self.kept_at = uv.now()
  local ok, found = pcall(self.host.reads.value, self.host.reads, "orrery.serve.metrics", "read")
  if ok then self.kept = found end -- else what was known is shown: the counters are still right
  return self.kept
end

-- ---- all of it ----------------------------------------------------------------------------------

-- Of states only those in which something is not over.
local OVER = { completed = true, failed = true, skipped = true, cancelled = true, compensated = true,
  compensation_failed = true }

local function live_of(tally)
  local made = { runs = {}, nodes = {} }
  for what, states in pairs(made) do
    for state, n in pairs(tally[what]) do
      if not OVER[state] then states[state] = n end
    end
  end
  return made
end

---@return orrery.serve.Gathered
local function gather(self)
  local host, kept = self.host, kept_of(self)
  local tally = host.rt:tally()
  local count = host.ticker and host.ticker.count or { started = 0, late = 0.0, skipped = {} }
  local requests, latencies = requests_of(self)
  return { tally = tally, live = live_of(tally), bounds = self.bounds, kept = kept,
    build = { [require "orrery.version"] = 1 }, host = { started = self.started },
    pools = bounded(tally.pools, "name", POOL), breakers = breakers_of(tally.breakers),
    workers = host.rt:workers(), store = host.store:figures(), schedules = count,
    http = host.server and host.server:stats(), requests = requests, latencies = latencies }
end

--- The metrics as text, and its media type. May wait.
---@param accept string|nil header of the request
---@return string body
---@return string type
function Metrics:text(accept)
  local open = text.wants_open(accept)
  return text.write(families.ALL, gather(self), open), open and text.OPEN or text.CLASSIC
end

return metrics
