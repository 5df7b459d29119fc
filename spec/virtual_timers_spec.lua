-- Timers of luv in handlers: in virtual time they take exactly their time, and otherwise behave as
-- luv's do.
local core = require "orrery.core"
local flow = require "orrery"
local uv = require "luv"

-- Runs one handler; the run, its output and the time that it took on its clock.
local function run(handler, options, node)
  options = options or { clock = "virtual" }
  local rt = core.runtime(options)
  local nodes = { { name = "a", type = "lua", where = "spec:1", run = handler } }
  for key, value in pairs(node or {}) do nodes[1][key] = value end
  local r = rt:start(assert(core.plan { name = "spec", on_error = "stop", nodes = nodes }), {})
  local begun = rt:now()
  rt:wait(r)
  local elapsed = rt:now() - begun
  if options.store then rt:close() end
  return r, r.state == "completed" and r:outputs().a or nil, elapsed
end

-- Starts a timer that ends the wait, and closes it.
local function after(ms, resume)
  local timer = uv.new_timer()
  timer:start(ms, 0, function()
    timer:close()
    resume()
  end)
end

local function sleep(ms) flow.await(function(resume) after(ms, resume) end) end

-- What a timer does, in units of time: `fn(t, unit, log, resume)`. `log(word, ...)` notes the time
-- in units, the word and values.
local behaviours = {
  { "fires once after its timeout", "3 tick false 0", function(t, unit, log, resume)
    t:start(3 * unit, 0, function(...)
      log("tick", t:is_active(), select("#", ...))
      resume()
    end)
  end },
  { "repeats, and is active in its callback", "2 tick true, 5 tick true, 8 tick true",
    function(t, unit, log, resume)
    local n = 0
    t:start(2 * unit, 3 * unit, function()
      n = n + 1
      log("tick", t:is_active())
      if n == 3 then t:stop() resume() end
    end)
  end },
  { "gives what it is left and its repeat", "0 start 0 2 5, 2 tick 5 5, 2 stop 5 false 0",
    function(t, unit, log, resume)
    local result = t:start(2 * unit, 5 * unit, function()
      log("tick", t:get_due_in() / unit, t:get_repeat() / unit)
      local stopped = t:stop()
      log("stop", t:get_due_in() / unit, t:is_active(), stopped)
      resume()
    end)
    log("start", result, t:get_due_in() / unit, t:get_repeat() / unit)
  end, exact = true },
  { "takes a new repeat after its next time only", "1 tick, 3 tick, 5 tick, 10 tick",
    function(t, unit, log, resume)
    local n = 0
    t:start(unit, 2 * unit, function()
      n = n + 1
      log "tick"
      if n == 2 then t:set_repeat(5 * unit) end -- it was set again before the callback, as libuv does
      if n == 4 then t:stop() resume() end
    end)
  end },
  { "is set again from now by `again`", "2 again 0, 6 tick", function(t, unit, log, resume)
    t:start(3 * unit, 4 * unit, function()
      log "tick"
      t:stop()
      resume()
    end)
    after(2 * unit, function() log("again", t:again()) end)
  end },
  { "goes on after a stop by `again`, with the same callback", "1 stopped false, 5 again 0 true, 9 tick",
    function(t, unit, log, resume)
    t:start(3 * unit, 4 * unit, function()
      log "tick"
      t:stop()
      resume()
    end)
    after(unit, function()
      t:stop()
      log("stopped", t:is_active())
      after(4 * unit, function() log("again", t:again(), t:is_active()) end)
    end)
  end },
  { "does nothing on `again` without a repeat", "1 again 0 true, 3 tick", function(t, unit, log, resume)
    t:start(3 * unit, 0, function()
      log "tick"
      resume()
    end)
    after(unit, function() log("again", t:again(), t:is_active()) end)
  end },
  { "refuses `again` before it was ever started", "0 again nil EINVAL: invalid argument EINVAL",
    function(t, _, log, resume)
    log("again", t:again())
    resume()
  end },
  { "can be stopped at any time, also when it is not set", "0 stop 0, 1 stop 0 false, 4 end false",
    function(t, unit, log, resume)
    log("stop", t:stop())
    t:start(2 * unit, unit, function() log "tick" end)
    after(unit, function() log("stop", t:stop(), t:is_active()) end)
    after(4 * unit, function()
      log("end", t:is_active())
      resume()
    end)
  end },
  { "forgets its first time when it is started again", "1 started, 5 second", function(t, unit, log, resume)
    t:start(2 * unit, 0, function() log "first" end)
    after(unit, function()
      t:start(4 * unit, 0, function()
        log "second"
        resume()
      end)
      log "started"
    end)
  end },
  { "may be started in its own callback", "2 first, 5 second", function(t, unit, log, resume)
    t:start(2 * unit, 0, function()
      log "first"
      t:start(3 * unit, 0, function()
        log "second"
        resume()
      end)
    end)
  end },
  { "is silent once it is closed",
    "1 closing true false nil EINVAL: invalid argument EINVAL, 1 closed, 4 end",
    function(t, unit, log, resume)
      t:start(2 * unit, unit, function() log "tick" end)
      after(unit, function()
        t:close(function() log "closed" end)
        log("closing", t:is_closing(), t:is_active(), t:start(unit, 0, function() log "never" end))
      end)
      after(4 * unit, function()
        log "end"
        resume()
      end)
    end },
  { "may be closed in its own callback, also where it repeats", "2 tick, 4 end true",
    function(t, unit, log, resume)
    t:start(2 * unit, unit, function()
      log "tick"
      t:close()
    end)
    after(4 * unit, function()
      log("end", t:is_closing())
      resume()
    end)
  end },
  { "fires while something else waits, though it is unreferenced", "0 ref true false, 2 tick, 4 end",
    function(t, unit, log, resume)
    local before = t:has_ref()
    t:start(2 * unit, 0, function() log "tick" end)
    t:unref()
    log("ref", before, t:has_ref())
    after(4 * unit, function()
      log "end"
      resume()
    end)
  end },
  { "may be called by the functions of the module", "0 start 0 true false, 3 tick 2, 5 again 0 0",
    function(t, unit, log, resume)
    local n = 0
    local started = uv.timer_start(t, 3 * unit, 2 * unit, function()
      n = n + 1
      if n == 1 then return log("tick", uv.timer_get_repeat(t) / unit) end
      uv.timer_set_repeat(t, unit)
      local again = uv.timer_again(t)
      log("again", again, uv.timer_stop(t))
      uv.close(t)
      resume()
    end)
    log("start", started, uv.is_active(t), uv.is_closing(t))
  end },
  { "takes what can be called for a function", "1 called true", function(t, unit, log, resume)
    local callable
    callable = setmetatable({}, { __call = function(self)
      log("called", self == callable)
      resume()
    end })
    t:start(unit, 0, callable)
  end },
  { "comes in the order of time, then of starting", "1 d, 2 a, 2 b, 3 c", function(t, unit, log, resume)
    local other, third = uv.new_timer(), uv.new_timer()
    after(3 * unit, function()
      log "c"
      other:close()
      third:close()
      resume()
    end)
    t:start(2 * unit, 0, function() log "a" end)
    other:start(2 * unit, 0, function() log "b" end)
    third:start(unit, 0, function() log "d" end)
  end },
  { "stops one that is due at the same time", "2 a, 3 end", function(t, unit, log, resume)
    local other = uv.new_timer()
    t:start(2 * unit, 0, function()
      log "a"
      other:stop()
      other:close()
    end)
    other:start(2 * unit, 0, function() log "b" end)
    after(3 * unit, function()
      log "end"
      resume()
    end)
  end },
}

