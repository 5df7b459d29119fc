-- Recovery of runs whose process was killed.
-- usage: build/orrery bench/recovery.lua make FILE RUNS makes a store with so many unfinished runs
--        build/orrery bench/recovery.lua recover FILE RUNS  lets them go on to their ends
--
-- `make` is this program again as a child: it starts the runs, waits until all of them are in their
-- second node and on disk, and kills itself. `recover` does what `orrery resume` does, with as many
-- runs under way at once. `first` is from before the store is opened to the event that tells that
-- the handler of an interrupted node was started again; `seconds` to the end of the last run on
-- disk. `peak_rss` is that of the process that recovers.

package.path = arg[0]:gsub("[^/]*$", "") .. "?.lua;" .. package.path
local flow = require "orrery"
local process = require "process"
local uv = require "luv"

local WINDOW = 64
local here = arg[0]:match "^(.*/)" or ""

local function open(file) return flow.runtime { store = "sqlite:" .. file, durability = "strict" } end

local function hold(file, runs)
  local compiled, rt, held = flow.compile(flow.load(here .. "unfinished.lua")), open(file), 0
  rt:on(function(event)
    if event.event == "node_started" and event.node == "held" then held = held + 1 end
  end)
  for _ = 1, runs do flow.start(compiled, { runtime = rt }) end
  while held < runs do rt:step(0.01) end
  rt:sync()
  uv.kill(uv.os_getpid(), "sigkill")
end

-- The killed child is what is wanted; any other end of it is a mistake.
local function make(file, runs)
  process.remove_store(file)
  uv.os_setenv("BENCH_HOLD", "1")
  local signal
  uv.spawn(uv.exepath(), { args = { arg[0], "hold", file, tostring(runs) }, stdio = { nil, 1, 2 } },
    function(_, by) signal = by end)
  while not signal do uv.run "once" end
  assert(signal == 9, "the process that makes unfinished runs ended before it was killed")
end

local function recover(file, runs)
  local resume = require "orrery.store.resume"
  local cpu, start, first = process.cpu(), uv.hrtime(), nil
  local function since() return (uv.hrtime() - start) / 1e9 end
  local rt = open(file)
  rt:on(function(event)
    if not first and event.event == "node_started" then first = since() end
  end)
  local rows, done = resume.unfinished(rt:store()), 0
  local function take()
    for row in rows do
      local run = resume.resume(row.id, { runtime = rt })
      rt:wait(run)
      assert(run.state == "completed" and run.output == 3, "a run ended as " .. run.state)
      done = done + 1
    end
  end
  local fibers = {}
  for i = 1, WINDOW do fibers[i] = take end
  flow.gather(fibers)
  rt:sync()
  process.say("seconds", since())
  process.say("first", first)
  process.say("cpu", process.cpu() - cpu)
  process.say("peak_rss", process.peak())
  process.say("runs", runs)
  assert(done == runs, ("%d runs were recovered, expected %d"):format(done, runs))
  rt:close()
end

local DO = { make = make, hold = hold, recover = recover }
local action, file, runs = DO[arg[1]], arg[2], math.tointeger(tonumber(arg[3]))
assert(action and file and runs, "usage: recovery.lua make|recover FILE RUNS")
action(file, runs)
