-- `orrery test`: which files and tests it runs, what it shows, and how it exits.
local command = require "spec.support.command"
local golden = require "spec.golden.compare"
local json = require "orrery.core".json
local place = require "spec.support.place"

local FLOW = [[
local flow = require "orrery"
local w = flow.workflow { name = "weather", output = "${nodes.parse}" }
w.fetch = flow.http.get { url = "https://api.example.org", timeout = "5s",
  retry = { max = 3, strategy = "fixed", delay = "1m", jitter = "none" } }
w.parse = { after = "fetch", run = function(_, inputs) return flow.json.decode(inputs.fetch.body) end }
return w
]]

local TEST = [[
local testing = require "orrery.testing"
local helper = require "helper"

describe("weather", function()
  local function weather(double)
    return testing.run("weather.lua", { types = { ["http.get"] = double } })
  end

  it("is fetched again where that failed", function()
    local run = weather(testing.sequence { testing.fails("http_status", "503"), helper.body })
    assert.completed(run)
    assert.took("1m", run)
    assert.snapshot(run)
  end)

  it("is what the service says", function()
    assert.output({ wind = 12, from = "west", gusts = { 14, 16 } }, weather(helper.body))
  end)

  it("breaks #slow", function()
    helper.breaks()
  end)

  it("comes in time", function()
    assert.took("1s", weather(testing.after("2s", helper.body)))
  end)

  it("fails", function() assert.completed(weather(testing.fails("http_status", "gone", { retryable = false }))) end)

  it("needs a service", function() pending "there is none here" end)
  pending("is drawn")
end)
]]

local HELPER = [[
return {
  body = { body = '{"wind":12,"from":"east","gusts":[14,15,16]}' },
  breaks = function()
    local nothing
    return nothing.at_all
  end,
}
]]

local GOOD = [[
it("is well", function() assert.same({ 1 }, { 1 }) end)
it("is better", function() assert.is_true(true) end)
]]

local function project(more)
  local files = { ["weather.lua"] = FLOW, ["weather_test.lua"] = TEST, ["helper.lua"] = HELPER }
  for name, text in pairs(more or {}) do files[name] = text end
  return place.new(files)
end

-- Times are what they are.
local function masked(text)
  return (text:gsub("%d+ ms", "N ms"):gsub("%d+%.%d+ s%f[%W]", "N ms"):gsub("(duration_ms: )[%d.]+", "%1N"))
end

