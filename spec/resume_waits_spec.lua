-- Runs that are let go in the middle of anything end as if nothing had happened: same output,
-- nothing done twice, times kept.
local core = require "orrery.core"
local patience = require "spec.support.patience"
local place = require "spec.support.place"

local json = core.json

local HEAD = [[
local flow = require "orrery"
local function did(what)
  local file <close> = io.open("did", "a")
  file:write(what, "\n")
  return what
end
local w = flow.workflow { name = "w", output = "${nodes.last}" }
]]

local TAIL = [[
w.last = { after = "n", run = function(_, inputs) did "last" return { inputs.n } end }
return w
]]

-- Lets a process begin a run and stops it when `line` stands in the file of what was done and a
-- node of the newest run waits. The run's id; false where that took the machine as long as the node
-- was to wait.
local function left(here, line, how, seconds)
  local process = here:start { "run", "w.lua", "-q" }
  local row = here:until_true(function()
    if process.code then return "late" end
    local id = here:counts()[line] and here:query("SELECT id, started FROM runs WHERE parent IS NULL")[1]
    local waits = id and here:query("SELECT count(*) AS n FROM nodes WHERE run = (SELECT max(number) FROM "
      .. "runs) AND state IN ('waiting', 'retrying', 'compensating')")[1].n or 0
    return waits > 0 and id
  end, "the wait")
  process.handle:kill(how)
  local result = here:finish(process)
  if row == "late" or core.time() > row.started + seconds then
    return false, ("it had ended before, with code %d\n%s"):format(result.code, result.err)
  end
  assert.are.equal(how == "sigkill" and 137 or 5, result.code)
  return row.id, row.started
end

-- Breaks off a run of `body`, in which SECONDS stands for how long it waits, and calls
-- `goes_on(here, id, seconds, started)`, which may say that it was too late.
local function broken_off(body, line, how, goes_on)
  patience.with(0.5, function(seconds)
    local here <close> = place.new()
    here:write("w.lua", HEAD .. body:gsub("SECONDS", seconds) .. TAIL)
    local id, started = left(here, line, how, seconds)
    if not id then return false, started end
    local ok, why = goes_on(here, id, seconds, started)
    return ok ~= false, why
  end)
end

-- Half of the wait passes before the run is resumed: a wait that began anew would end at one and a
-- half.
local function keeps_its_time(body, line, how, check)
  broken_off(body, line, how, function(here, id, seconds, started)
    here:until_true(function() return core.time() > started + seconds / 2 end)
    check(here, here:ends(0, "resume", id, "-q").out)
    local row = here:query("SELECT started, ended FROM runs ORDER BY number LIMIT 1")[1]
    local took = row.ended - row.started
    assert.is_true(took > 0.99 * seconds, took)
    return took < 1.4 * seconds, ("it took %.2f s and not %g"):format(took, seconds)
  end)
end

