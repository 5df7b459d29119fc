-- Durable workflows, from the first start to the moment at which the last end is on disk.
-- usage: build/orrery bench/durable.lua WORKLOAD strict|relaxed FILE RUNS NODES [IN_FLIGHT]
--
-- WORKLOAD: `chain`, NODES one after the other; `fan`, one node, NODES after it, one that joins
-- them; `steps`, one node that makes NODES durable steps; `alone`, a chain whose runs start one
-- after the other and are timed singly. RUNS of it, at most IN_FLIGHT (1) at a time, in a new store
-- in FILE, which is removed first.
--
-- strict: rt:wait returns once the end of the run is on disk. relaxed: rt:sync at the end waits for
-- what is not there yet. Values flow from node to node and the output is checked, so no step can be
-- left out; the store is asked afterwards how many runs it holds. A run of another, small workflow
-- warms up. `cpu` is the time of all threads; `peak_rss` is that of the whole process, definition
-- and plan included. `tables` is how long it took from then on until the tables people query showed
-- everything.

package.path = arg[0]:gsub("[^/]*$", "") .. "?.lua;" .. package.path
local flow = require "orrery"
local process = require "process"
local uv = require "luv"

local function chain(nodes)
  local w = flow.workflow { name = "chain", output = "${nodes.n" .. nodes .. "}" }
  for i = 1, nodes do
    local before = "n" .. i - 1
    w["n" .. i] = i == 1 and { run = function() return 1 end }
      or { after = before, run = function(_, inputs) return inputs[before] + 1 end }
  end
  return w, nodes, nodes
end

local function fan(nodes)
  local w, names = flow.workflow { name = "fan", output = "${nodes.join}" }, {}
  w.first = { run = function() return 1 end }
  for i = 1, nodes do
    names[i] = "n" .. i
    w[names[i]] = { after = "first", run = function(_, inputs) return inputs.first + i end }
  end
  w.join = { after = names, run = function(_, inputs)
    local sum = 0
    for i = 1, nodes do sum = sum + inputs[names[i]] end
    return sum
  end }
  return w, nodes + nodes * (nodes + 1) // 2, nodes + 2
end

local function steps(count)
  local w = flow.workflow { name = "steps", output = "${nodes.all}" }
  w.all = { run = function(ctx)
    local value = 0
    for i = 1, count do value = ctx:step("s" .. i, function() return value + 1 end) end
    return value
  end }
  return w, count, count
end

local WORKLOADS = { chain = chain, fan = fan, steps = steps, alone = chain }

local function finish(rt, run, expected)
  rt:wait(run)
  assert(run.state == "completed", "the run ended as " .. run.state)
  assert(run.output == expected, "the run gave another output than expected")
end

-- So many fibers take runs from one count.
local function together(rt, compiled, expected, runs, in_flight)
  local left, fibers = runs, {}
  local function take()
    while left > 0 do
      left = left - 1
      finish(rt, flow.start(compiled, { runtime = rt }), expected)
    end
  end
  for i = 1, in_flight do fibers[i] = take end
  flow.gather(fibers)
  rt:sync()
end

local function one_by_one(rt, compiled, expected, runs, relaxed)
  local times = {}
  for i = 1, runs do
    local start = uv.hrtime()
    finish(rt, flow.start(compiled, { runtime = rt }), expected)
    if relaxed then rt:sync() end
    times[i] = (uv.hrtime() - start) / 1e9
  end
  table.sort(times)
  return times[(runs + 1) // 2], times[math.max(1, runs * 99 // 100)]
end

local function number(i) return math.tointeger(tonumber(arg[i])) end
local workload, mode, file, runs, nodes, in_flight = WORKLOADS[arg[1]], arg[2], arg[3], number(4), number(5),
  number(6) or 1
assert(workload and file and runs and nodes,
  "usage: durable.lua chain|fan|steps|alone strict|relaxed FILE RUNS NODES [IN_FLIGHT]")

process.remove_store(file)
local definition, expected, count = workload(nodes)
local compiled, warm_up = flow.compile(definition), flow.compile((chain(10)))
local rt = flow.runtime { store = "sqlite:" .. file, durability = mode }
together(rt, warm_up, 10, 1, 1)
collectgarbage()

local cpu, start = process.cpu(), uv.hrtime()
if arg[1] == "alone" then
  local median, p99 = one_by_one(rt, compiled, expected, runs, mode == "relaxed")
  process.say("seconds", median)
  process.say("p99", p99)
else
  together(rt, compiled, expected, runs, in_flight)
  process.say("seconds", (uv.hrtime() - start) / 1e9)
end
process.say("cpu", process.cpu() - cpu)
process.say("steps", runs * count)
process.say("peak_rss", process.peak())

local store = rt:store()
start = uv.hrtime()
store:project()
process.say("tables", (uv.hrtime() - start) / 1e9)
local kept = store:query("SELECT count(*) AS n FROM runs WHERE state = 'completed'")[1].n
assert(kept == runs + 1, ("the store holds %d completed runs, expected %d"):format(kept, runs + 1))
rt:close()
