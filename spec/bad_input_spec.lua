-- Bad input through the command, as a person meets it: one sentence on the standard error, the exit
-- code, no traceback of our own, no crash. What `check` says of each mistake inside a definition is
-- in mistakes_spec.lua.
local command = require "spec.support.command"
local flow = require "orrery"

local run_with = command.run_with
local HEAD = 'local flow = require "orrery"\nlocal w = flow.workflow { name = "t", output = "${nodes.a}" }\n'

local function handler(body)
  return HEAD .. "w.a = { run = function(ctx, inputs)\n" .. body .. "\nend }\nreturn w\n"
end

local function first_line(text) return text:match "^[^\n]*" end

local function no_internals(text)
  assert.is_nil(text:find("%f[%w?]%?:%-?%d*:"), text)
  assert.is_nil(text:find("stack traceback", 1, true), text)
end

-- ---- files --------------------------------------------------------------------------------------

local FINE = '{"name":"x","nodes":[{"id":"a","type":"const","with":{"value":1}}]}'

-- Each case: a name, the file's name, its text, the first line of what is said.
local DEFINITIONS = {
  { "an empty JSON file", "t.json", "", "t.json:1:1: not valid JSON: expected a value, got an empty text" },
  { "truncated JSON", "t.json", '{"nodes":[',
    "t.json:1:11: not valid JSON: expected a value, got the end of the text" },
  { "JSON 100,000 levels deep", "t.json", ("["):rep(100000),
    "t.json:1:1001: not valid JSON: nested deeper than 1000 levels" },
  { "a key twice", "t.json", '{"name":"x","name":"y"}',
    't.json:1:13: not valid JSON: the key "name" stands twice in one object' },
  { "a lone surrogate", "t.json", '{"name":"\\ud800"}',
    "t.json:1:10: not valid JSON: the surrogate \\ud800 stands alone; a pair of them makes one character" },
  { "what follows the value", "t.json", FINE .. " x",
    "t.json:1:69: not valid JSON: expected the end of the text after the value, got 'x'" },
  { "UTF-16 with a mark", "t.json", "\xFF\xFE{\0}\0",
    "t.json:1:1: not valid JSON: the text is UTF-16 or UTF-32, and JSON is UTF-8; save it as UTF-8" },
  { "UTF-16 without a mark", "t.json", "{\0}\0",
    "t.json:1:1: not valid JSON: the text is UTF-16 or UTF-32, and JSON is UTF-8; save it as UTF-8" },
  { "a number that is too large", "t.json", '{"timeout":1e999}',
    "t.json:1:12: not valid JSON: the number is too large: the largest there is has 309 digits" },
  { "more than the runtime counts", "t.json", (FINE:gsub('"x"', '"x","concurrency":99999999999')),
    't.json:1:13: concurrency: workflow "x": concurrency: expected at most 4294967294, got 99999999999' },
  { "an environment in JSON", "t.json", (FINE:gsub("1}", '"${env.HOME}"}')),
    't.json:1:55: nodes[0].with.value: node "a": value: env.HOME may not be read here; allow it with '
    .. '"env": [ '
      .. '"HOME" ]' },
  { "UTF-16 Lua", "t.lua", "\xFF\xFEr\0", "t.lua: the file is UTF-16 text; save it as UTF-8" },
  { "compiled Lua", "t.lua", "\27LuaT",
    "t.lua: not valid Lua: attempt to load a binary chunk (mode is 't')" },
  { "a file without content", "t.lua", "",
    "t.lua: the file returns nothing; end it with `return w`, where w is its one workflow" },
  { "an error that is nil", "t.lua", "\nerror()",
    "t.lua:2: it raises nil, which says nothing; raise a message" },
  { "an error that is a table", "t.lua", "error {}",
    "t.lua:1: it raises a table, which says nothing; raise a message" },
  { "an error whose text fails", "t.lua",
    "error(setmetatable({}, { __tostring = function() error 'x' end }))",
    "t.lua:1: it raises an error whose __tostring fails" },
  { "an error without a place", "t.lua", "\n\nerror('gone', 0)", "t.lua:3: gone" },
  { "recursion while loading", "t.lua", "local function f() return 1 + f() end\nf()",
    "t.lua:1: stack overflow" },
  { "a wrong argument of flow.on", "t.lua", 'require "orrery".on(5)',
    't.lua:1: flow.on: expected an event\'s name or a pattern like "node_*", got 5' },
  { "a workflow that is not there, inside a file", "t.lua", '\nrequire "orrery".load "nope.lua"',
    "t.lua:2: cannot read the workflow nope.lua: No such file or directory; give the path of a Lua or JSON "
      .. "file" },
  { "conditions within themselves", "t.lua",
    HEAD .. "local c = {}\nc.c = c\nw.a = flow.switch { cases = c }\nreturn w",
    't.lua:5: node "a": switch: cases: expected an outcome\'s name and its condition, { gold = "input.total '
      .. '> 100" }, got c and '
      .. "a table" },
  { "a breaker without a name", "t.lua", HEAD .. "w.a = { run = print, breaker = {} }\nreturn w",
    't.lua:3: node "a": breaker.name is missing; nodes with the same name share one breaker' },
  { "a limit of no time", "t.lua", HEAD .. 'w.a = { run = print, timeout = "0s" }\nreturn w',
    't.lua:3: node "a": timeout: nothing can be done in no time; give it more, or leave timeout out for no '
      .. 'limit' },
  { "fields where a list is due", "t.lua", HEAD .. "w.a = { run = print, each = { x = 1 } }\nreturn w",
    't.lua:3: node "a": each: expected a list, got a table with named fields; give it the keys 1 to n' },
  { "a name that is no text", "t.lua", (HEAD:gsub('"t"', '"\\xFF"')) .. "w.a = { run = print }\nreturn w",
    nil },
  { "edges without nodes", "t.json", '{"name":"x","nodes":[],"edges":[{"from":"a","to":"b","when":"(("}]}',
    't.json:1:34: edges[0].from: edge: from: there is no node "a"' },
  { "a workflow in after", "t.lua", HEAD .. "w.a = { run = print, after = { w } }\nreturn w",
    't.lua:3: node "a": after: a workflow is no node; name the node of this workflow that runs it' },
  { "a child that is no workflow", "t.lua", HEAD .. "w.a = flow.call { workflow = 5 }\nreturn w",
    't.lua:3: node "a": workflow: workflow: expected a workflow or the path of one, got a number' },
}

