-- `orrery sim`: what it finds in workflows with planted bugs, and in none of those that are mended;
-- that its histories are what seeds say; and the engine itself over random workflows.
local command = require "spec.support.command"
local flow = require "orrery"
local json = flow.json
local simulated = require "orrery.simulated"

local SIM = "orrery.sim"

local function sim(...) return command.run { "sim", ... } end

local function lines_of(text)
  local n = 0
  for _ in text:gmatch "[^\n]+" do n = n + 1 end
  return n
end

local function has(text, part)
  assert(text:find(part, 1, true), ("no %q in:\n%s"):format(part, text))
end

after_each(function() simulated.clear() end)

-- What a simulation of a workflow comes to, in this process.
local function report_of(w, options)
  local simulation = require(SIM)
  return simulation.run(assert(simulation.compile(w)), options)
end

local PLANTED = {
  { "forgets", "who does not fly has no seat", "crash,cancel,hang,late,slow,commit_unsure,skip",
    "effect seat taken" },
  { "pays_twice", "paid once", nil, "payment" },
  { "race", "who pays gets the goods",
    "crash,signal,hold_back,slow,commit_unsure,commit_fails,pause,skip,twice", "signal payment" },
}

describe("a planted bug", function()
  for _, case in ipairs(PLANTED) do
    local name, invariant, faults, clue = table.unpack(case, 1, 4)
    local only = faults and { "--faults", faults } or {}

    it("is found, explained in less than twenty lines, and found again by one command: " .. name, function()
      local file = ("spec/sim/planted/%s.lua"):format(name)
      local found = sim(file, "--seeds", "4000", "-q", table.unpack(only))
      assert.same(1, found.code)
      assert.same("", found.err)
      has(found.out, ("breaks \"%s\""):format(invariant))
      has(found.out, clue)
      assert(lines_of(found.out) < 20, found.out)
      local again = found.out:match "again: orrery (sim [^\n]+)"
      local words = {}
      for word in again:gmatch "%S+" do words[#words + 1] = word end
      words[#words + 1] = "-q"
      local replayed = command.run(words)
      assert.same(found.out, replayed.out)
      assert.same(1, replayed.code)
    end)

    it("is not found where it is mended: " .. name, function()
      local found = sim(("spec/sim/mended/%s.lua"):format(name), "--seeds", "2000", table.unpack(only))
      assert.same("", found.err)
      assert.same(0, found.code, found.out)
      has(found.out, "2,000 histories")
    end)
  end
end)

-- The text of an example with edits, each of what stands there once.
local function edited(text, ...)
  for _, edits in ipairs { ... } do
    for _, edit in ipairs(edits) do
      local first, last = text:find(edit[1], 1, true)
      assert(first and not text:find(edit[1], last + 1, true), "the example has not once: " .. edit[1])
      text = text:sub(1, first - 1) .. edit[2] .. text:sub(last + 1)
    end
  end
  return text
end

describe("a bug planted in an example", function()
  for _, case in ipairs(dofile "spec/sim/examples.lua") do
    local what = ("is found, and explained in less than twenty lines: %s, %s"):format(case.example, case.bug)
    it(what, function()
      local text = assert(io.open(("examples/%s.lua"):format(case.example))):read "a"
      local Place <close> = require("spec.support.place").new {
        ["planted.lua"] = edited(text, case.watched, case.planted),
        ["mended.lua"] = edited(text, case.watched) }
      local only = case.faults and { "--faults", case.faults } or {}
      local found = Place:orrery("sim", "planted.lua", "--seeds", "4000", "-q", table.unpack(only))
      assert.same(1, found.code, found.out .. found.err)
      has(found.out, ("breaks \"%s\""):format(case.invariant))
      has(found.out, case.clue)
      assert(lines_of(found.out) < 20, found.out)
      local mended = Place:orrery("sim", "mended.lua", "--seeds", "2000", table.unpack(only))
      assert.same(0, mended.code, mended.out .. mended.err)
    end)
  end
end)

describe("orrery sim", function()
  it("reports as JSON", function()
    local found = sim("spec/sim/planted/pays_twice.lua", "--json")
    local data = json.decode(found.out)
    assert.same("paid once", data.broken.name)
    assert.same("2 payments for one order", data.broken.text)
    assert.same(1, #data.broken.faults)
    assert(data.virtual.p95 >= data.virtual.p50)
    assert.same(1, found.code)
  end)

  it("refuses what it does not know", function()
    local found = sim("spec/sim/planted/race.lua", "--faults", "crsh")
    assert.same(2, found.code)
    has(found.err, 'there is no kind of fault "crsh"; did you mean "crash"?')
    found = sim("spec/sim/no_such.lua")
    assert.same(2, found.code)
    has(found.err, "no_such.lua")
  end)

  it("draws attempts from the runs of a store", function()
    local Place <close> = require("spec.support.place").new { ["w.lua"] = [[
      local flow = require "orrery"
      local w = flow.workflow { name = "learnt" }
      w.a = { retry = { max = 1, delay = 0 }, run = function(ctx)
        if ctx.attempt == 1 then flow.error { code = "flaky", message = "no" } end
        return { n = 5 }
      end }
      w.b = { after = "a", run = function(_, inputs) return inputs.a.n + 1 end }
      flow.invariant("it gives what it gave", function(h)
        return h.state ~= "completed" or h.outputs.a.n == 5 and h.outputs.b == 6
      end)
      flow.invariant("it fails as it failed", function(h)
        return h.errors.a == nil or h.errors.a.code == "flaky", h.errors.a and h.errors.a.code
      end)
      return w]] }
    for _ = 1, 3 do Place:ends(0, "run", "w.lua", "--store", "sqlite:runs.db", "-q") end
    local found = Place:orrery("sim", "w.lua", "--learn", "sqlite:runs.db", "--faults", "crash,slow",
      "--seeds", "300", "--json")
    local data = json.decode(found.out)
    assert.is_nil(data.broken)
    assert(data.runs.failed > 0, "an attempt may be like the first of the two that were")
    assert(data.runs.completed > 0)
    has(Place:orrery("sim", "w.lua", "--learn", "sqlite:none.db").err, "none.db")
  end)
end)

describe("a history", function()
  local function workflow()
    local w = flow.workflow { name = "once" }
    w.first = { retry = { max = 2, delay = "1s" }, run = function(ctx)
      ctx:sleep(0.5)
      return ctx:random()
    end }
    w.second = { after = "first", run = function(ctx)
      return ctx:wait("go", { timeout = "1h" })
    end, on_error = "ignore" }
    w.third = { after = "second", timeout = "10s", run = function() return 3 end,
      compensate = function() end }
    return w
  end

  it("is the same for the same seed, and another for another", function()
    local trace = require "orrery.sim.trace"
    local function digests()
      local list = {}
      report_of(workflow(), { seeds = 60, seed = 100,
        on_history = function(h) list[#list + 1] = trace.digest(h) end })
      return list
    end
    local one, two = digests(), digests()
    assert.same(60, #one)
    assert.same(one, two)
    local distinct, n = {}, 0
    for _, digest in ipairs(one) do
      if not distinct[digest] then n = n + 1 end
      distinct[digest] = true
    end
    assert(n > 30, n)
  end)

  it("meets every kind of fault", function()
    local kinds, cut, lives = {}, 0, 0
    report_of(workflow(), { seeds = 600, on_history = function(h)
      for _, fault in ipairs(h.faults) do
        kinds[fault.commit and "commit_" .. fault.kind or fault.kind] = true
      end
      for _, start in ipairs(h.starts) do cut = cut + (start.cut and 1 or 0) end
      lives = lives + h.lives
    end })
    for _, name in ipairs(require("orrery.sim.faults").names) do assert(kinds[name], name) end
    assert(cut > 0, "a crash cuts attempts off")
    assert(lives > 700, lives)
  end)

  it("is broken where a handler depends on what outlives the run", function()
    local w, n = flow.workflow { name = "impure" }, 0
    w.a = { run = function(ctx)
      n = n + 1
      ctx:sleep(n)
    end }
    local report = report_of(w, { seeds = 10 })
    assert.same("equal seeds give equal histories", report.broken.name)
  end)

  it("is broken where a replay takes another course", function()
    local w, n = flow.workflow { name = "forks" }, 0
    w.a = { run = function(ctx)
      n = n + 1
      ctx:step(n % 2 == 0 and "even" or "odd", function() end)
      ctx:sleep(1)
    end }
    local report = report_of(w, { seeds = 400, faults = { "crash" } })
    assert(report.broken)
    assert(report.broken.name == "a replay takes the same course"
      or report.broken.name == "equal seeds give equal histories", report.broken.name)
  end)

  it("is broken where it never ends", function()
    local w = flow.workflow { name = "endless" }
    w.a = { run = function(ctx)
      while true do ctx:sleep("30d") end
    end }
    local report = report_of(w, { seeds = 3 })
    assert.same("every run ends", report.broken.name)
    assert.same(0, #report.broken.history.faults)
  end)

  it("runs what a workflow calls as well, with its models", function()
    local child = flow.workflow { name = "inner" }
    child.work = { run = function() return 1 end }
    local w = flow.workflow { name = "outer" }
    w.call = { run = function(ctx) return ctx:call(child, {}) end }
    local calls = 0
    flow.model("work", function()
      calls = calls + 1
      return 2
    end)
    local report = report_of(w, { seeds = 200, faults = { "crash", "slow", "commit_unsure" } })
    assert.is_nil(report.broken and report.broken.text)
    assert.same({ completed = 200 }, report.states)
    assert(calls >= 200)
  end)

  it("has the handlers of models in place of those of node types", function()
    local w = flow.workflow { name = "typed", output = "${nodes.get}" }
    w.get = flow.http.get { url = "http://unreachable.invalid/" }
    flow.model("http.get", function(_, config, _, world)
      world.asked = (world.asked or 0) + 1
      return { url = config.url }
    end)
    flow.invariant("it is asked", function(h)
      return h.state ~= "completed" or (h.world.asked > 0 and h.output.url == "http://unreachable.invalid/")
    end)
    local report = report_of(w, { seeds = 100, faults = { "crash", "slow" } })
    assert.is_nil(report.broken and report.broken.text)
    assert.same({ completed = 100 }, report.states)
  end)
end)

describe("a simulation", function()
  local function simple()
    local w = flow.workflow { name = "simple" }
    w.fetch = { run = function(ctx) return ctx:wait("ready", { timeout = "1h" }) end }
    return w
  end

  it("knows the names of models", function()
    local function message()
      local ok, problem = pcall(report_of, simple(), { seeds = 20 })
      simulated.clear()
      assert.is_false(ok)
      return tostring(problem)
    end
    flow.model("fetsh", function() end)
    has(message(),
      'flow.model "fetsh": there is no node, node type or signal of this name; did you mean "fetch"?')
    flow.model("http.gte", function() end)
    has(message(), 'did you mean "http.get"?')
    flow.model("signal:raedy", { data = 1 })
    has(message(), 'did you mean "signal:ready"?')
    flow.model("completely else", function() end)
    has(message(), 'flow.model "completely else": there is no')
    flow.model("fetch", { takes = "1s" })
    flow.model("signal:ready", { data = 1 })
    flow.model("http.get", function() end)
    assert.same(20, report_of(simple(), { seeds = 20 }).seeds)
  end)

  it("plays the history of any seed", function()
    for _, seed in ipairs { math.maxinteger, math.mininteger, 0, -1 } do
      local report = report_of(simple(), { seed = seed, seeds = 2 })
      assert.same(2, report.seeds)
      assert.is_nil(report.broken and report.broken.text)
    end
    local found = sim("spec/sim/planted/pays_twice.lua", "--seed", "9223372036854775807", "--seeds", "200")
    has(found.out, "again: orrery sim spec/sim/planted/pays_twice.lua --seed")
    assert.same(1, found.code)
    local words = {}
    for word in found.out:match "again: orrery (sim [^\n]+)":gmatch "%S+" do words[#words + 1] = word end
    assert.same(1, command.run(words).code)
  end)

  it("shows null as null", function()
    local w = flow.workflow { name = "nulls" }
    w.a = { run = function()
      flow.effect("sent", { to = json.null })
      return { x = json.null }
    end }
    flow.invariant("never", function() return false end)
    local report = report_of(w, { seeds = 1, faults = { "slow" } })
    local text = table.concat(require("orrery.sim.trace").lines(report.broken.history), "\n")
    has(text, "effect sent { to = null }")
    has(text, "a → { x = null }")
  end)

  it("shrinks what differs when it is played again", function()
    local w, n = flow.workflow { name = "impure" }, 0
    w.a = { timeout = "10s", retry = 1, run = function(ctx)
      n = n + (ctx.attempt - 1) -- only a second attempt depends on what outlives the run
      ctx:sleep(n)
    end }
    local report = report_of(w, { seeds = 2000, faults = { "fail", "slow", "commit_slow", "skip" } })
    assert.same("equal seeds give equal histories", report.broken.name)
    assert(#report.broken.history.faults <= 1, #report.broken.history.faults)
    assert(report.broken.tries > 0)
  end)

  it("lets timeouts pass while the disk is at a commit", function()
    local w = flow.workflow { name = "slow disk" }
    w.a = { timeout = "10s", run = function(ctx)
      ctx:sleep(1)
      return 1
    end }
    w.b = { after = "a", timeout = "10s", run = function() return 2 end }
    local stalled, late = 0, 0
    local report = report_of(w, { seeds = 400, faults = { "stall" }, on_history = function(h)
      for _, entry in ipairs(h.log) do
        if entry.what == "stall" then stalled = stalled + 1 end
      end
      if h.errors.a and h.errors.a.code == "timeout" then late = late + 1 end
    end })
    assert.is_nil(report.broken and report.broken.text)
    assert(stalled > 0, "no commit has stalled")
    assert(late > 0, "no timeout has passed meanwhile")
  end)
end)

describe("flow.model and flow.invariant", function()
  it("say what they take", function()
    local function message(fn, ...) return select(2, pcall(fn, ...)) end
    has(message(flow.invariant, "x"), 'flow.invariant "x": expected a function(h), got nothing')
    has(message(flow.invariant, 5), "flow.invariant: expected a name, got 5")
    has(message(flow.model, "x", 5), 'flow.model "x": expected a function or a table, got 5')
    has(message(flow.model, "x", { takse = 1 }), 'unknown field "takse"; did you mean "takes"?')
    has(message(flow.model, "x", { fails = 2 }), "fails: expected a probability from 0 to 1, got 2")
    has(message(flow.model, "x", { takes = { 5, 1 } }), "takes: expected a duration, or two")
    has(message(flow.effect, ""), "flow.effect: expected a name")
  end)

  it("do nothing outside of a simulation", function()
    local w = flow.workflow { name = "real" }
    w.a = { run = function()
      flow.effect "done"
      return 1
    end }
    flow.model("a", function() return 2 end)
    flow.invariant("never", function() return false end)
    assert.same(1, flow.run(w):outputs().a)
  end)
end)

describe("the engine", function()
  -- The clock goes past the timeout and the grace while the start waits for its record: the attempt
  -- has failed and is undone before it could begin.
  it("does not start an attempt that was given up before it could", function()
    local w = flow.workflow { name = "late" }
    w.a = { timeout = "10s", run = function() return 1 end, compensate = function() end }
    local simulation, world = require(SIM), require "orrery.sim.world"
    local s = require("orrery.sim.subject").of(assert(simulation.compile(w)))
    local h = world.play(s, {}, 1, { { kind = "crash", record = 1, down = 1 },
      { kind = "skip", act = "skip", at = 1, by = 60 } })
    assert.same("compensated", h.state)
    for _, start in ipairs(h.starts) do assert.same("undo", start.phase) end
    assert.is_nil((require("orrery.sim.check").engine(h)))
  end)

  it("keeps its promises over random workflows", function()
    local played = command.run { "spec/sim/main.lua", "1000" }
    assert.same(0, played.code, played.out .. played.err)
    assert.same("", played.err)
    has(played.out, "1000 histories of 50 workflows")
  end)
end)
