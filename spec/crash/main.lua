-- `make crash`: kills processes that keep runs, and checks that nothing that was committed is lost
-- or done again. CRASH_KILLS: how many kills at least (1,000); CRASH_SEED: the seed of every
-- choice; CRASH_ONLY: boundaries, random or pair.
package.path = "./?.lua;" .. package.path
local harness = require "spec.crash.harness"
local world = require "spec.crash.world"

local kills = tonumber(os.getenv "CRASH_KILLS") or 1000
local seed = tonumber(os.getenv "CRASH_SEED") or os.time() % 1000000
local only = os.getenv "CRASH_ONLY"
local began = os.time()

local folder = os.tmpname()
os.remove(folder)
local all = harness.new(folder .. ".crash", seed)

local function say(what)
  print(("%4d s  %-12s %s"):format(os.time() - began, what, all:summary()))
  io.stdout:flush()
end

local function stopped() return #all.broken > 0 end

for _, name in ipairs(world.FLOWS) do
  if stopped() or (only and only ~= "boundaries") then break end
  all:boundaries(name)
  say(name)
end
while all.kills < kills and not stopped() and only ~= "boundaries" do
  if only ~= "pair" then all:random(12 + math.random(12)) end
  if only ~= "random" and not stopped() then all:pair(12 + math.random(12)) end
  say "at random"
end
for i = 1, math.min(#all.broken, 40) do print(all.broken[i]) end
all:close()
os.exit(stopped() and 1 or 0, true)