describe("a definition that is", function()
  for _, case in ipairs(DEFINITIONS) do
    it(case[1], function()
      local result = run_with({ [case[2]] = case[3] }, { "check", case[2] })
      local run = run_with({ [case[2]] = case[3] }, { "run", case[2] })
      assert.equal(2, result.code)
      assert.equal(2, run.code)
      if case[4] then assert.equal(case[4], first_line(run.err)) end
      assert.equal("", run.out)
      no_internals(result.out .. result.err .. run.err)
    end)
  end

  it("deep in a constant does not fill the screen", function()
    local deep = HEAD .. "local t = {}\nfor _ = 1, 100000 do t = { t } end\nw.a = flow.const { value = t }\n"
      .. "return w"
    local result = run_with({ ["t.lua"] = deep }, { "run", "t.lua" })
    assert.equal(2, result.code)
    assert.truthy(#result.err < 300, #result.err)
  end)

  it("marked as UTF-8 is read all the same", function()
    assert.equal(0, run_with({ ["t.json"] = "\xEF\xBB\xBF" .. FINE }, { "run", "t.json" }).code)
    assert.equal(0, run_with({ ["t.lua"] = "\xEF\xBB\xBF" .. handler "return 1" }, { "run", "t.lua" }).code)
  end)
end)

-- ---- usage --------------------------------------------------------------------------------------

local USAGE = {
  { { "run", "t.lua", "-j", "0" }, "orrery run: 0 is too small, expected at least 1." },
  { { "run", "t.lua", "--only", "aa" },
    'orrery run: only: workflow "t" has no node "aa"; did you mean "a"?' },
  { { "run", "t.lua", "--from", "zz" }, 'orrery run: from: workflow "t" has no node "zz"' },
  { { "run", "t.lua", "-i", "n:={" },
    "orrery run: --input n:1:2: not valid JSON: expected a key in double quotes, got the end of the text" },
  { { "run", "t.lua", "-i", "@nope.json" },
    "orrery run: --input @nope.json: nope.json: No such file or directory" },
  { { "run", "t.lua", "-i", "@t.lua" }, "orrery run: t.lua:1:1: not valid JSON: expected a value, got 'l'" },
  { { "show", "--" .. ("x"):rep(50000) }, "orrery show: unknown option '--" .. ("x"):rep(62) .. "...'." },
  { { "run", "." }, ".: cannot read the workflow .: Is a directory; give the path of a Lua or JSON file" },
  { { "rnu", "t.lua" }, "orrery: 'rnu' is neither a command nor a Lua file; did you mean 'run'?" },
}

describe("the usage", function()
  for _, case in ipairs(USAGE) do
    it(table.concat(case[1], " "), function()
      local result = run_with({ ["t.lua"] = handler "return 1" }, case[1])
      assert.equal(case[2], first_line(result.err))
      assert.equal(2, result.code)
      no_internals(result.err)
    end)
  end
end)

-- ---- handlers -----------------------------------------------------------------------------------

local HANDLERS = {
  { "return print", "output is a function; a handler returns plain data: nil, boolean, number, string, array "
    .. "or table of those" },
  { "return io.stdout", "output is a userdata; a handler returns plain data: nil, boolean, number, string, "
    .. "array or table of those" },
  { "local t = {} t.t = t return t", "output.t is a cyclic table: it is output again" },
  { "return 0 / 0", "output is NaN; a handler returns plain data, and its numbers are finite" },
  { "return { 1, x = 2 }",
    "output mixes array items with named fields; use either the keys 1 to n or names" },
  { "return { [1] = 1, [3] = 3 }",
    "output is an array with a hole at item 2; put null where there is no value" },
  { "local t = {} for _ = 1, 100000 do t = { t } end return t",
    "output[1][1][1][1][1][1][1][1]...[1][1][1][1] is nested deeper than 1000 levels" },
  { "error(nil)", "nil" },
  { "local function f() return 1 + f() end\nreturn f()", "t.lua:4: stack overflow" },
  { "return ('x'):rep(1e15)", "t.lua:4: resulting string too large" },
  { "flow.error()", "t.lua:4: flow.error: expected { code = …, message = … } or a message, got nothing" },
  { "flow.error { message = 'm', retry_after = 'soon' }",
    't.lua:4: flow.error: retry_after: "soon" is not a duration: expected a duration such as "250ms", "5s", '
      .. '"1h30m", "3d" or "PT5S"' },
  { "flow.switch {}", "switch: it has nothing to choose by; give it cases, or value and map" },
  { "ctx:sleep 'x'", 't.lua:4: ctx:sleep: "x" is no duration; expected seconds or a text such as "250ms" or '
    .. '"1h30m"' },
  { "ctx.sleep(1)", "t.lua:4: expected ctx; call its functions with a colon: ctx:sleep(1)" },
  { "return inputs.x", 't.lua:4: inputs.x: node a depends on nothing; add after = "x" to it' },
}

describe("a handler that does", function()
  for _, case in ipairs(HANDLERS) do
    it(case[1]:gsub("\n", " "), function()
      local result = run_with({ ["t.lua"] = handler(case[1]) }, { "run", "-q", "t.lua" })
      assert.equal(1, result.code)
      assert.equal("✗ node a failed: " .. case[2], (first_line(result.err):gsub(" %[[%w_]+%]$", "")))
      assert.is_nil(result.err:find("stack traceback", 1, true))
    end)
  end
end)

describe("output that is no JSON", function()
  local SAID = "output.x is not UTF-8 text (byte 255 at position 1); JSON holds only text, so encode binary "
    .. "data first, "
    .. "for instance as base64 or hex"
  local files = { ["t.lua"] = handler "return { x = '\\xFF' }" }

  it("is one sentence and exit code 1", function()
    local result = run_with(files, { "run", "-q", "t.lua" })
    assert.same({ out = "", err = "orrery run: the output cannot be printed: " .. SAID .. "\n", code = 1 },
      result)
  end)

  it("stands beside the last event", function()
    local result = run_with(files, { "run", "--json", "t.lua" })
    assert.equal(1, result.code)
    local last = flow.json.decode(result.out:match "([^\n]+)\n$")
    assert.equal("run_completed", last.event)
    assert.equal(SAID, last.output_error)
    assert.equal(flow.json.null, last.output)
  end)

  it("in an error or an event is shown as near as can be", function()
    local result = run_with({ ["t.lua"] = handler [[
      ctx:emit("seen", { text = "\xFF", number = 0 / 0, fn = print })
      error({ code = "bad", message = "\xFE", retry_after = 0 / 0 })]] }, { "run", "--json", "t.lua" })
    assert.equal(1, result.code)
    local events = {}
    for line in result.out:gmatch "[^\n]+" do
      local event = flow.json.decode(line)
      events[event.event] = event
    end
    assert.equal("\u{FFFD}", events.seen.data.text)
    assert.equal("(function)", events.seen.data.fn)
    assert.equal("\u{FFFD}", events.run_failed.error.message)
    no_internals(result.err)
  end)

  it("in a field of an error fails the node alone, in whatever store", function()
    for _, field in ipairs { "retry_after = 0 / 0", "retry_after = 1 / 0", "retry_after = print",
      "traceback = print",
      "traceback = { print }", "retryable = print", "code = print", "code = 0 / 0", "details = print" } do
      local source = handler([[error({ message = "not today", %s })]]):format(field)
      for _, store in ipairs { "memory:", "sqlite:t.db" } do
        local result = run_with({ ["t.lua"] = source }, { "run", "--json", "--store", store, "t.lua" })
        local last = flow.json.decode(result.out:match "([^\n]+)\n$")
        assert.equal("run_failed", last.event, field .. store)
        assert.truthy(last.error.message:find "not today", field)
        assert.equal(1, result.code)
      end
    end
  end)

  it("has names that no handler may use", function()
    for _, name in ipairs { "log", "progress", "node_silent", "run_blocked", "run_suspended",
        "run_refused" } do
      local w = flow.workflow { name = "w" }
      w.n = { run = function(ctx) ctx:emit(name, 1) end }
      local run = flow.run(w)
      assert.equal("failed", run.state, name)
      assert.truthy(run.error.message:find("the name of an event of the engine's", 1, true),
        run.error.message)
    end
  end)

  it("that a handler names as an end is no end", function()
    local result = run_with({ ["t.lua"] = handler 'ctx:emit("run_failed", 1)' }, { "run", "--json", "t.lua" })
    assert.equal(1, result.code)
    local last = flow.json.decode(result.out:match "([^\n]+)\n$")
    assert.equal("run_failed", last.event)
    assert.truthy(last.error.message:find("the name of an event of the engine's", 1, true),
      last.error.message)
  end)

  it("on a full disk is said to be lost", function()
    if not io.open "/dev/full" then return pending "there is no /dev/full here" end
    local many = { ["t.lua"] = handler "local t = {} for i = 1, 20000 do t[i] = i end return t" }
    for _, words in ipairs { "run -q", "run --json", "plan", "graph" } do
      local result = run_with(many, { "-e", ([[
        local _, _, code = os.execute(%q .. " %s t.lua >/dev/full")
        os.exit(code)]]):format(command.path:find "^/" and command.path or os.getenv "PWD" .. "/" .. command.path, words) })
      assert.equal(1, result.code, words)
      assert.truthy(result.err:find("could not be written: No space left on device", 1, true), result.err)
    end
  end)
end)

-- ---- large things -------------------------------------------------------------------------------

describe("what is large", function()
  it("runs: 100,000 items", function()
    local result = run_with({ ["t.lua"] = HEAD .. [[
      w.list = { run = function() local t = {} for i = 1, 100000 do t[i] = i end return t end }
      w.many = { each = "${nodes.list}", run = function(ctx) return ctx.item end }
      w.a = { after = "many", run = function(_, inputs) return #inputs.many end }
      return w]] }, { "run", "-q", "t.lua" })
    assert.same({ out = "100000\n", err = "", code = 0 }, result)
  end)

  it("runs: many nodes", function()
    local n = os.getenv "ORRERY_LARGE" and 1000000 or 50000
    local result = run_with({ ["t.lua"] = HEAD .. ([[
      for i = 1, %d do w["n" .. i] = { after = i > 1 and "n" .. i - 1 or nil, run = function() end } end
      w.a = { after = "n%d", run = function() return "last" end }
      return w]]):format(n, n) }, { "run", "-q", "t.lua" })
    assert.same({ out = '"last"\n', err = "", code = 0 }, result)
  end)

  it("is handed on: a long text", function()
    local size = os.getenv "ORRERY_LARGE" and 1 << 30 or 1 << 26
    local result = run_with({ ["t.lua"] = HEAD .. ([[
      w.text = { run = function() return ("x"):rep(%d) end }
      w.a = { after = "text", run = function(_, inputs) return #inputs.text end }
      return w]]):format(size) }, { "run", "-q", "t.lua" })
    assert.same({ out = size .. "\n", err = "", code = 0 }, result)
  end)
end)

-- ---- chance -------------------------------------------------------------------------------------

-- Changes a text a little, in a way that the seed decides.
local PIECES = { "{", "}", "[", "]", '"', ",", ":", "${", "nil", "0", "-1", "1e999", "\0", "\xFF", "after",
  "nodes", "=", "(", ")", "\\",
  "function() ", " end", "..", "[[", "true", "null", "'", "{}", "each", "loop" }
local function mutate(text)
  for _ = 1, math.random(3) do
    local at, kind = math.random(#text), math.random(4)
    if kind == 1 then
      text = text:sub(1, at - 1) .. text:sub(at + math.random(8))
    elseif kind == 2 then
      text = text:sub(1, at) .. PIECES[math.random(#PIECES)] .. text:sub(at + 1)
    elseif kind == 3 then
      local to = math.min(#text, at + math.random(40))
      text = text:sub(1, to) .. text:sub(at, to) .. text:sub(to + 1)
    else
      text = text:sub(1, at - 1) .. string.char(math.random(0, 255)) .. text:sub(at + 1)
    end
    if text == "" then return "x" end
  end
  return text
end

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

-- A script that gives the global `require` another value has changed Lua for all that is loaded
-- after it.
local function sets_require(text) return text:find "require%s*=" or text:find "require%s*,[^(]*=" end

-- ORRERY_FUZZ: seconds. Loading a changed Lua file runs it, with nothing in reach that touches the
-- machine.
describe("a definition changed by chance", function()
  local seconds = tonumber(os.getenv "ORRERY_FUZZ") or 1
  local seed = tonumber(os.getenv "ORRERY_SEED") or os.time()
  local EXPRESSION = 'input.a.b[1] + #nodes.x * -2 ^ 3 .. "t" == len(input.c) and not (states.a ~= "failed" '
    .. 'or 1 < 2)'
  local sources = {
    ["definition.json"] = read "examples/definition.json",
    ["expression.json"] = flow.json.encode { name = "e",
      nodes = { { id = "x", type = "const", with = { value = 1 } },
      { id = "y", type = "const", after = { "x" }, with = { value = "a ${" .. EXPRESSION .. "} b" },
        when = EXPRESSION } },
      edges = { { from = "x", to = "y", when = EXPRESSION } } },
    ["workflow.lua"] = [[
      local flow = require "orrery"
      local function nothing() end
      local w = flow.workflow { name = "m", on_error = "drain", timeout = "5s", output = "${nodes.b}", input = { n = "integer?" } }
      w.a = { run = nothing, retry = { max = 2, delay = "1s", jitter = "full" }, each = { 1, 2 }, each_failures = "10%" }
      w.b = flow.const { value = { "${nodes.a[1]}" }, when = "input.n > 1", breaker = { name = "b", window = "1m" } }
      w.c = flow.switch { cases = { { x = "input.n > 1" } }, default = "y", after = { w.a, "b" } }
      w.d = flow.sequence { { run = nothing }, flow.delay { "1s" }, after = "c:x", join = "any" }
      return w]],
  }

  for name, source in pairs(sources) do
    it(("is right or wrong in words: %s (seed %d)"):format(name, seed), function()
      math.randomseed(seed)
      local stop = os.clock() + seconds
      local tried = 0
      while os.clock() < stop do
        local text
        repeat text = mutate(source) until not sets_require(text)
        local ok, problems = pcall(flow.check, { source = text, name = name })
        assert(ok, ("%s\n%s"):format(tostring(problems), text))
        for _, problem in ipairs(problems) do
          assert(type(problem.message) == "string" and problem.message ~= ""
            and type(problem.kind) == "string", text)
          assert(not problem.message:find "%?:%-?%d+:", problem.message .. "\n" .. text)
        end
        tried = tried + 1
      end
      assert.truthy(tried > 10)
    end)
  end
end)
