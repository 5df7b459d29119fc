-- Barriers: branches, items and runs that wait for each other, in one process and in several, some
-- of which are killed.
local flow = require "orrery"
local place = require "spec.support.place"

local function seconds_of(run)
  local stats = run:stats()
  return stats.ended - stats.started
end

local function places(outputs)
  local list = {}
  for i, output in ipairs(outputs) do list[i] = output.place end
  table.sort(list)
  return list
end

describe("a barrier of one run", function()
  local function workflow()
    local w = flow.workflow { name = "w", concurrency = 1, on_error = "continue" }
    w.slow = flow.delay { "10s" }
    w.a = flow.barrier { after = "slow", name = "x", count = 3 }
    w.b = flow.sync { name = "x", count = 3, timeout = "1h" }
    w.c = { type = "sync", with = { name = "x", count = "${input.count}" } }
    return w
  end

  for _, store in ipairs { "memory:", "sqlite" } do
    it("lets its branches go on when all are there, without a slot, in " .. store, function()
      local here <close> = place.new()
      local url = store == "sqlite" and "sqlite:" .. here.folder .. "/runs.db" or nil
      local rt = flow.runtime { clock = "virtual", store = url }
      local run = flow.run(workflow(), { runtime = rt, input = { count = 3 } })
      assert.equal("completed", run.state, run.error and tostring(run.error))
      local outputs = run:outputs()
      assert.same({ 1, 2, 3 }, places { outputs.a, outputs.b, outputs.c })
      assert.equal(3, outputs.a.place) -- it came last
      assert.equal(3, outputs.a.count)
      assert.is_true(seconds_of(run) >= 10)
      rt:close()
    end)
  end

  it("takes items in groups as they come", function()
    local w = flow.workflow { name = "w", output = "${nodes.e}" }
    w.e = flow.barrier { each = { 1, 2, 3, 4 }, count = 2 }
    local run = flow.run(w, { clock = "virtual" })
    assert.same({ 1, 1, 2, 2 }, places(run.output))
  end)

  it("is passed once in each iteration of a loop", function()
    local w = flow.workflow { name = "w" }
    w.a = flow.barrier { name = "x", count = 2, loop = { times = 3 } }
    w.b = flow.barrier { name = "x", count = 2, loop = { times = 3, delay = "1s" } }
    local run = flow.run(w, { clock = "virtual" })
    assert.equal("completed", run.state)
  end)

  it("fails who waits too long, and whoever says another count", function()
    local w = flow.workflow { name = "w", on_error = "continue" }
    w.late = flow.barrier { name = "x", count = 2, timeout = "5s" }
    w.other = flow.barrier { name = "x", count = 3 }
    w.goes_on = flow.barrier { count = 2, timeout = "5s", on_timeout = "continue" }
    local run = flow.run(w, { clock = "virtual" })
    local errors = run:errors()
    assert.equal("barrier_timeout", errors.late.code)
    assert.equal("barrier x: 1 of 2 had arrived when the time for it was over", errors.late.message)
    assert.same({ barrier = "x", arrived = 1, count = 2 }, errors.late.details)
    assert.equal("config_error", errors.other.code)
    assert.matches("3 wait for each other here, and others for 2", errors.other.message, 1, true)
    assert.same({ timed_out = true }, run:outputs().goes_on)
  end)

  -- Runs the workflow in a runtime without a store, or with one.
  local function in_each_store(what, make, check)
    for _, kept in ipairs { false, true } do
      it(what .. (kept and ", in a store" or ""), function()
        local here <close> = place.new()
        local url = kept and "sqlite:" .. here.folder .. "/runs.db" or nil
        local rt = flow.runtime { clock = "virtual", store = url }
        check(flow.run(make(), { runtime = rt }))
        rt:close()
      end)
    end
  end

  in_each_store("counts a node once, however often it tries", function()
    local w = flow.workflow { name = "w", on_error = "continue" }
    w.a = flow.barrier { name = "x", count = 3, timeout = "5s",
      retry = { max = 3, delay = "1s", jitter = "none", strategy = "fixed" } }
    w.slow = flow.delay { "8s" }
    w.b = flow.barrier { after = "slow", name = "x", count = 3, timeout = "1m" }
    w.slower = flow.delay { "9s" }
    w.c = flow.barrier { after = "slower", name = "x", count = 3, timeout = "1m" }
    return w
  end, function(run)
    assert.equal("completed", run.state, run.error and tostring(run.error))
    assert.same({ 1, 2, 3 }, places { run:outputs().a, run:outputs().b, run:outputs().c })
    assert.is_true(seconds_of(run) >= 9)
  end)

  in_each_store("is left by who is cancelled, and the others wait on", function()
    local w = flow.workflow { name = "w" }
    w.ready = flow.delay { "1s" }
    w.leaves = flow.barrier { name = "x", count = 2 }
    w.first = { after = { "ready", "leaves" }, join = { need = 1, cancel_rest = true }, run = function() end }
    w.slow = flow.delay { "5s" }
    w.a = flow.barrier { after = "slow", name = "x", count = 2 }
    w.slower = flow.delay { "9s" }
    w.b = flow.barrier { after = "slower", name = "x", count = 2 }
    return w
  end, function(run)
    assert.equal("cancelled", run:states().leaves)
    assert.same({ 1, 2 }, places { run:outputs().a, run:outputs().b })
    assert.is_true(seconds_of(run) >= 9)
  end)

  it("says where it cannot be used", function()
    assert.has_error(function() flow.arrive("x", { count = 1 }) end)
    local w = flow.workflow { name = "w" }
    w.a = { run = function() flow.arrive("x", { count = 0 }) end }
    assert.matches("count is a whole number of at least 1, got 0",
      flow.run(w).error.message, 1, true)
    local v = flow.workflow { name = "v" }
    v.a = flow.barrier { count = 0 }
    assert.matches("count", flow.check(v)[1].message, 1, true)
  end)
end)

