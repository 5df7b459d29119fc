-- The module orrery.core: plans, runs, values, errors and events, below the workflow builder.
-- Virtual time throughout.
local core = require "orrery.core"

local function nothing() end

-- A definition from nodes by order; `after` lists names.
local function define(nodes, extra)
  local index, list = {}, {}
  for i, node in ipairs(nodes) do
    index[node.name] = i
    list[i] = node
    node.type, node.where = "lua", "spec:" .. i
    if node.after then
      node.deps = {}
      for k, name in ipairs(node.after) do
        local from, port = name:match("^([^:]+):(.+)$")
        node.deps[k] = { node = index[from or name], port = port }
      end
      node.after = nil
    end
  end
  local def = { name = "spec", on_error = "stop", nodes = list }
  for key, value in pairs(extra or {}) do def[key] = value end
  return def
end

local function plan(nodes, extra) return assert(core.plan(define(nodes, extra))) end

local function run(nodes, options, extra)
  options = options or {}
  local rt = core.runtime { clock = "virtual", grace = options.grace }
  local events = {}
  rt:on(function(event) events[#events + 1] = event end)
  local begun = rt:now()
  local r = rt:start(plan(nodes, extra), options)
  if options.meanwhile then options.meanwhile(r, rt) end
  rt:wait(r)
  return r, rt:now() - begun, events, rt
end

local function named(events, name)
  local found = {}
  for _, event in ipairs(events) do
    if event.event == name then found[#found + 1] = event end
  end
  return found
end

describe("core.plan", function()
  it("knows its size, layers and critical path", function()
    local p = plan { { name = "a", run = nothing, estimate = 2 },
      { name = "b", run = nothing, after = { "a" } },
      { name = "c", run = nothing, after = { "a" }, estimate = 5 },
      { name = "d", run = nothing, after = { "b", "c" } } }
    assert.equal(4, #p)
    assert.same({ 1, 2, 2, 3 }, p:layers())
    local path, seconds = p:critical()
    assert.same({ 1, 3, 4 }, path)
    assert.equal(8, seconds)
    p = plan { { name = "a", run = nothing, estimate = 0 }, { name = "b", run = nothing, after = { "a" },
      estimate = 0 }, { name = "c", run = nothing, estimate = 0.5 }, { name = "d", run = nothing } }
    path, seconds = p:critical()
    assert.same({ { 4 }, 1 }, { path, seconds }) -- one without an estimate counts as a second
    assert.is_true(p:bytes() > 0)
  end)

  it("takes an estimate of zero as one", function()
    local p = plan { { name = "a", run = nothing, estimate = 0 },
      { name = "b", run = nothing, after = { "a" }, estimate = 0 },
      { name = "c", run = nothing, estimate = 0.5 },
      { name = "d", run = nothing, after = { "b" }, estimate = 0.25 } }
    local path, seconds = p:critical()
    assert.same({ 3 }, path)
    assert.equal(0.5, seconds)
    path, seconds = plan({ { name = "a", run = nothing, estimate = 0 } }):critical()
    assert.same({ 1 }, path)
    assert.equal(0, seconds)
  end)

  it("reports a cycle as the path that closes it, and all other mistakes with it", function()
    local def = define { { name = "a", run = nothing }, { name = "b", run = nothing },
      { name = "c", run = nothing },
      { name = "a", run = nothing } }
    def.nodes[1].deps = { { node = 2 } }
    def.nodes[2].deps = { { node = 1 }, { node = 9 } }
    def.nodes[3].deps = { { node = 3 } }
    local p, problems = core.plan(def)
    assert.is_nil(p)
    local kinds = {}
    for _, problem in ipairs(problems) do kinds[problem.kind] = problem end
    assert.equal(4, kinds.duplicate_name.node)
    assert.equal(1, kinds.duplicate_name.other)
    assert.equal(3, kinds.self_edge.node)
    assert.equal(2, kinds.unknown_node.node)
  end)

  it("reports an empty workflow", function()
    local _, problems = core.plan { name = "x", nodes = {} }
    assert.equal("empty", problems[1].kind)
  end)

  it("refuses numbers out of range", function()
    assert.error_matches(function() plan { { name = "a", run = nothing, timeout = -1 } } end,
      "timeout is out of range")
    assert.error_matches(function() plan { { name = "a", run = nothing, timeout = 0 / 0 } } end,
      "timeout is out of range")
    assert.error_matches(function() plan { { name = "a", run = nothing, retry = { max = 1e300 } } } end,
      "max is out of range")
    assert.error_matches(function() plan { { name = "a" } } end, "has no run function")
    assert.error_matches(function() core.plan { nodes = { 5 } } end, "node 1 is no table")
  end)
end)

describe("a run", function()
  it("hands outputs on and computes its own", function()
    local r = run({ { name = "a", run = function() return 20 end },
      { name = "b", after = { "a" }, run = function(_, inputs) return inputs.a + 1 end } }, nil,
      { output = function(ctx) return { ctx.nodes.b, ctx.states.a } end })
    assert.equal("completed", r.state)
    assert.same({ 21, "completed" }, r.output)
    assert.same({ a = 20, b = 21 }, r:outputs())
    assert.same({ a = "completed", b = "completed" }, r:states())
    assert.is_nil(r.error)
    assert.is_true(r.ended)
    assert.equal(r, core.runtime():wait(r))
    assert.matches("^%x+%-%x+%-7%x+%-%x+%-%x+$", r.id)
  end)

  it("gives the same id for the same virtual start, and takes a given one", function()
    local a, b = run { { name = "a", run = nothing } }, run { { name = "a", run = nothing } }
    assert.equal(a.id, b.id)
    local id = "018f3c7e-1b2a-7c3d-8e4f-5a6b7c8d9e0f"
    assert.equal(id, run({ { name = "a", run = nothing } }, { id = id }).id)
    assert.error_matches(function() run({ { name = "a", run = nothing } }, { id = "nope" }) end,
      "expected a UUID")
  end)

  it("refuses an input that is no dependency, with the list", function()
    local r = run { { name = "a", run = function() end }, { name = "b", run = function() return 1 end },
      { name = "c", after = { "a" }, run = function(_, inputs)
        assert(inputs.a == nil)
        return inputs.b
      end } }
    assert.equal("failed", r.state)
    assert.matches("inputs.b: node c does not depend on it; its dependencies are a", r.error.message, 1, true)
  end)

  it("keeps structured errors, and tracebacks of plain ones", function()
    local r = run { { name = "a",
      run = function() error { code = "no_stock", message = "none left", details = { n = 3 } } end } }
    assert.equal("no_stock", r.error.code)
    assert.equal("none left", r.error.message)
    assert.equal("a", r.error.node)
    assert.same({ n = 3 }, r.error.details)
    r = run { { name = "a", run = function() error("boom") end } }
    assert.equal("handler_error", r.error.code)
    assert.matches("core_spec.lua:%d+: boom", r.error.message)
    assert.matches("traceback", r.error.traceback)
    r = run { { name = "a", run = function() error() end } }
    assert.equal("nil", r.error.message)
    assert.same({ a = r.error }, r:errors())
  end)

  it("refuses outputs that are no plain data", function()
    local cyclic = {}
    cyclic.self = cyclic
    for _, value in ipairs { print, cyclic, 0 / 0, math.huge, { 1, x = 2 }, coroutine.create(print),
        io.stdout } do
      local r = run { { name = "a", retry = { max = 3 }, run = function() return value end } }
      assert.equal("failed", r.state)
      assert.equal("invalid_output", r.error.code)
      assert.equal(1, r:stats().attempts)
    end
  end)

  it("retries with the strategy's delays", function()
    local tries = 0
    local r, elapsed, events =
      run { { name = "a", retry = { max = 3, strategy = "exponential", delay = 1, factor = 2 },
      run = function(ctx)
        tries = tries + 1
        assert(ctx.attempt == tries)
        if tries < 4 then error { code = "again", message = "not yet" } end
        return tries
      end } }
    assert.equal("completed", r.state)
    assert.equal(7, elapsed)
    assert.equal(3, #named(events, "node_retrying"))
    assert.equal(4, r:stats().attempts)
    assert.equal("again", named(events, "node_retrying")[1].error.code)
    assert.equal(1, named(events, "node_retrying")[1].delay)
  end)

  it("honours retryable and retry_after", function()
    local n = 0
    local r = run { { name = "a", retry = { max = 3 }, run = function()
      n = n + 1
      error { code = "x", message = "y", retryable = false }
    end } }
    assert.equal(1, n)
    assert.equal("failed", r.state)
    n = 0
    local _, elapsed = run { { name = "a", retry = { max = 1, delay = 1 }, run = function()
      n = n + 1
      if n == 1 then error { code = "x", message = "y", retry_after = "30s" } end
    end } }
    assert.equal(30, elapsed)
  end)

  it("bounds retry_after by an explicit max_delay, else by one hour", function()
    local flow = require "orrery"
    local function wait(retry, retry_after)
      local delay
      local w = flow.workflow { name = "asked" }
      w.a = { retry = retry, run = function(ctx)
        if ctx.attempt == 1 then error { code = "x", message = "m", retry_after = retry_after } end
      end }
      flow.run(w, { clock = "virtual", on_event = function(e) delay = e.delay or delay end })
      return delay
    end
    assert.equal(3600, wait({ max = 1, delay = "1s" }, "2d"))
    assert.equal(3600, wait("standard", 8e9))
    assert.equal(3600, wait(1, 1e300))
    assert.equal(3600, wait(1, "290y"))
    assert.equal(3599, wait(1, 3599))
    assert.equal(5, wait({ max = 1, max_delay = "5s" }, "1m"))
    assert.equal(2, wait({ max = 1, max_delay = "5s" }, 2))
    assert.equal(86400, wait({ max = 1, max_delay = "1d" }, "2d"))
  end)

  it("takes a fallback value or function, and reports both errors when that fails", function()
    local r = run { { name = "a", fallback = { value = { ok = false } }, run = function() error "x" end } }
    assert.same({ ok = false }, r:outputs().a)
    r = run { { name = "a", run = function() error { code = "c1", message = "m1" } end,
      fallback = { fn = function(ctx, err) return ctx.node .. ":" .. err.code end } } }
    assert.equal("a:c1", r:outputs().a)
    r = run { { name = "a", run = function() error { code = "c1", message = "m1" } end,
      fallback = { fn = function() error { code = "c2", message = "m2" } end } } }
    assert.equal("failed", r.state)
    assert.equal("c1", r.error.code)
    assert.equal("m1; then its fallback failed: m2", r.error.message)
  end)

  it("ends a handler that says later, and its node when the time has come", function()
    local rt = core.runtime { clock = "virtual" }
    local nodes = core.plan { name = "later", on_error = "continue", nodes = {
      { name = "a", timeout = 1, run = function() return core.later("1h") end },
      { name = "b", deps = { { node = 1 } }, run = function() return rt:now() end },
      { name = "c", deadline = 5, run = function() return core.later(60) end } } }
    local before = rt:now()
    local r = rt:wait(rt:start(nodes))
    assert.equal(3600, r:outputs().b - before)
    assert.is_nil(r:outputs().a)
    assert.same({ a = "completed", b = "completed", c = "failed" }, r:states())
    assert.equal("deadline", r:errors().c.code)
    assert.has_error(function() core.later("soon") end)
  end)

  it("evaluates when, edges' when and outcomes", function()
    local def = define { { name = "a", run = function() return core.outcome("gold", 7) end },
      { name = "b", after = { "a:gold" }, run = function(_, inputs) return inputs.a end },
      { name = "c", after = { "a:tin" }, run = nothing },
      { name = "d", when = function(ctx) return ctx.nodes.a == 8 end, after = { "a" }, run = nothing },
      { name = "e", after = { "a" }, run = nothing } }
    def.nodes[5].deps[1].when = function(ctx) return ctx.nodes.a ~= 7 end
    local rt = core.runtime { clock = "virtual" }
    local r = rt:wait(rt:start(assert(core.plan(def))))
    assert.same({ a = "completed", b = "completed", c = "skipped", d = "skipped", e = "skipped" }, r:states())
    assert.equal(7, r:outputs().b)
    assert.equal("when", r:why("d").skip)
    assert.equal("outcome", r:why("c").skip)
    assert.equal("a", r:why("c").by)
  end)

  it("fails a node whose condition raises", function()
    local r = run { { name = "a", when = function(ctx) return ctx.input.x.y end, run = nothing } }
    assert.equal("failed", r.state)
    assert.equal("expression_error", r.error.code)
    assert.matches("^when: ", r.error.message)
  end)

  it("expands each into items with outputs in order", function()
    local r, _, events = run({ { name = "a", each = function(ctx) return ctx.input end, run = function(ctx)
      ctx:sleep(4 - ctx.index)
      if ctx.item ~= "nil" then return ctx.item .. ctx.index end
    end } }, { input = { "x", "nil", "z" } })
    assert.same({ "x1", core.json.null, "z3" }, r:outputs().a)
    assert.equal(3, named(events, "node_expanded")[1].items)
    assert.equal(3, r:stats().items)
    r = run { { name = "a", each = function() return {} end, run = nothing } }
    assert.equal("[]", core.json.encode(r:outputs().a))
    r = run { { name = "a", each = function() return 5 end, run = nothing } }
    assert.matches("each: expected an array, got number", r.error.message, 1, true)
    r = run { { name = "a", each = function() return { x = 1 } end, run = nothing } }
    assert.equal("failed", r.state)
    r = run { { name = "a", each = function() return { 1, 2 } end, each_failures = "50%", run = function(ctx)
      if ctx.item == 1 then error "x" end
      return "ok"
    end } }
    assert.same({ core.json.null, "ok" }, r:outputs().a)
  end)

  it("loops until", function()
    local r, elapsed = run { { name = "a",
      loop = { max = 10, delay = 2, until_ = function(_, output) return output == 3 end },
      run = function(ctx) return ctx.iteration end } }
    assert.equal(3, r:outputs().a)
    assert.equal(4, elapsed)
    r = run { { name = "a", loop = { max = 2, until_ = function() return false end }, run = function() end } }
    assert.equal("loop_exhausted", r.error.code)
    -- an iteration that outputs nothing has none, whatever the one before it put out
    for _, last in ipairs { false, true } do
      r = run { { name = "a", loop = { max = 3, until_ = function(ctx) return ctx.iteration == 2 end },
        run = function(ctx) if ctx.iteration == 1 or last then return ctx.iteration end end } }
      assert.equal(last and 2 or nil, r:outputs().a)
    end
    local times = 0
    -- no node of it has an `until`
    r = run { { name = "a", loop = { max = 2 }, run = function() times = times + 1 end } }
    assert.equal("loop_exhausted", r.error.code)
    assert.equal(2, times)
  end)

  it("fails with the output's error when its own output cannot be computed", function()
    local r, _, events = run({ { name = "a", run = nothing } }, nil,
      { output = function(ctx) return ctx.nodes.a.b end })
    assert.equal("failed", r.state)
    assert.equal("expression_error", r.error.code)
    assert.equal("run_failed", events[#events].event)
    r = run({ { name = "a", run = nothing } }, nil, { output = function() return { print } end })
    assert.equal("failed", r.state)
    assert.equal("invalid_output", r.error.code)
  end)

  it("says in an error that its details could not be kept", function()
    local r = run { { name = "a",
      run = function() error { code = "odd", message = "none left", details = { print } } end } }
    assert.is_nil(r.error.details)
    assert.equal("none left (its details are not plain data and were left out)", r.error.message)
  end)

  it("is cancelled, paused and resumed", function()
    local r = run({ { name = "a", run = function(ctx) ctx:sleep(100) end } },
      { meanwhile = function(r) r:cancel() end })
    assert.equal("cancelled", r.state)
    assert.equal("cancelled", r.error.code)
    local rt = core.runtime { clock = "virtual" }
    r = rt:start(plan { { name = "a", run = nothing } })
    r:pause()
    assert.equal("paused", r.state)
    r:resume()
    rt:wait(r)
    assert.equal("completed", r.state)
  end)

  it("times out as a whole", function()
    local r, elapsed = run({ { name = "a", run = function(ctx) ctx:sleep(100) end } }, nil, { timeout = 5 })
    assert.equal("failed", r.state)
    assert.equal("run_timeout", r.error.code)
    assert.equal(5, elapsed)
  end)

  it("draws from pools and explains who waits", function()
    local rt = core.runtime { clock = "virtual" }
    rt:pool("db", { max = 1 })
    assert.is_true(rt:has_pool("db"))
    assert.is_false(rt:has_pool("other"))
    local most, now = 0, 0
    local function work()
      now = now + 1
      most = math.max(most, now)
      core.await(function(resume) resume() end)
      now = now - 1
    end
    local r = rt:start(plan { { name = "a", pool = "db", run = work },
      { name = "b", pool = function() return "db" end, run = work } })
    rt:wait(r)
    assert.equal(1, most)
    assert.equal("completed", r.state)
  end)

  it("has a stable idempotency key", function()
    local keys = {}
    run { { name = "a", retry = { max = 1 }, run = function(ctx)
      keys[#keys + 1] = ctx.idempotency_key
      if #keys == 1 then error "again" end
    end }, { name = "b", run = function(ctx) keys[#keys + 1] = ctx.idempotency_key end } }
    assert.equal(3, #keys)
    local seen = {}
    for _, key in ipairs(keys) do
      assert.matches("^%x+%-%x+%-8%x+%-[89ab]%x+%-%x+$", key)
      seen[key] = (seen[key] or 0) + 1
    end
    local counts = {}
    for _, n in pairs(seen) do counts[#counts + 1] = n end
    table.sort(counts)
    assert.same({ 1, 2 }, counts)
  end)

  it("reports events in order, and nothing to those who left", function()
    local rt = core.runtime { clock = "virtual" }
    local heard, gone = {}, 0
    local off = rt:on(function() gone = gone + 1 end)
    rt:on(function(event) heard[#heard + 1] = event.event end)
    off()
    off()
    local r = rt:start(plan { { name = "a", run = function(ctx)
      ctx:log("info", "hello", { x = 1 })
      ctx:progress(0.5, "half")
      ctx:emit("mine", { 1 })
    end } }, {})
    rt:wait(r)
    assert.equal(0, gone)
    assert.same({ "run_started", "node_ready", "node_started", "log", "progress", "mine", "layer_completed",
      "node_completed",
      "run_completed" }, heard)
  end)

  it("survives a listener that fails, and one that starts and cancels runs", function()
    local rt = core.runtime { clock = "virtual" }
    local p, other = plan { { name = "a", run = function(ctx) ctx:sleep(1) end } }, nil
    rt:on(function() error("listener") end)
    rt:on(function(event)
      if event.event == "node_started" and not other then
        other = rt:start(p)
        other:cancel()
      end
    end)
    local r = rt:start(p)
    rt:wait(r)
    assert.equal("completed", r.state)
    rt:wait(other)
    assert.equal("cancelled", other.state)
  end)

  it("reads the environment only where it may", function()
    local function env(allowed)
      return run({ { name = "a",
        run = function(ctx) return { path = ctx.env.PATH, home = ctx.env.HOME } end } },
        { env = allowed }):outputs().a
    end
    assert.same({}, env(nil))
    assert.same({ path = os.getenv "PATH" }, env { "PATH" })
    assert.same({ path = os.getenv "PATH", home = os.getenv "HOME" }, env(true))
  end)

  it("shows what it knows of itself", function()
    local r = run({ { name = "a", run = function(ctx)
      return { ctx.run.workflow, ctx.run.started, ctx.input, ctx.context.tenant, ctx.node, ctx.attempt }
    end } }, { input = "in", context = { tenant = "t" } })
    assert.same({ "spec", 1e9, "in", "t", "a", 1 }, r:outputs().a)
  end)

  it("is collected with everything it holds", function()
    local rt = core.runtime { clock = "virtual" }
    local r = rt:wait(rt:start(plan { { name = "a", run = function() return { 1 } end } }))
    local held = setmetatable({ r }, { __mode = "v" })
    r = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.is_nil(held[1])
    rt:wait(rt:start(plan { { name = "a", run = nothing } }))
  end)
end)

describe("ctx", function()
  it("is refused after its attempt and in another's", function()
    local kept
    local r = run { { name = "a", run = function(ctx) kept = ctx end },
      { name = "b", after = { "a" }, run = function() return kept.attempt end } }
    assert.matches("the attempt it belongs to has ended", r.error.message)
    local first
    r = run { { name = "a", run = function(ctx)
      first = ctx
      ctx:sleep(5)
    end }, { name = "b", run = function() first:sleep(1) end } }
    assert.matches("belongs to another node's attempt", r.error.message)
    r = run { { name = "a", run = function(ctx) ctx.x = 1 end } }
    assert.matches("ctx.x cannot be set", r.error.message, 1, true)
    r = run { { name = "a", run = function(ctx) ctx.sleep(1) end } }
    assert.matches("with a colon", r.error.message, 1, true)
    r = run { { name = "a", when = function(ctx) return ctx:sleep(1) end, run = nothing } }
    assert.matches("cannot be used in a condition", r.error.message, 1, true)
  end)

  it("calls a workflow as a child", function()
    local child = plan({ { name = "x", run = function(ctx)
      ctx:sleep(3)
      if ctx.input == "bad" then error { code = "bad", message = "bad input" } end
      return ctx.input .. ctx.context
    end } }, { output = function(ctx) return ctx.nodes.x end })
    local before = package.loaded["orrery.start"]
    core.set_compiler(function(workflow, input) return workflow, { input = input } end)
    local r, elapsed = run({ { name = "a", run = function(ctx) return ctx:call(child, "in") end } },
      { context = "!" })
    assert.equal("in!", r:outputs().a)
    assert.equal(3, elapsed)
    r = run { { name = "a", run = function(ctx) return ctx:call(child, "bad") end } }
    assert.equal("child_failed", r.error.code)
    assert.equal("bad", r.error.details.error.code)
    assert.equal("failed", r.error.details.state)
    local events
    r, elapsed, events = run({ { name = "a", timeout = 100,
      run = function(ctx) return ctx:call(child, "in") end } },
      { meanwhile = function(started, rt) rt:step(0) started:cancel() end })
    assert.equal("cancelled", r.state)
    assert.is_true(elapsed < 1)
    assert.equal(2, #named(events, "run_cancelled"))
    if before then
      core.set_compiler(function(workflow, input) return before.for_call(workflow, input) end)
    end
  end)
end)
