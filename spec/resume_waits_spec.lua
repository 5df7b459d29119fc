-- Runs that are let go in the middle of anything end as if nothing had happened: same output, nothing done twice, times kept.
local core = require "orrery.core"
local flow = require "orrery"
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

-- Suspends a run when `line` stands in the file of what was done and its node waits, and lets it go on; gives its output, and
-- how long it took until its end.
local function broken_off(here, line, how)
  here:write("w.lua", HEAD .. here.body .. TAIL)
  local process = here:start { "run", "w.lua", "-q" }
  here:until_did(line)
  local id = here:until_true(function()
    local row = here:query("SELECT id, number FROM runs WHERE parent IS NULL")[1]
    local due = here:query("SELECT count(*) AS n FROM nodes WHERE state IN ('waiting', 'retrying', 'compensating')")[1].n
    return (how == "running" or due > 0) and row.id
  end, "the wait")
  process.handle:kill(how == "sigkill" and "sigkill" or "sigterm")
  assert.are.equal(how == "sigkill" and 137 or 5, here:finish(process).code)
  return id
end

local function new(body)
  local here = place.new()
  here.body = body
  return here
end

local function seconds(here)
  local row = here:query("SELECT started, ended FROM runs ORDER BY number LIMIT 1")[1]
  return row.ended - row.started
end

for _, how in ipairs { "sigterm", "sigkill" } do
  describe("a run that is left by " .. how, function()
    it("while a node sleeps keeps the time of its waking", function()
      local here <close> = new [[
w.n = { run = function(ctx) did "begun" ctx:sleep(1) did "slept" return "n" end }]]
      local id = broken_off(here, "begun", how)
      assert.are.same({ "n" }, json.decode(here:ends(0, "resume", id, "-q").out))
      assert.are.same({ begun = 2, slept = 1, last = 1 }, here:counts())
      assert.is_true(seconds(here) > 0.99 and seconds(here) < 1.6, seconds(here))
    end)

    it("while a node waits for a signal", function()
      local here <close> = new [[
w.n = { run = function(ctx) did "begun" local data = ctx:wait("go", { timeout = "1m" }) did "got" return data end }]]
      local id = broken_off(here, "begun", how)
      here:ends(0, "signal", id, "go", "[1, 2]")
      assert.are.same({ { 1, 2 } }, json.decode(here:ends(0, "resume", id, "-q").out))
      assert.are.same({ begun = 2, got = 1, last = 1 }, here:counts())
    end)

    it("while a node of the library waits", function()
      local here <close> = new [[
w.first = { run = function() did "begun" end }
w.n = flow.delay { duration = "1s", after = "first" }]]
      local id = broken_off(here, "begun", how)
      here:ends(0, "resume", id, "-q")
      assert.are.same({ begun = 1, last = 1 }, here:counts())
      assert.is_true(seconds(here) > 0.99 and seconds(here) < 1.6, seconds(here))
    end)

    it("between two attempts", function()
      local here <close> = new [[
w.n = { retry = { max = 3, strategy = "fixed", delay = 1, jitter = "none" }, run = function(ctx)
  did("attempt " .. ctx.attempt)
  if ctx.attempt < 2 then flow.error { code = "x", message = "x", retryable = true } end
  return ctx.attempt
end }]]
      local id = broken_off(here, "attempt 1", how)
      assert.are.same({ 2 }, json.decode(here:ends(0, "resume", id, "-q").out))
      assert.are.same({ ["attempt 1"] = 1, ["attempt 2"] = 1, last = 1 }, here:counts())
      assert.is_true(seconds(here) > 0.99 and seconds(here) < 1.6, seconds(here))
    end)

    it("between two rounds of a loop", function()
      local here <close> = new [[
w.n = { loop = { ["until"] = "output >= 3", max = 5, delay = "300ms" }, run = function(ctx)
  did("round " .. ctx.iteration)
  return ctx.iteration
end }]]
      local id = broken_off(here, "round 1", how)
      assert.are.same({ 3 }, json.decode(here:ends(0, "resume", id, "-q").out))
      assert.are.same({ ["round 1"] = 1, ["round 2"] = 1, ["round 3"] = 1, last = 1 }, here:counts())
    end)

    it("in the middle of the items of a list", function()
      local here <close> = new [[
w.n = { each = "${[10, 20, 30, 40]}", run = function(ctx)
  if ctx.index == 3 then did "third" ctx:sleep(0.5) end
  did("item " .. ctx.index)
  return ctx.item + 1
end }]]
      here.body = here.body:gsub("%${%[.-%]}", "${input.list}")
      here.body = 'w.list = { run = function() return { 10, 20, 30, 40 } end }\n' .. here.body:gsub("input%.list", "nodes.list")
      local id = broken_off(here, "third", how)
      assert.are.same({ { 11, 21, 31, 41 } }, json.decode(here:ends(0, "resume", id, "-q").out))
      assert.are.same({ third = 2, ["item 1"] = 1, ["item 2"] = 1, ["item 3"] = 1, ["item 4"] = 1, last = 1 }, here:counts())
    end)

    it("in the middle of a child run", function()
      local here <close> = new [[
local child = flow.workflow { name = "child", output = "${nodes.c}" }
child.a = { run = function() did "child a" return 4 end }
child.c = { after = "a", run = function(ctx, inputs) ctx:sleep(0.5) did "child c" return inputs.a + 1 end }
w.n = { run = function(ctx) return ctx:call(child) end }]]
      local id = broken_off(here, "child a", how)
      assert.are.same({ 5 }, json.decode(here:ends(0, "resume", id, "-q").out))
      assert.are.same({ ["child a"] = 1, ["child c"] = 1, last = 1 }, here:counts())
      assert.are.equal(2, here:query("SELECT count(*) AS n FROM runs WHERE state = 'completed'")[1].n)
    end)

    it("in the middle of steps at once", function()
      local here <close> = new [[
w.n = { run = function(ctx)
  local function one(i)
    return function()
      local v = ctx:step("first", function() return did("first " .. i) end)
      ctx:sleep(i == 2 and 0.5 or 0.01)
      return v .. ctx:step("second", function() return did("second " .. i) end)
    end
  end
  return { flow.gather { one(1), one(2), one(3) } }
end }]]
      local id = broken_off(here, "second 3", how)
      here:ends(0, "resume", id, "-q")
      assert.are.same({ ["first 1"] = 1, ["first 2"] = 1, ["first 3"] = 1, ["second 1"] = 1, ["second 2"] = 1, ["second 3"] = 1, last = 1 },
        here:counts())
    end)

    it("in the middle of undoing", function()
      local here <close> = new [[
w.one = { run = function() return did "one" end, compensate = function() did "undo one" end }
w.two = { after = "one", run = function() return did "two" end, compensate = function(ctx)
  did "undo two"
  ctx:sleep(0.5)
  did "two undone"
end }
w.n = { after = "two", run = function() flow.error { code = "x", message = "no", retryable = false } end }]]
      local id = broken_off(here, "undo two", how)
      here:ends(1, "resume", id)
      assert.are.same({ "one", "two", "undo two", "undo two", "two undone", "undo one" }, here:did())
      assert.are.equal("compensated", here:query("SELECT state FROM runs")[1].state)
    end)
  end)
