-- The clock of a run stands still while the run is paused: all that handlers wait for, in virtual
-- time, within a process and over the end of one; and what is said of it.
local flow = require "orrery"
local place = require "spec.support.place"
local uv = require "luv"

-- Runs a workflow on a virtual clock, pauses it after 2 s for 100 s, and returns the run and how
-- long it took. `during(run)` is called after 50 s of the pause.
local function paused(build, during)
  local rt = flow.runtime { clock = "virtual" }
  local w = flow.workflow { name = "w", output = "${nodes.a}", on_error = "continue" }
  build(w)
  local begun = rt:now()
  local run = flow.start(w, { runtime = rt })
  local meddler = flow.workflow { name = "meddler" }
  meddler.m = { run = function(ctx)
    ctx:sleep(2)
    run:pause()
    ctx:sleep(50)
    if during then during(run) end
    ctx:sleep(50)
    run:resume()
  end }
  local other = flow.start(meddler, { runtime = rt })
  rt:wait(run)
  local took = rt:now() - begun
  rt:wait(other)
  return run, took
end

describe("while a run is paused its clock stands still:", function()
  local cases = {
    { "ctx:sleep", function(ctx) ctx:sleep(5) return true end },
    { "a sleep in one of several strands", function(ctx)
      flow.gather { function() ctx:sleep(5) end, function() ctx:sleep(1) end }
      return true
    end },
    { "ctx:wait with a timeout", function(ctx)
      local ok, problem = pcall(ctx.wait, ctx, "never", { timeout = 5 })
      return not ok and problem.code == "signal_timeout"
    end },
    { "flow.later", function() return flow.later(5) or true end },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      local run, took = paused(function(w) w.a = { run = case[2] } end)
      assert.equal("completed", run.state)
      assert.equal(105, took)
    end)
  end

  it("a timeout, a deadline, a backoff and the run's timeout", function()
    local function forever(ctx) ctx:sleep(1e6) end
    local _, took = paused(function(w) w.a = { deadline = "5s", run = forever } end)
    assert.equal(105, took)
    _, took = paused(function(w)
      w.a = { timeout = "5s", run = function() flow.await(function() return function() end end) end }
    end)
    assert.equal(105, took)
    _, took = paused(function(w)
      w.a = { retry = { max = 1, delay = "5s", strategy = "fixed", jitter = "none" },
        run = function(ctx) if ctx.attempt == 1 then error "x" end return true end }
    end)
    assert.equal(105, took)
  end)

  it("a signal ends a wait when the run goes on", function()
    local run, took = paused(function(w)
      w.a = { run = function(ctx) return ctx:wait("go", { timeout = 5 }) end }
    end, function(run) run:signal("go", 7) end)
    assert.equal(7, run.output)
    assert.equal(102, took)
  end)

  it("ctx:now does not, for it tells the time", function()
    local run = paused(function(w)
      w.a = { run = function(ctx) local before = ctx:now() ctx:sleep(5) return ctx:now() - before end }
    end)
    assert.equal(105, run.output)
  end)

  it("why says what is left", function()
    local why
    local run = paused(function(w)
      w.a = { run = function(ctx) ctx:sleep(5) return true end }
    end, function(run) why = run:why "a" end)
    assert.same({ kind = "timer", state = "waiting", left = 3 }, why)
    assert.equal("completed", run.state)
  end)

  it("what is asked to stop has its grace, and may wait in it", function()
    local cleaned
    local run, took = paused(function(w)
      w.a = { run = function(ctx)
        local closing <close> = setmetatable({}, { __close = function() ctx:sleep(1) cleaned = true end })
        ctx:sleep(1e6)
        return closing
      end }
    end, function(run) run:cancel() end)
    assert.equal("cancelled", run.state)
    assert.is_true(cleaned)
    assert.equal(53, took)
  end)

  it("cleanup nodes of a run that is cancelled meanwhile have their time", function()
    local run, took = paused(function(w)
      w.a = { run = function(ctx) ctx:sleep(1e6) end }
      w.clean = { after = "a", join = "done", run = function(ctx)
        flow.gather { function() ctx:sleep(4) end, function() ctx:sleep(3) end }
      end }
    end, function(run) run:cancel() end)
    assert.equal("cancelled", run.state)
    assert.equal(56, took)
  end)
end)

