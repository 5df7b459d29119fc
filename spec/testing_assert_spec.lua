-- The assertions of `orrery test`: each where it holds, where it does not, and turned round. They
-- are tried as values here, beside busted's own `assert`, which judges them.
local ours = require "orrery.testing.assert"
local failure = require "orrery.testing.failure"
local flow = require "orrery"
local spies = require "orrery.testing.spies"
local testing = require "orrery.testing"

-- What an assertion raises where it fails; nil where it holds.
local function said(fn)
  local ok, problem = pcall(fn)
  if ok then return nil end
  if not failure.is(problem) then error(problem, 0) end
  return tostring(problem)
end

-- { assertion, arguments that hold, arguments that do not, part of what it says then }
local function nothing() end
local function raises() error "boom" end
local function raises_code() flow.error { code = "gone", message = "it is gone", details = { n = 1 } } end
local T = {}

local VALUES = {
  { "same", { { a = { 1, 2 } }, { a = { 1, 2 } } }, { { a = 1 }, { a = 2 } }, "-   a = 1,\n+   a = 2," },
  { "same", { { a = 1, b = 2 }, { a = 1, b = 2 } }, { { a = 1 }, { a = 1, b = 2 } }, "+   b = 2," },
  { "same", { { 1, 2 }, { 1, 2 } }, { { 1, 2 }, { 1 } }, "-   2," },
  { "same", { 1, 1.0 }, { 1, "1" }, '- 1\n+ "1"' },
  { "equal", { T, T }, { {}, {} }, "assert.same compares what is in tables" },
  { "equals", { 1, 1 }, { 1, 2 }, "- 1\n+ 2" },
  { "near", { 1, 1.05, 0.1 }, { 1, 1.2, 0.1 }, "expected 1, give or take 0.1, got 1.2" },
  { "unique", { { 1, 2, { 3 } } }, { { { 1 }, 2, { 1 } } }, "[1] and [3] are { 1 }" },
  { "true", { true }, { 1 }, "expected true, got 1" },
  { "false", { false }, {}, "expected false, got nil" },
  { "truthy", { 0 }, { false }, "expected truthy, got false" },
  { "falsy", { nil }, { "" }, 'expected falsy, got ""' },
  { "falsey", { false }, { 0 }, "expected falsy, got 0" },
  { "nil", {}, { false }, "expected nil, got false" },
  { "boolean", { false }, { 0 }, "expected boolean, got 0" },
  { "number", { 1.5 }, { "1" }, 'expected number, got "1"' },
  { "integer", { 1 }, { 1.0 }, "expected integer, got 1.0" },
  { "string", { "" }, { 1 }, "expected string, got 1" },
  { "table", { {} }, { 1 }, "expected table, got 1" },
  { "function", { print }, { {} }, "expected function, got {}" },
  { "userdata", { io.stdout }, { 1 }, "expected userdata, got 1" },
  { "thread", { coroutine.create(nothing) }, { 1 }, "expected thread, got 1" },
  { "callable", { setmetatable({}, { __call = nothing }) }, { {} }, "can be called, got {}" },
  { "matches", { "^a%d", "a1" }, { "^b", "a1" }, 'matches "^b", got:\na1' },
  { "match", { "a.c", "xa.c", 1, true }, { "a.c", "abc", 1, true }, "a.c" },
  { "error", { raises }, { nothing }, "expected an error, none was raised" },
  { "errors", { raises, "boom" }, { raises, "bang" }, "expected another error" },
  { "error", { raises_code, "gone" }, { raises_code, "here" }, "expected another error" },
  { "error", { raises_code, { code = "gone", details = { n = 1 } } }, { raises_code, { code = "here" } },
    "expected another error" },
  { "error_matches", { raises, "b..m" }, { raises, "x" }, 'matches "x", got:' },
  { "error_match", { raises, "boom" }, { nothing, "x" }, "none was raised" },
}

local function call(words, arguments) return words(table.unpack(arguments, 1, 4)) end