end

describe("a wait whose time was over while no process had its run", function()
  local function outcome(before, after)
    local here <close> = new [[
w.n = { run = function(ctx)
  did "begun"
  local ok, value = pcall(ctx.wait, ctx, "go", { timeout = "400ms" })
  did "over"
  return { ok and value or value.code, ctx:wait("go", { timeout = 0 }) }
end }]]
    local id = broken_off(here, "begun", "sigkill")
    for _, value in ipairs(before) do here:ends(0, "signal", id, "go", value) end
    flow.sleep(0.5)
    for _, value in ipairs(after) do here:ends(0, "signal", id, "go", value) end
    here:ends(#before + #after > 1 and 0 or 1, "resume", id, "-q")
    assert.are.same({ begun = 2, over = 1, last = #before + #after > 1 and 1 or nil }, here:counts())
    local taken = here:query("SELECT value, error FROM steps WHERE kind = 'wait' ORDER BY ordinal")
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
    local here <close> = new [[
w.n = { run = function(ctx) did "begun" ctx:sleep(0.3) did "slept" end }
w.side = { run = function() did "side" require("luv").sleep(50) end }
w.clean = { after = "n", join = "done", run = function() did "clean" end }]]
    local id = broken_off(here, "begun", "sigkill")
    here:ends(0, "cancel", id)
    here:ends(3, "resume", id, "-q")
    assert.are.same({ begun = 1, side = 1, clean = 1 }, here:counts())
    assert.are.equal(0, here:query("SELECT count(*) AS n FROM inbox WHERE taken IS NULL")[1].n)
  end)
end)

describe("a handler that ends before a step that its attempt had taken", function()
  it("has left its course, which is nondeterminism", function()
    local here <close> = new [[
w.n = { retry = 3, run = function(ctx)
  ctx:step("first", function() did "first" end)
  if io.open "early" then return "early" end
  ctx:step("second", function() did "second" end)
  ctx:sleep(5)
end }]]
    local id = broken_off(here, "second", "sigkill")
    here:write("early", "")
    place.has(here:ends(1, "resume", id).err, 'step 2 of node n was ctx:step("second") when it was recorded and is not taken now')
    assert.are.same({ first = 1, second = 1 }, here:counts())
    assert.are.equal("nondeterminism", json.decode(here:query("SELECT error FROM nodes WHERE node = 'n'")[1].error).code)
  end)
end)
