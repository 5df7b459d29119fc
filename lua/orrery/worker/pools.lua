--- The workers of each runtime: how many there may be, and the pool once it is needed.
local core = require "orrery.core"
local errors = require "orrery.errors"

local pools = {}

---@class orrery.WorkerOptions
---@field min? integer threads that stay (0)
---@field max? integer threads at most (the number of processors)
---@field memory? integer bytes of a worker's Lua state (1 GiB)
---@field idle? number seconds without a job after which a thread ends (10)

local given = setmetatable({}, { __mode = "k" }) -- runtime -> options
local made = setmetatable({}, { __mode = "k" })  -- runtime -> pool

local KNOWN = { min = "integer", max = "integer", memory = "integer", idle = "number" }

local function check(options)
  if type(options) ~= "table" then
    error("flow.runtime: workers: expected a table { min, max }, got " .. errors.show(options), 4)
  end
  for key, value in pairs(options) do
    if not KNOWN[key] then
      error(("flow.runtime: workers: unknown field %s%s"):format(errors.show(key),
        errors.suggest(key, { "min", "max", "memory", "idle" })), 4)
    end
    local good = KNOWN[key] == "integer" and math.type(value) == "integer" or KNOWN[key] == "number"
      and type(value) == "number"
    if not good or value < 0 then
      error(("flow.runtime: workers.%s: expected a number from 0 on, got %s"):format(key,
        errors.show(value)), 4)
    end
  end
  local most = options.max or require("luv").available_parallelism()
  if most < 1 or (options.min or 0) > most then
    error(("flow.runtime: workers: expected at least one thread, and min (%d) up to max (%d)")
      :format(options.min or 0, most), 4)
  end
end

--- Says how many workers a runtime may have, before it has any.
---@param rt orrery.Runtime
---@param options orrery.WorkerOptions
function pools.set(rt, options)
  check(options)
  given[rt] = options
end

local numbers = setmetatable({}, { __mode = "k" }) -- runtime -> of its pool, in this process
local n_pools = 0

--- The workers of a runtime.
---@param rt orrery.Runtime
---@return userdata
function pools.of(rt)
  local pool = made[rt]
  if pool then return pool end
  local o = given[rt] or {}
  pool = core.workers { min = o.min or 0, max = o.max or require("luv").available_parallelism(),
    budget = o.memory or 1 << 30, patience = o.idle or 10 }
  n_pools = n_pools + 1
  made[rt], numbers[rt] = pool, n_pools
  return pool
end

--- Ends the workers of a runtime that is closed.
---@param rt orrery.Runtime
function pools.close(rt)
  local pool = made[rt]
  made[rt] = nil
  if pool then pool:close() end
end

local function share(part, whole) return whole > 0 and part / whole or nil end

---@class orrery.WorkerFigures
---@field number integer
---@field live integer handlers that it has, most of which wait
---@field done integer handlers that ended well
---@field failed integer
---@field success number|nil the share of those that ended well; nil before the first
---@field busy number seconds of processor time
---@field age number seconds
---@field utilisation number busy / age

---@class orrery.WorkersFigures
---@field min integer
---@field max integer
---@field threads integer
---@field most_threads integer
---@field started integer threads, since the first
---@field queued integer handlers in line
---@field live integer handlers in line or with a worker
---@field done integer
---@field failed integer
---@field success number|nil
---@field workers orrery.WorkerFigures[]

--- What the workers of a runtime have done and do. Nothing where there are none yet.
---@param rt orrery.Runtime
---@return orrery.WorkersFigures|nil
function pools.stats(rt)
  local stats = made[rt] and made[rt]:stats()
  if not stats then return nil end
  stats.success = share(stats.done, stats.done + stats.failed)
  for _, one in ipairs(stats.workers) do
    one.success = share(one.done, one.done + one.failed)
    one.utilisation = share(one.busy, one.age) or 0
  end
  return stats
end

local EVERY = 1 -- seconds between two reports to a store
local reported = setmetatable({}, { __mode = "k" }) -- runtime -> when, and of how many ended handlers

--- Tells the store of a runtime what its workers have done, where that is new.
---@param rt orrery.Runtime
---@param over boolean a run is over: there may be no later moment for it
---@return boolean busy whether they do something
function pools.report(rt, over)
  local stats, last, now = pools.stats(rt), reported[rt] or { time = 0 }, core.time()
  if not stats then return false end
  local ended, busy = stats.done + stats.failed, stats.live > 0
  local is_new = busy or last.ended ~= ended
  if is_new and (over or now - last.time >= EVERY) then
    reported[rt] = { time = now, ended = ended }
    stats.time = now
    rt:keep_workers(numbers[rt], core.json.encode(stats))
  end
  return is_new
end

return pools
