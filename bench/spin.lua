-- Something that computes and allocates nothing.
-- As a script: usage: lua5.4 bench/spin.lua TIMES SPINS
local function spin(n)
  local x = 1.0
  for _ = 1, n do x = x * 1.0000001 + 1e-9 end
  return x
end

if ... == "bench.spin" then return spin end

local times, spins = tonumber((...)), tonumber((select(2, ...)))
for _ = 1, times do spin(spins) end
