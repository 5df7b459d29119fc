-- Runs the benchmarks and prints the report. usage: lua5.4 bench/run.lua BUILD [SECTION...]
--
-- Contestants take turns, one process each, so that a drift of the machine hits all alike; figures
-- are medians of the rounds. BENCH_QUICK=1: a tenth of the nodes and one round, to see that
-- everything works. Sections: graphs, load, json, rows, sleep, sim, start, exec, workers, durable,
-- recovery, opening, lists, frame; all of them where none is named. Results also go to
-- BUILD/bench/results.json and results.md.

package.path = arg[0]:gsub("[^/]*$", "") .. "?.lua;" .. package.path
local durable = require "durable_section"
local harness = require "harness"
local report = require "report"

local LOAD_LIMIT, LOAD_PATIENCE = 0.5, 180
local EXECS = 500
local ORDER = { "graphs", "load", "json", "rows", "sleep", "sim", "start", "exec", "workers",
  "durable", "recovery", "opening", "lists", "frame" }

local build = assert(arg[1], "usage: run.lua BUILD [SECTION...]")
local bench, orrery = build .. "/bench", build .. "/orrery"
local quick = (os.getenv("BENCH_QUICK") or "") ~= ""
local size = {
  nodes = quick and 100000 or 1000000,
  rounds = quick and 1 or 5,
  starts = quick and 5 or 25,
  quick = quick,
}
local programs = { bench = bench, orrery = orrery, folder = bench .. "/store", quick = quick }

-- %s and %d of a command are the shape and the number of nodes.
local CONTESTANTS = {
  { id = "bare", command = bench .. "/bare_graph %s %d" },
  { id = "core", command = bench .. "/core_graph %s %d" },
  { id = "api", command = bench .. "/api_graph %s %d" },
  { id = "tbb", command = bench .. "/tbb_graph %s %d 1" },
  { id = "lua", command = orrery .. " bench/lua_graph.lua %s %d own" },
  { id = "shared", command = orrery .. " bench/lua_graph.lua %s %d shared" },
  { id = "tbb2", command = bench .. "/tbb_graph %s %d 2" },
  { id = "coroutine", command = "lua5.4 bench/bare_coroutine.lua %s %d" },
}

local sections = {}

-- A ratio between different graphs would mean nothing.
local function same_graph(shape, contestant)
  for _, key in ipairs { "nodes", "mark" } do
    local expected = harness.median(shape .. ".bare." .. key)
    local got = harness.median(shape .. "." .. contestant .. "." .. key)
    assert(got == nil or got == expected, ("%s ran another %s than bare_graph"):format(contestant, shape))
  end
end

function sections.graphs()
  for round = 1, size.rounds do
    io.stderr:write(("bench: graphs, round %d of %d\n"):format(round, size.rounds))
    for _, shape in ipairs(report.SHAPES) do
      for _, contestant in ipairs(CONTESTANTS) do
        harness.measure(shape .. "." .. contestant.id, contestant.command:format(shape, size.nodes))
        same_graph(shape, contestant.id)
      end
    end
    harness.measure("resume", ("%s/bare_resume %d"):format(bench, size.nodes))
  end
end

function sections.load()
  io.stderr:write("bench: loading large workflows\n")
  local file, commands = bench .. "/large.json", {}
  harness.output(("%s bench/load.lua make %s %d"):format(orrery, file, size.nodes))
  for i, row in ipairs(report.LOADS) do
    commands[i] = { name = "load." .. row[1],
      command = ("%s bench/load.lua %s %s"):format(orrery, row[1], row[1] == "json" and file or size.nodes) }
  end
  harness.time_processes(bench .. "/timeit", size.rounds, commands)
end

function sections.json()
  for round = 1, size.rounds do
    io.stderr:write(("bench: JSON, round %d of %d\n"):format(round, size.rounds))
    for _, document in ipairs(report.DOCUMENTS) do
      for _, who in ipairs { "ours", "cjson" } do
        harness.measure(("json.%s.%s"):format(document, who),
          ("%s bench/json_codec.lua %s %s"):format(orrery, who, document))
      end
    end
  end
end

-- A large CSV file cleaned, freed of duplicates, checked, loaded into SQLite and summed up.
function sections.rows()
  io.stderr:write("bench: rows against Miller and sqlite3\n")
  local file = bench .. "/orders.csv"
  harness.output(("sh bench/rows_make.sh %d >%s"):format(size.nodes, file))
  harness.time_processes(bench .. "/timeit", size.rounds, {
    { name = "rows.orrery", command = ("sh -c 'rm -f %s/orders.db; exec %s run -q examples/orders.lua "
      .. "--input file=%s --input folder=%s --store memory:'"):format(bench, orrery, file, bench) },
    { name = "rows.peer", command = ("sh bench/rows_peer.sh %s %s"):format(file, bench) },
  })
end

function sections.sleep()
  for round = 1, size.rounds do
    io.stderr:write(("bench: sleeping nodes, round %d of %d\n"):format(round, size.rounds))
    harness.measure("sleep", ("%s bench/sleepers.lua %d handler"):format(orrery, size.nodes))
    harness.measure("delay", ("%s bench/sleepers.lua %d delay"):format(orrery, size.nodes))
  end