for _, how in ipairs { "sigterm", "sigkill" } do
  describe("a run that is left by " .. how, function()
    it("while a node sleeps keeps the time of its waking", function()
      keeps_its_time([[
w.n = { run = function(ctx) did "begun" ctx:sleep(SECONDS) did "slept" return "n" end }]], "begun", how,
        function(here, out)
          assert.are.same({ "n" }, json.decode(out))
          assert.are.same({ begun = 2, slept = 1, last = 1 }, here:counts())
        end)
    end)

    it("while a node waits for a signal", function()
      broken_off([[
w.n = { run = function(ctx) did "begun" local data = ctx:wait("go", { timeout = "1h" }) did "got" return data end }]],
        "begun", how, function(here, id)
          here:ends(0, "signal", id, "go", "[1, 2]")
          assert.are.same({ { 1, 2 } }, json.decode(here:ends(0, "resume", id, "-q").out))
          assert.are.same({ begun = 2, got = 1, last = 1 }, here:counts())
        end)
    end)

    it("while a node of the library waits", function()
      keeps_its_time([[
w.first = { run = function() did "begun" end }
w.n = flow.delay { duration = SECONDS, after = "first" }]], "begun", how, function(here)
        assert.are.same({ begun = 1, last = 1 }, here:counts())
      end)
    end)

    it("between two attempts", function()
      keeps_its_time([[
w.n = { retry = { max = 3, strategy = "fixed", delay = SECONDS, jitter = "none" }, run = function(ctx)
  did("attempt " .. ctx.attempt)
  if ctx.attempt < 2 then flow.error { code = "x", message = "x", retryable = true } end
  return ctx.attempt
end }]], "attempt 1", how, function(here, out)
        assert.are.same({ 2 }, json.decode(out))
        assert.are.same({ ["attempt 1"] = 1, ["attempt 2"] = 1, last = 1 }, here:counts())
      end)
    end)

    it("between two rounds of a loop", function()
      broken_off([[
w.n = { loop = { ["until"] = "output >= 3", max = 5, delay = SECONDS }, run = function(ctx)
  did("round " .. ctx.iteration)
  return ctx.iteration
end }]], "round 1", how, function(here, id)
        assert.are.same({ 3 }, json.decode(here:ends(0, "resume", id, "-q").out))
        assert.are.same({ ["round 1"] = 1, ["round 2"] = 1, ["round 3"] = 1, last = 1 }, here:counts())
      end)
    end)

    it("between two rounds of a loop that adds to what it had", function()
      broken_off([[
w.n = { loop = { times = 3, delay = SECONDS }, run = function(ctx)
  did("round " .. ctx.iteration)
  return (ctx.previous or 10) + 1
end }]], "round 1", how, function(here, id)
        assert.are.same({ 13 }, json.decode(here:ends(0, "resume", id, "-q").out))
        assert.are.same({ ["round 1"] = 1, ["round 2"] = 1, ["round 3"] = 1, last = 1 }, here:counts())
      end)
    end)

    it("in the middle of the items of a list", function()
      broken_off([[
w.list = { run = function() return { 10, 20, 30, 40 } end }
w.n = { each = "${nodes.list}", run = function(ctx)
  if ctx.index == 3 then did "third" ctx:sleep(SECONDS) end
  did("item " .. ctx.index)
  return ctx.item + 1
end }]], "third", how, function(here, id)
        assert.are.same({ { 11, 21, 31, 41 } }, json.decode(here:ends(0, "resume", id, "-q").out))
        assert.are.same({ third = 2, ["item 1"] = 1, ["item 2"] = 1, ["item 3"] = 1, ["item 4"] = 1,
          last = 1 }, here:counts())
      end)
    end)

    it("in the middle of a child run", function()
      broken_off([[
local child = flow.workflow { name = "child", output = "${nodes.c}" }
child.a = { run = function() did "child a" return 4 end }
child.c = { after = "a", run = function(ctx, inputs) ctx:sleep(SECONDS) did "child c" return inputs.a + 1 end }
w.n = { run = function(ctx) return ctx:call(child) end }]], "child a", how, function(here, id)
        assert.are.same({ 5 }, json.decode(here:ends(0, "resume", id, "-q").out))
        assert.are.same({ ["child a"] = 1, ["child c"] = 1, last = 1 }, here:counts())
        assert.are.equal(2, here:query("SELECT count(*) AS n FROM runs WHERE state = 'completed'")[1].n)
      end)
    end)

    it("in the middle of steps at once", function()
      broken_off([[
w.n = { run = function(ctx)
  local function one(i)
    return function()
      local v = ctx:step("first", function() return did("first " .. i) end)
      ctx:sleep(i == 2 and SECONDS or 0.01)
      return v .. ctx:step("second", function() return did("second " .. i) end)
    end
  end
  return { flow.gather { one(1), one(2), one(3) } }
end }]], "second 3", how, function(here, id)
        here:ends(0, "resume", id, "-q")
        assert.are.same({ ["first 1"] = 1, ["first 2"] = 1, ["first 3"] = 1, ["second 1"] = 1,
          ["second 2"] = 1, ["second 3"] = 1, last = 1 }, here:counts())
      end)
    end)

    it("in the middle of undoing", function()
      broken_off([[
w.one = { run = function() return did "one" end, compensate = function() did "undo one" end }
w.two = { after = "one", run = function() return did "two" end, compensate = function(ctx)
  did "undo two"
  ctx:sleep(SECONDS)
  did "two undone"
end }
w.n = { after = "two", run = function() flow.error { code = "x", message = "no", retryable = false } end }]],
        "undo two", how, function(here, id)
          here:ends(1, "resume", id)
          assert.are.same({ "one", "two", "undo two", "undo two", "two undone", "undo one" }, here:did())
          assert.are.equal("compensated", here:query("SELECT state FROM runs")[1].state)
        end)
    end)
  end)