-- The log of a behaviour, with times or without.
local function perform(fn, options, unit, timed)
  local lines = {}
  local _, result = run(function()
    local began, timer = uv.now(), uv.new_timer()
    flow.await(function(resume)
      fn(timer, unit, function(...)
        local line = table.pack(...)
        for i = 1, line.n do
          local number = math.type(line[i]) == "float" and math.tointeger(line[i]) or line[i]
          line[i] = tostring(number)
        end
        local at = (uv.now() - began) / unit
        lines[#lines + 1] = (timed and ("%g "):format(at) or "") .. table.concat(line, " ")
      end, resume)
    end)
    if not timer:is_closing() then timer:close() end
    return "done"
  end, options)
  assert.equal("done", result)
  return table.concat(lines, ", ")
end

describe("a timer of luv in virtual time", function()
  for _, case in ipairs(behaviours) do
    local name, expected, fn = case[1], case[2], case[3]
    it(name, function() assert.equal(expected, perform(fn, { clock = "virtual" }, 3600000, true)) end)
    if not case.exact then
      it(name .. ", as on the real clock", function()
        assert.equal((", " .. expected):gsub(", %d+ ", ", "):sub(3),
          perform(fn, { clock = "real" }, 20, false))
      end)
    end
  end
end)

local function hours(n) return n * 3600000 end

describe("virtual time", function()
  it("passes an await of a timer of luv at once, to the nanosecond", function()
    local _, _, elapsed = run(function() sleep(hours(1)) end)
    assert.equal(3600, elapsed)
  end)

  it("does so with a store", function()
    for _, durability in ipairs { "strict", "relaxed", "none" } do
      local path = os.tmpname()
      os.remove(path)
      local _, result, elapsed = run(function(ctx)
        sleep(hours(1))
        ctx:sleep "1h"
        sleep(hours(1))
        return ctx:step("s", function()
          sleep(hours(1))
          return "done"
        end)
      end, { clock = "virtual", store = "sqlite:" .. path, durability = durability })
      for _, suffix in ipairs { "", "-wal", "-shm", "-lock" } do os.remove(path .. suffix) end
      assert.same({ "done", 4 * 3600 }, { result, elapsed })
    end
  end)

  it("is what uv.now tells in handlers and in callbacks of their timers; uv.hrtime is real", function()
    local began = uv.now()
    local _, result = run(function(ctx)
      local first, real, second = uv.now(), uv.hrtime(), nil
      ctx:sleep(0.0015)
      flow.await(function(resume) after(hours(2), function()
        second = uv.now()
        resume()
      end) end)
      return { first == 5000, second - first, uv.now() - first, uv.hrtime() - real < 3600 * 1000000000 }
    end, { clock = "virtual", now = 5 })
    assert.same({ true, hours(2) + 1, hours(2) + 1, true }, result)
    assert.is_true(uv.now() - began < hours(1))
  end)

  it("counts for timeouts of attempts", function()
    local r, _, elapsed = run(function() sleep(hours(2)) end, nil, { timeout = 60 })
    assert.same({ "timeout", 60 }, { r.error.code, elapsed })
  end)

  it("is not stopped by a timer that stays open, which goes on while the run does", function()
    local timer, ticks = uv.new_timer(), 0
    local _, _, elapsed = run(function(ctx)
      timer:start(hours(1), hours(1), function() ticks = ticks + 1 end)
      ctx:sleep "150m"
      sleep(hours(8))
    end)
    assert.same({ 10.5 * 3600, 10 }, { elapsed, ticks })
    assert.is_true(timer:is_active())
    run(function() sleep(hours(100)) end)
    assert.equal(10, ticks) -- its clock stands, there is no run
    timer:close()
  end)

  it("does not pass for a timer that is unreferenced alone", function()
    local timer = uv.new_timer()
    local r = run(function()
      flow.await(function(resume)
        timer:start(hours(1), hours(1), resume)
        timer:unref()
      end)
    end)
    assert.equal("stall", r.error.code)
    assert.is_true(timer:is_active())
    timer:close()
  end)

  it("passes again once a timer is referenced", function()
    local _, _, elapsed = run(function()
      flow.await(function(resume)
        local timer = uv.new_timer()
        timer:unref()
        timer:start(hours(1), 0, function()
          timer:close()
          resume()
        end)
        timer:ref()
      end)
    end)
    assert.equal(3600, elapsed)
  end)

  it("is that of the run: strands, coroutines and runtimes beside each other", function()
    local times, rts, runs = {}, {}, {}
    for i = 1, 3 do
      rts[i] = core.runtime { clock = "virtual", now = i * 1000 }
      runs[i] = rts[i]:start(assert(core.plan { name = "spec", on_error = "stop",
        nodes = { { name = "a", run = function()
        core.gather {
          function() sleep(hours(i)) end,
          coroutine.wrap(function() sleep(1) end),
        }
        times[i] = uv.now() - i * 1000000
      end } } }), {})
    end
    for i = 1, 3 do rts[i]:wait(runs[i]) end
    assert.same({ hours(1), hours(2), hours(3) }, times)
  end)

  it("lets one timer go from clock to clock", function()
    local timer, log = uv.new_timer(), {}
    local function start(word, resume)
      timer:start(hours(1), 0, function()
        log[#log + 1] = word
        if resume then resume() end
      end)
    end
    run(function() start "left behind" end)
    local _, _, elapsed = run(function() flow.await(function(resume) start("second", resume) end) end)
    flow.await(function(resume) timer:start(1, 0, function()
      log[#log + 1] = "real"
      resume()
    end) end)
    assert.same({ { "second", "real" }, 3600 }, { log, elapsed })
    timer:close()
  end)

  it("outlives no runtime", function()
    local timer = uv.new_timer()
    run(function() timer:start(hours(1), 1000, print) end)
    for _ = 1, 4 do collectgarbage() end
    assert.equal(0, timer:stop())
    assert.is_false(timer:is_active())
    timer:close()
  end)

  it("passes many timers in their order", function()
    local order, n = {}, 5000
    local _, _, elapsed = run(function()
      local strands = {}
      for i = 1, n do
        strands[i] = function()
          sleep(n - i + 1)
          order[#order + 1] = n - i + 1
        end
      end
      core.gather(strands)
    end)
    assert.equal(n / 1000, elapsed)
    for i = 1, n do assert.equal(i, order[i]) end
  end)

  it("passes timers of a handler that is cancelled by no more than its cleanup", function()
    local timer
    local r, _, elapsed = run(function()
      flow.await(function(resume)
        timer = uv.new_timer()
        timer:start(hours(5), 0, resume)
        return function() timer:close() end
      end)
    end, nil, { timeout = 1 })
    assert.same({ "timeout", 1, true }, { r.error.code, elapsed, timer:is_closing() })
  end)
end)

describe("virtual time with a journal", function()
  -- The core goes on after a record that is durable at once, and nothing else would wake the loop.
  it("goes on where a timeout or a place in a pool comes next", function()
    flow.pool("virtual-one", { max = 1 })
    for _, journal in ipairs { false, true } do
      local w = flow.workflow { name = "pool", output = "${nodes.a}" }
      w.a = { pool = "virtual-one", retry = { max = 1, delay = "1s", jitter = "none" }, run = function(ctx)
        if ctx.attempt == 1 then error "first" end
        return "second attempt"
      end }
      w.b = { pool = "virtual-one", run = function()
        flow.await(function(resume)
          local timer = uv.new_timer()
          timer:start(3000, 0, function() timer:close() resume() end)
        end)
      end }
      local r = flow.run(w, { clock = "virtual", journal = journal })
      assert.equal("completed", r.state)
      assert.equal("second attempt", r.output)

      w = flow.workflow { name = "cleanup", timeout = "1s", cleanup_timeout = "1s" }
      w.a = flow.delay { join = "done", duration = "1h" }
      r = flow.run(w, { clock = "virtual", journal = journal })
      assert.equal("run_timeout", r.error.code)
      assert.equal("cancelled", r:states().a)
    end
  end)
end)

describe("virtual time with a store", function()
  it("gives each run an id of its own, and the same chance", function()
    local path = os.tmpname()
    os.remove(path)
    local w = flow.workflow { name = "two", output = "${nodes.a}" }
    w.a = { run = function(ctx) return ctx:random() end }
    local ids, outputs = {}, {}
    for i = 1, 3 do
      local rt = flow.runtime { clock = "virtual", store = "sqlite:" .. path }
      local r = flow.run(w, { runtime = rt })
      assert.equal("completed", r.state, r.error and r.error.message)
      ids[r.id] = true
      outputs[i] = r.output
      rt:close()
    end
    local n = 0
    for _ in pairs(ids) do n = n + 1 end
    assert.equal(3, n)
    assert.equal(outputs[1], outputs[2])
    os.execute(("rm -f '%s' '%s'-*"):format(path, path))
  end)
end)

describe("the end of virtual time, in the year 2262", function()
  it("is where what would wait for longer goes on", function()
    local w = flow.workflow { name = "far", output = "${nodes.d}" }
    w.a = flow.delay { duration = 5e9 }
    w.b = { after = "a", retry = { max = 2, delay = 5e9 }, timeout = "1h", run = function(ctx)
      if ctx.attempt < 3 then error "again" end
      ctx:sleep(5e9)
    end }
    w.c = { after = "b", deadline = "1h", heartbeat = "1m", run = function()
      flow.await(function(resume)
        local timer = uv.new_timer()
        timer:start(1000000000000, 0, function() timer:close() resume() end)
      end)
    end }
    w.d = { after = "c", run = function(ctx) return os.date("!%Y", math.floor(ctx:now())) end }
    for _, journal in ipairs { false, true } do
      local r = flow.run(w, { clock = "virtual", journal = journal })
      assert.equal("completed", r.state, r.error and r.error.message)
      assert.equal("2262", r.output)
    end
  end)
end)

describe("a callback in virtual time", function()
  it("that fails fails the wait that it would have ended", function()
    local r = run(function()
      flow.await(function(resume)
        after(1, function() error { code = "mine", message = tostring(resume) } end)
      end)
    end)
    assert.equal("mine", r.error.code)
    r = run(function()
      flow.await(function(resume)
        local timer = uv.new_timer()
        timer:start(1, 0, function()
          timer:close()
          error "broken"
          resume()
        end)
      end)
    end)
    assert.matches("broken", r.error.message, 1, true)
  end)

  it("that fails and belongs to no run is reported, and the run goes on", function()
    local rt = core.runtime { clock = "virtual" }
    local reported
    rt:on(function(event) if event.event == "log" then reported = event.message end end)
    local r = rt:start(assert(core.plan { name = "spec", on_error = "stop",
      nodes = { { name = "a", run = function(ctx)
      after(1, function() error "of nobody" end)
      ctx:sleep(1)
    end } } }), {})
    rt:wait(r)
    assert.equal("completed", r.state)
    assert.matches("of nobody", reported, 1, true)
  end)

  it("may start a run, and close its runtime", function()
    local rt = core.runtime { clock = "virtual" }
    local plan = assert(core.plan { name = "inner", on_error = "stop",
      nodes = { { name = "a", run = function() sleep(1000) end } } })
    local inner
    local r = rt:start(assert(core.plan { name = "spec", on_error = "stop",
      nodes = { { name = "a", run = function()
      flow.await(function(resume) after(1000, function()
        inner = rt:start(plan, {})
        rt:close()
        resume()
      end) end)
    end } } }), {})
    rt:wait(r)
    rt:wait(inner)
    assert.same({ "completed", "completed" }, { r.state, inner.state })
  end)
end)

describe("virtual time stands still for", function()
  -- Whether `fn(resume)` ends the wait before a timer does that comes much later.
  local function first(fn)
    local _, result, elapsed = run(function()
      return flow.await(function(resume)
        local timer = uv.new_timer()
        timer:start(hours(1), 0, function() resume "the timer" end)
        fn(function(...)
          timer:close()
          resume(...)
        end)
      end)
    end)
    return { result, elapsed }
  end

  it("a child process", function()
    assert.same({ "exit", 0 }, first(function(resume)
      local process
      process = uv.spawn("sleep", { args = { "0.05" } }, function()
        process:close()
        resume "exit"
      end)
    end))
  end)

  it("a child process, though nobody awaits it", function()
    local ended
    local _, result, elapsed = run(function(ctx)
      local process
      process = uv.spawn("sleep", { args = { "0.05" } }, function()
        ended = true
        process:close()
      end)
      ctx:sleep "1h"
      return ended
    end)
    assert.same({ true, 3600 }, { result, elapsed })
  end)

  it("a request of the file system", function()
    assert.same({ "file", 0 }, first(function(resume)
      uv.fs_stat("/", function(_, stat) resume(stat.type == "directory" and "file" or "other") end)
    end))
    local done
    local _, result = run(function(ctx)
      uv.fs_stat("/", function() done = true end)
      ctx:sleep "1h"
      return done
    end)
    assert.is_true(result)
  end)

  it("work in the thread pool", function()
    assert.same({ 7, 0 }, first(function(resume)
      uv.new_work(function(n) return n + 1 end, resume):queue(6)
    end))
  end)

  it("a socket", function()
    local server = uv.new_tcp()
    server:bind("127.0.0.1", 0)
    server:listen(8, function()
      local peer = uv.new_tcp()
      server:accept(peer)
      local late = uv.new_timer() -- of no handler, so it is real
      late:start(30, 0, function()
        late:close()
        peer:write("hello", function() peer:close() end)
      end)
    end)
    local port = server:getsockname().port
    local said = first(function(resume)
      local client = uv.new_tcp()
      client:connect("127.0.0.1", port, function()
        client:read_start(function(_, text)
          if text then return resume(text) end
          client:close()
        end)
      end)
    end)
    server:close()
    assert.same({ "hello", 0 }, said)
  end)

  it("a connection that is read from, though nobody awaits it, and not for a socket that listens", function()
    local server, text = uv.new_tcp(), nil
    server:bind("127.0.0.1", 0)
    server:listen(8, function()
      local peer, late = uv.new_tcp(), uv.new_timer()
      server:accept(peer)
      late:start(30, 0, function()
        late:close()
        peer:write("hello", function() peer:close() end)
      end)
    end)
    local _, result, elapsed = run(function(ctx)
      ctx:sleep "1h"
      local client = uv.new_tcp()
      client:connect("127.0.0.1", server:getsockname().port, function()
        client:read_start(function(_, said)
          text = text or said
          if not said then client:close() end
        end)
      end)
      ctx:sleep "1h"
      return text
    end)
    server:close()
    assert.same({ "hello", 7200 }, { result, elapsed })
  end)

  it("no process that is unreferenced", function()
    local process
    local _, _, elapsed = run(function()
      process = uv.spawn("sleep", { args = { "60" } }, function() process:close() end)
      uv.unref(process)
      sleep(hours(1))
    end)
    process:kill "sigkill"
    assert.equal(3600, elapsed)
  end)

  it("a callback after a handle is closed", function()
    assert.same({ "closed", 0 }, first(function(resume)
      uv.new_timer():close(function() resume "closed" end)
    end))
  end)

  it("no timer of anybody else's", function()
    local fired
    local other = uv.new_timer()
    other:start(60000, 0, function() fired = true end)
    local _, _, elapsed = run(function() sleep(hours(1)) end)
    assert.same({ 3600, nil }, { elapsed, fired })
    assert.is_true(other:get_due_in() > 50000)
    other:close()
  end)

  it("nothing where a callback of something else starts the timer that ends the wait", function()
    local _, _, elapsed = run(function()
      flow.await(function(resume) uv.fs_stat("/", function() after(hours(1), resume) end) end)
    end)
    assert.equal(3600, elapsed)
  end)
end)

describe("luv's functions", function()
  it("say what is wrong with an argument as before", function()
    local fails = {
      { "bad argument #1 to 'start' (number expected, got string)",
        function(t) t:start("soon", 0, print) end },
      { "bad argument #3 to 'start' (function or callable table expected, got nil)",
        function(t) t:start(1, 0, nil) end },
      { "bad argument #1 to 'timer_start' (uv_timer expected, got FILE*)",
        function() uv.timer_start(io.stdout, 1, 0, print) end },
      { "bad argument #1 to 'close'", function() uv.close {} end },
      { "is already closing", function(t) t:close() t:close() end },
    }
    for _, case in ipairs(fails) do
      local _, message = run(function()
        local timer = uv.new_timer()
        local ok, err = pcall(case[2], timer)
        if not timer:is_closing() then timer:close() end
        return not ok and err
      end)
      assert.matches(case[1], message, 1, true)
    end
  end)

  it("serve other handles as before", function()
    local _, result = run(function()
      local idle, ticks = uv.new_idle(), 0
      flow.await(function(resume)
        idle:start(function()
          ticks = ticks + 1
          if ticks == 3 then
            idle:stop()
            resume()
          end
        end)
      end)
      local async = uv.new_async(function() end)
      uv.unref(async)
      local result = { ticks, uv.is_active(idle), async:has_ref(), async:is_active() }
      uv.ref(async)
      result[5] = uv.has_ref(async)
      uv.close(async)
      flow.await(function(resume) idle:close(resume) end)
      return result
    end)
    assert.same({ 3, false, false, true, true }, result)
  end)
end)
