-- Locks of runs, `singleton` and `on_conflict`, among the runs of a runtime in memory: whose turn
-- it is, and what the definition may say.
local core = require "orrery.core"
local flow = require "orrery"

local function is(code, fn, ...)
  local ok, problem = pcall(fn, ...)
  assert.is_false(ok)
  assert.are.equal(code, type(problem) == "table" and problem.code or problem)
  return problem
end

-- A workflow whose runs sleep for as long as their input says.
local function sleeper(options)
  options = options or {}
  options.name = options.name or "w"
  if options.singleton == nil then options.singleton = "${input.key}" end
  local w = flow.workflow(options)
  w.a = { run = function(ctx) ctx:sleep(ctx.input.t or 1) return ctx.input.n end }
  w.done = { after = "a", join = "done", handles = false, run = function() end }
  return w
end

local function world()
  local self = { rt = flow.runtime { clock = "virtual" }, lines = {} }
  self.began = self.rt:now()
  function self.start(w, input)
    return flow.start(w, { runtime = self.rt, input = input, on_event = function(e)
      if not e.node then
        self.lines[#self.lines + 1] = ("%d %s %s"):format(e.time - self.began, input.n or "?",
          e.event:gsub("^run_", ""))
      end
    end })
  end
  function self.wait(...)
    for _, run in ipairs { ... } do self.rt:wait(run) end
  end
  function self.said(event)
    local found = {}
    for _, line in ipairs(self.lines) do
      if line:find(" " .. event .. "$") then found[#found + 1] = line end
    end
    return found
  end
  return self
end

describe("singleton", function()
  it("lets one run of a value go on at a time, in the order in which they came", function()
    local here, w = world(), sleeper()
    local a, b = here.start(w, { n = "a", key = "x", t = 5 }), here.start(w, { n = "b", key = "x", t = 2 })
    local c, d = here.start(w, { n = "c", key = "x" }), here.start(w, { n = "d", key = "y" })
    assert.are.same({ "running", "pending", "pending", "running" }, { a.state, b.state, c.state, d.state })
    here.wait(a, b, c, d)
    assert.are.same({ "0 a started", "0 d started", "5 b started", "7 c started" }, here.said "started")
    assert.are.same({ "0 b waiting", "0 c waiting", "5 c waiting" }, here.said "waiting")
    assert.are.same({ "completed", "completed", "completed", "completed" },
      { a.state, b.state, c.state, d.state })
  end)

  it("holds for all runs of a workflow where it is true, and for none where the value is nil", function()
    local here, all, none = world(), sleeper { singleton = true }, sleeper { name = "none" }
    local a, b = here.start(all, { n = "a" }), here.start(all, { n = "b" })
    local c, d = here.start(none, { n = "c" }), here.start(none, { n = "d" })
    assert.are.same({ "running", "pending", "running", "running" }, { a.state, b.state, c.state, d.state })
    here.wait(a, b, c, d)
  end)

  it("is a lock of its workflow: others may use the same value", function()
    local here = world()
    local a, b = here.start(sleeper { name = "p" }, { key = "x" }),
      here.start(sleeper { name = "q" }, { key = "x" })
    assert.are.same({ "running", "running" }, { a.state, b.state })
    here.wait(a, b)
  end)

  it("says what it waits for", function()
    local here, w = world(), sleeper()
    local a, b = here.start(w, { n = "a", key = "x" }), here.start(w, { n = "b", key = "x" })
    assert.are.same({ "lock", "x" }, { b:why("a").kind, b:why("a").name })
    here.rt:step()
    assert.are.equal(a.id, b.holder)
    assert.are.equal(a.id, b:why("a").by_run)
    assert.is_true(b:why("a").alive)
    assert.are.same({ "x", "x" }, { a.lock, b.lock })
    assert.is_nil(a.holder)
    here.wait(a, b)
    assert.is_nil(b.holder)
  end)

  it("bounds the run by its timeout from when it has its lock", function()
    local here, w = world(), sleeper { timeout = "3s" }
    local a, b, c = here.start(w, { key = "x", t = 2.5 }), here.start(w, { key = "x", t = 2.5 }),
      here.start(w, { key = "x", t = 10 })
    here.wait(a, b, c)
    assert.are.same({ "completed", "completed", "failed" }, { a.state, b.state, c.state })
    assert.are.equal("run_timeout", c.error.code)
  end)

  it("keeps its place in a pause, and starts nothing then", function()
    local here, w = world(), sleeper()
    local a, b, c = here.start(w, { n = "a", key = "x" }), here.start(w, { n = "b", key = "x" }),
      here.start(w, { n = "c", key = "x" })
    b:pause()
    assert.are.equal("paused", b.state)
    here.wait(a)
    here.rt:step()
    assert.are.same({ "paused", "pending" }, { b.state, c.state })
    assert.are.same({ a = "pending", done = "pending" }, c:states())
    b:resume()
    here.wait(b, c)
    assert.are.same({ "completed", "completed" }, { b.state, c.state })
  end)

  it("a run that is cancelled while it waits does nothing, and keeps nobody waiting", function()
    local here, w = world(), sleeper()
    local a, b, c = here.start(w, { n = "a", key = "x", t = 5 }), here.start(w, { n = "b", key = "x" }),
      here.start(w, { n = "c", key = "x" })
    b:cancel()
    here.wait(b)
    assert.are.equal("cancelled", b.state)
    assert.are.same({ a = "cancelled", done = "cancelled" }, b:states())
    here.wait(a, c)
    assert.are.same({ "0 a started", "5 c started" }, here.said "started")
  end)

  it("goes on to the next after a failure and after undoing", function()
    local here = world()
    local w = flow.workflow { name = "saga", singleton = true }
    w.a = { run = function() return 1 end, compensate = function(ctx) ctx:sleep(7) end }
    w.b = { after = "a", run = function(ctx)
      if ctx.input.fail then error "no" end
    end }
    local a, b = here.start(w, { n = "a", fail = true }), here.start(w, { n = "b" })
    here.wait(a, b)
    assert.are.same({ "compensated", "completed" }, { a.state, b.state })
    assert.are.same({ "0 a started", "7 b started" }, here.said "started")
  end)
end)

describe("on_conflict", function()
  it("fail raises conflict, which names the run that has the lock", function()
    local here, w = world(), sleeper { on_conflict = "fail" }
    local a = here.start(w, { n = "a", key = "x" })
    local problem = is("conflict", here.start, w, { n = "b", key = "x" })
    assert.are.same({ run = a.id, lock = "x" }, problem.details)
    assert.is_false(problem.retryable)
    assert.is_truthy(problem.message:find(a.id, 1, true))
    here.wait(a)
    here.wait(here.start(w, { n = "c", key = "x" }))
  end)

  it("skip starts nothing and says which run has the lock", function()
    local here, w = world(), sleeper { on_conflict = "skip" }
    local a = here.start(w, { n = "a", key = "x" })
    local skipped = flow.run(w, { runtime = here.rt, input = { key = "x" } })
    assert.are.same({ "skipped", a.id, true, true, "x" },
      { skipped.state, skipped.id, skipped.skipped, skipped.ended, skipped.lock })
    assert.are.equal(skipped, skipped:wait())
    here.wait(a)
    assert.are.equal("completed", flow.run(w, { runtime = here.rt, input = { key = "x" } }).state)
  end)

  it("cancel_running cancels whoever has it and waits for its end; who still waited ends too", function()
    local here = world()
    local w = flow.workflow { name = "w", singleton = true, on_conflict = "cancel_running" }
    w.a = { run = function() return 1 end, compensate = function(ctx) ctx:sleep(7) end }
    w.b = { after = "a", run = function(ctx) ctx:sleep(100) end }
    local a, b, c = here.start(w, { n = "a" }), nil, nil
    local meddler = flow.workflow { name = "meddler" }
    meddler.m = { run = function(ctx)
      ctx:sleep(2)
      b, c = here.start(w, { n = "b" }), here.start(w, { n = "c" })
    end }
    here.wait(flow.start(meddler, { runtime = here.rt }), a)
    here.wait(b, c)
    assert.are.same({ "compensated", "cancelled", "completed" }, { a.state, b.state, c.state })
    assert.are.same({ "0 a started", "9 c started" }, here.said "started")
  end)
end)

describe("ctx:call of a workflow with a lock", function()
  local function calls(child, input, options)
    local w = flow.workflow { name = "caller", output = "${nodes.a}" }
    w.a = { run = function(ctx)
      local ok, result = pcall(ctx.call, ctx, child, input)
      if ok then return { ok = true, result = result } end
      return { ok = false, result = result.code, by = result.details and result.details.run }
    end }
    return flow.run(w, options)
  end

  for _, journal in ipairs { false, true } do
    local how = journal and ", with a journal" or ""
    it("waits for it" .. how, function()
      local here, w = world(), sleeper { output = "${nodes.a}" }
      local a = here.start(w, { n = "a", key = "x", t = 5 })
      local run = calls(w, { n = "child", key = "x" }, { runtime = here.rt, journal = journal })
      assert.are.same({ ok = true, result = "child" }, run.output)
      assert.are.equal("completed", a.state)
    end)

    it("is skipped, with nil, or raises conflict" .. how, function()
      local here, skip = world(), sleeper { on_conflict = "skip" }
      local a = here.start(skip, { n = "a", key = "x", t = 5 })
      assert.are.same({ ok = true },
        calls(skip, { key = "x" }, { runtime = here.rt, journal = journal }).output)
      local fail = sleeper { name = "f", on_conflict = "fail" }
      local f = here.start(fail, { n = "f", key = "x", t = 5 })
      assert.are.same({ ok = false, result = "conflict", by = f.id },
        calls(fail, { key = "x" }, { runtime = here.rt, journal = journal }).output)
      here.wait(a, f)
    end)

    it("is a deadlock where a run above it has the lock" .. how, function()
      local here = world()
      local w = flow.workflow { name = "w", singleton = "${input.key}", output = "${nodes.a}" }
      local between = flow.workflow { name = "between", output = "${nodes.b}" }
      between.b = { run = function(ctx)
        local ok, problem = pcall(ctx.call, ctx, w, { key = ctx.input.key })
        return ok and "called" or problem.code
      end }
      w.a = { run = function(ctx)
        return ctx.input.top and ctx:call(between, { key = ctx.input.top }) or "leaf"
      end }
      local function top(key)
        return flow.run(w, { runtime = here.rt, input = { key = "x", top = key }, journal = journal }).output
      end
      assert.are.equal("deadlock", top "x")
      assert.are.equal("called", top "y")
    end)
  end

  it("is a deadlock, and does not cancel its caller, with cancel_running", function()
    local here = world()
    local w = flow.workflow { name = "w", singleton = true, on_conflict = "cancel_running",
      output = "${nodes.a}" }
    w.a = { run = function(ctx)
      local ok, problem = pcall(ctx.call, ctx, w, {})
      return ok and "called" or problem.code
    end }
    local run = flow.run(w, { runtime = here.rt, input = {} })
    assert.are.same({ "completed", "deadlock" }, { run.state, run.output })
  end)

  it("is a deadlock as well where a handler waits for a run that it started", function()
    local here = world()
    local w = flow.workflow { name = "w", singleton = true, output = "${nodes.a}" }
    w.a = { run = function(ctx)
      if not ctx.input.top then return "leaf" end
      local run = flow.run(w, { runtime = here.rt, input = {} })
      return { state = run.state, code = run.error and run.error.code }
    end }
    local run = flow.run(w, { runtime = here.rt, input = { top = true } })
    assert.are.same({ state = "cancelled", code = "deadlock" }, run.output)
  end)

  it("is a deadlock where two wait for what the other has", function()
    local here = world()
    local p = flow.workflow { name = "p", singleton = true, output = "${nodes.a}" }
    local q = flow.workflow { name = "q", singleton = true, output = "${nodes.a}" }
    local function calling(other)
      return { run = function(ctx)
        if not ctx.input.top then return "leaf" end
        ctx:sleep(1)
        local ok, result = pcall(ctx.call, ctx, other(), {})
        return ok and result or result.code
      end }
    end
    p.a, q.a = calling(function() return q end), calling(function() return p end)
    local a, b = here.start(p, { top = true }), here.start(q, { top = true })
    here.wait(a, b)
    local outputs = { a.output, b.output }
    table.sort(outputs)
    assert.are.same({ "deadlock", "leaf" }, outputs)
  end)
end)

describe("a definition with singleton", function()
  local function problems(options)
    options.name = "w"
    local w = flow.workflow(options)
    w.a = { run = function() end }
    local ok, problem = pcall(flow.start, w, { input = {} })
    assert.is_false(ok)
    return tostring(problem)
  end

  it("is checked", function()
    local cases = {
      { { singleton = 5 }, "singleton: expected the value of a lock" },
      { { singleton = "${nodes.a}" }, "it may use input, context and env, not nodes" },
      { { singleton = "${input.}" }, "singleton" },
      { { singleton = "${env.HOME}" }, "env.HOME may not be read here" },
      { { singleton = "${input.q}", input = flow.schema { z = "string?" } }, "singleton: " },
      { { singleton = "x", on_conflict = "wait" }, 'on_conflict: expected "queue", "cancel_running"' },
      { { singleton = "" }, "singleton: the value is 1 to 512 bytes" },
      { { on_conflict = "skip" }, "this workflow has no singleton" },
    }
    for _, case in ipairs(cases) do
      assert.is_truthy(problems(case[1]):find(case[2], 1, true), problems(case[1]))
    end
  end)

  it("takes texts and numbers, and refuses what is neither", function()
    for _, value in ipairs { "", ("x"):rep(513), "a\nb", { 1 } } do
      local here, w = world(), sleeper()
      local problem = is("config_error", here.start, w, { key = value })
      assert.is_truthy(problem.message:find("singleton: the value is", 1, true))
    end
    for _, value in ipairs { "é", ("x"):rep(512), 7, 1.5, true } do
      local here, w = world(), sleeper()
      local run = here.start(w, { key = value })
      assert.are.equal(tostring(value), run.lock)
      here.wait(run)
    end
    local here, w = world(), sleeper()
    local run = here.start(w, { key = false })
    assert.is_nil(run.lock)
    here.wait(run)
  end)

  it("may use the context and the environment", function()
    local w = flow.workflow { name = "w", singleton = "${context.tenant}-${env.HOME}", env = { "HOME" } }
    w.a = { run = function() end }
    local run = flow.start(w, { context = { tenant = "t" } })
    assert.are.equal("t-" .. os.getenv "HOME", run.lock)
    core.runtime():wait(run)
  end)

  it("stands in JSON as well", function()
    local json = require "orrery.definition.json"
    local w = json.read([[{ "name": "j", "singleton": "${input.k}", "on_conflict": "fail",
      "nodes": [ { "id": "a", "type": "const", "with": { "value": 1 } } ] }]], "j.json",
      require("orrery.definition.limits").FILE, _G)
    local compiled = assert(require("orrery.definition.compile").workflow(w))
    assert.are.equal("fail", compiled.def.on_conflict)
    local text = require "orrery.bundle.canonical" (compiled)
    assert.is_truthy(text:find('"singleton":"${input.k}"', 1, true))
    assert.is_truthy(text:find('"on_conflict":"fail"', 1, true))
  end)
end)
