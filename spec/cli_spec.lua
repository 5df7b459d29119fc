-- The command as people and programs use it: what it prints where, and how it exits.
local command = require "spec.support.command"
local input_of = require "orrery.cli.shared.input"
local machine = require "orrery.cli.doctor.machine"
local json = require("orrery.core").json

local run, run_with = command.run, command.run_with

local HEAD = 'local flow = require "orrery"\nlocal w = flow.workflow { name = "t", output = "${nodes.last}" '
  .. '}\n'
local function workflow(body) return HEAD .. body .. "\nreturn w\n" end

-- Runs a workflow of this body from a file t.lua.
local function run_body(body, ...)
  return run_with({ ["t.lua"] = workflow(body) }, { "run", "t.lua", ... })
end

local function lines_of(text)
  local lines = {}
  for line in text:gmatch("[^\n]+") do lines[#lines + 1] = line end
  return lines
end

local function has(text, part)
  assert.truthy(text:find(part, 1, true), ("%q is not in:\n%s"):format(part, text))
end

describe("usage", function()
  it("is shown by help, --help and no argument that makes sense", function()
    for _, arguments in ipairs { { "help" }, { "--help" } } do
      local result = run(arguments)
      assert.are.equal(0, result.code)
      has(result.out, "Usage:")
      has(result.out, "orrery FILE.lua")
    end
  end)

  it("of every command has examples", function()
    for _, name in ipairs(require("orrery.cli.shared.options").order) do
      local result = run { name, "--help" }
      assert.are.equal(0, result.code)
      has(result.out, "Examples:")
      has(result.out, "orrery " .. name)
      assert.are.equal(result.out, run({ "help", name }).out)
    end
  end)

  it("names the nearest option, and the usage, on the standard error", function()
    local result = run { "run", "x.lua", "--concurency", "3" }
    assert.are.equal(2, result.code)
    assert.are.equal("", result.out)
    has(result.err, "unknown option '--concurency'. Did you mean '--concurrency'?")
    has(result.err, "Usage: orrery run")
  end)

  it("names the nearest command of help", function()
    local result = run { "help", "grpah" }
    assert.are.equal(2, result.code)
    has(result.err, "did you mean 'graph'?")
  end)

  it("refuses a number that is none and a format there is not", function()
    has(run({ "run", "x.lua", "-j", "many" }).err, "'many' is not a whole number")
    local result = run { "graph", "x.lua", "-f", "pdf" }
    assert.are.equal(2, result.code)
    has(result.err, "none of text, dot, mermaid, svg")
  end)

  it("says that --only takes all words, where the file is missing", function()
    local result = run { "run", "--only", "a", "x.lua" }
    assert.are.equal(2, result.code)
    has(result.err, "--only takes all words up to the next option; give FILE before it.")
  end)

  it("names the first argument that is too many", function()
    local result = run { "run", "x.lua", "y.lua", "--only", "a" }
    assert.are.equal(2, result.code)
    has(result.err, "orrery run: too many arguments: 'y.lua' is not expected.\nUsage: orrery run")
    has(run({ "runs", "x" }).err, "'x' is not expected")
    assert.is_nil(run({ "run", "--help" }).out:find("surplus", 1, true))
  end)

  it("prints the version", function()
    local result = run { "version" }
    assert.are.equal(0, result.code)
    assert.truthy(result.out:find("^orrery %d+%.%d+%.%d+"))
    assert.are.equal(require("orrery").version, json.decode(run({ "version", "--json" }).out).orrery)
  end)
end)

describe("run", function()
  it("prints the output on the standard output and events on the standard error", function()
    local result = run_body 'w.last = { run = function() return { b = 1, a = { true } } end }'
    assert.are.equal(0, result.code)
    assert.are.same({ b = 1, a = { true } }, json.decode(result.out))
    has(result.err, "last  started")
    has(result.err, "last  completed")
    has(result.err, "t completed in")
  end)

  it("prints nothing where there is no output", function()
    local result = run_body "w.last = { run = function() end }"
    assert.are.equal("", result.out)
    assert.are.equal(0, result.code)
  end)

  it("is quiet when asked", function()
    local result = run_body("w.last = { run = function() return 1 end }", "--quiet")
    assert.are.equal("", result.err)
    assert.are.equal("1\n", result.out)
  end)

  it("exits with 1 when it failed, and says which node, where, why, and what was skipped", function()
    local result = run_body(
      'w.bad = { run = function() error("no luck") end }\nw.last = { after = "bad", run = print }')
    assert.are.equal(1, result.code)
    assert.are.equal("", result.out)
    has(result.err, "node bad failed: ")
    has(result.err, "no luck [handler_error]")
    has(result.err, "defined at t.lua:3")
    has(result.err, "skipped last")
  end)

  it("shows of a traceback the lines of the file", function()
    local result = run_body "w.last = { run = function() return flow.exce end }"
    has(result.err, 'flow has no "exce"; did you mean "exec"?')
    has(result.err, "t.lua:3: in function <t.lua:3>")
    assert.is_nil(result.err:find("metamethod", 1, true), result.err)
  end)

  it("counts attempts", function()
    local result = run_body('w.last = { retry = { max = 2, delay = 0.01 }, run = function() error("no '
      .. 'luck") end }')
    has(result.err, "node last failed after 3 attempts")
    has(result.err, "retries in")
  end)

  it("exits with 2 on a definition that is wrong, with all mistakes", function()
    local result = run_body('w.a = { after = "b", run = print }\nw.c = { run = print, retyr = 3 }')
    assert.are.equal(2, result.code)
    has(result.err, "t.lua:3: ")
    has(result.err, "t.lua:4: ")
    has(result.err, "retry")
  end)

  it("exits with 2 on a file that is not there, not Lua, or returns no workflow", function()
    local result = run { "run", "no/such.lua" }
    assert.are.equal(2, result.code)
    has(result.err, "no/such.lua")
    assert.are.equal(2, run_with({ ["t.lua"] = "x y" }, { "run", "t.lua" }).code)
    assert.are.equal(2, run_with({ ["t.lua"] = "return 3" }, { "run", "t.lua" }).code)
    assert.are.equal(2, run_with({ ["t.json"] = '{"name": ' }, { "run", "t.json" }).code)
  end)

  it("exits with 4 when the workflow's own timeout ended it", function()
    local result = run_with({ ["t.lua"] = [[local flow = require "orrery"
      local w = flow.workflow { name = "t", timeout = "50ms" }
      w.slow = { run = function(ctx) ctx:sleep("10s") end }
      return w]] }, { "run", "t.lua" })
    assert.are.equal(4, result.code, result.err)
    has(result.err, "run_timeout")
  end)

  -- Real signals to a real process: the only way to see what Ctrl-C does.
  local SLOW = workflow [[
    w.last = { run = function(ctx)
      local uv = require "luv"
      uv.kill(uv.os_getpid(), "sigint")
      ctx:sleep("20s")
    end }
    w.clean = { after = "last", join = "done", run = function(ctx) %s end }]]

  it("exits with 3 when Ctrl-C cancelled it, after its cleanup nodes", function()
    local result = run_with({ ["t.lua"] = SLOW:format('print("cleaned")') }, { "run", "t.lua" })
    assert.are.equal(3, result.code, result.err)
    has(result.out, "cleaned")
    has(result.err, "t cancelled in")
    assert.is_nil(result.err:find("✗", 1, true))
  end)

  it("ends at once at the second Ctrl-C", function()
    local again = 'local uv = require "luv"; uv.kill(uv.os_getpid(), "sigint"); ctx:sleep("20s"); '
      .. 'print("never")'
    local result = run_with({ ["t.lua"] = SLOW:format(again) }, { "run", "t.lua" })
    assert.are.equal(3, result.code)
    assert.is_nil(result.out:find("never", 1, true))
    has(result.err, "ended without cleaning up")
  end)

  it("leaves no command behind at the second Ctrl-C, not even one that ignores SIGTERM", function()
    local mark = command.file("")
    local result = run_with({ ["t.lua"] = HEAD:gsub(", output.-}\n", " }\n") .. ([[
      w.stubborn = flow.exec { shell = "trap '' TERM; echo $$ >%s; sleep 20; sleep 20" }
      w.signals = { run = function(ctx)
        local uv = require "luv"
        while #flow.file.read { path = "%s" } == 0 do ctx:sleep("5ms") end
        local timer = uv.new_timer()
        timer:start(1, 50, function() uv.kill(uv.os_getpid(), "sigint") end)
        ctx:sleep("20s")
      end }
      return w]]):format(mark, mark) }, { "run", "t.lua" })
    assert.are.equal(3, result.code, result.err)
    local file = assert(io.open(mark))
    local pid = file:read("n")
    file:close()
    os.remove(mark)
    local uv = require "luv"
    local deadline = uv.hrtime() + 30e9
    while command.runs(pid) and uv.hrtime() < deadline do uv.sleep(5) end
    assert.is_false(command.runs(pid))
  end)

  it("takes inputs as text, as the schema's type, as JSON and from a file", function()
    local files = {
      ["t.lua"] = [[local flow = require "orrery"
        local w = flow.workflow { name = "t", output = "${input}",
          input = flow.schema { city = "string?", days = "integer?", deep = "object?", zip = "string?" } }
        w.a = { run = function() end }
        return w]],
      ["in.json"] = '{"city": "Oslo", "days": 2}',
    }
    local result = run_with(files,
      { "run", "t.lua", "-i", "@in.json", "-i", "days=3", "-i", "zip=0123", "-i", 'deep:={"x":[1]}' })
    assert.are.equal(0, result.code, result.err)
    assert.are.same({ city = "Oslo", days = 3, zip = "0123", deep = { x = { 1 } } }, json.decode(result.out))
    result = run_with(files, { "run", "t.lua", "--input", "days=soon" })
    assert.are.equal(2, result.code)
    has(result.err, "days")
    assert.are.equal("", result.out)
    assert.are.equal(2, run_with(files, { "run", "t.lua", "--input", "days" }).code)
    has(run_with(files, { "run", "t.lua", "--input", "@none.json" }).err, "none.json")
    result = command.run_with(files, { "run", "t.lua", "-i", "@-", "-i", "days=3" }, files["in.json"])
    assert.are.same({ city = "Oslo", days = 3 }, json.decode(result.out))
    has(command.run_with(files, { "run", "t.lua", "-i", "@-" }, "{").err, "stdin:1:2: not valid JSON")
    has(run_with(files, { "run", "t.lua", "--input", "days:={" }).err, "not valid JSON")
  end)

  local CHAIN = [[
    w.a = { run = function() return 1 end }
    w.b = { after = "a", run = function() return 2 end }
    w.c = { after = "b", run = function() return 3 end }
    w.last = { after = "c", run = function() return 4 end }]]

  it("runs a part with --only and --from", function()
    local result = run_body(CHAIN, "--only", "b")
    assert.are.equal(0, result.code, result.err)
    has(result.err, "2 completed")
    result = run_body(CHAIN, "--from", "c")
    assert.are.equal("4\n", result.out)
    has(result.err, "2 completed")
    has(run_body(CHAIN, "--only", "a,b").err, "2 completed")
    result = run_body(CHAIN, "--only", "bb")
    assert.are.equal(2, result.code)
    has(result.err, "bb")
  end)

  it("bounds the nodes that run at a time", function()
    local result = run_body([==[
      local now, most = 0, 0
      local names = {}
      for i = 1, 6 do
        names[i] = "n" .. i
        w[names[i]] = { run = function(ctx)
          now = now + 1
          most = math.max(most, now)
          flow.await(function(resume) local t = require("luv").new_timer(); t:start(1, 0, function() t:close(); resume() end) end)
          now = now - 1
        end }
      end
      w.last = { after = names, run = function() return most end }]==], "--concurrency", "2")
    assert.are.equal("2\n", result.out)
  end)
end)

describe("run --json", function()
  local function events_of(body, ...)
    local result = run_body(body, "--json", ...)
    local events = {}
    for i, line in ipairs(lines_of(result.out)) do events[i] = assert(json.decode(line)) end
    return events, result
  end

  it("prints one event a line, the last with the output", function()
    local events, result = events_of('w.last = { run = function(ctx) ctx:emit("hello", { x = 1 }); return { '
      .. 'ok = true } end }')
    assert.are.equal(0, result.code, result.err)
    assert.are.equal("", result.err)
    local last, kinds = events[#events], {}
    for _, e in ipairs(events) do kinds[e.event] = (kinds[e.event] or 0) + 1 end
    assert.are.equal("run_completed", last.event)
    assert.are.equal("completed", last.state)
    assert.are.same({ ok = true }, last.output)
    assert.are.equal(events[1].run, last.run)
    assert.are.equal(1, kinds.run_started)
    assert.are.equal(1, kinds.node_started)
    assert.are.equal(1, kinds.hello)
  end)

  local BREAKER = [[
    w.last = { retry = { max = 3, strategy = "fixed", delay = "1ms", jitter = "none" },
      breaker = { name = "site", threshold = 1, cooldown = "50ms" },
      run = function(ctx) if ctx.attempt == 1 then error "not yet" end return 1 end }]]

  it("reports breakers, and which one a node waits for", function()
    local events, seen = events_of(BREAKER, "--clock", "virtual"), {}
    for _, e in ipairs(events) do
      if e.breaker then seen[#seen + 1] = e.event .. " " .. e.breaker end
      if e.event == "breaker_opened" then assert.are.equal(0.05, e.cooldown) end
    end
    assert.are.same({ "breaker_opened site", "node_waiting site", "breaker_half_open site",
      "breaker_closed site" }, seen)
    local result = run_body(BREAKER, "--clock", "virtual")
    has(result.err, "breaker site  opened, for 50 ms")
    has(result.err, "last  waits for breaker site, ")
    has(result.err, "breaker site  closed")
  end)

  it("has a null where there is no output", function()
    local _, result = events_of "w.last = { run = function() end }"
    has(lines_of(result.out)[#lines_of(result.out)], '"output":null')
  end)

  it("ends with the error of a run that failed", function()
    local events, result = events_of('w.last = { run = function() flow.error { code = "gone", message = "it '
      .. 'is gone" } end }')
    assert.are.equal(1, result.code)
    local last = events[#events]
    assert.are.equal("run_failed", last.event)
    assert.are.equal("gone", last.error.code)
    assert.are.equal("last", last.error.node)
  end)
end)

describe("run --dry", function()
  local BODY = [[
    w.a = { run = function() error("never called") end }
    w.off = { when = "input.x == 1", run = print }
    w.after_off = { after = "off", run = print }
    w.maybe = { when = "nodes.a > 3", run = print }
    w.after_maybe = { after = "maybe", run = print }
    w.known = flow.switch { cases = { { left = "input.x == 2" } }, default = "right" }
    w.left = { after = "known:left", run = print }
    w.right = { after = "known:right", run = print }
    w.open = flow.switch { cases = { { up = "nodes.a == 1" } }, default = "down" }
    w.up = { after = "open:up", run = print }
    w.many = { each = "${input.list}", run = print }
    w.rescue = { after = "a", join = "failed", run = print }
    w.last = { after = { "after_maybe", "a" }, run = print }]]

  local function verdicts(...)
    local result = run_body(BODY, "--dry", "--json", "-i", "x:=2", "-i", "list:=[1,2,3]", ...)
    assert.are.equal(0, result.code, result.err)
    local by_name = {}
    for _, v in ipairs(json.decode(result.out).nodes) do by_name[v.node] = v end
    return by_name
  end

  it("says what would run, what would not and why, and what is decided at run time", function()
    local v = verdicts()
    local function is(name, verdict, reason)
      assert.are.equal(verdict, v[name].verdict, name)
      if reason then has(v[name].reason, reason) end
    end
    is("a", "run")
    is("off", "skip", "`when` is false")
    is("after_off", "skip", "off did not complete")
    is("maybe", "undecided", "`when` depends on outputs")
    is("after_maybe", "undecided", "maybe")
    is("known", "run")
    is("left", "run")
    is("right", "skip", "known took another outcome")
    is("up", "undecided", "outcome of open")
    is("rescue", "skip", "only when a dependency fails")
    is("last", "run")
    is("many", "run")
    assert.are.equal(3, v.many.items)
  end)

  it("calls no handler and shows a table to people", function()
    local result = run_body(BODY, "--dry", "-i", "x:=2", "-i", "list:=[1]")
    assert.are.equal(0, result.code)
    has(result.out, "a dry run")
    has(result.out, "once for each of 1 item")
    has(result.out, "decided at run time")
    assert.is_nil(result.err:find("never called", 1, true))
  end)

  it("honours --only", function()
    local v = verdicts("--only", "left")
    assert.is_nil(v.a)
    assert.are.equal("run", v.left.verdict)
    local result = run_body(BODY, "--dry", "--only", "lef")
    assert.are.equal(2, result.code)
    has(result.err, 'did you mean "left"?')
  end)

  it("refuses an input that a run would refuse", function()
    local result = run { "run", "examples/branching.lua", "--dry" }
    assert.are.equal(2, result.code)
    has(result.err, "amount")
  end)
end)

describe("check", function()
  it("finds all mistakes of all files, each with its place", function()
    local files = {
      ["one.lua"] = workflow('w.a = { after = "bb", run = print }\nw.b = { run = print, timeout = "soon" }\n'
        .. 'w.last = { run = print }'),
      ["two.lua"] = "return 3",
      ["good.lua"] = workflow "w.last = { run = print }",
    }
    local result = run_with(files, { "check", "one.lua", "two.lua", "good.lua" })
    assert.are.equal(2, result.code)
    assert.are.equal("good.lua: no mistakes\n", result.out)
    local lines = lines_of(result.err)
    assert.are.equal(3, #lines, result.err)
    assert.truthy(lines[1]:find("^one%.lua:3: "))
    assert.truthy(lines[2]:find("^one%.lua:4: "))
    assert.truthy(lines[3]:find("^two%.lua: "))
    local found = json.decode(run_with(files, { "check", "--json", "one.lua" }).out)
    assert.are.equal(2, found.count)
    assert.are.equal("one.lua:3", found.problems[1].where)
  end)

  it("exits with 0 where there is none", function()
    assert.are.equal(0, run_with({ ["t.lua"] = workflow "w.last = { run = print }" },
      { "check", "t.lua" }).code)
  end)
end)

describe("plan and graph", function()
  local FILES = { ["t.lua"] = workflow [[
    w.a = { estimate = "2s", run = print }
    w.b = { after = "a", estimate = "1s", run = print }
    w.c = { after = "a", estimate = "5s", run = print }
    w.last = { after = { "b", "c" }, estimate = "1s", run = print }]] }

  it("shows layers and the critical path", function()
    local data = json.decode(run_with(FILES, { "plan", "t.lua", "--json" }).out)
    assert.are.same({ { "a" }, { "b", "c" }, { "last" } }, data.layers)
    assert.are.same({ "a", "c", "last" }, data.critical_path.nodes)
    assert.are.equal(8, data.critical_path.seconds)
    assert.are.same({ layer = 2, nodes = 2 }, data.widest)
    has(run_with(FILES, { "plan", "t.lua" }).out, "a → c → last")
  end)

  it("draws in four formats, to a file where asked", function()
    local starts = { text = "t: 4 nodes", dot = 'digraph "t"', mermaid = "flowchart TB", svg = "<?xml" }
    for format, start in pairs(starts) do
      local result = run_with(FILES, { "graph", "t.lua", "-f", format })
      assert.are.equal(0, result.code, result.err)
      assert.are.equal(start, result.out:sub(1, #start))
    end
    local path = os.tmpname() .. ".svg"
    assert.are.equal(0, run_with(FILES, { "graph", "t.lua", "-o", path }).code)
    local file = assert(io.open(path))
    assert.are.equal("<?xml", file:read(5))
    file:close()
    os.remove(path)
    local result = run_with(FILES, { "graph", "t.lua", "-o", "no/such/t.svg" })
    assert.are.equal(2, result.code)
    has(result.err, "no/such/t.svg")
  end)

  it("refuses a name that says no format it has", function()
    for name, words in pairs { ["big.png"] = "ends in .png; end it in .svg", big = "add -f text, dot",
        ["a.svg/.b"] = "add -f" } do
      local result = run_with(FILES, { "graph", "t.lua", "-o", name })
      assert.are.equal(2, result.code)
      has(result.err, words)
    end
    assert.are.equal(0, run_with(FILES, { "graph", "t.lua", "-o", "big", "-f", "dot" }).code)
  end)
end)

describe("types", function()
  it("lists them, and shows each in full", function()
    local result = run { "types" }
    assert.are.equal(0, result.code)
    for _, entry in ipairs(json.decode(run({ "types", "--json" }).out)) do
      has(result.out, entry.name)
      local full = run { "types", entry.name }
      assert.are.equal(0, full.code)
      assert.are.equal(entry.name, full.out:match("^[^\n]+"))
      for _, field in ipairs(entry.config) do has(full.out, "  " .. field.name .. ": ") end
    end
  end)

  it("names the nearest", function()
    local result = run { "types", "swich" }
    assert.are.equal(2, result.code)
    has(result.err, "did you mean 'switch'?")
  end)
end)

describe("-l", function()
  local FILES = {
    ["words.lua"] = 'return require "orrery".type { name = "text.size", doc = "Counts.", config = { text = '
      .. '"string" },\n'
      .. "  run = function(_, config) return #config.text end }",
    ["broken.lua"] = "error 'on purpose'",
    ["t.json"] = '{ "name": "t", "output": "${nodes.a}", "nodes": [ { "id": "a", "type": "text.size", '
      .. '"with": { "text": "abc" } } ] }',
  }

  it("requires modules beside the workflow, for types of one's own", function()
    assert.are.equal("3\n", run_with(FILES, { "run", "-l", "words", "t.json" }).out)
    for _, name in ipairs { "check", "plan", "graph" } do
      local result = run_with(FILES, { name, "t.json", "--require", "words" })
      assert.are.equal(0, result.code, result.err)
    end
    has(run_with(FILES, { "types", "-l", "words", "text.size" }).out, "text: string, required")
    local result = run_with(FILES, { "check", "t.json" })
    assert.are.equal(2, result.code)
    has(result.err, "-l MODULE")
  end)

  it("finds them from another folder", function()
    local path = command.file(FILES["t.json"], ".json")
    local folder, name = path:match "^(.*/)(.*)$"
    local module = name:gsub("%W", "_")
    local file = assert(io.open(folder .. module .. ".lua", "wb"))
    file:write(FILES["words.lua"])
    file:close()
    assert.are.equal("3\n", run({ "run", path, "-l", module }).out)
    os.remove(folder .. module .. ".lua")
    os.remove(path)
  end)

  it("says which module cannot be had, and why", function()
    local result = run_with(FILES, { "run", "t.json", "-l", "wrods" })
    assert.are.equal(2, result.code)
    has(result.err, "orrery run: -l wrods: there is no such module")
    result = run_with(FILES, { "check", "t.json", "-l", "broken" })
    assert.are.equal(2, result.code)
    has(result.err, "on purpose")
  end)
end)

describe("new", function()
  it("writes a workflow that runs, in Lua and in JSON", function()
    local folder = os.tmpname()
    os.remove(folder)
    os.execute("mkdir " .. folder)
    for _, arguments in ipairs { { "new", folder .. "/report" }, { "new", folder .. "/report", "--json" } } do
      local result = run(arguments)
      assert.are.equal(0, result.code, result.err)
      local path = result.out:match("^(%S+) written")
      local ran = run({ "run", path }, nil, "cd " .. folder .. ";")
      assert.are.equal(0, ran.code, ran.err)
      assert.is_number(json.decode(ran.out).files)
    end
    os.execute("rm -r " .. folder)
  end)

  it("never overwrites", function()
    local path = command.file("mine", ".lua")
    local result = run { "new", path }
    assert.are.equal(2, result.code)
    has(result.err, "exists")
    local file = assert(io.open(path))
    assert.are.equal("mine", file:read("a"))
    file:close()
    os.remove(path)
  end)

  it("makes the folders that are missing, and says so", function()
    local result = command.shell(('cd "$(mktemp -d)" && case %s in /*) O=%s;; *) O="$OLD"/%s;; esac\n'
      .. '$O new flows/deep/x && $O new flows/y && $O check flows/deep/x.lua && rm -r flows')
        :format(command.path, command.path,
      command.path))
    assert.are.equal(0, result.code, result.err)
    has(result.out, "flows/ made.\nflows/deep/x.lua written.")
    has(result.out, "orrery run flows/deep/x.lua\nflows/y.lua written.")
    result = command.shell(('cd "$(mktemp -d)" && case %s in /*) O=%s;; *) O="$OLD"/%s;; esac\n'
      .. '$O new "my flows/it\'s/x"')
      :format(command.path, command.path, command.path))
    has(result.out, "Run it: orrery run 'my flows/it'\\''s/x.lua'")
  end)

  it("refuses what is no name and a folder that cannot be", function()
    assert.are.equal(2, run({ "new", "9 lives" }).code)
    local result = run { "new", "/proc/no/such/x" }
    assert.are.equal(2, result.code)
    has(result.err, "/proc/no")
  end)
end)

describe("doctor", function()
  local function probe(changes)
    local p = {
      version = "1.0.0", lua = "5.4", libuv = "1.44.2", luv = "1.44.2", lpeg = "1.0.2",
      library = function(file) return "/usr/lib/" .. file end,
      certificates = function() return "/etc/ca.crt" end,
      tty = true, term = "xterm", columns = 80, lines = 24, locale = "C.UTF-8", cores = 2,
      memory = 8 * 1024 ^ 3, free_memory = 4 * 1024 ^ 3, free_disk = 10 * 1024 ^ 3, files = 1024,
      now = 1790000000, monotonic = true, writable = function() return true end, temporary = "/t",
    }
    for key, value in pairs(changes or {}) do p[key] = value end
    return p
  end

  it("finds nothing wrong with a good machine", function()
    for _, finding in ipairs(machine.examine(probe())) do
      assert.are.equal("ok", finding.status, finding.name .. ": " .. finding.text)
    end
  end)

  local BAD = {
    { { lpeg = false }, "lpeg", "missing" }, { { libuv = "1.9.0" }, "libuv", "warn" },
    { { library = function() end }, "libcurl", "warn" },
    { { certificates = function() end }, "certificates", "warn" },
    { { term = "dumb" }, "terminal", "warn" }, { { locale = "C" }, "locale", "warn" },
    { { locale = "" }, "locale", "warn" },
    { { cores = 0 }, "cores", "warn" }, { { free_memory = 1e6 }, "memory", "warn" },
    { { free_disk = 0 }, "disk", "warn" },
    { { files = 256 }, "open files", "warn" }, { { now = 3600 }, "clock", "warn" },
    { { monotonic = false }, "clock", "warn" },
    { { writable = function() return false end }, "this folder", "warn" },
    { { writable = function(path) return path == "." end }, "temporary files", "warn" },
    { { library = function() error("broken") end }, "check 6", "warn" },
  }

  for _, case in ipairs(BAD) do
    it(("says what is wrong with %s, and what to do (%s)"):format(case[2], next(case[1])), function()
      local found
      for _, finding in ipairs(machine.examine(probe(case[1]))) do
        if finding.name == case[2] then found = finding end
      end
      assert.are.equal(case[3], found.status)
      assert.truthy(found.remedy and #found.remedy > 3)
    end)
  end

  describe("of a store", function()
    local store = require "orrery.cli.doctor.store"
    local function facts(changes)
      local p = { url = "sqlite:/s/runs.db", path = "/s/runs.db", exists = true, size = 5e6, wal = 1000,
        free = 1e10, kind = 0xef53,
        schema = 1, sqlite = "3.40.1", check = "ok", owners = 1, owned = 2, unowned = 0, paused = {} }
      for key, value in pairs(changes or {}) do p[key] = value end
      return p
    end

    it("finds nothing wrong with a good one, and with none", function()
      for _, p in ipairs { facts(), facts { exists = false } } do
        for _, finding in ipairs(store.examine(p)) do
          assert.are.equal("ok", finding.status, finding.name .. ": " .. finding.text)
        end
      end
    end)

    for _, case in ipairs {
      { { problem = "it is damaged" }, "store" }, { { free = 1e6 }, "store disk" },
      { { kind = 0x01021994 }, "store disk" },
      { { wal = 1e9 }, "store log" }, { { check = "row 3 missing" }, "store whole" },
      { { unowned = 3 }, "store runs" },
      { { paused = { "pool db" } }, "store pauses" },
    } do
      it("says what is wrong with its " .. case[2] .. " (" .. next(case[1]) .. ")", function()
        local found
        for _, finding in ipairs(store.examine(facts(case[1]))) do
          if finding.name == case[2] then found = finding end
        end
        assert.are.equal("warn", found.status)
        assert.truthy(found.remedy and #found.remedy > 3)
      end)
    end

    it("looks at a real one", function()
      local folder = os.tmpname()
      os.remove(folder)
      finally(function() os.execute("rm -rf " .. folder) end)
      local file = command.file("local w = require 'orrery'.workflow { name = 'd' } w.a = { run = "
        .. "function() return 1 end } return w")
      local url = "sqlite:" .. folder .. "/runs.db"
      assert.are.equal(0, run({ "run", file, "--store", url }).code)
      os.remove(file)
      local p = store.probe { store = url }
      assert.are.same({ true, "integer", "ok", 0, 0 },
        { p.exists, math.type(p.schema), p.check, p.owned, p.unowned })
      for _, finding in ipairs(store.examine(p)) do assert.are_not.equal("missing", finding.status) end
      local broken = assert(io.open(folder .. "/runs.db", "wb"))
      broken:write(("no database "):rep(1000))
      broken:close()
      os.remove(folder .. "/runs.db-wal")
      assert.are.equal("warn", store.examine(store.probe { store = url })[1].status)
    end)
  end)

  it("looks at this machine", function()
    local findings = json.decode(run({ "doctor", "--json" }).out)
    for i, finding in ipairs(findings) do
      assert.truthy(i <= #machine.checks or finding.name:find "^store", finding.name)
    end
    assert.truthy(#findings > #machine.checks)
    local result = run { "doctor" }
    assert.are.equal(0, result.code, result.out)
    has(result.out, "libuv")
  end)
end)

describe("inputs", function()
  it("keep what stands after the first sign", function()
    local ok, value = input_of.parse({ "a=b=c", "d:=\"=:=\"", "e=", "url=http://x:=y" }, json)
    assert.is_true(ok)
    assert.are.same({ a = "b=c", d = "=:=", e = "", url = "http://x:=y" }, value)
  end)

  it("are nil where none is given", function()
    local ok, value = input_of.parse({}, json)
    assert.is_true(ok)
    assert.is_nil(value)
  end)

  it("refuse to join what is no object", function()
    local path = command.file("[1]")
    local ok, why = input_of.parse({ "@" .. path, "a=1" }, json)
    os.remove(path)
    assert.is_false(ok)
    has(why, "only an object")
  end)
end)