describe("a barrier across runs", function()
  it("is one for all runs of a runtime, and for no others", function()
    local w = flow.workflow { name = "w", output = "${nodes.b}" }
    w.b = flow.barrier { count = 2, across = "runs", timeout = "1m" }
    local rt, other = flow.runtime { clock = "virtual" }, flow.runtime { clock = "virtual" }
    local a, b = flow.start(w, { runtime = rt }), flow.start(w, { runtime = rt })
    local alone = flow.run(w, { runtime = other })
    rt:wait(a)
    rt:wait(b)
    assert.same({ 1, 2 }, places { a.output, b.output })
    assert.equal("barrier_timeout", alone.error.code)
    assert.equal("w.b", alone.error.details.barrier)
  end)

  it("is left by a run that is cancelled", function()
    local w = flow.workflow { name = "w", output = "${nodes.b}" }
    w.b = flow.barrier { name = "x", count = 2, across = "runs", timeout = "1m" }
    local rt = flow.runtime { clock = "virtual" }
    local gone = flow.start(w, { runtime = rt })
    rt:step(0.01)
    gone:cancel()
    rt:wait(gone)
    local a, b = flow.start(w, { runtime = rt }), flow.start(w, { runtime = rt })
    rt:wait(a)
    rt:wait(b)
    assert.same({ 1, 2 }, places { a.output, b.output })
  end)
end)

-- Says in `did` which of the runs has passed, and where it came.
local FILE = [[
local flow = require "orrery"
local function did(what)
  local file <close> = io.open("did", "a")
  file:write(what, "\n")
end
local w = flow.workflow { name = "w", input = { n = "string", count = "integer" } }
w.b = flow.barrier { name = "all", count = "${input.count}", across = "runs" }
w.passed = { after = "b", run = function(ctx) did(("%s %d"):format(ctx.input.n, ctx.nodes.b.place)) end }
return w
]]

-- The barrier is passed, and passed again when the run is retried: `a` has failed, and `b` follows
-- it.
local AGAIN = [[
local flow, uv = require "orrery", require "luv"
local w = flow.workflow { name = "again", on_error = "continue" }
w.a = { run = function() if not uv.fs_stat "good" then error "no" end end }
w.z = { run = w.a.run }
w.y = { run = function() end }
w.b = flow.barrier { after = { "a", "y" }, join = "any", name = "x", count = 2 }
w.slow = flow.delay { 0.2 }
w.c = flow.barrier { after = "slow", name = "x", count = 2 }
return w
]]

local ROUNDS = [[
local flow = require "orrery"
local function did(what)
  local file <close> = io.open("did", "a")
  file:write(what, "\n")
end
local w = flow.workflow { name = "rounds" }
w.b = { loop = { times = 5 }, run = function(ctx)
  local at = flow.arrive("all", { count = 3, across = "runs" })
  ctx:step("passed", function() did(("%d %s %d"):format(ctx.iteration, ctx.input.n, at.place)) end)
end }
return w
]]

