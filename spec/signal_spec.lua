-- Signals: messages to a run, and ctx:wait.

local flow = require "orrery"
local place = require "spec.support.place"

local MODES = { durable = true, memory = false }

local function start(body, journal, options)
  local rt = flow.runtime { clock = "virtual" }
  local w = flow.workflow { name = "waits", output = "${nodes.a}" }
  w.a = { run = body }
  for key, value in pairs(options or {}) do w.a[key] = value end
  local run = flow.start(w, { runtime = rt, journal = journal })
  return run, rt
end

local function until_waiting(run, rt, node)
  for _ = 1, 1000 do
    if run:states()[node or "a"] == "waiting" then return end
    rt:step()
  end
  error "it does not wait"
end

local function records(run, kind)
  local found = {}
  for _, record in ipairs(run:journal()) do
    if record.kind == kind then found[#found + 1] = record.value end
  end
  return found
end

for mode, journal in pairs(MODES) do
  describe("a signal to a " .. mode .. " run", function()
    it("ends the wait for it, with its data", function()
      local run, rt = start(function(ctx) return ctx:wait "approval" end, journal)
      until_waiting(run, rt)
      run:signal("approval", { by = "ann", bytes = "\xff" })
      assert.same({ by = "ann", bytes = "\xff" }, rt:wait(run).output)
    end)

    it("counts whether it is sent before or after the wait, first in first out, each once", function()
      local run, rt = start(function(ctx)
        ctx:sleep(1)
        return { ctx:wait "x", ctx:wait "y", ctx:wait "x", ctx:wait "x" }
      end, journal)
      run:signal("x", 1)
      run:signal("x", 2)
      run:signal("y", "other")
      for _ = 1, 100 do rt:step() end
      assert.equal("signal", run:why("a").kind)
      assert.equal("x", run:why("a").name)
      assert.equal("waiting", run:states().a)
      run:signal("x", 3)
      assert.same({ 1, "other", 2, 3 }, rt:wait(run).output)
    end)

    it("is served to those who wait in the order in which they began", function()
      local run, rt = start(function(ctx)
        local order = {}
        local function waiter(name)
          return function()
            local got = name .. ctx:wait "x"
            order[#order + 1] = got
          end
        end
        flow.gather { waiter "a", waiter "b", waiter "c" }
        return order
      end, journal)
      until_waiting(run, rt)
      for i = 1, 3 do run:signal("x", i) end
      assert.same({ "a1", "b2", "c3" }, rt:wait(run).output)
    end)

    it("passes a wait by that has timed out or was cancelled", function()
      local run, rt = start(function(ctx)
        local ok, e = pcall(ctx.wait, ctx, "x", { timeout = "1m" })
        local _, sibling = pcall(flow.gather, {
          function() return ctx:wait "x" end,
          function() ctx:sleep(1) error("sibling", 0) end })
        return { ok, e.code, e.message, e.retryable, e.details, tostring(sibling), ctx:wait "x" }
      end, journal)
      until_waiting(run, rt)
      local due = rt:now() + 60
      assert.equal(due, run:why("a").due)
      assert.equal("signal", run:why("a").kind)
      while rt:now() < due + 1 do rt:step() end
      for _ = 1, 100 do rt:step() end
      run:signal("x", "late")
      assert.same({ false, "signal_timeout", 'no signal "x" came in time', false, { signal = "x" }, "sibling",
        "late" },
        rt:wait(run).output)
    end)

    it("that comes in time stops the clock of the wait", function()
      local run, rt = start(function(ctx)
        local data = ctx:wait("x", { timeout = 10 })
        ctx:sleep(100)
        return { data }
      end, journal)
      until_waiting(run, rt)
      run:signal("x", "in time")
      assert.same({ "in time" }, rt:wait(run).output)
    end)

    it("may carry nothing, and is not the sender's table", function()
      local run, rt = start(function(ctx) return { type(ctx:wait "x"), ctx:wait "x" } end, journal)
      local data = { 1 }
      run:signal "x"
      run:signal("x", data)
      data[1] = 2
      assert.same({ "nil", { 1 } }, rt:wait(run).output)
      assert.has_error(function() run:signal("x", print) end)
    end)

    it("cannot be sent to a run that has ended", function()
      local run, rt = start(function() end, journal)
      rt:wait(run)
      local ok, e = pcall(run.signal, run, "x", 1)
      assert.is_false(ok)
      assert.equal("run_ended", e.code)
      assert.matches('signal "x": run %S+ is completed; a signal can only be sent to a run that has not '
        .. 'ended', e.message)
    end)

    it("holds data that can be written", function()
      local run, rt = start(function(ctx) return ctx:wait "x" end, journal)
      local _, e = pcall(run.signal, run, "x", { f = print })
      assert.matches("signal%.f", e.message)
      run:signal("x", "fine")
      assert.equal("fine", rt:wait(run).output)
    end)

    it("leaves no slot taken and no timeout running while it is awaited", function()
      local rt = flow.runtime { clock = "virtual" }
      local w = flow.workflow { name = "slots", output = "${nodes.waits}" }
      w.waits = { timeout = "1m", run = function(ctx) return ctx:wait "x" end }
      w.sends = { run = function(ctx) ctx:sleep "1h" return "free" end }
      local run = flow.start(w, { runtime = rt, journal = journal, concurrency = 1 })
      while run:states().sends ~= "completed" do rt:step() end
      run:signal("x", "done")
      assert.equal("done", rt:wait(run).output)
      assert.equal("completed", run.state)
    end)

    it("can be sent by a handler of the run, and by one of another run", function()
      local rt = flow.runtime { clock = "virtual" }
      local w, run = flow.workflow { name = "talk", output = "${nodes.waits}" }, nil
      w.waits = { run = function(ctx) return { ctx:wait "x", ctx:wait "y" } end }
      w.sends = { run = function(ctx) ctx:sleep(1) run:signal("x", 1) end }
      run = flow.start(w, { runtime = rt, journal = journal })
      local other = flow.workflow { name = "other" }
      other.sends = { run = function(ctx) ctx:sleep(2) run:signal("y", 2) end }
      flow.start(other, { runtime = rt, journal = not journal })
      assert.same({ 1, 2 }, rt:wait(run).output)
    end)

    it("that can no longer come fails the wait instead of hanging", function()
      local run, rt = start(function(ctx) return ctx:wait "never" end, journal)
      rt:wait(run)
      assert.equal("failed", run.state)
      assert.equal("stall", run.error.code)
      assert.matches("a signal that can no longer come", run.error.message)
    end)

    it("cancels like any other wait", function()
      local run, rt = start(function(ctx)
        local _, e = pcall(ctx.wait, ctx, "x")
        error(e)
      end, journal)
      until_waiting(run, rt)
      run:cancel()
      assert.equal("cancelled", rt:wait(run).state)
    end)

    it("with a timeout of zero is asked for without waiting", function()
      local run, rt = start(function(ctx)
        local _, e = pcall(ctx.wait, ctx, "x", { timeout = 0 })
        return { e.code, ctx:wait("y", { timeout = 0 }) }
      end, journal)
      run:signal("y", 7)
      assert.same({ "signal_timeout", 7 }, rt:wait(run).output)
    end)

    it("is waited for with known options", function()
      local run, rt = start(function(ctx)
        local _, a = pcall(ctx.wait, ctx, "x", { timeuot = 1 })
        local _, b = pcall(ctx.wait, ctx, "x", { timeout = "soon" })
        return { tostring(a), tostring(b) }
      end, journal)
      rt:wait(run)
      assert.matches('ctx:wait has no option "timeuot"; expected timeout', run.output[1])
      assert.matches("is no duration", run.output[2])
    end)
  end)
end

describe("the journal of a wait", function()
  it("reports its beginning, the message and who took it", function()
    local run, rt = start(function(ctx) return ctx:wait("x", { timeout = "1h" }) end, true)
    until_waiting(run, rt)
    local due = rt:now() + 3600
    run:signal("x", { n = 1 })
    rt:wait(run)
    assert.same({ { k = "wait", n = "x", o = 1, d = due },
      { k = "wait", n = "x", o = 1, d = due, s = "x", v = { n = 1 } } },
      records(run, "step"))
    local signal = records(run, "signal")[1]
    assert.same({ "x", { n = 1 } }, { signal.n, signal.v })
    assert.equal("number", type(signal.t))
  end)

  it("reports a message that was there before", function()
    local run, rt = start(function(ctx) return ctx:wait "x" end, true)
    run:signal "x"
    rt:wait(run)
    assert.same({ { k = "wait", n = "x", o = 1, s = "x" } }, records(run, "step"))
  end)

  it("keeps what was taken for the next attempt, and waits again where it timed out", function()
    local run, rt = start(function(ctx)
      local x = ctx:wait "x"
      local ok, y = pcall(ctx.wait, ctx, "y", { timeout = ctx.attempt == 1 and 1 or "1h" })
      if ctx.attempt == 1 then error "again" end
      return { x, ok, y }
    end, true, { retry = { max = 1, delay = 5, jitter = "none" } })
    run:signal("x", 1)
    local retried = rt:now() + 1 + 5
    while rt:now() < retried or run:why("a").name ~= "y" do rt:step() end
    run:signal("y", 2)
    assert.same({ 1, true, 2 }, rt:wait(run).output)
  end)

  it("keeps the end of a wait that another strand's failure cut short", function()
    local rt, dues = nil, {}
    local run
    run, rt = start(function(ctx)
      local strands = { function() return ctx:wait("x", { timeout = "1h" }) end }
      if ctx.attempt == 1 then strands[2] = function() ctx:sleep "20m" error "fails meanwhile" end end
      local _, e = pcall(flow.gather, strands)
      dues[ctx.attempt] = rt:now()
      error(e)
    end, true, { retry = { max = 1, delay = 1, jitter = "none", unless = { "signal_timeout" } } })
    local begun = rt:now()
    rt:wait(run)
    assert.equal("signal_timeout", run.error.code)
    assert.equal(begun + 3600, dues[2])
  end)
end)

describe("a signal that came while nobody had the run", function()
  it("is taken once", function()
    local here <close> = place.new { ["w.lua"] = [[
      local flow = require "orrery"
      local w = flow.workflow { name = "once", output = "${nodes.a}" }
      w.a = { run = function(ctx)
        local first = ctx:wait "go"
        local ok, e = pcall(ctx.wait, ctx, "go", { timeout = 1 })
        return { first, ok and "twice" or e.code }
      end }
      return w]] }
    here:ends(5, "run", "-q", "--no-wait", "w.lua")
    here:ends(0, "signal", "@last", "go", "7")
    here:ends(0, "resume", "@last")
    assert.equal('[7,"signal_timeout"]', here:query("SELECT output FROM runs")[1].output)
  end)
end)

describe("a signal that was taken", function()
  it("is not there again when its run is read back", function()
    local here <close> = place.new { ["w.lua"] = [[
      local flow = require "orrery"
      local w = flow.workflow { name = "taken", output = "${nodes.a}" }
      w.a = { run = function(ctx)
        local first = ctx:wait "go"
        ctx:wait "more"
        local ok, e = pcall(ctx.wait, ctx, "go", { timeout = 1 })
        return { first, ok and "twice" or e.code }
      end }
      return w]] }
    here:ends(5, "run", "-q", "--no-wait", "w.lua")
    here:ends(0, "signal", "@last", "go", "7")
    here:ends(5, "resume", "@last", "--no-wait")
    here:ends(0, "signal", "@last", "more")
    here:ends(0, "resume", "@last")
    assert.equal('[7,"signal_timeout"]', here:query("SELECT output FROM runs")[1].output)
  end)
end)

describe("a handler that was read back", function()
  it("is given nothing of an attempt that took other steps", function()
    local here <close> = place.new { ["w.lua"] = [[
      local flow = require "orrery"
      local w = flow.workflow { name = "other", output = "${nodes.a}" }
      w.a = { retry = { max = 1, delay = 0 }, run = function(ctx)
        local first, strands = ctx.attempt == 1, nil
        local function taken(name) return ctx:step(name, function() return ctx.attempt end) end
        pcall(ctx.step, ctx, "s", function() if first then error "no" end end)
        taken(first and "y" or "z")
        if first then taken "w" else ctx:wait "go" end
        strands = flow.gather { function() return taken "in a strand" end }
        local v = taken "v"
        if first then error "again" end
        return { v, strands[1] }
      end }
      return w]] }
    here:ends(5, "run", "-q", "--no-wait", "w.lua")
    here:ends(0, "signal", "@last", "go", "7")
    here:ends(0, "resume", "@last")
    assert.equal("[2,2]", here:query("SELECT output FROM runs")[1].output)
  end)
end)