describe("an assertion about values", function()
  for i, case in ipairs(VALUES) do
    local name, holds, fails, part = table.unpack(case)
    it(("%s (%d) holds, fails and is turned round"):format(name, i), function()
      assert.is_nil(said(function() call(ours["is_" .. name], holds) end))
      assert.is_nil(said(function() call(ours["is_not_" .. name], fails) end))
      local message = said(function() call(ours[name], fails) end)
      assert.is_not_nil(message)
      assert.is_true(message:find(part, 1, true) ~= nil, message)
      assert.is_not_nil(said(function() call(ours["not_" .. name], holds) end))
    end)
  end

  it("may be said in many words", function()
    ours.are.same({}, {})
    ours.are_not.equal(1, 2)
    ours.is.not_nil(1)
    ours.has.no.errors(nothing)
    ours.has_error(raises)
    ours.is_not["nil"](1)
    assert.is_not_nil(said(function() ours.has.no.errors(raises) end))
  end)

  it("gives back what it was given", function()
    assert.same({ 1, 1 }, { ours.equal(1, 1) })
    assert.same({ 3, "why" }, { ours(3, "why") })
  end)

  it("that is not there is named with the nearest", function()
    assert.error_matches(function() ours.is_sam(1) end, 'assert has no "sam"; did you mean "same"')
  end)

  it("is Lua's own where it is called", function()
    assert.equal("assertion failed!", said(function() ours(false) end))
    assert.equal("why", said(function() ours(nil, "why") end))
    local problem = {}
    assert.equal(problem, select(2, pcall(ours, nil, problem)))
  end)
end)

