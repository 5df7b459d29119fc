-- The report of the benchmarks: one table over the graphs, one over everything else, and the
-- promises with what was reached, in Markdown; and the same with all samples as JSON.

local durable = require "durable_report"
local harness = require "harness"

local report = {}

---The order of the columns.
report.SHAPES = { "chain", "tree", "wavefront", "fan" }

---Documents for JSON, and what large workflows are made of: the kind, how it is called.
report.DOCUMENTS = { "mixed", "floats" }
report.LOADS = {
  { "shared", "plain nodes, one handler" }, { "own", "plain nodes, a closure each" },
  { "captures", "plain nodes, a closure each that captures" }, { "policies", "with `retry` and `timeout`" },
  { "const", "`flow.const`" }, { "json", "JSON, `const`" },
}

---What a game asks of the library: lines of bench/frame.c, and how many of what they have.
report.FRAME_LINES = {
  { "town", 2000 }, { "overshoot", 256 }, { "sleeper", 20000 }, { "due", 1000 }, { "idle", 100000 },
  { "complete", 20000 }, { "signal", 2000 }, { "resume", 10000 }, { "unknown", 100000 },
  { "save", 2000 },
}

local median = harness.median

local function ratio(a, b) return a and b and a / b end

-- ---- cells --------------------------------------------------------------------------------------

local function cell(format, value)
  if not value then return "-" end
  return (format:format(value))
end

local function per_node(key, scale)
  return function(shape)
    local value, nodes = median(shape .. key), median(shape .. key:match("^%.[^.]*") .. ".nodes")
    return value and nodes and value / nodes * scale
  end
end

local function ns(key) return per_node(key, 1e9) end
local function bytes(key) return per_node(key, 1) end

local function over(a, b)
  return function(shape) return ratio(a(shape), b(shape)) end
end

-- Each row: label, format, and the figure for a shape.
local GRAPH_ROWS = {
  { "**Run**, ns a node" },
  { "Orrery, C handlers, core", "%.1f", ns(".core.run") },
  { "Orrery, C handlers, `orrery.h`", "%.1f", ns(".api.run") },
  { "Orrery, Lua handlers", "%.1f", ns(".lua.run") },
  { "Orrery, one Lua handler for all nodes", "%.1f", ns(".shared.run") },
  { "oneTBB, 1 thread", "%.1f", ns(".tbb.run") },
  { "oneTBB, 2 threads", "%.1f", ns(".tbb2.run") },
  { "bare C loop", "%.1f", ns(".bare.run") },
  { "bare Lua loop, pooled coroutine", "%.1f", ns(".coroutine.run") },
  { "**Ratio**" },
  { "C handlers, core / oneTBB", "%.2f", over(ns(".core.run"), ns(".tbb.run")) },
  { "C handlers, `orrery.h` / oneTBB", "%.2f", over(ns(".api.run"), ns(".tbb.run")) },
  { "Lua handlers / oneTBB", "%.2f", over(ns(".lua.run"), ns(".tbb.run")) },
  { "one Lua handler for all nodes / oneTBB", "%.2f", over(ns(".shared.run"), ns(".tbb.run")) },
  { "C handlers, core / bare C loop", "%.2f", over(ns(".core.run"), ns(".bare.run")) },
  { "Lua handlers / bare Lua loop", "%.2f", over(ns(".lua.run"), ns(".coroutine.run")) },
  { "**Build**, ns a node" },
  { "Orrery, core", "%.1f", ns(".core.build") },
  { "Orrery, `orrery.h`", "%.1f", ns(".api.build") },
  { "Orrery, from a Lua table", "%.1f", ns(".lua.build") },
  { "oneTBB", "%.1f", ns(".tbb.build") },
  { "core / oneTBB", "%.2f", over(ns(".core.build"), ns(".tbb.build")) },
  { "`orrery.h` / oneTBB", "%.2f", over(ns(".api.build"), ns(".tbb.build")) },
  { "**Memory**, bytes a node" },
  { "Orrery, plan", "%.1f", bytes(".core.plan_bytes") },
  { "Orrery, run", "%.1f", bytes(".core.run_bytes") },
  { "Orrery, plan, resident", "%.1f", bytes(".core.plan_rss") },
  { "Orrery, run, resident", "%.1f", bytes(".core.run_rss") },
  { "oneTBB, graph, resident", "%.1f", bytes(".tbb.plan_rss") },
  { "oneTBB, graph that has run, resident", "%.1f", bytes(".tbb.total_rss") },
}

