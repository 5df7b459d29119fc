-- Durable workflows in Orrery, DBOS on PostgreSQL and Restate: the same workloads, on the same
-- disk, in one run. usage: build/orrery bench/peers/run.lua BUILD
--
-- In each round every contestant starts with an empty store, is warmed up and runs all workloads;
-- then the next one does, so that none runs while another is measured. BENCH_QUICK=1: a tenth of
-- the size and one round. The peers' packages have been installed into BUILD/peers (bench.mk).
-- Results go to BUILD/bench/peers.md and peers.json.

package.path = arg[0]:gsub("peers/[^/]*$", "") .. "?.lua;" .. package.path
local contestants = require "peers.contestants"
local durable = require "durable_section"
local harness = require "harness"
local processes = require "peers.processes"
local table_of = require "peers.table"
local workloads = require "workloads"

local LOAD_LIMIT, LOAD_PATIENCE = 0.5, 180
local WARM_UP = { "chain 1 200 1", "fan 1 200 1", "chain 100 10 100" }

local build = assert(arg[1], "usage: run.lua BUILD")
local quick = (os.getenv "BENCH_QUICK" or "") ~= ""
local size = { quick = quick, rounds = quick and 1 or 3, bound = quick and 30 or 180 }
local folder = build .. "/bench/store"

local too_slow = {} -- "restate.wide" -> true: it is not tried again

-- Steps within one node and steps as nodes are the same thing to the peers. The widest comes last:
-- it may exceed the bound, and then the contestant is of no more use.
local function peer_workloads()
  local list, last = {}, nil
  for _, workload in ipairs(workloads.list(quick)) do
    if workload.id == "wide" then last = workload elseif not workload.ours then list[#list + 1] = workload end
  end
  list[#list + 1] = last
  return list
end

local function steps_of(workload)
  return workload.runs * (workload.nodes + (workload.kind == "fan" and 2 or 0))
end

-- Returns whether the contestant can go on.
local function measure(peer, name, workload)
  local key = workload.id .. "." .. name
  if too_slow[key] then return true end
  local command = ("%s %d %d %d"):format(workload.kind, workload.runs, workload.nodes, workload.in_flight)
  local answer, used = processes.measure(peer.driver, command, peer.counted, size.bound)
  if not answer then
    too_slow[key] = true
    harness.add(key .. ".over", size.bound)
    return false
  end
  local result = require("orrery.core").json.decode(answer)
  assert(not result.error, ("%s, %s: %s"):format(name, command, result.error))
  harness.add(key .. ".steps", steps_of(workload))
  for _, figures in ipairs { result, used } do
    for what, value in pairs(figures) do harness.add(key .. "." .. what, value) end
  end
  return true
end

local function peer_round(name, list)
  local paths = { data = folder .. "/peers", programs = build .. "/peers", log = build .. "/bench/peers.log" }
  harness.output(("rm -rf '%s' && mkdir -p '%s'"):format(paths.data, paths.data))
  local peer = contestants[name](paths)
  for _, command in ipairs(WARM_UP) do
    local answer = processes.measure(peer.driver, command, peer.counted, size.bound)
    assert(answer and not answer:find '"error"', name .. ", warming up: " .. tostring(answer))
  end
  for _, workload in ipairs(list) do
    if not measure(peer, name, workload) then break end
  end
  peer.down()
end

-- A peer that fails leaves a sentence in the report, and its processes end all the same.
local function guarded(name, list)
  local ok, problem = pcall(peer_round, name, list)
  processes.stop_all()
  if not ok then
    harness.failures[#harness.failures + 1] = name .. ": " .. tostring(problem)
    io.stderr:write("bench: ", name, ": ", tostring(problem), "\n")
  end
end

local function our_round(list)
  for _, workload in ipairs(list) do
    for _, mode in ipairs(durable.MODES) do
      harness.measure(workload.id .. ".orrery_" .. mode,
        workloads.command(build .. "/orrery", workload, mode, folder .. "/runs.db"))
    end
  end
end

local function absolute(path) return (harness.output(("cd '%s' && pwd"):format(path)):gsub("%s+$", "")) end

local function main()
  build = absolute(build)
  folder = build .. "/bench/store"
  size.disk = durable.disk(folder)
  local machine, list = harness.machine(), peer_workloads()
  machine.load = harness.wait_for_quiet(LOAD_LIMIT, quick and 0 or LOAD_PATIENCE)
  local others = harness.watch()
  for round = 1, size.rounds do
    for _, name in ipairs(table_of.PEERS) do
      io.stderr:write(("bench: %s, round %d of %d\n"):format(name, round, size.rounds))
      guarded(name, list)
    end
    io.stderr:write(("bench: orrery, round %d of %d\n"):format(round, size.rounds))
    our_round(list)
  end
  harness.output(("rm -rf '%s/peers'"):format(folder))
  machine.others = others()
  machine.quiet = machine.load <= LOAD_LIMIT and machine.others <= 0.1
  local text = table_of.text(machine, size, list)
  harness.write(build .. "/bench/peers.md", text)
  harness.write(build .. "/bench/peers.json",
    require("orrery.core").json.encode({ machine = machine, size = size,
    failures = harness.failures, samples = harness.samples }, { sort = true }) .. "\n")
  io.stdout:write(text)
  return #harness.failures == 0 and 0 or 1
end

os.exit(main())
