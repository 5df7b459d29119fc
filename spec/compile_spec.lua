-- What a workflow becomes: the definition that the runtime is given.
local fake = require "spec.support.fake_core"

describe("compiling", function()
  local flow, core

  before_each(function() flow, core = fake.load() end)

  local function work() end

  local function node_of(spec, options)
    local w = flow.workflow(options or {})
    w.first = { run = work }
    w.second = { run = work }
    w.it = spec
    local compiled, problems = flow.compile(w)
    assert(compiled, problems and problems[1] and problems[1].message)
    return compiled.def.nodes[3], compiled
  end

  it("gives a plain node nothing but what it has", function()
    local node = node_of { run = work }
    assert.same({ name = "it", type = "lua", run = work, where = node.where }, node)
  end)

  -- Engine keys as they are written, and as the definition has them.
  local KEYS = {
    { { timeout = "5s", deadline = "1m", heartbeat = 2, estimate = "PT1H" },
      { timeout = 5, deadline = 60, heartbeat = 2, estimate = 3600 } },
    { { join = "all" }, {} },
    { { after = { "first", "second" }, join = { need = 1, cancel_rest = true } },
      { join = "need", need = 1, cancel_rest = true } },
    { { on_error = "ignore", priority = "low", doc = "Does it." },
      { on_error = "ignore", priority = "low", doc = "Does it." } },
    { { fallback = 5 }, { fallback = { value = 5 } } },
    { { fallback = false }, { fallback = { value = false } } },
    { { fallback = work }, { fallback = { fn = work } } },
    { { breaker = "api" }, { breaker = { name = "api" } } },
    { { breaker = { name = "api", threshold = 2, window = "1m", cooldown = "5s", probes = 3 } },
      { breaker = { name = "api", threshold = 2, window = 60, cooldown = 5, probes = 3 } } },
    { { each = work, each_failures = "10%" }, { each = work, each_failures = "10%" } },
    { { loop = { max = 3, delay = "1s", ["until"] = work } },
      { loop = { max = 3, delay = 1, until_ = work } } },
    { { retry = "quick" },
      { retry = { max = 3, strategy = "fixed", delay = 0.2, factor = 1, max_delay = 0.2,
        jitter = "none" } } },
    { { retry = { max = 10, strategy = "fixed", delay = "1h", jitter = "none" } },
      { retry = { max = 10, strategy = "fixed", delay = 3600, factor = 2, max_delay = 3600,
        jitter = "none" } } },
    { { retry = { delay = "1m", strategy = "random" } },
      { retry = { max = 3, strategy = "random", delay = 60, factor = 2, max_delay = 180,
        jitter = "equal" } } },
    { { retry = { delay = "1h", max_delay = "2h" } },
      { retry = { max = 3, strategy = "exponential", delay = 3600, factor = 2, max_delay = 7200,
        after_max = 7200, jitter = "equal" } } },
    { { retry = 5 },
      { retry = { max = 5, strategy = "exponential", delay = 1, factor = 2, max_delay = 30,
        jitter = "equal" } } },
    { { retry = 32766 },
      { retry = { max = 32766, strategy = "exponential", delay = 1, factor = 2, max_delay = 30,
        jitter = "equal" } } },
    { { retry = { max = 1, strategy = "fixed", delay = "2s", jitter = "none", on = "timeout",
      unless = { "a", "b" } } },
      { retry = { max = 1, strategy = "fixed", delay = 2, factor = 2, max_delay = 30, jitter = "none",
        on = { "timeout" },
        unless = { "a", "b" } } } },
  }
  for k, case in ipairs(KEYS) do
    it("reads engine keys, " .. k, function()
      local spec = { run = work }
      for key, value in pairs(case[1]) do spec[key] = value end
      local node = node_of(spec)
      for _, key in ipairs { "name", "type", "run", "where", "deps" } do node[key] = nil end
      assert.same(case[2], node)
    end)
  end

  it("compiles conditions", function()
    local node = node_of { run = work, when = "input.n > 1", each = "${input.list}",
      loop = { ["until"] = "output >= 3", max = 5 } }
    assert.is_true(node.when { input = { n = 2 } })
    assert.is_false(node.when { input = { n = 1 } })
    assert.same({ 1, 2 }, node.each { input = { list = { 1, 2 } } })
    assert.is_true(node.loop.until_({}, 3))
    assert.is_false(node.loop.until_({}, 2))
    assert.is_false(node_of({ run = work, when = false }).when {})
  end)

  it("takes a list as it is, or with templates", function()
    assert.same({ "a", "b" }, node_of({ run = work, each = { "a", "b" } }).each {})
    assert.same({ "a", 5 }, node_of({ run = work, each = { "a", "${input.x}" } }).each { input = { x = 5 } })
  end)

  it("resolves a fallback and the name of a pool", function()
    assert.equal("x!", node_of({ run = work, fallback = "${input.v}!" }).fallback.fn { input = { v = "x" } })
    flow.pool("tenant", { max = 1 })
    assert.equal("tenant:a", node_of({ run = work, pool = "tenant:${input.t}" }).pool { input = { t = "a" } })
  end)

  -- What comes after what.
  local function deps_of(spec)
    local node = node_of(spec)
    local list = {}
    for k, dep in ipairs(node.deps or {}) do list[k] = dep.node end
    return list
  end

  it("takes dependencies from after, by name, node and list", function()
    assert.same({ 1 }, deps_of { after = "first", run = work })
    assert.same({ 1, 2 }, deps_of { after = { "first", "second" }, run = work })
  end)

  it("implies dependencies from what is mentioned, and adds no second edge", function()
    assert.same({ 1 }, deps_of { run = work, when = "nodes.first.ok" })
    assert.same({ 1 }, deps_of { after = "first", run = work, when = "nodes.first.ok and nodes.first.x > 1" })
    assert.same({ 2, 1 }, deps_of { after = "second", run = work, when = "states.first == 'completed'" })
    assert.same({ 1, 2 }, deps_of(flow.log { message = "${nodes.first} and ${nodes.second}" }))
    assert.same({ 2 }, deps_of { run = work, each = "${nodes.second.items}" })
    assert.same({ 2 }, deps_of { run = work, fallback = "${nodes.second}" })
    assert.same({}, deps_of { run = work, loop = { ["until"] = "nodes.it.done", max = 2 } })
  end)

  it("depends on an outcome", function()
    local w = flow.workflow {}
    w.route = flow.switch { cases = { gold = "input.total > 100" }, default = "plain" }
    w.check = flow.condition { "input.ok" }
    w.a = { after = { "route:gold", "check:true" }, run = work }
    w.b = { after = "route:plain", run = work, when = "nodes.route == 'plain'" }
    local nodes = assert(flow.compile(w)).def.nodes
    assert.same({ { node = 1, port = "gold" }, { node = 2, port = "true" } }, nodes[3].deps)
    assert.same({ { node = 1, port = "plain" } }, nodes[4].deps)
  end)

  it("reads the options of the workflow", function()
    local _, compiled = node_of({ run = work },
      { name = "n", timeout = "1m", cleanup_timeout = "5s", on_error = "drain",
      concurrency = 3, output = { total = "${nodes.first}", kind = "x" } })
    local def = compiled.def
    assert.same({ "n", 60, 5, "drain", 3 },
      { def.name, def.timeout, def.cleanup_timeout, def.on_error, def.concurrency })
    assert.same({ total = 7, kind = "x" }, def.output { nodes = { first = 7 } })
  end)

  it("lets expressions read the variables that are allowed", function()
    local _, compiled = node_of({ run = work, when = "env.PATH ~= nil" }, { env = { "PATH" } })
    assert.same({ "PATH" }, compiled.env)
  end)

  describe("and starting", function()
    local function workflow()
      local w = flow.workflow { name = "w", input = flow.schema { city = "string", limit = "integer?" } }
      w.a = { run = work }
      w.b = { after = "a", run = work }
      w.c = { after = { "a", "b" }, join = { need = 2 }, run = work }
      w.d = { run = work }
      return w
    end

    local function names()
      local list = {}
      for i, node in ipairs(core.started[#core.started].plan.def.nodes) do list[i] = node.name end
      return list
    end

    it("checks the input first", function()
      local ok, e = pcall(flow.run, workflow(), { input = { limit = "many" } })
      assert.is_false(ok)
      assert.equal("validation_error", e.code)
      assert.equal(2, #e.problems)
      assert.equal(0, #core.started)
      flow.run(workflow(), { input = { city = "Ulm" }, seed = 5, concurrency = 2 })
      assert.same({ city = "Ulm" }, core.started[1].options.input)
      assert.same({ 5, 2 }, { core.started[1].options.seed, core.started[1].options.concurrency })
    end)

    it("keeps what is asked for and what it needs", function()
      flow.run(workflow(), { input = { city = "Ulm" }, only = "b" })
      assert.same({ "a", "b" }, names())
      flow.run(workflow(), { input = { city = "Ulm" }, only = { "d", "a" } })
      assert.same({ "a", "d" }, names())
    end)

    it("keeps what is asked for and what comes after, with fewer dependencies", function()
      flow.run(workflow(), { input = { city = "Ulm" }, from = { "b" } })
      assert.same({ "b", "c" }, names())
      local nodes = core.started[1].plan.def.nodes
      assert.is_nil(nodes[1].deps)
      assert.same({ { node = 1 } }, nodes[2].deps)
      assert.equal(1, nodes[2].need)
    end)

    it("names the nearest node where one is not there", function()
      local w = flow.workflow { name = "w" }
      w.fetch = { run = work }
      local ok, e = pcall(flow.run, w, { only = "fecth" })
      assert.is_false(ok)
      assert.equal('only: workflow "w" has no node "fecth"; did you mean "fetch"?', tostring(e))
    end)

    it("gives declared pools to the runtime", function()
      flow.pool("db", { max = 4, rate = "10/s" })
      flow.pool("slow", { rate = "100/1m" })
      flow.run(workflow(), { input = { city = "Ulm" } })
      assert.same({ max = 4, rate = 10, per = 1 }, core.pools.db)
      assert.same({ rate = 100, per = 60 }, core.pools.slow)
    end)

    it("serves ctx:call", function()
      local plan, options = core.compiler(workflow(), { city = "Ulm" })
      assert.equal(4, #plan.def.nodes)
      assert.same({ input = { city = "Ulm" }, env = {} }, options)
      assert.is_false((pcall(core.compiler, workflow(), {})))
    end)

    it("chooses events by pattern", function()
      local seen = {}
      local off = flow.on("node_*", function(event) seen[#seen + 1] = event.event end)
      local off_all = flow.on("run.x", function() seen[#seen + 1] = "never" end)
      for _, name in ipairs { "node_started", "run_started", "node_failed", "runsx" } do
        core.listener { event = name }
      end
      assert.same({ "node_started", "node_failed" }, seen)
      off()
      core.listener { event = "node_started" }
      assert.equal(2, #seen)
      off_all()
      assert.is_nil(core.listener)
    end)
  end)
end)