local function per_sleeper(key, kind)
  kind = kind or "sleep"
  return ratio(median(kind .. "." .. key), median(kind .. ".nodes"))
end

local function scaled(key, factor)
  local value = median(key)
  return value and value * factor
end

local function speedup() return ratio(median "workers.direct", median "workers.thread") end
local function lua_speedup() return ratio(median "workers.alone.seconds", median "workers.beside.seconds") end

-- Each row: label, format, and the figure.
local function other_rows(size)
  local per_exec = 1e6 / size.execs
  return {
    { "resuming one yielding coroutine from C", "%.1f ns",
      ratio(scaled("resume.yield", 1e9), median("resume.nodes")) },
    { "calling a handler in a reused coroutine from C", "%.1f ns",
      ratio(scaled("resume.call", 1e9), median("resume.nodes")) },
    { "resuming one yielding coroutine from Lua", "%.1f ns",
      ratio(scaled("chain.coroutine.resume", 1e9), median("chain.coroutine.nodes")) },
    { "sleeping node (delay), resident, everything counted", "%.0f B", per_sleeper("sleep_rss", "delay") },
    { "node asleep in its handler, resident, everything counted", "%.0f B", per_sleeper("sleep_rss") },
    { "node asleep in its handler, Lua's count", "%.0f B", per_sleeper("sleep_lua") },
    { "node asleep in its handler, its share of the plan", "%.0f B", per_sleeper("sleep_plan") },
    { "node asleep in its handler, falling asleep", "%.0f ns",
      ratio(scaled("sleep.fall_asleep", 1e9), median("sleep.nodes")) },
    { "simulated histories a second: ten nodes that sleep, a retry and a crash in each", "%.0f",
      ratio(median "sim.runs", median "sim.seconds") },
    { "step with nothing due, all asleep", "%.0f ns", scaled("sleep.idle_step", 1e9) },
    { "cold start, `orrery run hello.lua --json --store memory:`", "%.2f ms", scaled("hello.seconds", 1e3) },
    { "cold start, the same with a SQLite store that is there, to the durable end", "%.2f ms",
      scaled("hello_store.seconds", 1e3) },
    { "cold start, `lua5.4 -e ''`", "%.2f ms", scaled("lua.seconds", 1e3) },
    { "size of the command, stripped", "%.2f MB", scaled("command.bytes", 1e-6) },
    { "idle runtime, resident", "%.2f MB", scaled("idle.rss", 1e-6) },
    { "hello workflow, most resident", "%.2f MB", scaled("hello.peak_rss", 1e-6) },
    { "`exec` of `true`, each of " .. size.execs, "%.0f µs", scaled("exec.orrery.seconds", per_exec) },
    { "the same in a SQLite store", "%.0f µs", scaled("exec.store.seconds", per_exec) },
    { "the same with `make -j`", "%.0f µs", scaled("exec.make.seconds", per_exec) },
    { "the same with `ninja -j`", "%.0f µs", scaled("exec.ninja.seconds", per_exec) },
    { "hand-over to a worker that sleeps, one way", "%.1f µs", scaled("workers.one_way", 1e6) },
    { "the same, both ways", "%.1f µs", scaled("workers.both_ways", 1e6) },
    { "handlers of that length and more are done sooner by workers", "%.0f µs", scaled("workers.pays", 1e6) },
    { "64 handlers of 20 ms, speed-up by workers", "%.2f", speedup() },
    { "`examples/orders.lua`, a CSV file of so many rows as there are nodes", "%.2f s",
      median "rows.orrery.seconds" },
    { "the same, most resident", "%.1f MiB", scaled("rows.orrery.peak_rss", 1 / 1048576) },
    { "the same work by Miller and `sqlite3`", "%.2f s", median "rows.peer.seconds" },
    { "the same work, speed-up by two processes of `lua5.4`", "%.2f", lua_speedup() },
  }
