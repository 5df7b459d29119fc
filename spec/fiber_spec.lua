-- How waits behave: await, sleep, gather, users' own coroutines, cancelling. Virtual time unless a
-- test says why not.
local core = require "orrery.core"
local uv = require "luv"

local function nothing() end

local function run(handler, options, node)
  options = options or {}
  local rt = core.runtime { clock = options.clock or "virtual", grace = options.grace }
  local events = {}
  rt:on(function(event) events[#events + 1] = event end)
  local begun = rt:now()
  local nodes = { { name = "a", type = "lua", where = "spec:1", run = handler } }
  for key, value in pairs(node or {}) do nodes[1][key] = value end
  for _, other in ipairs(options.others or {}) do nodes[#nodes + 1] = other end
  local r = rt:start(assert(core.plan { name = "spec", on_error = "stop", nodes = nodes }), {})
  if options.meanwhile then options.meanwhile(r, rt) end
  rt:wait(r)
  return r, rt:now() - begun, events
end

local function output(handler, options) return run(handler, options):outputs().a end

local function names(events)
  local list = {}
  for _, event in ipairs(events) do
    if event.node then list[#list + 1] = event.event end
  end
  return table.concat(list, " ")
end

describe("ctx:sleep", function()
  it("keeps no slot and takes exactly its time", function()
    local _, elapsed, events = run(function(ctx)
      ctx:sleep(1.5)
      ctx:sleep "2m"
      ctx:sleep(0)
    end)
    assert.equal(121.5, elapsed)
    assert.equal("node_ready node_started node_waiting node_resumed node_waiting node_resumed node_waiting "
      .. "node_resumed "
      .. "node_completed", names(events))
  end)

  it("stops the attempt's timeout", function()
    local r = run(function(ctx) ctx:sleep(60) return "done" end, nil, { timeout = 1 })
    assert.equal("completed", r.state)
  end)

  it("refuses what is no duration", function()
    assert.matches('"soon" is no duration', run(function(ctx) ctx:sleep "soon" end).error.message, 1, true)
    assert.matches("expected seconds", run(function(ctx) ctx:sleep {} end).error.message, 1, true)
    assert.matches("out of range", run(function(ctx) ctx:sleep(1e300) end).error.message, 1, true)
  end)
end)

describe("a wait passes through", function()
  it("pcall, metamethods, iterators and __close", function()
    local order = {}
    local result = output(function(ctx)
      local ok, err = pcall(function()
        local guard <close> = setmetatable({}, { __close = function() -- luacheck: ignore
          ctx:sleep(1)
          order[#order + 1] = "closed"
        end })
        ctx:sleep(1)
        error "inside"
      end)
      order[#order + 1] = ok
      order[#order + 1] = err:match "inside"
      local adder = setmetatable({}, { __add = function() ctx:sleep(1) return 42 end })
      order[#order + 1] = adder + 1
      for i in function(_, n) ctx:sleep(1) n = (n or 0) + 1 return n < 3 and n or nil end do
        order[#order + 1] = i
      end
      return order
    end)
    assert.same({ "closed", false, "inside", 42, 1, 2 }, result)
  end)

  it("the handler's own coroutines, nested and wrapped", function()
    local result, elapsed = run(function(ctx)
      local inner = coroutine.wrap(function(a)
        ctx:sleep(1)
        local b = coroutine.yield(a + 1)
        ctx:sleep(1)
        local c = coroutine.yield(b + 1)
        return c + 1
      end)
      local outer = coroutine.create(function()
        local sum = inner(10)
        coroutine.yield(sum)
        sum = sum + inner(20)
        return sum + inner(30)
      end)
      local list = {}
      while true do
        local ok, value = coroutine.resume(outer)
        list[#list + 1] = { ok, value }
        if coroutine.status(outer) == "dead" then break end
      end
      return list
    end)
    assert.same({ { true, 11 }, { true, 63 } }, result:outputs().a)
    assert.equal(2, elapsed)
  end)

  it("and errors come out of them as usual", function()
    local result = output(function(ctx)
      local co = coroutine.create(function() ctx:sleep(1) error("oops", 0) end)
      local ok, err = coroutine.resume(co)
      local wrapped = coroutine.wrap(function() ctx:sleep(1) error("wrapped", 0) end)
      local ok2, err2 = pcall(wrapped)
      local ok3, err3 = coroutine.resume(co)
      return { ok, err, coroutine.status(co), ok2, (err2:gsub("^.*: ", "")), ok3, err3 }
    end)
    assert.same({ false, "oops", "dead", false, "wrapped", false, "cannot resume dead coroutine" }, result)
  end)

  it("but a coroutine that waits can neither be resumed nor closed", function()
    local result = output(function(ctx)
      local co = coroutine.create(function() ctx:sleep(10) return "slept" end)
      return core.gather {
        function() return select(2, coroutine.resume(co)) end,
        function()
          local ok, err = coroutine.resume(co)
          local ok2, err2 = pcall(coroutine.close, co)
          return { ok, err, ok2, (err2:gsub("^.-: ", "")), coroutine.status(co) }
        end,
      }
    end)
    assert.equal("slept", result[1])
    assert.is_false(result[2][1])
    assert.matches("cannot resume a coroutine that is waiting", result[2][2])
    assert.is_false(result[2][3])
    assert.matches("cannot close a coroutine that is waiting", result[2][4])
    assert.equal("normal", result[2][5])
  end)
end)

describe("where no wait is possible", function()
  local function message(handler) return run(handler).error.message end

  it("the error says so", function()
    assert.matches("cannot wait here: a function called by table.sort", message(function(ctx)
      table.sort({ 3, 2, 1 }, function(a, b) ctx:sleep(1) return a < b end)
    end), 1, true)
    assert.matches("cannot wait here",
      message(function(ctx) ("x"):gsub("x", function() ctx:sleep(1) end) end))
    assert.matches("cannot wait here", message(function(ctx)
      tostring(setmetatable({}, { __tostring = function() ctx:sleep(1) return "x" end }))
    end))
    assert.matches("cannot wait inside the start function", message(function(ctx)
      core.await(function() ctx:sleep(1) end)
    end), 1, true)
  end)

  it("a yield of the handler itself is refused", function()
    local r = run(function() coroutine.yield(1) end)
    assert.equal("handler_error", r.error.code)
    assert.matches("called coroutine.yield outside of a coroutine of its own", r.error.message)
  end)

  it("a coroutine that waits under a sort is refused at its resume", function()
    local r = run(function(ctx)
      local co = coroutine.wrap(function() ctx:sleep(1) end)
      table.sort({ 2, 1 }, function(a, b) co() return a < b end)
    end)
    assert.equal("failed", r.state)
    assert.matches("resumed where no wait can pass", r.error.message)
  end)
end)

describe("core.await", function()
  it("returns what resume is given, once", function()
    local taken = {}
    local result = output(function()
      local kept
      local a, b, c = core.await(function(resume)
        kept = resume
        local timer = uv.new_timer()
        timer:start(1, 0, function()
          timer:close()
          taken[#taken + 1] = resume(1, nil, 3)
          taken[#taken + 1] = resume(4)
        end)
      end)
      taken[#taken + 1] = kept(5)
      return { a = a, b = b, c = c }
    end)
    assert.same({ a = 1, c = 3 }, result)
    assert.same({ true, false, false }, taken)
  end)

  it("takes a resume that comes at once, and one that comes when all is over", function()
    local late
    assert.same({ 1, 2 }, output(function()
      local a, b = core.await(function(resume)
        late = resume
        resume(1, 2)
        resume(3)
      end)
      return { a, b }
    end))
    assert.is_false(late(9))
  end)

  it("is not ended by the resume of the one before it", function()
    assert.same({ 1, 2 }, output(function()
      local before
      local a = core.await(function(resume)
        before = resume
        resume(1)
      end)
      local b = core.await(function(resume)
        assert(before(9) == false)
        local timer = uv.new_timer()
        timer:start(1, 0, function() timer:close() before(8) resume(2) end)
      end)
      return { a, b }
    end))
  end)

  it("passes on an error of its start function", function()
    assert.matches("in start", run(function()
      core.await(function() error "in start" end)
    end).error.message)
    assert.matches("returned a number", run(function() core.await(function() return 5 end) end).error.message)
  end)

  it("fails the node whose callback fails", function()
    local r = run(function()
      core.await(function(resume)
        local timer = uv.new_timer()
        timer:start(1, 0, function()
          timer:close()
          local missing = nil -- luacheck: ignore
          resume(missing.field)
        end)
      end)
    end)
    assert.equal("failed", r.state)
    assert.matches("attempt to index a nil value", r.error.message)
  end)

  it("logs a failing callback that belongs to nobody", function()
    local r, _, events = run(function()
      core.await(function(resume)
        local timer, other = uv.new_timer(), uv.new_timer()
        other:start(1, 0, function() other:close() error "stray" end)
        timer:start(2, 0, function() timer:close() resume() end)
      end)
    end)
    assert.equal("completed", r.state)
    local logged
    for _, event in ipairs(events) do
      if event.event == "log" then logged = event end
    end
    assert.equal("error", logged.level)
    assert.matches("stray", logged.message)
  end)

  it("that nothing can end any more fails its node instead of hanging", function()
    local r = run(function() core.await(nothing) end)
    assert.equal("stall", r.error.code)
  end)

  it("works outside of handlers", function()
    assert.equal(7, core.await(function(resume) resume(7) end))
    assert.same({ 1, 2 }, core.gather { function() return 1 end, function() core.sleep(0) return 2 end })
    assert.has_error(function() core.await(5) end)
  end)
end)

describe("core.gather", function()
  it("runs strands side by side, results in order", function()
    local r, elapsed = run(function(ctx)
      return core.gather {
        function() ctx:sleep(3) return "a" end,
        function() ctx:sleep(1) return "b" end,
        function() return "c" end,
      }
    end)
    assert.same({ "a", "b", "c" }, r:outputs().a)
    assert.equal(3, elapsed)
    assert.same({}, output(function() return core.json.array(core.gather {}) end))
  end)

  it("nests", function()
    local r, elapsed = run(function(ctx)
      return core.gather {
        function()
          return core.gather { function() ctx:sleep(2) return 1 end, function() ctx:sleep(4) return 2 end }
        end,
        function() ctx:sleep(3) return 3 end,
      }
    end)
    assert.same({ { 1, 2 }, 3 }, r:outputs().a)
    assert.equal(4, elapsed)
  end)

  it("raises the first error after the others have ended", function()
    local seen = {}
    local r, elapsed = run(function(ctx)
      local ok, err = pcall(core.gather, {
        function() ctx:sleep(1) error { code = "first", message = "m" } end,
        function()
          local ok, e = pcall(ctx.sleep, ctx, 100)
          seen.ok, seen.code = ok, e.code
          ctx:sleep(2)
          seen.cleaned = true
        end,
        function() error "never" end,
      })
      return { ok, type(err) == "table" and err.code or err }
    end)
    assert.is_false(r:outputs().a[1])
    assert.matches("never", r:outputs().a[2])
    assert.same({ ok = false, code = "cancelled", cleaned = true }, seen)
    assert.equal(2, elapsed)
  end)

  it("waits without a slot when all strands sleep", function()
    local _, _, events = run(function(ctx)
      core.gather { function() ctx:sleep(1) end, function() ctx:sleep(2) end }
    end)
    assert.equal("node_ready node_started node_waiting node_resumed node_waiting node_resumed node_completed",
      names(events))
  end)

  it("refuses what is no list of functions", function()
    assert.matches("entry 2 is a number", run(function() core.gather { nothing, 5 } end).error.message, 1,
      true)
  end)
end)

describe("strands that wake while their node has no slot", function()
  it("go on in the order in which they woke", function()
    local order, rt = {}, core.runtime { clock = "virtual" }
    local function strand(seconds)
      return function()
        core.sleep(seconds)
        order[#order + 1] = seconds
      end
    end
    local function holds_the_slot()
      core.await(function(resume)
        local timer = uv.new_timer()
        timer:start(10000, 0, function() timer:close() resume() end)
      end)
      order[#order + 1] = "slot"
    end
    local r = rt:start(assert(core.plan { name = "spec", on_error = "stop", nodes = {
      { name = "a", type = "lua", where = "spec:1",
        run = function() core.gather { strand(3), strand(1), strand(2), strand(20) } end },
      { name = "b", type = "lua", where = "spec:2", run = holds_the_slot },
    } }), { concurrency = 1 })
    rt:wait(r)
    assert.same({ "slot", 1, 2, 3, 20 }, order)
  end)
end)

describe("cancelling", function()
  it("lets a handler see it once and clean up, in time", function()
    local seen = {}
    local r, elapsed = run(function(ctx)
      local guard <close> = setmetatable({}, { __close = function() -- luacheck: ignore
        ctx:sleep(1)
        seen.closed = true
      end })
      local ok, err = pcall(ctx.sleep, ctx, 100)
      seen.ok, seen.code = ok, err.code
      ctx:sleep(2)
      seen.slept = true
    end, { meanwhile = function(r, rt) rt:step(0) r:cancel() end })
    assert.equal("cancelled", r.state)
    assert.same({ ok = false, code = "cancelled", slept = true, closed = true }, seen)
    assert.is_true(elapsed < 5)
  end)

  it("abandons a handler that goes on beyond the grace, and closes what it left open", function()
    local went_on, closed = false, false
    local r, elapsed = run(function(ctx)
      local guard <close> = setmetatable({}, { __close = function() closed = true end }) -- luacheck: ignore
      while not went_on do pcall(ctx.sleep, ctx, 60) end
    end, { grace = 5, meanwhile = function(r, rt) rt:step(0) r:cancel() end })
    assert.equal("cancelled", r.state)
    assert.is_true(closed)
    assert.equal(5, elapsed)
  end)

  it("runs the cleanup function of an await", function()
    local cleaned = 0
    local r = run(function()
      core.await(function() return function() cleaned = cleaned + 1 end end)
    end, nil, { timeout = 3 })
    assert.equal(1, cleaned)
    assert.equal("timeout", r.error.code)
  end)

  it("waits for resume where the cleanup says so", function()
    local seen
    local r, elapsed = run(function(ctx)
      local done
      local _, err = pcall(core.gather, {
        function()
          local fine, e = pcall(core.await, function(resume)
            done = resume
            return function() return true end
          end)
          seen = { fine, e.code }
        end,
        function()
          pcall(ctx.sleep, ctx, 100)
          ctx:sleep(2)
          done("too late")
        end,
      })
      error(err, 0)
    end, { meanwhile = function(r, rt) rt:step(0) r:cancel() end })
    assert.equal("cancelled", r.state)
    assert.same({ false, "cancelled" }, seen)
    assert.is_true(elapsed >= 2 and elapsed < 5)
  end)

  it("tells a heartbeat that stopped from one that goes on", function()
    local r = run(function(ctx)
      core.await(function() end)
      return ctx
    end, nil, { heartbeat = 2 })
    assert.equal("failed", r.state)
  end)
end)

describe("the watchdog", function()
  -- Real time, because it measures how long Lua code runs without a wait.
  it("stops code that never waits, whatever it catches", function()
    local r = run(function() while true do pcall(nothing) end end, { clock = "real" }, { timeout = 0.05 })
    assert.equal("failed", r.state)
    assert.equal("timeout", r.error.code)
    r = run(function()
      local co = coroutine.wrap(function() while true do pcall(error) end end)
      while true do pcall(co) end
    end, { clock = "real" }, { timeout = 0.05 })
    assert.equal("timeout", r.error.code)
  end)
end)