describe("a difference", function()
  local diff, difference = require "orrery.testing.diff", require "orrery.difference"

  it("shows what is near it", function()
    local a, b = {}, {}
    for i = 1, 40 do a[i], b[i] = i, i end
    b[20] = "other"
    local text = diff.values(a, b)
    assert.equal('  …\n    17,\n    18,\n    19,\n-   20,\n+   "other",\n    21,\n    22,\n    23,\n  …',
      text)
  end)

  it("of texts is that of their lines", function()
    assert.equal("  a\n- b\n+ c\n  d", diff.values("a\nb\nd\n", "a\nc\nd\n"))
  end)

  it("of random lists leads from the one to the other", function()
    local seed = os.time()
    math.randomseed(seed)
    for _ = 1, 300 do
      local a, b = {}, {}
      for i = 1, math.random(0, 12) do a[i] = tostring(math.random(3)) end
      for i = 1, math.random(0, 12) do b[i] = tostring(math.random(3)) end
      local x, y = {}, {}
      for _, line in ipairs(difference.of(a, b)) do
        local sign, text = line:sub(1, 1), line:sub(3)
        if text ~= "…" then
          if sign ~= "+" then x[#x + 1] = text end
          if sign ~= "-" then y[#y + 1] = text end
        end
      end
      -- equal lines far away are left out of both, at the same places
      if #x == #a and #y == #b then
        assert.same(a, x, "seed " .. seed)
        assert.same(b, y, "seed " .. seed)
      else
        assert.equal(#a - #x, #b - #y, "seed " .. seed)
      end
    end
  end)

  it("of large values takes no square of their size", function()
    local a, b = {}, {}
    for i = 1, 20000 do a[i], b[i] = i, -i end
    assert.is_true(#diff.values(a, b) > 100000)
  end)

  it("of a table within itself ends", function()
    local a = { 1 }
    a.me = a
    assert.matches("me = %(itself%)", diff.values(a, { 2 }))
  end)
end)

describe("a spy", function()
  after_each(spies.revert)

  it("remembers its calls", function()
    local spy = spies.spy.new(function(x) return x * 2 end)
    assert.equal(4, spy(2))
    ours.spy(spy).was_called()
    ours.spy(spy).was.called(1)
    ours.spy(spy).was.called_with(2)
    ours.spy(spy).was_not.called_with(3)
    ours.spy(spy).called_at_least(1)
    assert.matches("called 2 times, it was called 1 times",
      said(function() ours.spy(spy).was_called(2) end))
    assert.matches("%-   3,\n%+   2,", said(function() ours.spy(spy).was.called_with(3) end))
    assert.is_not_nil(said(function() ours.spy(spy).was_not_called() end))
    spy:clear()
    ours.spy(spy).was_not_called()
    assert.error_matches(function() ours.spy(spy).was_calld() end, 'did you mean "called"')
    assert.error_matches(function() ours.spy(print) end, "expected a spy")
  end)

  it("stands for a function until the test is over", function()
    local place = { f = function() return 1 end }
    local real = place.f
    local spy = spies.spy.on(place, "f")
    assert.equal(1, place.f())
    ours.spy(spy).was_called(1)
    local stub = spies.stub(place, "f", 5, 6)
    assert.same({ 5, 6 }, { place.f("x") })
    ours.spy(stub).was.called_with("x")
    spies.revert()
    assert.equal(real, place.f)
    assert.error_matches(function() spies.spy.on(place, "g") end, 'no function "g"')
  end)
end)

-- ---- about runs ---------------------------------------------------------------------------------

local function two()
  local w = flow.workflow { name = "two", output = "${nodes.b}" }
  w.a = { retry = { max = 3, strategy = "fixed", delay = "1m", jitter = "none" },
    run = function() return 1 end }
  w.b = { after = "a", run = function(ctx)
    ctx:emit("half", {})
    return 2
  end }
  return w
end

describe("an assertion about a run", function()
  after_each(testing.close)

  local function done(options) return testing.run(two(), options or { failures = { a = { [1] = true } } }) end
  local function failed() return testing.run(two(), { failures = { b = "bad" } }) end
  local function has(message, part)
    assert.is_not_nil(message)
    assert.is_true(message:find(part, 1, true) ~= nil, message)
  end

  it("tells how it ended", function()
    local run = done()
    ours.completed(run)
    ours.is_not.cancelled(run)
    ours.not_failed(run)
    ours.not_compensated(run)
    ours.not_killed(run)
    has(said(function() ours.completed(failed()) end),
      "expected the run to be completed, it is failed (node b: bad:")
    has(said(function() ours.failed(run) end), "expected the run to have failed, it is completed")
    has(said(function() ours.failed(failed(), "worse") end),
      "to have failed with worse, it failed with failed (")
    ours.failed(failed())
    ours.failed(failed(), "bad")
    assert.error_matches(function() ours.completed(3) end, "expected a run of testing.start")
  end)

  it("compares states and outputs", function()
    local run = done()
    ours.states({ a = "completed" }, run)
    has(said(function() ours.states({ a = "failed", b = "completed" }, run) end), '-   a = "failed",')
    assert.error_matches(function() ours.states({ c = "failed" }, run) end, 'no node "c"')
    ours.outputs({ a = 1, b = 2 }, run)
    has(said(function() ours.outputs({ a = 2 }, run) end), "-   a = 2,\n+   a = 1,")
    ours.output(2, run)
    has(said(function() ours.output(3, run) end), "- 3\n+ 2")
    has(said(function() ours.output(3, failed()) end), "expected an output, but the run is failed")
  end)

  it("compares times and counts", function()
    local run = done()
    ours.took("1m", run)
    has(said(function() ours.took("2m", run) end), "expected the run to take 2m00s, it took 1m00s")
    ours.started_at(0, run, "a")
    has(said(function() ours.started_at(1, run, "b") end),
      "expected b to have started after 1s, it was after 1m00s")
    ours.settled_at(60, run, "a")
    has(said(function() ours.settled_at(0, run, "a") end), "expected a to be over after 0s")
    has(said(function() ours.started_at(0, testing.run(two(), { failures = { a = true } }), "b") end),
      "expected b to have started, it has not")
    ours.attempts(2, run, "a")
    has(said(function() ours.attempts(1, run, "a") end), "expected a to have 1 attempts, it had 2")
    ours.calls(2, run, "a")
    ours.calls(0, run, "http.get")
    has(said(function() ours.calls(2, run, "b") end),
      "expected b to be called 2 times, it was called 1 times")
    assert.error_matches(function() ours.took("soon", run) end, "assert.took")
  end)

  it("knows what may be called", function()
    local run = done()
    local function refused(text, fn) assert.error_matches(fn, text, 1, true) end
    refused('assert.calls: there is neither a node nor a node type "http.gte"; did you mean "http.get"?',
      function() ours.calls(0, run, "http.gte") end)
    refused("neither a node nor a node type nothing", function() ours.calls(0, run) end)
    refused('run:calls: there is neither', function() return run:calls "fetsh" end)
    refused('run:attempts: the workflow has no node "x"', function() return run:attempts "x" end)
    refused('run:started: the workflow has no node "x"', function() return run:started "x" end)
    refused('run:settled: the workflow has no node "x"', function() return run:settled "x" end)
    refused("assert.started_at: the workflow has no node nothing", function() ours.started_at(0, run) end)
    refused("assert.states: expected a table by node", function() ours.states("completed", run) end)
    assert.equal(#run:calls(), #run:calls "a" + #run:calls "b")
  end)

  it("compares the times of nodes with items", function()
    local w = flow.workflow { name = "items" }
    w.a = { run = function(ctx) ctx:sleep "1m" return { 1, 2 } end }
    w.b = { each = "${nodes.a}", each_parallel = 1, run = function(ctx) ctx:sleep "10s" end }
    local run = testing.run(w)
    ours.started_at("1m", run, "b")
    ours.settled_at("80s", run, "b")
  end)

  it("says the test's own words", function()
    local run = done()
    local function begins(words, fn) assert.equal(words, said(fn):sub(1, #words)) end
    begins("it went well: expected true, got false", function() ours.is_true(false, "it went well") end)
    begins("no: did not expect true, got true", function() ours.is_not_true(true, "no") end)
    begins("sum: expected the same value", function() ours.same(1, 2, "sum") end)
    begins("near: expected 1, give or take 0.1, got 2", function() ours.near(1, 2, 0.1, "near") end)
    begins("text: expected a text that matches", function() ours.matches("a", "b", "text") end)
    begins("text: expected a text that matches", function() ours.matches("a", "b", 1, true, "text") end)
    begins("raise: expected an error", function() ours.has_error(function() end, nil, "raise") end)
    begins("raise: expected an error", function() ours.error_matches(function() end, "x", "raise") end)
    begins("late: expected the run to be cancelled", function() ours.cancelled(run, "late") end)
    begins("late: expected the run to take", function() ours.took("5m", run, "late") end)
    begins("late: expected a to have", function() ours.attempts(9, run, "a", "late") end)
  end)

  it("compares the order of events", function()
    local run = done()
    ours.order({ "a", "a retrying", "a", "a completed", "b", "b half", "run completed" }, run)
    ours.order({ "run_started", "a node_started" }, run)
    ours.not_order({ "b", "a" }, run)
    has(said(function() ours.order({ "b", "a" }, run) end),
      'expected "a" after "b"; this happened:\n0s run_started')
    assert.error_matches(function() ours.order({ "c" }, run) end,
      'assert.order: the workflow has no node "c"')
    assert.error_matches(function() ours.not_order({ "c" }, run) end, 'the workflow has no node "c"')
    has(said(function() ours.order({ "b retrying" }, run) end), 'expected "b retrying"; this happened')
  end)

  it("is busted's as well", function()
    local run = done()
    assert.completed(run)
    assert.is_not.failed(run)
    assert.states({ a = "completed" }, run)
    local ok, problem = pcall(function() assert.took("5m", run) end)
    assert.is_false(ok)
    has(tostring(problem), "expected the run to take 5m00s, it took 1m00s")
    ok, problem = pcall(function() assert.is_not.completed(run) end)
    assert.is_false(ok)
    has(tostring(problem), "did not expect the run to be completed")
  end)
end)