end

local function json_ratio(document, what)
  local function time(who) return median(("json.%s.%s.%s"):format(document, who, what)) end
  return ratio(time "ours", time "cjson")
end

---What was promised: each with its figure, how to write it, and the bound it must keep below or at.
---Each is { name, value or nil, format, bound, relation }; the relation is "<", "≤" or "≥".
---@return table[]
local function promises()
  local function wavefront(a, b) return over(a, b)("wavefront") end
  local tbb = ns(".tbb.run")
  local list = {
    { "Lua node / oneTBB node, wavefront", wavefront(ns(".lua.run"), tbb), "%.2f", 1.0, "≤" },
    { "the same, one Lua handler for all nodes", wavefront(ns(".shared.run"), tbb), "%.2f", 1.0, "≤" },
    { "C node / oneTBB node, wavefront, core", wavefront(ns(".core.run"), tbb), "%.2f", 0.5, "≤" },
    { "C node / oneTBB node, wavefront, `orrery.h`", wavefront(ns(".api.run"), tbb), "%.2f", 0.5, "≤" },
    { "compiling a plan / building it in oneTBB, wavefront, core",
      wavefront(ns(".core.build"), ns(".tbb.build")),
      "%.2f", 1.0, "<" },
    { "compiling a plan / building it in oneTBB, wavefront, `orrery.h`",
      wavefront(ns(".api.build"), ns(".tbb.build")), "%.2f", 1.0, "<" },
    { "cold start / `lua5.4 -e ''`", ratio(median("hello.seconds"), median("lua.seconds")), "%.2f", 2.2,
      "≤" },
    { "cold start with a store / `lua5.4 -e ''`", ratio(median("hello_store.seconds"), median("lua.seconds")),
      "%.2f", 4.5, "≤" },
    { "command, MB", scaled("command.bytes", 1e-6), "%.2f", 4, "<" },
    { "idle runtime, MB", scaled("idle.rss", 1e-6), "%.2f", 8, "<" },
    { "sleeping node (delay), bytes", per_sleeper("sleep_rss", "delay"), "%.0f", 1300, "<" },
    { "node asleep in its handler, bytes", per_sleeper("sleep_rss"), "%.0f", 1300, "<" },
    { "step with nothing due, µs", scaled("sleep.idle_step", 1e6), "%.2f", 2, "<" },
    { "simulated histories a second", ratio(median "sim.runs", median "sim.seconds"), "%.0f", 1000, "≥" },
    { "a CSV file of rows to SQLite / Miller and `sqlite3`",
      ratio(median "rows.orrery.seconds", median "rows.peer.seconds"), "%.2f", 4, "≤" },
    { "the same, most resident, MiB", scaled("rows.orrery.peak_rss", 1 / 1048576), "%.1f", 64, "≤" },
    { "hand-over to a worker that sleeps, one way, µs", scaled("workers.one_way", 1e6), "%.1f", 20, "≤" },
    { "the same, both ways, µs", scaled("workers.both_ways", 1e6), "%.1f", 60, "≤" },
    { "64 handlers of 20 ms: speed-up by workers / by two `lua5.4`", ratio(speedup(), lua_speedup()), "%.2f",
      0.92, "≥" },
    { "how late the loop wakes up meanwhile, 99 %, ms", scaled("workers.late", 1e3), "%.2f", 5, "≤" },
  }
  for _, row in ipairs {
    { "frame of 2,000 characters, budget 500 µs: 99 %, µs", "town.p99", 1e6, "%.0f", 550 },
    { "the same, worst, µs", "town.worst", 1e6, "%.0f", 1000 },
    { "slices that begin when the budget is gone, most of a step", "overshoot.late", 1, "%.0f", 1 },
    { "a sleeping run, all counted, bytes", "sleeper.bytes", 1, "%.0f", 4300 },
    { "1,000 nodes due in one frame, ms", "due.p50", 1e3, "%.2f", 1 },
    { "step with nothing due, 100,000 runs asleep, µs", "idle.step", 1e6, "%.3f", 0.1 },
    { "`orr_complete`, worst of 20,000, µs", "complete.worst", 1e6, "%.1f", 5 },
    { "`orr_signal`, worst of 20,000, µs", "signal.worst", 1e6, "%.1f", 5 },
    { "looking up one of 10,000 resumed runs, µs", "resume.state", 1e6, "%.2f", 5 },
    { "saving 2,000 characters of 20 steps each, ms", "save.save", 1e3, "%.1f", 20 },
    { "loading them, ms", "save.load", 1e3, "%.1f", 20 },
    { "looking up an id that nothing has beside 100,000 runs, µs", "unknown.state", 1e6, "%.2f", 5 },
    { "resuming 10,000 runs with ids in sequence, s", "resume.resume", 1, "%.2f", 1 },
  } do
    table.insert(list, { row[1], scaled("frame." .. row[2], row[3]), row[4], row[5], "≤" })
  end
  for _, row in ipairs {
    { "shared", 3.3, 450 }, { "own", 3.3, 450 }, { "captures", 3.3, 450 }, { "policies", 6.6, 900 },
    { "const", 6.6, 900 }, { "json", 8, 1000 },
  } do
    local kind, seconds, megabytes = table.unpack(row)
    table.insert(list, { ("loading a million nodes, %s, s"):format(kind),
      median("load." .. kind .. ".seconds"), "%.2f", seconds, "≤" })
    table.insert(list, { "the same, MB", scaled("load." .. kind .. ".peak_rss", 1e-6), "%.0f", megabytes,
      "≤" })
  end
  for _, document in ipairs(report.DOCUMENTS) do
    table.insert(list, { ("encoding JSON / lua-cjson, %s"):format(document), json_ratio(document, "encode"),
      "%.2f", 1, "≤" })
  end
  local later = durable.promises()
  return table.move(later, 1, #later, #list + 1, list)
end

local KEPT = {
  ["<"] = function(value, bound) return value < bound end,
  ["≤"] = function(value, bound) return value <= bound end,
  ["≥"] = function(value, bound) return value >= bound end,
}

local function verdict(promise)
  local value, bound = promise[2], promise[4]
  if not value then return "not measured" end
  return KEPT[promise[5]](value, bound) and "reached" or "**not reached**"
end

-- ---- text ---------------------------------------------------------------------------------------

local function header(machine, size)
  local lines = {
    ("%s, %d processors, %.0f GB; %s.")
      :format(machine.cpu, machine.processors, machine.memory / 1e9, machine.kernel),
    ("%s; %s; oneTBB %s; %s; ninja %s."):format(machine.compiler, machine.lua:match("^Lua %S+") or "no Lua",
      machine.tbb, machine.make, machine.ninja),
    ("%d nodes; medians of %d rounds, of %d for cold starts. %s.")
      :format(size.nodes, size.rounds, size.starts,
      machine.date),
  }
  if size.quick then
    lines[#lines + 1] = "Short form: it shows that the benchmarks work, not how fast Orrery is."
  end
  harness.warn(lines, machine)
  return table.concat(lines, "\n")
end

local function graph_table()
  local lines = { "| | " .. table.concat(report.SHAPES, " | ") .. " |",
    "|---|" .. ("---:|"):rep(#report.SHAPES) }
  for _, row in ipairs(GRAPH_ROWS) do
    local cells = { row[1] }
    for i, shape in ipairs(report.SHAPES) do cells[i + 1] = row[2] and cell(row[2], row[3](shape)) or "" end
    lines[#lines + 1] = "| " .. table.concat(cells, " | ") .. " |"
  end
  return table.concat(lines, "\n")
end

local function other_table(size)
  local lines = { "| | |", "|---|---:|" }
  for _, row in ipairs(other_rows(size)) do
    lines[#lines + 1] = ("| %s | %s |"):format(row[1], cell(row[2], row[3]))
  end
  return table.concat(lines, "\n")
end

local function load_table(size)
  local lines = { ("| loading and compiling %d nodes | s | memory, MB |"):format(size.nodes),
    "|---|---:|---:|" }
  for _, row in ipairs(report.LOADS) do
    local key = "load." .. row[1]
    lines[#lines + 1] = ("| %s | %s | %s |"):format(row[2], cell("%.2f", median(key .. ".seconds")),
      cell("%.0f", scaled(key .. ".peak_rss", 1e-6)))
  end
  return table.concat(lines, "\n")
end

local function json_table()
  local lines = { "| JSON, MB/s | Orrery | lua-cjson | time, Orrery / lua-cjson |", "|---|---:|---:|---:|" }
  for _, document in ipairs(report.DOCUMENTS) do
    for _, what in ipairs { "encode", "decode" } do
      local function speed(who)
        local key = ("json.%s.%s."):format(document, who)
        return cell("%.0f", ratio(scaled(key .. "bytes", 1e-6), median(key .. what)))
      end
      lines[#lines + 1] = ("| %s, %s | %s | %s | %s |"):format(document, what, speed "ours", speed "cjson",
        cell("%.2f", json_ratio(document, what)))
    end
  end
  return table.concat(lines, "\n")
end

local function promise_table()
  local lines = { "| promise | measured | bound | |", "|---|---:|---:|---|" }
  for _, promise in ipairs(promises()) do
    lines[#lines + 1] = ("| %s | %s | %s %g | %s |"):format(promise[1], cell(promise[3], promise[2]),
      promise[5], promise[4], verdict(promise))
  end
  return table.concat(lines, "\n")
end

---@param machine table see harness.machine; also load, others (processors others kept busy), quiet
---@param size { nodes: integer, rounds: integer, starts: integer, execs: integer, quick: boolean, disk: string }
---@return string Markdown
function report.text(machine, size)
  local parts = { header(machine, size) }
  if median("chain.bare.nodes") then parts[#parts + 1] = graph_table() end
  if median("idle.rss") or median("sleep.nodes") or median("exec.make.seconds")
    or median("rows.peer.seconds") then
    parts[#parts + 1] = other_table(size)
  end
  if median "load.shared.seconds" then parts[#parts + 1] = load_table(size) end
  if median "json.mixed.ours.encode" then parts[#parts + 1] = json_table() end
  for _, durable_table in ipairs(durable.tables(size)) do parts[#parts + 1] = durable_table end
  parts[#parts + 1] = promise_table()
  return table.concat(parts, "\n\n") .. "\n"
end

---All samples, their medians and the promises, with sorted keys.
---@return string
function report.json(machine, size)
  local result = { machine = machine, size = size, failures = harness.failures, samples = harness.samples,
    medians = {}, promises = {} }
  local keys = {}
  for key in pairs(harness.samples) do
    keys[#keys + 1] = key
    result.medians[key] = median(key)
  end
  for i, p in ipairs(promises()) do
    result.promises[i] = { promise = p[1], measured = p[2], bound = p[4], reached = verdict(p) == "reached" }
  end
  table.sort(keys)
  return require("dkjson").encode(result, { indent = true, keyorder = keys }) .. "\n"
end

return report
