-- Estimates: what a plan is expected to take, the path that a run really took, what nodes count,
-- and what the next run learns of the history.
local command = require "spec.support.command"
local core = require "orrery.core"
local flow = require "orrery"
local Place = require "spec.support.place"
local schedule = require "orrery.cli.shared.schedule"

local json = core.json

local function has(text, part) assert.truthy(text:find(part, 1, true), text) end

local function graph_of(deps)
  local nodes = {}
  for i, list in ipairs(deps) do
    local of = {}
    for k, j in ipairs(list) do of[k] = { node = j } end
    nodes[i] = { name = "n" .. i, deps = of }
  end
  return schedule.graph { nodes = nodes }
end

describe("a schedule", function()
  it("is what a small example gives by hand", function()
    local graph = graph_of { {}, {}, {}, { 3 } }
    local seconds = { 2, 2, 1, 4 }
    assert.same({ 2, 2, 5, 4 }, (schedule.ranks(graph, seconds)))
    assert.same({ 3, 4 }, schedule.path(graph, seconds))
    assert.equal(9, schedule.makespan(graph, seconds, 1))
    assert.equal(5, schedule.makespan(graph, seconds, 2)) -- 3 and 1; 4 when 3 is over; 2 when 1 is
    assert.equal(5, schedule.makespan(graph, seconds, 4))
  end)

  it("stays within Graham's bounds, and is what the engine does in virtual time", function()
    local seed = tonumber(os.getenv "ORR_SEED") or 20
    math.randomseed(seed)
    for round = 1, 30 do
      local deps, seconds, nodes = {}, {}, {}
      local n, slots = math.random(1, 25), math.random(1, 4)
      for i = 1, n do
        deps[i], seconds[i] = {}, math.random(0, 8)
        local after = json.array {}
        for j = 1, i - 1 do
          if math.random() < 0.15 then
            table.insert(deps[i], j)
            after[#after + 1] = "n" .. j
          end
        end
        nodes[i] = { id = "n" .. i, type = "delay", with = { duration = seconds[i] }, estimate = seconds[i],
          after = #after > 0 and after or nil, pool = { name = "random_" .. slots, hold = true } }
      end
      local graph = graph_of(deps)
      local _, longest = schedule.ranks(graph, seconds)
      local takes, work = schedule.makespan(graph, seconds, slots), 0
      for _, s in ipairs(seconds) do work = work + s end
      local what = ("seed %d, round %d"):format(seed, round)
      assert.truthy(takes >= math.max(longest, work / slots) and takes <= work / slots + longest, what)
      local w = flow.load { name = "random.json", source = json.encode { name = "random",
        pools = { ["random_" .. slots] = { max = slots } }, nodes = json.array(nodes) } }
      local stats = flow.run(w, { clock = "virtual" }):stats()
      assert.equal(takes, stats.ended - stats.started, what)
    end
  end)
end)

-- ---- a store ------------------------------------------------------------------------------------

local FLOW = [[
local flow = require "orrery"
local w = flow.workflow { name = "etl", concurrency = 2%s }
w.fetch = { run = function(ctx)
  ctx:cost("tokens", 100 + ctx.input)
  ctx:cost("usd", 0.25)
  ctx:sleep(1 + ctx.input)
  return { ctx.input }
end }
w.short = { after = "fetch", run = function(ctx) ctx:sleep(1) end }
w.long = { after = "fetch", run = function(ctx) ctx:sleep(5) end }
w.last = { after = { "short", "long" }, run = function(ctx) ctx:cost("tokens", 7) ctx:sleep(2) end }
return w
]]

-- Runs the workflow so often, in virtual time, and keeps the runs.
local function history(here, text, runs, name)
  local file = here.folder .. "/" .. (name or "etl.lua")
  local out <close> = assert(io.open(file, "w"))
  out:write(text)
  out:close()
  local url = "sqlite:" .. here.folder .. "/runs.db"
  local rt = flow.runtime { clock = "virtual", store = url, now = 1790000000 }
  local last
  for i = 1, runs do
    last = flow.run(file, { runtime = rt, input = (i - 1) % 4 })
  end
  rt:sync()
  rt:close()
  return file, url, last
end

local function orrery(...)
  local result = command.run { ... }
  assert.equal(0, result.code, result.err)
  return result.out
end

describe("what a plan is expected to take", function()
  it("is told by the nodes' estimates where there is no store", function()
    local files = { ["t.lua"] = [[
      local w = require "orrery".workflow { name = "t" }
      w.a = { estimate = "2s", run = print }
      w.b = { after = "a", estimate = "4s", run = print }
      w.c = { after = "a", estimate = "4s", run = print }
      w.d = { run = print }
      return w]] }
    local made = command.run_with(files, { "plan", "t.lua", "--slots", "1,2", "--estimate", "--json" })
    assert.equal(0, made.code, made.err)
    local estimate = json.decode(made.out).estimate
    assert.same({ 0, 3, 1 }, { estimate.by_history, estimate.by_estimate, estimate.unknown })
    assert.same({ "a", "b" }, estimate.critical_path.nodes)
    assert.equal(6, estimate.critical_path.seconds)
    assert.near(13.333, estimate.slots[1].seconds, 0.01)
    assert.near(7.333, estimate.slots[2].seconds, 0.01)
    assert.is_nil(estimate.slots[1].p95)
    local text = command.run_with(files, { "plan", "t.lua", "--estimate" }).out
    has(text, "times of 4 nodes: 3 by `estimate`, 1 as the mean of the others, 3.3 s")
    has(text, "critical path: 2 nodes, 6.0 s")
    local wrong = command.run_with(files, { "plan", "t.lua", "--slots", "none" })
    assert.equal(2, wrong.code)
    has(wrong.err, "'none' is no number of slots")
  end)

  it("is told by the runs of a store, with a 95th percentile and costs once there are enough", function()
    local here <close> = Place.new()
    local file, url = history(here, FLOW:format "", 24)
    local estimate = json.decode(orrery("plan", file, "--slots", "1,2", "--store", url, "--json")).estimate
    assert.same({ 24, 4, false }, { estimate.runs, estimate.by_history, estimate.few })
    assert.same({ "fetch", "long", "last" }, estimate.critical_path.nodes)
    assert.equal(9.5, estimate.critical_path.seconds) -- fetch takes 1 to 4 seconds
    assert.truthy(math.abs(estimate.slots[1].seconds - 10.5) < 0.5)
    assert.equal(12, estimate.slots[1].p95)
    assert.equal(11, estimate.slots[2].p95)
    local tokens, usd = estimate.costs[1], estimate.costs[2]
    assert.same({ "tokens", 24, 108.5, 110 }, { tokens.name, tokens.runs, tokens.mean, tokens.p95 })
    assert.same({ "usd", 0.25 }, { usd.name, usd.mean })
    local text = orrery("plan", file, "--estimate", "--store", url)
    has(text, "times of 4 nodes: 4 by the store's 24 runs")
    has(text, "COST OF A RUN")
  end)

  it("says where its runs are too few", function()
    local here <close> = Place.new()
    local file, url = history(here, FLOW:format "", 3)
    local text = orrery("plan", file, "--estimate", "--store", url)
    has(text, "3 runs, too few to tell the 95th percentile")
    assert.is_nil(json.decode(orrery("plan", file, "--store", url, "--json")).estimate.slots[1].p95)
  end)
end)

describe("what nodes count", function()
  it("is added up in a run, its attempts, and over all runs", function()
    local here <close> = Place.new()
    local _, url, last = history(here, FLOW:format "", 4)
    assert.same({ tokens = 110, usd = 0.25 }, last:stats().costs)
    local shown = json.decode(orrery("show", last.id, "--store", url, "--json"))
    assert.same({ tokens = 110, usd = 0.25 }, shown.costs)
    assert.same({ tokens = 103, usd = 0.25 }, shown.nodes[1].costs)
    assert.same({ tokens = 103, usd = 0.25 }, shown.nodes[1].tries[1].costs)
    has(orrery("show", last.id, "--store", url), "110 tokens, 0.25 usd")
    local stats = json.decode(orrery("stats", "--store", url, "--json"))
    assert.same({ workflow = "etl", node = "fetch", name = "tokens", runs = 4, amount = 406 }, stats.costs[1])
    has(orrery("stats", "--store", url), "COST OF")
  end)

  it("is refused where it is no amount", function()
    local w = flow.workflow { name = "wrong" }
    w.a = { run = function(ctx)
      local said = {}
      local wrong = { { "x", -1 }, { "", 1 }, { "x", "much" }, { ("x"):rep(129), 1 }, { "x", 0 / 0 } }
      for i, given in ipairs(wrong) do
        said[i] = not pcall(ctx.cost, ctx, given[1], given[2])
      end
      return said
    end }
    local run = flow.run(w)
    assert.same({ true, true, true, true, true }, run:outputs().a)
    assert.is_nil(run:stats().costs)
  end)

  it("is counted once where a handler goes on after its process has ended", function()
    local here <close> = Place.new()
    local file = here.folder .. "/again.lua"
    local out <close> = assert(io.open(file, "w"))
    out:write [[
local flow = require "orrery"
local w = flow.workflow { name = "again" }
w.a = { run = function(ctx)
  ctx:step("ask", function() ctx:cost("tokens", 5) return 1 end)
  ctx:wait("go")
  ctx:cost("tokens", 2)
end }
return w]]
    out:close()
    local url = "sqlite:" .. here.folder .. "/runs.db"
    local rt = flow.runtime { store = url }
    local run = flow.start(file, { runtime = rt })
    local id = run.id
    here:until_true(function()
      rt:sync()
      return run:why("a").kind == "signal"
    end, "the node waits")
    assert.same({ tokens = 5 }, run:stats().costs)
    run:suspend()
    rt:close()
    rt = flow.runtime { store = url }
    run = flow.resume(id, { runtime = rt })
    assert.same({ tokens = 5 }, run:stats().costs)
    run:signal("go", true)
    rt:wait(run)
    assert.equal("completed", run.state)
    assert.same({ tokens = 7 }, run:stats().costs)
    rt:sync()
    rt:close()
    assert.same({ tokens = 7 }, json.decode(orrery("show", id, "--store", url, "--json")).costs)
  end)
end)

describe("a run that is over", function()
  it("shows the path that it really took, and where that waited", function()
    local here <close> = Place.new()
    local _, url, last = history(here, FLOW:format "", 1)
    local path = json.decode(orrery("show", last.id, "--store", url, "--json")).critical_path
    local names = {}
    for i, node in ipairs(path.nodes) do names[i] = node.name end
    assert.same({ "fetch", "long", "last" }, names)
    assert.near(8, path.seconds, 0.01)
    assert.near(0, path.waited, 0.01)
    has(orrery("show", last.id, "--store", url),
      "critical path 3 nodes, 8.0 s\n  fetch 1.0 s → long 5.0 s → last 2.0 s")
  end)

  it("says what waited for a place", function()
    local here <close> = Place.new()
    local text = [[
local flow = require "orrery"
local w = flow.workflow { name = "narrow", pools = { narrow_one = 1 } }
local one = { name = "narrow_one", hold = true }
w.a = flow.delay { "3s", pool = one }
w.b = flow.delay { "2s", pool = one }
w.c = flow.delay { "1s", after = "b" }
return w]]
    local _, url, last = history(here, text, 1, "narrow.lua")
    local path = json.decode(orrery("show", last.id, "--store", url, "--json")).critical_path
    assert.near(6, path.seconds, 0.01)
    assert.near(3, path.waited, 0.01)
    has(orrery("show", last.id, "--store", url), "(waited 3.0 s) b 2.0 s → c 1.0 s")
  end)
end)

describe("estimates that are learned", function()
  it("order what is ready by what earlier runs took", function()
    local here <close> = Place.new()
    local text = [[
local flow = require "orrery"
local w = flow.workflow { name = "wide", pools = { wide_one = 1 }%s }
local one = { name = "wide_one", hold = true }
w.quick = flow.delay { "1s", pool = one }
w.slow = flow.delay { "9s", pool = one }
w.middle = flow.delay { "4s", pool = one }
return w]]
    local function order(run)
      local db <close> = core.store("sqlite:" .. here.folder .. "/runs.db")
      db:project()
      local number, names = db:row("run_number", { id = run.id }).number, {}
      for i, row in ipairs(db:rows("attempts_of_run", { run = number })) do names[i] = row.node end
      return names
    end
    local _, _, plain = history(here, text:format "", 3, "wide.lua")
    assert.same({ "quick", "slow", "middle" }, order(plain))
    local _, _, learned = history(here, text:format ', estimates = "learned"', 1, "wide.lua")
    assert.same({ "quick", "slow", "middle" }, order(plain))
    assert.same({ "slow", "middle", "quick" }, order(learned))
  end)

  it("is one word", function()
    local _, problems = flow.compile(flow.workflow { name = "w", estimates = "guessed" })
    has(problems[1].message, 'estimates: expected "learned"')
  end)
end)

describe("why a node waits", function()
  it("says how long its path is, where there are estimates", function()
    local w = flow.workflow { name = "why", concurrency = 1 }
    w.a = { estimate = 9, run = function() end }
    w.b = { estimate = 2, run = function() end }
    w.c = { after = "b", estimate = 3, run = function() end }
    local rt = flow.runtime { clock = "virtual" }
    local run = flow.start(w, { runtime = rt })
    assert.equal(5, run:why("b").remaining)
    assert.is_nil(run:why("c").remaining) -- it is not ready
    rt:wait(run)
    assert.is_nil(run:why("b").remaining)
  end)
end)
