-- Runs under test: doubles, scripted failures, the clock, signals, kills.
local testing = require "orrery.testing"
local flow = require "orrery"
local place = require "spec.support.place"

local FIXED = { max = 3, strategy = "fixed", delay = "1m", jitter = "none" }

local function weather()
  local w = flow.workflow { name = "weather", output = "${nodes.parse}" }
  w.fetch = flow.http.get { url = "https://api.example.org/${default(input.city, 'Oslo')}", timeout = "5s",
    retry = FIXED }
  w.parse = { after = "fetch", run = function(_, inputs) return flow.json.decode(inputs.fetch.body) end }
  return w
end

local BODY = { body = '{"wind":12}' }

local function asks(timeout)
  local w = flow.workflow { name = "asks", output = "${nodes.ask}" }
  w.ask = { run = function(ctx) return ctx:wait("answer", { timeout = timeout }) end }
  return w
end

describe("a run under test", function()
  after_each(testing.close)

  describe("has doubles", function()
    it("of node types, which get what the handler would", function()
      local got
      local run = testing.run(weather(), { input = { city = "Oslo" }, types = {
        ["http.get"] = function(ctx, config, inputs)
          got = { node = ctx.node, url = config.url, inputs = type(inputs) }
          return BODY
        end } })
      assert.same({ node = "fetch", url = "https://api.example.org/Oslo", inputs = "table" }, got)
      assert.output({ wind = 12 }, run)
    end)

    it("by patterns, the longest that fits", function()
      local run = testing.run(weather(), { types = { ["http.*"] = BODY, ["*"] = { body = "1" } } })
      assert.output({ wind = 12 }, run)
    end)

    it("of nodes, before those of their types", function()
      local run = testing.run(weather(), { nodes = { fetch = { body = "2" } },
        types = { ["http.get"] = BODY } })
      assert.output(2, run)
      run = testing.run(weather(), { nodes = { fetch = BODY, parse = function(_, inputs)
        return #inputs.fetch.body end } })
      assert.output(11, run)
    end)

    it("also where a handler calls a type", function()
      local w = flow.workflow { name = "inner", output = "${nodes.get}" }
      w.get = { run = function() return flow.http.get { url = "https://example.org" }.body end }
      local run = testing.run(w, { types = { ["http.get"] = { body = "here" } } })
      assert.output("here", run)
      assert.calls(1, run, "http.get")
    end)

    it("of handlers that would run in a worker", function()
      local w = flow.workflow { name = "threads", output = "${nodes.far}" }
      w.far = { strategy = "thread", run = function() return "far" end }
      assert.output("near", testing.run(w, { nodes = { far = "near" } }))
    end)

    it("with outcomes", function()
      local w = flow.workflow { name = "gate" }
      w.route = flow.switch { cases = { a = "false", b = "true" } }
      w.left = { after = "route:a", run = function() end }
      w.right = { after = "route:b", run = function() end }
      local run = testing.run(w, { nodes = { route = function() return flow.outcome("a") end } })
      assert.states({ left = "completed", right = "skipped" }, run)
    end)

    it("of workflows that it calls", function()
      local child = flow.workflow { name = "child", output = "${nodes.work}" }
      child.work = { run = function() return "real" end }
      local w = flow.workflow { name = "parent", output = "${nodes.call}" }
      w.call = { run = function(ctx) return ctx:call(child) end }
      assert.output("double", testing.run(w, { nodes = { ["child/work"] = "double" } }))
      assert.output("real", testing.run(w, { nodes = { ["other/work"] = "double" } }))
    end)

    it("of compensations", function()
      local undone = {}
      local w = flow.workflow { name = "order" }
      w.reserve = { run = function() return 7 end, compensate = function() error "not in a test" end }
      w.pay = { after = "reserve", run = function() error "no money" end }
      local run = testing.run(w, { compensations = { reserve = function(ctx) undone[1] = ctx.output end } })
      assert.compensated(run)
      assert.same({ 7 }, undone)
      assert.calls(1, run, "compensation")
    end)

    it("that call the real one", function()
      local w = flow.workflow { name = "real", output = "${nodes.a}" }
      w.a = { run = function() return 1 end }
      assert.output(1, testing.run(w, { nodes = { a = testing.real() } }))
    end)

    it("of known names only", function()
      local function refuses(options, ...)
        local ok, problem = pcall(testing.start, weather(), options)
        assert.is_false(ok)
        for _, part in ipairs { ... } do place.has(tostring(problem), part) end
      end
      refuses({ nodes = { fecth = 1 } }, 'workflow "weather" has no node "fecth"', 'did you mean "fetch"?')
      refuses({ failures = { prase = true } }, 'did you mean "parse"?')
      refuses({ compensations = { [1] = 1 } }, "expected names")
      refuses({ types = { ["http.gte"] = 1 } }, 'no node type "http.gte"', 'did you mean "http.get"?')
      refuses({ node = {} }, 'unknown option "node"', 'did you mean "nodes"?')
      refuses({ nodes = 3 }, "the option nodes is a table by name, nodes = {")
      refuses({ kill_after = "3" }, "the option kill_after is a whole number of records", "kill_after = 3")
      refuses({ limit = 0 }, "the option limit is a number of seconds above 0, limit = 30, got 0")
      refuses({ durable = 1 }, "the option durable is a boolean, durable = true, got 1")
      refuses({ now = "today" }, "the option now is a number")
      assert.error_matches(function() testing.fails("x", 5) end, "expected a message")
      assert.error_matches(function() testing.fails("x", "y", 5) end, "expected more of the error")
      assert.error_matches(function() testing.crashes(weather(), 5, print) end, "expected the options")
      local run <close> = setmetatable({ of = testing.start(weather(), { durable = true }) },
        { __close = function(self) self.of:close() end })
      run.of:kill()
      assert.error_matches(function() run.of:resume "1h" end, 'expected a table of options, { after = "1h" }')
      refuses(3, "expected a table of options")
    end)

    it("or else fails, where it is sealed", function()
      local w = flow.workflow { name = "sealed" }
      w.a = flow.const { 1 }
      w.b = { after = "a", run = function() return 2 end }
      w.c = flow.exec { "true", after = "b", retry = FIXED }
      local run = testing.run(w, { sealed = true })
      assert.failed(run, "not_replaced")
      assert.attempts(1, run, "c")
      assert.states({ a = "completed", b = "completed" }, run)
      place.has(run.error.message, "c would do exec for real, and its test is sealed")
      assert.completed(testing.run(w, { sealed = true, nodes = { c = {} } }))
      assert.completed(testing.run(w, { sealed = true, types = { exec = testing.real() } }))
      w = flow.workflow { name = "inner" }
      w.a = { run = function() return flow.file.list { path = "/" } end }
      assert.failed(testing.run(w, { sealed = true }), "not_replaced")
    end)

    it("and leaves other runs alone", function()
      local w = flow.workflow { name = "alone", output = "${nodes.a}" }
      w.a = { run = function() return "real" end }
      assert.output("double", testing.run(w, { nodes = { a = "double" } }))
      assert.equal("real", flow.run(w).output)
    end)
  end)

  describe("has answers", function()
    it("one after the other", function()
      local run = testing.run(weather(), { types = { ["http.get"] = testing.sequence {
        testing.fails("http_status", "503"), testing.fails(), BODY } } })
      assert.completed(run)
      assert.took("2m", run)
      assert.attempts(3, run, "fetch")
    end)

    it("of which one too many fails", function()
      local w = flow.workflow { name = "twice" }
      w.a = { run = function() end }
      w.b = { after = "a", run = function() end }
      local both = testing.sequence { 1 }
      local run = testing.run(w, { nodes = { a = both, b = both } })
      assert.failed(run, "too_many_calls")
      place.has(run.error.message, "b was called 2 times; its sequence in the test has 1 answers")
      assert.has_error(function() testing.sequence {} end)
    end)

    it("that come late or never, which a timeout counts", function()
      local run = testing.run(weather(), { types = { ["http.get"] = testing.sequence {
        testing.after("6s", BODY), testing.hangs(), testing.after("4s", BODY) } } })
      assert.completed(run)
      assert.took(5 + 60 + 5 + 60 + 4, run)
      assert.has_error(function() testing.after("soon", 1) end)
    end)

    it("that fail as a handler would", function()
      local run = testing.run(weather(), { types = { ["http.get"] = testing.fails("http_status", "gone",
        { retryable = false, details = { status = 410 } }) } })
      assert.failed(run, "http_status")
      assert.same({ status = 410 }, run.error.details)
      assert.attempts(1, run, "fetch")
      run = testing.run(weather(), { types = { ["http.get"] = testing.fails { code = "x", message = "y" } } })
      assert.failed(run, "x")
      assert.has_error(function() testing.fails(3) end)
    end)
  end)

  describe("fails as its script says", function()
    local function with(failures, double)
      return testing.run(weather(), { nodes = { fetch = double or BODY }, failures = failures })
    end

    it("at an attempt", function()
      local run = with { fetch = { [2] = "never", [1] = "http_status" } }
      assert.attempts(3, run, "fetch")
      assert.took("2m", run)
      assert.calls(3, run, "fetch")
    end)

    it("at every one", function()
      assert.failed(with { fetch = true }, "scripted")
      assert.failed(with { fetch = "http_status" }, "http_status")
      assert.failed(with { fetch = { code = "odd", message = "as it is" } }, "odd")
      assert.failed(with { fetch = testing.fails "answered" }, "answered")
    end)

    it("as a function decides", function()
      local run = with { fetch = function(ctx) return ctx.attempt == 1 and "first" end }
      assert.attempts(2, run, "fetch")
      assert.completed(run)
    end)

    it("with an answer that never comes", function()
      local run = with { fetch = { [1] = testing.hangs() } }
      assert.took(65, run)
    end)
  end)

  describe("has a clock", function()
    it("that stands until it is let go on", function()
      local run = testing.start(weather(), { types = { ["http.get"] = testing.sequence {
        testing.fails "http_status", BODY } } })
      assert.equal("waiting", run.state)
      assert.equal(0.0, run.elapsed)
      run:advance "59s"
      assert.attempts(1, run, "fetch")
      run:advance "1s"
      assert.completed(run)
      assert.equal(60.0, run.elapsed)
      assert.started_at("1m", run, "parse")
      assert.settled_at(60, run, "fetch")
      run:advance "1h"
      assert.took("1m", run)
    end)

    it("on which things happen at their times, in their order", function()
      local w = flow.workflow { name = "sleeps" }
      w.long = { run = function(ctx) ctx:sleep "3h" end }
      w.short = { run = function(ctx) for _ = 1, 3 do ctx:sleep "30m" end end }
      w.last = { after = "short", run = function(ctx) return ctx:now() end }
      local run = testing.start(w, { now = 1000 })
      run:advance "1d"
      assert.completed(run)
      assert.same({ 1000 + 5400.0 }, { run:outputs().last })
      assert.settled_at("90m", run, "short")
      assert.settled_at("3h", run, "long")
      assert.order({ "long", "short", "short completed", "last", "long completed", "run completed" }, run)
    end)

    it("that luv's timers follow", function()
      local uv, w = require "luv", flow.workflow { name = "timer", output = "${nodes.a}" }
      w.a = { run = function()
        return flow.await(function(resume)
          local timer = uv.new_timer()
          timer:start(60000, 0, function() timer:close() resume "done" end)
        end)
      end }
      local run = testing.start(w):advance "59999ms"
      assert.is_false(run.ended)
      run:advance "1ms"
      assert.output("done", run)
    end)

    it("that waits for what is real", function()
      local w = flow.workflow { name = "real", output = "${nodes.a.stdout}" }
      w.a = flow.exec { "sh", "-c", "sleep 0.1; echo hello", timeout = "1m" }
      local run = testing.start(w)
      assert.output("hello\n", run)
      assert.took(0, run)
    end)

    it("whose controls end in real time", function()
      local w = flow.workflow { name = "endless" }
      w.a = { run = function(ctx) while true do ctx:sleep "1h" end end }
      local run = testing.start(w, { limit = 0.2 })
      local ok, problem = pcall(run.finish, run)
      assert.is_false(ok)
      place.has(problem, "has not ended within 0.2 seconds of real time")
      w = flow.workflow { name = "stuck" }
      w.a = flow.exec { "sleep", "60" }
      ok, problem = pcall(testing.start, w, { limit = 0.2 })
      assert.is_false(ok)
      place.has(problem, "did not come to rest within 0.2 seconds")
    end)

    it("and refuses what is no time", function()
      local run = testing.start(asks "1d")
      assert.has_error(function() run:advance "soon" end)
    end)
  end)

  describe("is commanded", function()
    it("by signals", function()
      local run = testing.start(asks "3d")
      run:advance "1d"
      local why = run:why "ask"
      assert.same({ "signal", "answer" }, { why.kind, why.name })
      run:signal("answer", { by = "ann" })
      assert.output({ by = "ann" }, run)
      assert.took("1d", run)
    end)

    it("to the end of a wait", function()
      local run = testing.run(asks "3d")
      assert.failed(run, "signal_timeout")
      assert.took("3d", run)
    end)

    it("to pause, which stops its clock, and to go on", function()
      local w = flow.workflow { name = "sleeps" }
      w.a = { run = function(ctx) ctx:sleep "1h" end }
      local run = testing.start(w):advance "30m"
      run:pause()
      assert.equal("paused", run.state)
      run:advance "1d"
      run:resume()
      run:advance "29m"
      assert.is_false(run.ended)
      run:finish()
      assert.took(86400 + 3600, run)
    end)

    it("to be cancelled", function()
      local run = testing.start(asks "3d"):cancel()
      assert.cancelled(run)
    end)

    it("and says why it does not end", function()
      local run = testing.start(asks(), { durable = true })
      local ok, problem = pcall(run.finish, run)
      assert.is_false(ok)
      place.has(problem, 'ask waits for the signal "answer"')
    end)
  end)

  describe("is killed", function()
    local function counted(counts)
      local w = flow.workflow { name = "counted", output = "${nodes.b}" }
      w.a = { run = function(ctx)
        ctx:step("once", function() counts.step = (counts.step or 0) + 1 end)
        ctx:sleep "10m"
        counts.a = (counts.a or 0) + 1
        return 1
      end }
      w.b = { after = "a", run = function(_, inputs)
        counts.b = (counts.b or 0) + 1
        return inputs.a + 1
      end }
      return w
    end

    it("at a moment, and resumed later", function()
      local counts = {}
      local run = testing.start(counted(counts), { durable = true }):advance "4m"
      run:kill()
      assert.killed(run)
      assert.is_false(run.ended)
      assert.has_error(function() run:advance "1m" end)
      assert.has_error(function() run:signal "x" end)
      run:resume { after = "1m" }
      assert.equal(300.0, run.elapsed)
      run:finish()
      assert.output(2, run)
      assert.took("10m", run)
      assert.same({ step = 1, a = 1, b = 1 }, counts)
      assert.equal(1, #run:events "run_recovered")
    end)

    it("only where something is kept of it", function()
      local run = testing.start(asks "1d")
      assert.error_matches(function() run:kill() end, "durable = true")
      run = testing.run(counted {}, { durable = true })
      assert.error_matches(function() run:kill() end, "has ended")
    end)

    it("after a record, and again after more", function()
      local counts = {}
      local run = testing.run(counted(counts), { kill_after = 2 })
      assert.killed(run)
      run:resume { kill_after = 1 }
      run:finish()
      assert.killed(run)
      run:resume():finish()
      assert.output(2, run)
      assert.equal(1, counts.b)
    end)

    it("before what a record would let happen", function()
      for n = 1, 12 do
        local counts = {}
        local run = testing.run(counted(counts), { kill_after = n })
        local kept = {}
        if run.state == "killed" then
          -- b starts on the record that a has completed
          local before = counts.b
          run:resume():finish()
          for _, record in ipairs(run:journal()) do kept[#kept + 1] = record end
          local completed
          for i, record in ipairs(kept) do
            if record.kind == "completed" and record.node == "a" then completed = completed or i end
          end
          if n < completed then assert.is_nil(before, "record " .. n) end
        end
        assert.output(2, run)
        run:close()
      end
    end)

    it("between any two records", function()
      local counts, seen = {}, {}
      local kills = testing.crashes(counted(counts), {}, function(run, killed)
        assert.output(2, run)
        assert.took("10m", run)
        seen[#seen + 1] = killed or "none"
      end)
      assert.is_true(kills >= 8, kills)
      assert.equal("none", seen[#seen])
      assert.equal(kills + 1, #seen)
      for i = 1, kills do assert.equal(i, seen[i]) end
      assert.is_true(counts.step > kills + 1 and counts.step <= kills + 3, counts.step)
    end)

    it("between any two records, with signals and children", function()
      local at <close> = place.new { ["child.lua"] = [[
local w = require "orrery".workflow { name = "child", output = "${nodes.ask}" }
w.ask = { run = function(ctx) return ctx:wait("unused", { timeout = "5m" }) end, fallback = "late" }
return w]], ["parent.lua"] = [[
local flow = require "orrery"
local w = flow.workflow { name = "parent", output = "${nodes.both}" }
w.ask = { run = function(ctx) return ctx:wait "answer" end }
w.call = { run = function(ctx) return ctx:call "FOLDER/child.lua" end }
w.both = { after = { "ask", "call" }, run = function(_, inputs) return inputs.ask .. inputs.call end }
return w]] }
      at:write("parent.lua", (at:read "parent.lua":gsub("FOLDER", at.folder)))
      local kills = testing.crashes(at.folder .. "/parent.lua", { drive = function(run)
        run:advance "1m"
        run:signal("answer", "yes ")
        run:finish()
      end }, function(run)
        assert.output("yes late", run)
        assert.took("5m", run)
      end)
      assert.is_true(kills >= 15, kills)
    end)

    it("and says after which record a check failed", function()
      local ok, problem = pcall(testing.crashes, counted {}, function() return {} end, function(_, killed)
        if killed == 3 then error("seen", 0) end
      end)
      assert.is_false(ok)
      assert.matches("^killed after record 3 %([%a_]+ of a#1%): seen$", problem)
      assert.has_error(function() testing.crashes(counted {}, {}) end)
    end)
  end)

  describe("is looked at", function()
    it("by its calls and events", function()
      local run = testing.run(weather(), { input = { city = "Bergen" },
        types = { ["http.get"] = testing.sequence { testing.fails "http_status", BODY } } })
      local calls = run:calls "fetch"
      assert.same({ 1, 2 }, { calls[1].attempt, calls[2].attempt })
      assert.same({ 0.0, 60.0 }, { calls[1].at, calls[2].at })
      assert.equal("https://api.example.org/Bergen", calls[1].config.url)
      assert.equal(2, #run:calls "http.get")
      assert.equal(3, #run:calls())
      assert.same(BODY, run:calls "parse"[1].inputs.fetch)
      assert.equal(1, #run:events "node_retrying")
      assert.equal(2, #run:events("node_started", "fetch"))
      assert.equal("run_completed", run:events()[#run:events()].event)
    end)

    it("as a text that is the same each time", function()
      local function text()
        return testing.run(weather(), { types = { ["http.get"] = testing.sequence {
          testing.fails("http_status", "503"), BODY } } }):trace()
      end
      assert.equal([[
0s run_started
0s fetch#1 node_started
0s fetch#1 node_retrying due=60s delay=60s error=http_status: 503
60s fetch#2 node_started
60s fetch#2 node_completed
60s parse#1 node_started
60s parse#1 node_completed
60s run_completed output={ wind = 12 }
]], text())
      assert.equal(text(), text())
    end)

    it("of chosen kinds", function()
      local run = testing.run(weather(), { types = { ["http.get"] = BODY } })
      assert.equal("0s run_started\n", run:trace { events = { "run_started" } })
      assert.matches("layer_completed", run:trace { all = true })
    end)

    it("in its environment, which is put back", function()
      local w = flow.workflow { name = "env", env = { "TESTING_TOKEN" }, output = "${env.TESTING_TOKEN}" }
      w.a = { run = function() end }
      assert.output("abc", testing.run(w, { env = { TESTING_TOKEN = "abc" } }))
      testing.close()
      assert.is_nil(os.getenv "TESTING_TOKEN")
    end)

    it("until its test is over", function()
      local run = testing.start(asks "1d", { durable = true })
      local folder = rawget(run, "world").folder
      assert.is_not_nil(require "luv".fs_stat(folder))
      testing.close()
      assert.is_nil(require "luv".fs_stat(folder))
      assert.has_error(function() run:advance "1m" end)
    end)
  end)
end)

describe("a runtime", function()
  it("refuses to hold or advance a real clock", function()
    local rt = flow.runtime { clock = "real" }
    assert.error_matches(function() rt:hold() end, "the clock is real")
    assert.error_matches(function() rt:advance(1) end, "the clock is real")
    assert.has_error(function() rt:cut(0) end)
  end)

  it("goes on by itself when its clock is let go", function()
    local w = flow.workflow { name = "sleeps" }
    w.a = { run = function(ctx) ctx:sleep "1h" end }
    local rt = flow.runtime { clock = "virtual", hold = true }
    local run = flow.start(w, { runtime = rt })
    rt:advance()
    assert.equal(3600.0, rt:due())
    rt:advance()
    assert.equal("completed", run.state)
    run = flow.start(w, { runtime = rt })
    rt:hold(false)
    rt:wait(run)
    assert.equal("completed", run.state)
    assert.is_nil(rt:due())
  end)

  it("cannot be advanced by a handler of its own", function()
    local w, problem = flow.workflow { name = "self" }, nil
    local rt = flow.runtime { clock = "virtual", hold = true }
    w.a = { run = function() problem = select(2, pcall(rt.advance, rt, 1)) end }
    flow.start(w, { runtime = rt })
    rt:advance(0)
    place.has(tostring(problem), "cannot be called by a handler")
  end)

  it("that is cut gives up all its runs", function()
    local at <close> = place.new {}
    local w = flow.workflow { name = "many" }
    for _, name in ipairs { "a", "b", "c" } do
      w[name] = { run = function(ctx) for _ = 1, 3 do ctx:sleep "1m" end end }
    end
    local slow = flow.workflow { name = "slow" }
    slow.a = { run = function(ctx) ctx:sleep "1h" end }
    local rt = flow.runtime { clock = "virtual", hold = true, store = "sqlite:" .. at.folder .. "/runs.db" }
    local quiet = flow.start(slow, { runtime = rt })
    rt:advance(0)
    local run = flow.start(w, { runtime = rt })
    rt:cut(7)
    rt:advance "2m"
    assert.same({ "interrupted", "interrupted" }, { run.state, quiet.state })
    assert.same({ "killed", "killed" }, { run.error.code, quiet.error.code })
    rt:close()
  end)

  it("gives its runs up when it is abandoned", function()
    local w = flow.workflow { name = "sleeps" }
    w.a = { run = function(ctx) ctx:sleep "1h" end }
    local rt = flow.runtime { clock = "virtual", hold = true }
    local run = flow.start(w, { runtime = rt })
    rt:advance(0)
    rt:abandon()
    assert.equal("interrupted", run.state)
    assert.equal("killed", run.error.code)
  end)
end)