end

-- What a game asks: each line in a process of its own.
function sections.frame()
  local folder = bench .. "/frames"
  harness.output("mkdir -p " .. folder)
  for round = 1, size.rounds do
    io.stderr:write(("bench: frames of a game, round %d of %d\n"):format(round, size.rounds))
    for _, line in ipairs(report.FRAME_LINES) do
      local count = quick and line[2] // 10 or line[2]
      harness.measure("frame." .. line[1], ("%s/frame %s %d %s"):format(bench, line[1], count, folder))
    end
  end
end

function sections.sim()
  for round = 1, size.rounds do
    io.stderr:write(("bench: simulated histories, round %d of %d\n"):format(round, size.rounds))
    harness.measure("sim", ("%s bench/sim.lua %d"):format(orrery, quick and 500 or 5000))
  end
end

function sections.start()
  io.stderr:write("bench: cold start\n")
  local store = programs.folder .. "/start.db"
  local hello = orrery .. " run bench/hello.lua --json --store "
  os.remove(store) -- the round that warms up makes it anew: those that count find it there
  harness.time_processes(bench .. "/timeit", size.starts, {
    { name = "hello", command = hello .. "memory:" },
    { name = "hello_store", command = hello .. "sqlite:" .. store },
    { name = "lua", command = "lua5.4 -e ''" },
  })
  for _ = 1, size.rounds do harness.measure("idle", orrery .. " bench/idle.lua") end
  local stripped = bench .. "/orrery.stripped"
  local bytes = harness.output(("strip -o %s %s && stat -c 'bytes %%s' %s")
    :format(stripped, orrery, stripped))
  harness.add("command.bytes", tonumber(bytes:match("bytes (%d+)")))
end

-- The same commands as makefile and as ninja file: nothing is ever up to date, no target waits for
-- another.
local function write_execs()
  local make, ninja = { "all:" }, { "rule nothing\n  command = true" }
  for i = 1, EXECS do
    make[1] = make[1] .. " t" .. i
    make[i + 1] = ("t%d:\n\t@true"):format(i)
    ninja[i + 1] = ("build t%d: nothing"):format(i)
  end
  harness.write(bench .. "/execs.mk", table.concat(make, "\n") .. "\n")
  harness.write(bench .. "/execs.ninja", table.concat(ninja, "\n") .. "\n")
end

function sections.exec(machine)
  io.stderr:write("bench: commands against make and ninja\n")
  write_execs()
  local jobs = machine.processors
  harness.time_processes(bench .. "/timeit", size.rounds, {
    { name = "exec.orrery", command = orrery .. " run bench/execs.lua --json --store memory:" },
    { name = "exec.store", command = ("%s run bench/execs.lua --json --store sqlite:%s/execs.db")
      :format(orrery, programs.folder) },
    { name = "exec.make", command = ("make -j%d -f %s/execs.mk"):format(jobs, bench) },
    { name = "exec.ninja", command = ("ninja -j%d -C %s -f execs.ninja"):format(jobs, bench) },
  })
end

-- Two processes that know nothing of each other show how much faster this machine is with two
-- processors at that moment.
function sections.workers()
  io.stderr:write "bench: handlers in workers\n"
  local HANDLERS = 64
  for _ = 1, size.rounds do
    harness.measure("workers", ("%s bench/workers.lua handover %d"):format(orrery, quick and 500 or 5000))
    harness.measure("workers", orrery .. " bench/workers.lua pays")
    harness.measure("workers", ("%s bench/workers.lua spread %d 0.02"):format(orrery, HANDLERS))
    local half = ("lua5.4 bench/spin.lua %d %d"):format(HANDLERS // 2,
      math.floor(harness.median "workers.spins"))
    harness.time_processes(bench .. "/timeit", 1, {
      { name = "workers.alone", command = ("sh -c '%s; %s'"):format(half, half) },
      { name = "workers.beside", command = ("sh -c '%s & %s; wait'"):format(half, half) },
    })
  end
end

function sections.durable() durable.durable(size, programs) end
function sections.recovery() durable.recovery(size, programs) end
function sections.opening() durable.opening(size, programs) end
function sections.lists() durable.lists(size, programs) end

local function main()
  local wanted = #arg > 1 and table.move(arg, 2, #arg, 1, {}) or ORDER
  for _, name in ipairs(wanted) do
    if not sections[name] then
      io.stderr:write("bench: no section '", name, "', expected one of ", table.concat(ORDER, ", "), "\n")
      return 2
    end
  end
  size.disk = durable.disk(programs.folder)
  local machine = harness.machine()
  machine.load = harness.wait_for_quiet(LOAD_LIMIT, quick and 0 or LOAD_PATIENCE)
  local others = harness.watch()
  for _, name in ipairs(wanted) do sections[name](machine) end
  machine.others = others()
  machine.quiet = machine.load <= LOAD_LIMIT and machine.others <= 0.1
  size.execs = EXECS
  local text = report.text(machine, size)
  harness.write(bench .. "/results.md", text)
  harness.write(bench .. "/results.json", report.json(machine, size))
  io.stdout:write(text)
  return #harness.failures == 0 and 0 or 1
end

os.exit(main())
