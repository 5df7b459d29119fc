--- Barriers: a handler waits until as many as are needed have arrived.
---
--- Of runs in a store arrivals are rows there. One transaction of the store takes a row in and,
--- where all have come, sends each of them a signal, for which it waits as for any other: so a
--- barrier opens at one moment for all, whichever processes they are in, and whatever dies
--- meanwhile. Whoever goes on after a crash finds its row, and counts once. Runs that no store has
--- arrive at barriers of their runtime.
local core = require "orrery.core"
local errors = require "orrery.errors"
local mask = require "orrery.mask"

local barrier = {}

---@class orrery.Arrival
---@field barrier string the barrier's full name
---@field participant string the same for all attempts, and after a restart
---@field signal string
---@field needed integer

-- ---- in a store ---------------------------------------------------------------------------------

local Kept = {}
Kept.__index = Kept

local TRIES = 3 -- to bring the tables up to date, while others write

-- What the run has decided is to be in the tables: its row, and which of its nodes have ended.
local function bring_up_to_date(rt, store)
  rt:sync()
  for left = TRIES - 1, 0, -1 do
    local ok, problem = pcall(store.project, store)
    if ok then return end
    if left == 0 then error(problem, 0) end
  end
end

-- Of a run that a store has; nil for others.
local function in_store(rt, run)
  local store = rt:durable() and rt:store() or nil
  if not store then return nil end
  bring_up_to_date(rt, store)
  return store:row("run_number", { id = run.id }) and setmetatable({ store = store, run = run }, Kept) or nil
end

function Kept:row(a)
  return self.store:row("arrival", { barrier = a.barrier, participant = a.participant })
end

function Kept:arrive(ctx, a)
  self.store:perform("barrier_arrive", { barrier = a.barrier, participant = a.participant, run = self.run.id,
    node = ctx.node, item = ctx.index or 0, attempt = ctx.attempt, needed = a.needed, signal = a.signal,
    time = core.time() })
  if self:row(a) then return nil end
  local other = self.store:row("arrivals", { barrier = a.barrier })
  return other and other.needed or a.needed
end

function Kept:leave(a)
  self.store:perform("barrier_leave", { barrier = a.barrier, participant = a.participant })
  return self:row(a) == nil
end

function Kept:waiting(a) return #self.store:rows("arrivals", { barrier = a.barrier }) end

-- ---- in a runtime -------------------------------------------------------------------------------

local Live = {}
Live.__index = Live

local of_runtime = setmetatable({}, { __mode = "k" }) -- runtime -> barrier -> those that wait, in order

local function in_runtime(rt, run)
  of_runtime[rt] = of_runtime[rt] or {}
  return setmetatable({ barriers = of_runtime[rt], run = run }, Live)
end

function Live:arrive(_, a)
  local waiting = self.barriers[a.barrier] or {}
  if waiting[1] and waiting[1].needed ~= a.needed then return waiting[1].needed end
  self.barriers[a.barrier] = waiting
  waiting[#waiting + 1] = { participant = a.participant, run = self.run, signal = a.signal,
    needed = a.needed }
  if #waiting < a.needed then return nil end
  self.barriers[a.barrier] = nil
  for place, each in ipairs(waiting) do
    if not each.run.ended then each.run:signal(each.signal, { place = place, count = a.needed }) end
  end
end

-- Whether it was there and had not been let through.
function Live:leave(a)
  local waiting = self.barriers[a.barrier] or {}
  for i, each in ipairs(waiting) do
    if each.participant == a.participant then
      table.remove(waiting, i)
      if #waiting == 0 then self.barriers[a.barrier] = nil end
      return true
    end
  end
  return false
end

function Live:waiting(a) return #(self.barriers[a.barrier] or {}) end

-- ---- waiting ------------------------------------------------------------------------------------

local function raise(code, message, details)
  error(setmetatable({ code = code, message = message, details = details,
    retryable = code == "barrier_timeout" }, core.error_mt), 0)
end

-- What the wait is for is shown to people, so it says node and item.
local function signal_of(ctx, name)
  local item = ctx.index and ("[%s]"):format(ctx.item_name or ctx.index) or ""
  local iteration = ctx.iteration > 1 and ("#%d"):format(ctx.iteration) or ""
  return ("barrier %s: %s%s%s"):format(name, ctx.node, item, iteration)
end

local function is_timeout(problem)
  return type(problem) == "table" and problem.code == "signal_timeout"
end

-- Waits for the signal. One that leaves counts no more; where all had come before it could leave,
-- it goes through as the others do.
local function pass(ctx, place, a, name, timeout)
  local ok, result = pcall(ctx.wait, ctx, a.signal, { timeout = timeout })
  if ok then return result end
  local left = place:leave(a)
  if not is_timeout(result) then error(result, 0) end
  if not left then return ctx:wait(a.signal) end
  local others = place:waiting(a)
  raise("barrier_timeout", ("barrier %s: %d of %d had arrived when the time for it was over"):format(name,
    others + 1, a.needed), { barrier = name, arrived = others + 1, count = a.needed })
end

local function check(name, options)
  if type(name) ~= "string" or name == "" then
    error("flow.arrive: expected the barrier's name, got " .. errors.show(name), 3)
  end
  if math.type(options.count) ~= "integer" or options.count < 1 then
    error("flow.arrive: count is a whole number of at least 1, got " .. errors.show(options.count), 3)
  end
  if options.across ~= nil and options.across ~= "branches" and options.across ~= "runs" then
    error('flow.arrive: across is "branches" (of this run) or "runs", got ' .. errors.show(options.across), 3)
  end
end

--- Waits, in a handler, until `count` have arrived at the barrier of that name: branches of the
--- run, or with `across = "runs"` handlers of any runs of the store. Then all of them go on, and
--- the next `count` wait again. Each node, item and iteration arrives once, whatever its attempts.
--- One that is cancelled, or whose `timeout` passes, leaves, and the others wait on. Raises
--- `barrier_timeout`, and `config_error` where others wait there for another number.
---@param name string
---@param options { count: integer, across: "branches"|"runs"|nil, timeout: orrery.Duration? }
---@return { place: integer, count: integer } place in the order of arrival, from 1
function barrier.arrive(name, options)
  check(name, options)
  name = mask.text(name) -- as the names of signals are
  local ctx, rt, run = core.running(), core.running_runtime(), core.running_run()
  if not run then
    error("flow.arrive waits in a handler, on the loop's thread; call it there, or write a node of the type "
      .. "barrier, without strategy = \"thread\"", 2)
  end
  local a = { participant = ctx.idempotency_key, needed = options.count, signal = signal_of(ctx, name),
    barrier = options.across == "runs" and "runs: " .. name or ("run %s: %s"):format(run.id, name) }
  local place = in_store(rt, run) or in_runtime(rt, run)
  local others = place:arrive(ctx, a)
  if others then
    raise("config_error", ("barrier %s: %d wait for each other here, and others for %d; say the same count")
      :format(name, a.needed, others))
  end
  return pass(ctx, place, a, name, options.timeout)
end

return barrier