local function lines_of(text)
  local list = {}
  for line in text:gmatch "[^\n]+" do list[#list + 1] = line end
  return list
end

describe("orrery test shows", function()
  it("a character for each test, and what failed", function()
    local at <close> = project()
    local result = at:ends(1, "test")
    golden("test_dots.txt", masked(result.out))
    assert.equal("", result.err)
    golden("test_trace.txt", at:read "snapshots/weather_test/weather-is-fetched-again-where-that-failed.txt")
  end)

  it("a line for each test, of several files in their order", function()
    local at <close> = project { ["good_test.lua"] = GOOD }
    golden("test_verbose.txt", masked(at:ends(1, "test", "--verbose").out))
  end)

  it("colours on a terminal only", function()
    if command.shell("script -qec true /dev/null").code ~= 0 then
      return pending "script(1) finds no terminal to give here"
    end
    local at <close> = project()
    assert.is_nil(at:ends(1, "test").out:find "\27")
    local run = "cd %s; unset NO_COLOR CI; TERM=xterm script -qec '%s test --exclude again' /dev/null"
    local line = run:format(at.folder, place.orrery_path)
    golden("test_colour.txt", (masked(command.shell(line).out):gsub("\r", ""):gsub("\27", "<ESC>")))
  end)

  it("TAP", function()
    local at <close> = project()
    golden("test_tap.txt", masked(at:ends(1, "test", "--tap").out))
  end)

  it("JSON, an event a line", function()
    local at <close> = project { ["good_test.lua"] = GOOD }
    local events = {}
    for _, line in ipairs(lines_of(at:ends(1, "test", "--json").out)) do
      events[#events + 1] = json.decode(line)
    end
    assert.same({ "test", "is well", "passed", "good_test.lua", 1 },
      { events[1].event, events[1].name, events[1].status, events[1].file, events[1].line })
    assert.equal("snapshots", events[3].event)
    local last = events[#events]
    assert.same({ "end", 3, 4, 2 }, { last.event, last.passed, last.failed, last.skipped })
  end)

  it("a list of tests, and runs none", function()
    local at <close> = project { ["good_test.lua"] = GOOD }
    local result = at:ends(0, "test", "--list", "--filter", "is")
    golden("test_list.txt", result.out)
    assert.equal("", at:read "snapshots/weather_test/weather-is-fetched-again-where-that-failed.txt")
    assert.same({ file = "good_test.lua", line = 1, name = "is well" },
      json.decode(lines_of(at:ends(0, "test", "--list", "--json", "good_test.lua").out)[1]))
    at:ends(2, "test", "--list", "--filter", "nowhere")
  end)

  it("JUnit's XML in a file", function()
    local flow = require "orrery"
    local at <close> = project()
    at:ends(1, "test", "--junit", "reports/unit.xml")
    local tree = flow.now(flow.xml.decode { text = at:read "reports/unit.xml", form = "tree" })
    local suite
    for _, inner in ipairs((tree.value or tree).content) do
      suite = suite or type(inner) == "table" and inner.attributes
    end
    assert.same({ "7", "3", "1", "2" }, { suite.tests, suite.failures, suite.errors, suite.skipped })
    at:write("dir", "")
    local result = at:orrery("test", "--junit", "dir/unit.xml", "--filter", "is fetched")
    assert.equal(1, result.code)
    place.has(result.err, "the report could not be written to dir/unit.xml")
  end)
end)

describe("orrery test runs", function()
  it("files whose names say so, in all folders below", function()
    local at <close> = place.new { ["a_test.lua"] = GOOD, ["b_spec.lua"] = "error 'no'",
      ["test.lua"] = "error 'no'" }
    os.execute(("mkdir -p %s/deep/er %s/.hidden %s/node_modules"):format(at.folder, at.folder, at.folder))
    at:write("deep/er/c_test.lua", GOOD)
    at:write(".hidden/d_test.lua", "error 'no'")
    at:write("node_modules/e_test.lua", "error 'no'")
    place.has(at:ends(0, "test").out, "4 passed, 0 failed")
    place.has(at:ends(0, "test", "./deep/").out, "2 passed, 0 failed")
    place.has(at:ends(0, "test", "a_test.lua", "a_test.lua").out, "2 passed, 0 failed")
    place.has(at:ends(1, "test", "b_spec.lua").out, "b_spec.lua")
  end)

  it("nothing where there is none, and says so", function()
    local at <close> = place.new { ["a_test.lua"] = GOOD, ["good.lua"] = "" }
    os.execute(("mkdir %s/empty"):format(at.folder))
    place.has(at:ends(2, "test", "empty").err, "no file has a name that ends in _test.lua")
    place.has(at:ends(2, "test", "nowhere").err, "cannot read nowhere")
    place.has(at:ends(2, "test", "--filter", "nothing").err, "no test has a name that fits")
    place.has(at:ends(2, "test", "--filter", "[").err, "--filter '[' is no pattern of Lua")
    at:ends(2, "test", "--jobs", "0")
    at:ends(2, "test", "--colour")
  end)

  it("those that are chosen", function()
    local at <close> = place.new { ["a_test.lua"] = [[
describe("one", function()
  it("is fast", function() end)
  it("is slow #slow", function() error "no" end)
end)
it("two", function() end)
]] }
    place.has(at:ends(0, "test", "--exclude", "#slow").out, "2 passed, 0 failed")
    place.has(at:ends(0, "test", "--filter", "^one is f").out, "1 passed, 0 failed")
    place.has(at:ends(0, "test", "--filter", "two", "--filter", "fast").out, "2 passed, 0 failed")
  end)

  it("until one fails, where it was asked to", function()
    local bad = 'it("a", function() error "x" end) it("b", function() end)'
    local at <close> = place.new { ["a_test.lua"] = bad, ["b_test.lua"] = bad }
    place.has(at:ends(1, "test", "--fail-fast", "--jobs", "1").out, "0 passed, 1 failed")
    place.has(at:ends(1, "test", "--fail-fast", "a_test.lua").out, "0 passed, 1 failed")
  end)

  it("each file in a process of its own", function()
    local text = [[
it("finds nothing of others", function()
  assert.is_nil(LEFT) assert.is_nil(package.loaded.helper)
  LEFT = true
  require "helper"
  rawset(_G, "LEFT", true)
end)]]
    local at <close> = place.new { ["a_test.lua"] = text, ["b_test.lua"] = text,
      ["helper.lua"] = "return {}" }
    place.has(at:ends(0, "test", "--jobs", "1").out, "2 passed, 0 failed")
  end)

  it("on where a file cannot be loaded or ends its process", function()
    local at <close> = place.new { ["a_test.lua"] = "it(",
      ["b_test.lua"] = 'it("b", function() os.exit(3) end)',
      ["c_test.lua"] = "describe 'x'", ["d_test.lua"] = GOOD, ["e_test.lua"] = "error({})" }
    local out = at:ends(1, "test").out
    place.has(out, "a_test.lua:1: ")
    place.has(out, 'os.exit(3) was called in the test "b"')
    place.has(out, "describe \"x\": expected a function")
    place.has(out, "2 passed, 4 failed")
  end)

  it("modules that are required first", function()
    local at <close> = place.new { ["a_test.lua"] = 'it("a", function() assert.is_true(READY) end)',
      ["b_test.lua"] = 'it("b", function() assert.is_true(READY) end)', ["ready.lua"] = "READY = true" }
    place.has(at:ends(0, "test", "-l", "ready").out, "2 passed")
  end)

  it("what stands around tests, in busted's order", function()
    local at <close> = place.new { ["a_test.lua"] = [[
local log = {}
local function say(what) return function() log[#log + 1] = what end end
setup(say "setup") teardown(function() say "teardown"() print(table.concat(log, " ")) end)
before_each(say "before") after_each(say "after")
describe("inner", function()
  setup(say "inner setup") teardown(say "inner teardown")
  before_each(say "inner before") after_each(say "inner after")
  it("a", function() finally(say "finally") say "a"() end)
  it("b", function() say "b"() error "x" end)
end)
it("c", say "c")
describe("empty", function() setup(say "never") end)
context("words", function() spec("d", say "d") test("e", say "e") end)
]] }
    local out = at:ends(1, "test").out
    place.has(out, "setup inner setup before inner before a finally inner after after "
      .. "before inner before b inner after after inner teardown before c after before d after "
      .. "before e after teardown")
    place.has(out, "4 passed, 1 failed")
  end)

  it("no test after an exit, which is a failure", function()
    for _, code in ipairs { "", "0", "true", "3" } do
      local at <close> = place.new { ["a_test.lua"] = ([[
it("a", function() end)
it("b", function() os.exit(%s) end)
it("c", function() end)]]):format(code) }
      local out = at:ends(1, "test").out
      place.has(out, ('os.exit(%s) was called in the test "b"'):format(code))
      place.has(out, "1 passed, 1 failed")
      place.has(at:ends(1, "test", "--json").out, '"event":"end"')
      place.has(at:ends(1, "test", "--junit", "r.xml").out, "1 failed")
      place.has(at:read "r.xml", "os.exit")
    end
    local at <close> = place.new { ["a_test.lua"] = "os.exit(0)" }
    place.has(at:ends(1, "test").out, "os.exit(0) was called by the file")
  end)

  it("what setup made until the teardown of its block", function()
    local at <close> = place.new { ["w.lua"] = FLOW, ["a_test.lua"] = [[
local testing = require "orrery.testing"
local t = { f = function() return "real" end, g = function() return "real" end }
describe("stubbed", function()
  local run
  setup(function()
    stub(t, "f", "stubbed")
    run = testing.start("w.lua", { types = { ["http.get"] = testing.after("1m", { body = "1" }) },
      env = { SET_UP = "yes" } })
  end)
  teardown(function() assert.equal("stubbed", t.f()) assert.is_false(run.ended) run:finish() end)
  it("a", function()
    stub(t, "g", "stubbed")
    assert.same({ "stubbed", "stubbed", "yes" }, { t.f(), t.g(), os.getenv "SET_UP" })
  end)
  it("b", function() assert.same({ "stubbed", "real", "yes" }, { t.f(), t.g(), os.getenv "SET_UP" }) end)
end)
it("c", function() assert.same({ "real", "real" }, { t.f(), t.g(), os.getenv "SET_UP" }) end)
]] }
    place.has(at:ends(0, "test").out, "3 passed, 0 failed")
  end)

  it("teardown of a block before the next, also where tests are chosen or one fails", function()
    local at <close> = place.new { ["a_test.lua"] = [[
local log = {}
teardown(function() print("log:", table.concat(log, " ")) end)
for _, name in ipairs { "one", "two" } do
  describe(name, function()
    setup(function() log[#log + 1] = "begin " .. name end)
    teardown(function() log[#log + 1] = "end " .. name end)
    it("first", function() log[#log + 1] = "first" assert.is_true(name == "two") end)
    it("last", function() log[#log + 1] = "last" end)
    pending "some day"
  end)
end
]] }
    place.has(at:ends(1, "test").out, "begin one first last end one begin two first last end two")
    place.has(at:ends(0, "test", "--filter", "last").out, "begin one last end one begin two last end two")
    place.has(at:ends(1, "test", "--fail-fast").out, "log:\tbegin one first end one\n")
  end)

  it("no test whose setup failed", function()
    local at <close> = place.new { ["a_test.lua"] = [[
describe("x", function()
  setup(function() error "not ready" end)
  it("a", function() end)
  it("b", function() end)
end)
describe("y", function()
  before_each(function() error "not now" end)
  it("c", function() end)
  teardown(function() error "at the end" end)
end)
it("d", function() it("e", function() end) end)
]] }
    local out = at:ends(1, "test").out
    place.has(out, "not ready")
    place.has(out, "not now")
    place.has(out, "teardown: ")
    place.has(out, "it inside of a test")
    place.has(out, "0 passed, 5 failed")
  end)

  it("until it is told to stop, and leaves nothing behind", function()
    local text = [[
local testing, flow = require "orrery.testing", require "orrery"
it("hangs", function()
  local w = flow.workflow { name = "hangs" }
  w.a = { run = function(ctx) ctx:wait "never" end }
  local run = testing.start(w, { durable = true, env = { HANGS = "1" }, limit = 600 })
  io.open("did", "a"):write(rawget(run, "world").folder, "\n"):close()
  flow.now(flow.exec { "sleep", "600" })
end)]]
    for _, more in ipairs { { ["b_test.lua"] = GOOD }, {} } do
      more["a_test.lua"] = text
      local at <close> = place.new(more)
      local process = at:start { "test" }
      at:until_true(function() return #at:did() > 0 end, "the test")
      process.handle:kill "sigterm"
      assert.equal(1, at:finish(process).code)
      local folder = at:did()[1]
      at:until_true(function() return not require "luv".fs_stat(folder) end, "removing the folder")
    end
  end)

  it("tests that wait", function()
    local at <close> = place.new { ["a_test.lua"] = [[
local flow = require "orrery"
it("waits", function()
  flow.sleep(0.01)
  assert.has_error(function() flow.sleep(0.01) error "x" end)
  assert.equal("hello\n", flow.now(flow.exec { "echo", "hello" }).stdout)
end)]] }
    at:ends(0, "test")
  end)
end)

-- The file of a snapshot whose name is not plain words.
local function named(words, name)
  return ("snapshots/a_test/%s.%s.txt"):format(words, require "orrery.core".sha256(name):sub(1, 8))
end

describe("a snapshot", function()
  local function snapshots(at) return at:read "snapshots/a_test/a.txt" end
  local function text(value, more)
    return ('it("a", function() assert.snapshot(%s) end) %s'):format(value, more or "")
  end

  it("is written at first, compared later, and written anew when it is asked for", function()
    local at <close> = place.new { ["a_test.lua"] = text '"one"' }
    place.has(at:ends(0, "test").out, "1 snapshot written: snapshots/a_test/a.txt")
    assert.equal("one\n", snapshots(at))
    assert.is_nil(at:ends(0, "test").out:find "snapshot")
    at:write("a_test.lua", text '"two"')
    local out = at:ends(1, "test").out
    place.has(out, "it differs from the snapshot snapshots/a_test/a.txt, "
      .. "which --update writes anew (- expected, + actual):\n  - one\n  + two")
    assert.equal("one\n", snapshots(at))
    place.has(at:ends(0, "test", "--update").out, "1 snapshot updated: snapshots/a_test/a.txt")
    assert.equal("two\n", snapshots(at))
    at:ends(0, "test")
  end)

  it("is not written where CI is set", function()
    local at <close> = place.new { ["a_test.lua"] = text '"one"' }
    local result = at:with({ CI = "true" }, "test")
    assert.equal(1, result.code)
    place.has(result.out, "there is no snapshot snapshots/a_test/a.txt")
    assert.equal("", snapshots(at))
  end)

  it("may be of any value, and have a name", function()
    local at <close> = place.new { ["a_test.lua"] = [[
describe("more", function() it("than one", function()
  assert.snapshot({ b = 2, a = { 1 } })
  assert.snapshot(3)
  assert.snapshot("text\n", "a/../b name")
  assert.has_error(function() assert.snapshot("text", 3) end)
end) end)]] }
    place.has(at:ends(0, "test").out, "3 snapshots written")
    assert.equal("{\n  a = {\n    1,\n  },\n  b = 2,\n}\n", at:read "snapshots/a_test/more-than-one.txt")
    assert.equal("3\n", at:read(named("more-than-one-2", "more than one #2")))
    assert.equal("text\n", at:read(named("a-b-name", "a/../b name")))
  end)

  it("has a file of its own, whatever its name", function()
    local names = { "größe", "grüße", "a b", "a-b", "a, b", ("x"):rep(120), ("x"):rep(121), "多", "少" }
    local calls = {}
    for i, name in ipairs(names) do
      calls[i] = ("it(%q, function() assert.snapshot(%d) end)"):format("test " .. i,
        i):gsub("snapshot%((%d+)%)", function(n) return ("snapshot(%s, %q)"):format(n, name) end)
    end
    local at <close> = place.new { ["a_test.lua"] = table.concat(calls, "\n") }
    place.has(at:ends(0, "test").out, ("%d snapshots written"):format(#names))
    place.has(at:ends(0, "test").out, ("%d passed, 0 failed"):format(#names))
    assert.equal("3\n", at:read "snapshots/a_test/a-b.txt")
  end)

  it("that no test asks for is told, and removed when it is asked for", function()
    local two = text('"one"', 'it("b", function() assert.snapshot(2) end)')
    local at <close> = place.new { ["a_test.lua"] = two }
    at:ends(0, "test")
    at:write("a_test.lua", text '"one"')
    place.has(at:ends(0, "test").out, "1 snapshot unused: snapshots/a_test/b.txt; --update removes")
    assert.is_nil(at:ends(0, "test", "--filter", "a").out:find "unused")
    assert.equal("2\n", at:read "snapshots/a_test/b.txt")
    place.has(at:ends(0, "test", "--update").out, "1 snapshot removed")
    assert.equal("", at:read "snapshots/a_test/b.txt")
    assert.equal("one\n", snapshots(at))
  end)

  it("is written beside the test's file, from any folder", function()
    local at <close> = place.new {}
    os.execute("mkdir -p " .. at.folder .. "/deep")
    at:write("deep/a_test.lua", text '"one"')
    at:ends(0, "test")
    assert.equal("one\n", at:read "deep/snapshots/a_test/a.txt")
  end)
end)

describe("the helper", function()
  it("works in busted", function()
    local at <close> = place.new { ["weather.lua"] = FLOW, ["w_spec.lua"] = [[
local testing = require "orrery.testing"
describe("weather", function()
  after_each(testing.close)
  it("is fetched", function()
    local run = testing.run("weather.lua", { types = { ["http.get"] = { body = "1" } } })
    assert.completed(run)
    assert.output(1, run)
    assert.matches_snapshot(run, "fetched")
    assert.has_error(function() assert.matches_snapshot(3, "fetched") end)
    assert.has_error(function() assert.output(2, run) end)
    assert.equal(3, testing.crashes("weather.lua", { nodes = { fetch = { body = "2" } } }, function(each)
      assert.output(2, each)
    end) > 3 and 3)
  end)
end)]] }
    local from = require "luv".cwd()
    local result = at:with({ LUA_PATH = from .. "/?.lua;;" }, from .. "/spec/support/run.lua", "w_spec.lua")
    assert.equal(0, result.code, result.out .. result.err)
    place.has(result.out, "1 passed, 0 failed")
    place.has(at:read "snapshots/w_spec/fetched.txt", "run_started")
  end)

  it("is not loaded by other commands", function()
    local at <close> = place.new { ["a.lua"] = [[
local w = require "orrery".workflow { name = "a" }
w.a = { run = function()
  for name in pairs(package.loaded) do assert(not name:find "^orrery%.testing") end
end }
return w]] }
    at:ends(0, "run", "a.lua")
  end)
end)
