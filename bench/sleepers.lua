-- Nodes that sleep. usage: build/orrery bench/sleepers.lua NODES handler|delay
--
-- All of NODES sleep for an hour on the real clock: in their handlers, ctx:sleep("1h"), or as nodes
-- of type delay do, whose handler returns flow.later("1h"). Then what they hold is read, and a step
-- that finds nothing due is timed. `sleep_rss` counts everything since the definition was begun
-- (plan, run, coroutines, and the holes between them); `sleep_lua` is Lua's own count.

package.path = arg[0]:gsub("[^/]*$", "") .. "?.lua;" .. package.path
local graphs = require "graphs"
local core = require "orrery.core"

local STEPS = 200000

local function say(key, value) print(("%s %.12g"):format(key, value)) end

local function sleep(ctx) ctx:sleep("1h") end
local function later() return core.later("1h") end

local asked, handler = math.tointeger(tonumber(arg[1])), ({ handler = sleep, delay = later })[arg[2]]
assert(asked and handler, "usage: sleepers.lua NODES handler|delay")
local rt = core.runtime()
collectgarbage()
local rss, lua = graphs.rss(), collectgarbage("count")

local nodes, node = {}, { run = handler } -- one table for all: what is weighed are sleepers, not definitions
for i = 1, asked do nodes[i] = node end
local plan = assert(core.plan { name = "sleepers", nodes = nodes })
nodes = nil -- luacheck: ignore
collectgarbage()

local start = core.hrtime()
local run = rt:start(plan, { seed = 1 })
while run:stats().by_state.waiting ~= asked do
  if not rt:step(1) and run:stats().by_state.waiting ~= asked then
    error("the run stands still with " .. tostring(run:stats().by_state.waiting) .. " of " .. asked
      .. " asleep")
  end
end
say("nodes", asked)
say("fall_asleep", (core.hrtime() - start) / 1e9)
collectgarbage()
say("sleep_rss", graphs.rss() - rss)
say("sleep_lua", (collectgarbage("count") - lua) * 1024)
say("sleep_plan", plan:bytes())

start = core.hrtime()
for _ = 1, STEPS do rt:step(0) end
say("idle_step", (core.hrtime() - start) / 1e9 / STEPS)
assert(run:stats().by_state.waiting == asked, "a node woke up")
os.exit(0, false) -- without closing the state: taking a million coroutines down is no part of this