local SLEEPER = [[
local flow = require "orrery"
local w = flow.workflow { name = "sleeper", output = "${nodes.b}" }
w.a = { run = function(ctx) ctx:sleep(3) return 1 end }
w.b = { after = "a", run = function(ctx) return ctx.input end }
return w
]]

describe("a pause in a store", function()
  it("stops the clock without a process as well", function()
    local here <close> = place.new()
    here:write("w.lua", SLEEPER)
    local url = "sqlite:" .. here.folder .. "/runs.db"
    local rt = flow.runtime { store = url }
    local run = flow.start(here.folder .. "/w.lua", { runtime = rt, input = 7 })
    here:until_true(function() return run.state == "waiting" end, "the sleep")
    run:pause()
    local id, left, later = run.id, run:why("a").left, rt:now() + 1000 -- which is long after it was due
    assert.equal("paused", run.state)
    rt:close()

    rt = flow.runtime { store = url, clock = "virtual", now = later }
    run = flow.resume(id, { runtime = rt, keep_pauses = true })
    assert.equal("paused", run.state)
    run:resume()
    rt:wait(run)
    assert.equal(7, run.output)
    assert.near(later + left, rt:now(), 0.001)
    rt:close()
  end)

  it("that is over moves what is due after it in another process", function()
    local here <close> = place.new()
    here:write("w.lua", [[
local flow = require "orrery"
local w = flow.workflow { name = "twice", output = "${nodes.a}" }
w.a = { run = function(ctx) ctx:sleep(1) ctx:sleep(30) return 7 end }
return w
]])
    local url = "sqlite:" .. here.folder .. "/runs.db"
    local rt = flow.runtime { store = url }
    local run = flow.start(here.folder .. "/w.lua", { runtime = rt })
    here:until_true(function() return run.state == "waiting" end, "the sleep")
    run:pause()
    flow.sleep(1.5)
    run:resume()
    here:until_true(function() return (run:why("a").due or 0) > rt:now() + 10 end, "the second sleep")
    local due, id = run:why("a").due, run.id
    rt:close()
    rt = flow.runtime { store = url, clock = "virtual", now = math.floor(due) - 5 }
    run = flow.resume(id, { runtime = rt })
    rt:wait(run)
    assert.near(due, rt:now(), 0.001)
    rt:close()
  end)

  it("moves what the tables say is due, and what why says", function()
    local here <close> = place.new()
    here:write("w.lua", SLEEPER)
    uv.fs_mkdir(here.folder .. "/.orrery", 448)
    local rt = flow.runtime { store = "sqlite:" .. here.db }
    local run = flow.start(here.folder .. "/w.lua", { runtime = rt })
    local function due(table)
      local row = here:query(("SELECT due FROM %s WHERE node = 'a' AND due IS NOT NULL"):format(table))[1]
      return row and row.due
    end
    here:until_true(function() return due "nodes" and due "timers" end, "the sleep")
    local before = due "nodes"
    run:pause()
    here:until_true(function()
      local row = here:query("SELECT why FROM nodes WHERE node = 'a'")[1]
      return row.why and row.why:find('"left":', 1, true)
    end, "the reason")
    run:resume()
    here:until_true(function() return due "nodes" ~= before end, "the pause's end in the tables")
    assert.equal(due "nodes", due "timers")
    local why = run:why "a"
    assert.is_nil(why.left)
    assert.near(why.due, due "nodes", 0.001)
    assert.is_true(why.due > before)
    run:cancel()
    rt:wait(run)
    rt:close()
  end)
end)
