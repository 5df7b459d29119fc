-- Simulated histories. usage: build/orrery bench/sim.lua RUNS
--
-- Ten nodes in a row that sleep, one attempt that fails and is tried again, and one crash in each
-- history. The seconds are processor time.

local flow = require "orrery"
local check = require "orrery.sim.check"
local simulation = require "orrery.sim"
local subject = require "orrery.sim.subject"
local world = require "orrery.sim.world"

local runs = assert(tonumber(arg[1]), "usage: sim.lua RUNS")
local w = flow.workflow { name = "ten" }
for i = 1, 10 do
  w["n" .. i] = { after = i > 1 and "n" .. i - 1 or nil, retry = 3, timeout = "10s", run = function(ctx)
    ctx:sleep(0.5)
    return i
  end }
end
local s = subject.of(assert(simulation.compile(w)))

local start, lives = os.clock(), 0
for seed = 1, runs do
  local h = world.play(s, {}, seed, { { kind = "crash", record = seed % 60 + 1, down = 1 },
    { kind = "fail", node = "n" .. seed % 10 + 1, phase = "run", nth = 1 } })
  local broken, text = check.engine(h)
  assert(not broken, text)
  assert(h.state == "completed", h.state)
  lives = lives + h.lives
end
local seconds = os.clock() - start
assert(lives >= 2 * runs, "a history without a crash")
print(("runs %d"):format(runs))
print(("seconds %.9f"):format(seconds))