describe("a barrier between processes", function()
  local function new()
    return place.new { ["w.lua"] = FILE, ["rounds.lua"] = ROUNDS, ["again.lua"] = AGAIN }
  end

  local function begin(here, n, count)
    return here:start { "run", "w.lua", "--input", "n=" .. n, "--input", "count=" .. count }
  end

  local function is_there(here) return pcall(here.query, here, "SELECT 1") end

  local function arrived(here, n)
    here:until_true(function()
      return is_there(here) and #here:query("SELECT 1 FROM arrivals JOIN runs ON runs.number = arrivals.run "
        .. "WHERE json_extract(input, '$.n') = ?", n) > 0
    end, n .. " arrives")
  end

  local function id_of(here, n)
    return here:query("SELECT id FROM runs WHERE json_extract(input, '$.n') = ?", n)[1].id
  end

  local function waiting(here) return #here:query "SELECT 1 FROM arrivals WHERE opened IS NULL" end

  local function kill(here, process)
    process.handle:kill "sigkill"
    here:finish(process)
  end

  local function ended(here, process)
    local result = here:finish(process)
    if result.code ~= 0 then error(("exit code %d: %s%s"):format(result.code, result.out, result.err), 2) end
  end

  it("opens when runs of several processes are there", function()
    local here <close> = new()
    local a = begin(here, "a", 3)
    arrived(here, "a")
    local b = begin(here, "b", 3)
    arrived(here, "b")
    assert.same({}, here:did())
    local c = begin(here, "c", 3)
    for _, process in ipairs { a, b, c } do ended(here, process) end
    assert.same({ ["a 1"] = 1, ["b 2"] = 1, ["c 3"] = 1 }, here:counts())
    assert.equal(3, #here:query "SELECT 1 FROM inbox WHERE checksum IS NOT NULL")
    assert.equal(0, #here:query "SELECT 1 FROM inbox WHERE checksum IS NULL")
  end)

  it("counts a run that was killed and resumed once", function()
    local here <close> = new()
    local a = begin(here, "a", 3)
    arrived(here, "a")
    kill(here, a)
    a = here:start { "resume", id_of(here, "a") }
    local b = begin(here, "b", 3)
    arrived(here, "b")
    assert.equal(2, waiting(here))
    local c = begin(here, "c", 3)
    for _, process in ipairs { a, b, c } do ended(here, process) end
    assert.same({ ["a 1"] = 1, ["b 2"] = 1, ["c 3"] = 1 }, here:counts())
  end)

  it("counts a run whose process has died, which passes when it is resumed", function()
    local here <close> = new()
    local a = begin(here, "a", 2)
    arrived(here, "a")
    kill(here, a)
    ended(here, begin(here, "b", 2))
    assert.same({ "b 2" }, here:did())
    ended(here, here:start { "resume", id_of(here, "a") })
    assert.same({ "b 2", "a 1" }, here:did())
    local c = begin(here, "c", 2) -- nothing is left of the others
    arrived(here, "c")
    assert.equal(1, waiting(here))
    ended(here, begin(here, "d", 2))
    ended(here, c)
  end)

  it("counts no run that was cancelled while no process ran it", function()
    local here <close> = new()
    local a = begin(here, "a", 2)
    arrived(here, "a")
    kill(here, a)
    here:finish(here:start { "cancel", id_of(here, "a") })
    here:finish(here:start { "resume", id_of(here, "a") })
    local b = begin(here, "b", 2)
    arrived(here, "b")
    assert.equal(1, waiting(here))
    local c = begin(here, "c", 2)
    ended(here, b)
    ended(here, c)
    assert.same({ ["b 1"] = 1, ["c 2"] = 1 }, here:counts())
  end)

  it("lets a round go through as a whole, whoever is killed meanwhile", function()
    local here <close> = new()
    local names, processes = { "a", "b", "c" }, {}
    for _, n in ipairs(names) do
      processes[n] = here:start { "run", "rounds.lua", "--input", "n=" .. n }
    end
    for i = 1, 6 do
      local n = names[i % 3 + 1]
      here:until_true(function()
        return is_there(here) and #here:query "SELECT 1 FROM arrivals" >= 2 * i
      end, "arrivals")
      here:until_true(function()
        return #here:query("SELECT 1 FROM runs WHERE json_extract(input, '$.n') = ?", n) > 0
      end, n .. " begins")
      if not processes[n].code then
        kill(here, processes[n])
        if processes[n].code ~= 0 then processes[n] = here:start { "resume", id_of(here, n) } end
      end
    end
    for _, n in ipairs(names) do ended(here, processes[n]) end
    local came, last = {}, 0
    for _, line in ipairs(here:did()) do
      local round, n, at = line:match "^(%d+) (%a) (%d)$"
      round = tonumber(round)
      came[round] = came[round] or {}
      came[round][n] = at -- once more after a kill, and then the same
      assert.is_true(round <= last + 1)
      if came[round].a and came[round].b and came[round].c then last = math.max(last, round) end
    end
    assert.equal(5, last)
    for round = 1, 5 do
      local set = {}
      for _, at in pairs(came[round]) do set[#set + 1] = at end
      table.sort(set)
      assert.same({ "1", "2", "3" }, set)
    end
    assert.equal(15, #here:query "SELECT 1 FROM arrivals")
    assert.equal(0, waiting(here))
  end)

  it("stays passed for who has passed it, when its run is retried", function()
    local here <close> = new()
    here:ends(1, "run", "again.lua")
    here:write("good", "")
    here:ends(0, "retry", here:newest())
    assert.equal(2, #here:query "SELECT 1 FROM arrivals WHERE opened IS NOT NULL")
    assert.equal(0, waiting(here))
  end)

  it("keeps nothing of runs that were removed", function()
    local here <close> = new()
    ended(here, begin(here, "a", 1))
    assert.equal(1, #here:query "SELECT 1 FROM arrivals")
    ended(here, here:start { "prune", "--older", "0s" })
    assert.equal(0, #here:query "SELECT 1 FROM arrivals")
  end)
end)
