-- Handlers in workers (`strategy = "thread"`): what a hand-over costs, from which length on it
-- pays, and whether all processors are used.
--
-- usage: orrery bench/workers.lua handover TIMES        seconds, medians, to a worker that sleeps
--        orrery bench/workers.lua pays                  seconds of the shortest handler that pays
--        orrery bench/workers.lua spread ITEMS SECONDS
--                                seconds on the loop and in workers; spins; how late the loop wakes
--                                up meanwhile (99 %)
package.path = "./?.lua;" .. package.path
local core = require "orrery.core"
local flow = require "orrery"
local message = require "orrery.worker.message"
local pools = require "orrery.worker.pools"
local spin = require "bench.spin"
local uv = require "luv"

local FLOW = "bench/workers_flow.lua"

local function say(key, value) io.stdout:write(("%s %s\n"):format(key, value)) end

local function now() return uv.hrtime() / 1e9 end

local function quantile(list, share)
  table.sort(list)
  return list[math.max(1, math.ceil(#list * share))]
end

local function items(n)
  local list = {}
  for i = 1, n do list[i] = i end
  return list
end

-- How many spins take so long here; the fastest of several passes counts.
local function spins_of(seconds)
  local PASS, best = 200000, math.huge
  for _ = 1, 20 do
    local before = now()
    spin(PASS)
    best = math.min(best, now() - before)
  end
  return math.ceil(seconds / best * PASS)
end

local function run(w, rt, how, n, spins)
  local before = now()
  local ran = flow.run(w, { runtime = rt, input = { how = how, items = items(n), spins = spins } })
  assert(ran.state == "completed", ran.error and ran.error.message)
  return now() - before
end

-- The text of a job of the node `echo`, whose code the worker has already.
local function echo_job(w, rt)
  run(w, rt, "echo", 0, 0)
  local compiled = require("orrery.definition.compile").workflow(w)
  return message.encode { bundle = require("orrery.bundle").of(compiled).hash, node = "echo", typed = false,
    ctx = {}, masked = {} }
end

local function handover(times)
  local rt = flow.runtime { workers = { max = 1 } }
  local text = echo_job(flow.load(FLOW), rt)
  local pool, one, both = pools.of(rt), {}, {}
  for i = 1, times do
    local before, after = now(), nil
    local _, said = core.await(function(resume)
      pool:start(text, function(kind, answer)
        after = now()
        resume(kind, answer)
      end)
    end)
    both[i], one[i] = after - before, message.decode(said).value / 1e9 - before
  end
  say("one_way", quantile(one, 0.5))
  say("both_ways", quantile(both, 0.5))
end

-- Both ways take turns; the shortest length at which workers are sooner from there on.
local function pays()
  local N, LENGTHS = 400, { 10, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000 }
  local rt, w = flow.runtime(), flow.load(FLOW)
  local spins, shortest = spins_of(1e-3), nil
  run(w, rt, "thread", N, spins)
  for _, microseconds in ipairs(LENGTHS) do
    local direct, thread = {}, {}
    for i = 1, 5 do
      direct[i] = run(w, rt, "direct", N, math.ceil(spins * microseconds / 1000))
      thread[i] = run(w, rt, "thread", N, math.ceil(spins * microseconds / 1000))
    end
    if quantile(thread, 0.5) >= quantile(direct, 0.5) then shortest = nil
    else shortest = shortest or microseconds end
  end
  if shortest then say("pays", shortest / 1e6) end
end

-- Lateness of a timer that is due every millisecond.
local function watch_loop()
  local timer, late, due = uv.new_timer(), {}, now() + 1e-3
  timer:start(1, 1, function()
    late[#late + 1] = math.max(0, now() - due)
    due = now() + 1e-3
  end)
  return function()
    timer:close()
    return quantile(late, 0.99)
  end
end

local function spread(n, seconds)
  local rt, w, spins = flow.runtime(), flow.load(FLOW), spins_of(seconds)
  run(w, rt, "thread", 2 * uv.available_parallelism(), spins) -- they are there
  local direct = run(w, rt, "direct", n, spins)
  local stop = watch_loop()
  local thread = run(w, rt, "thread", n, spins)
  say("spins", spins)
  say("direct", direct)
  say("thread", thread)
  say("late", stop())
end

local modes = { handover = handover, pays = pays, spread = spread }
modes[arg[1]](tonumber(arg[2]), tonumber(arg[3]))
