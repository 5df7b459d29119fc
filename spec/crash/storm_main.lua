-- `make storm`: every command on one store at the same time, and then all runs must have ended as
-- if nothing had happened. STORM_SECONDS: for how long (600); STORM_HANDS: commands at a time (6);
-- STORM_SEED: the seed of every choice.
package.path = "./?.lua;" .. package.path
local storm = require "spec.crash.storm"

local seconds = tonumber(os.getenv "STORM_SECONDS") or 600
local hands = tonumber(os.getenv "STORM_HANDS") or 6
local seed = tonumber(os.getenv "STORM_SEED") or os.time() % 1000000
local began = os.time()

local folder = os.tmpname()
os.remove(folder)
local all = storm.new(folder .. ".storm", seed)
repeat
  all:wave(15, hands)
  print(("%4d s  %s"):format(os.time() - began, all:summary()))
  io.stdout:flush()
until os.time() - began >= seconds or #all.broken > 0
for i = 1, math.min(#all.broken, 20) do print(all.broken[i]) end
if #all.broken > 0 then print("the store is in " .. all.folder) end
all:close()
os.exit(#all.broken == 0 and 0 or 1, true)