end

describe("a wait whose time was over while no process had its run", function()
  local function outcome(before, after)
    local taken
    broken_off([[
w.n = { run = function(ctx)
  did "begun"
  local ok, value = pcall(ctx.wait, ctx, "go", { timeout = SECONDS })
  did "over"
  return { ok and value or value.code, ctx:wait("go", { timeout = 0 }) }
end }]], "begun", "sigkill", function(here, id, seconds, started)
      for _, value in ipairs(before) do here:ends(0, "signal", id, "go", value) end
      local now = core.time()
      if now > started + seconds then return false end
      here:until_true(function() return core.time() > now + seconds end)
      for _, value in ipairs(after) do here:ends(0, "signal", id, "go", value) end
      here:ends(#before + #after > 1 and 0 or 1, "resume", id, "-q")
      assert.are.same({ begun = 2, over = 1, last = #before + #after > 1 and 1 or nil }, here:counts())
      taken = here:query("SELECT value, error FROM steps WHERE kind = 'wait' ORDER BY ordinal")
    end)
    return taken[1].value or json.decode(taken[1].error).code, taken[2] and taken[2].value
  end

  it("took what was sent before", function()
    assert.are.same({ "1", "2" }, { outcome({ "1", "2" }, {}) })
    assert.are.same({ "1", "2" }, { outcome({ "1" }, { "2" }) })
  end)

  it("leaves what was sent later to the next", function()
    assert.are.same({ "signal_timeout", "1" }, { outcome({}, { "1", "2" }) })
  end)

  it("has timed out where nothing was sent", function()
    assert.are.same({ "signal_timeout" }, { outcome({}, {}) })
  end)
end)

describe("a run that was cancelled while no process had it", function()
  it("does nothing first", function()
    broken_off([[
w.n = { run = function(ctx) did "begun" ctx:sleep(SECONDS) did "slept" end }
w.side = { run = function() did "side" require("luv").sleep(50) end }
w.clean = { after = "n", join = "done", run = function() did "clean" end }]], "begun", "sigkill",
      function(here, id)
        here:ends(0, "cancel", id)
        here:ends(3, "resume", id, "-q")
        assert.are.same({ begun = 1, side = 1, clean = 1 }, here:counts())
        assert.are.equal(0, here:query("SELECT count(*) AS n FROM inbox WHERE taken IS NULL")[1].n)
      end)
  end)
end)

describe("a handler that ends before a step that its attempt had taken", function()
  it("has left its course, which is nondeterminism", function()
    broken_off([[
w.n = { retry = 3, run = function(ctx)
  ctx:step("first", function() did "first" end)
  if io.open "early" then return "early" end
  ctx:step("second", function() did "second" end)
  ctx:sleep(SECONDS)
end }]], "second", "sigkill", function(here, id)
      here:write("early", "")
      place.has(here:ends(1, "resume", id).err,
        'step 2 of node n was ctx:step("second") when it was recorded and is not taken now')
      assert.are.same({ first = 1, second = 1 }, here:counts())
      assert.are.equal("nondeterminism",
        json.decode(here:query("SELECT error FROM nodes WHERE node = 'n'")[1].error).code)
    end)
  end)
end)
