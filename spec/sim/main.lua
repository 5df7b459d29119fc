--- `make sim`: the engine under simulation over random workflows. `main.lua [SEEDS [FIRST]]`: so
--- many histories, a few of each workflow. Ends with 1 at the first that breaks something, and
--- prints the command that plays it again.
package.path = package.path .. ";" .. (arg[0]:match "^(.*)/" or ".") .. "/../../?.lua"
local Chance = require "orrery.sim.chance"
local graphs = require "spec.sim.graphs"
local sim = require "orrery.sim"
local trace = require "orrery.sim.trace"

local EACH = 20 -- histories of a workflow

local function compiled_of(seed)
  local w, input = graphs.make(Chance.new(seed))
  local compiled, problems = sim.compile(w)
  if compiled then return compiled, input end
  error(("workflow %d: %s"):format(seed, problems[1].message))
end

local function print_broken(seed, broken)
  print(("workflow %d, seed %d breaks \"%s\": %s"):format(seed, broken.seed, broken.name, broken.text))
  for _, fault in ipairs(broken.history.faults) do print("  " .. trace.fault(fault)) end
  print(table.concat(trace.lines(broken.history), "\n"))
  print(("again: build/orrery spec/sim/main.lua %d %d"):format(EACH, seed))
end

local seeds, first = tonumber(arg[1]) or 20000, tonumber(arg[2]) or 1
local states, since = {}, os.clock()
local played, seed = 0, first
while played < seeds do
  local compiled, input = compiled_of(seed)
  local report = sim.run(compiled, { seeds = EACH, seed = seed * EACH, input = input,
    durability = seed % 5 == 0 and "relaxed" or "strict" })
  for state, n in pairs(report.states) do states[state] = (states[state] or 0) + n end
  if report.broken then
    print_broken(seed, report.broken)
    os.exit(1)
  end
  played, seed = played + report.seeds, seed + 1
end
local parts = {}
for state, n in pairs(states) do parts[#parts + 1] = ("%d %s"):format(n, state) end
table.sort(parts)
print(("%d histories of %d workflows, %.0f a second: %s"):format(played, seed - first,
  played / (os.clock() - since), table.concat(parts, ", ")))
