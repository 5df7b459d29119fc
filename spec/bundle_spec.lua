-- Bundles: what is kept of a workflow's code, and that it runs again from that alone.
local command = require "spec.support.command"
local core = require "orrery.core"
local flow = require "orrery"
local bundle = require "orrery.bundle"

local json = core.json

-- ---- a folder of files --------------------------------------------------------------------------

local folder, former_path, former_loaded

local function write(files)
  for name, text in pairs(files) do
    local path = folder .. "/" .. name
    os.execute("mkdir -p " .. command.quote(path:match "^(.*)/"))
    local file <close> = assert(io.open(path, "wb"))
    file:write(text)
  end
end

local function workflow(body, options)
  return ('local flow = require "orrery"\nlocal w = flow.workflow { name = "x", %s }\n%s\nreturn w\n')
    :format(options or "", body)
end

local function compiled(name)
  local made, problems = flow.compile(flow.load(folder .. "/" .. (name or "w.lua")))
  return assert(made, problems and problems[1].message)
end

local function made(files)
  write(files)
  return assert(bundle.of(compiled()))
end

-- As after a restart: nothing of the folder's modules is loaded.
local function forget()
  for name in pairs(package.loaded) do
    if not former_loaded[name] and not name:find "^orrery" then package.loaded[name] = nil end
  end
end

-- What is kept of a row in a store.
local function stored(b)
  local row = {}
  for _, key in ipairs { "hash", "workflow", "definition", "sources", "arguments", "engine" } do
    row[key] = b[key]
  end
  return row
end

local function output_of(what)
  local the_run = flow.run(what)
  assert(the_run.state == "completed", the_run.error and tostring(the_run.error.message) or the_run.state)
  return the_run.output
end

local function source_names(b)
  local names = {}
  for i, entry in ipairs(json.decode(b.sources)) do
    names[i] = entry.main and "(main)" or entry.missing and entry.name .. " missing" or entry.name
  end
  return names
end

local function message_of(fn, ...)
  local ok, e = pcall(fn, ...)
  assert.is_false(ok)
  return tostring(e), e
end

before_each(function()
  former_path, former_loaded = package.path, {}
  for name in pairs(package.loaded) do former_loaded[name] = true end
  folder = os.tmpname()
  os.remove(folder)
  package.path = ("%s/?.lua;%s/?/init.lua;%s"):format(folder, folder, package.path)
end)

after_each(function()
  package.path = former_path
  forget()
  bundle.on_module(nil)
  os.execute("rm -rf " .. command.quote(folder))
end)

-- ---- the hash -----------------------------------------------------------------------------------

describe("core.sha256", function()
  it("gives the digests of the standard's examples", function()
    assert.equal("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", core.sha256 "")
    assert.equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", core.sha256 "abc")
    assert.equal("248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
      core.sha256 "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")
    assert.equal("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
      core.sha256(("a"):rep(1000000)))
  end)

  it("takes any byte, and nothing but text", function()
    assert.equal("6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d", core.sha256 "\0")
    assert.matches("string expected", message_of(core.sha256, {}))
  end)
end)

-- ---- definitions --------------------------------------------------------------------------------

describe("a definition", function()
  local function definition(body, options)
    write { ["d.lua"] = workflow(body, options) }
    return bundle.definition(compiled "d.lua")
  end

  it("holds names, edges and policies, and no code", function()
    local text = definition([[
w.list = { run = function() return { 1 } end }
w.route = flow.switch { after = "list", cases = { gold = "true" }, default = "rest" }
w.many = { after = "route:gold", each = "${nodes.list}", each_failures = "10%", timeout = "5s", retry = 2, run = print }
w.turn = { after = { "many", "list" }, join = "any", loop = { ["until"] = "output > 1", max = 3 }, fallback = print,
  pool = function() return "p" end, priority = "high", run = print }
w.last = { after = w.turn, when = function() return true end, breaker = "b", fallback = "none", run = print }]],
      'timeout = "1m", concurrency = 3')
    local d = json.decode(text)
    assert.equal("x", d.name)
    assert.same({ 60, 3, "stop" }, { d.timeout, d.concurrency, d.on_error })
    assert.same({ "gold" }, d.ports)
    assert.same({ { name = "list", type = "lua" }, { name = "route", type = "switch", after = { "list" } } },
      { d.nodes[1], d.nodes[2] })
    local many = d.nodes[3]
    assert.same({ "${nodes.list}", "10%", 5, 2 },
      { many.each, many.each_failures, many.timeout, many.retry.max })
    assert.same({ { node = "route", port = "gold" }, "list" }, many.after)
    local turn = d.nodes[4]
    assert.same({ max = 3, ["until"] = "output > 1" }, turn.loop)
    assert.same({ true, true, "high", "any" }, { turn.fallback, turn.pool, turn.priority, turn.join })
    assert.same({ true, { name = "b" }, "none" },
      { d.nodes[5].when, d.nodes[5].breaker, d.nodes[5].fallback })
  end)

  it("is the same text when lines move and code changes, and another when a policy does", function()
    local one = definition 'w.a = { run = function() return 1 end, timeout = "5s" }'
    assert.equal(one, definition '\n\n-- a remark\nw.a = { timeout = 5, run = function() return 2 end }')
    assert.not_equal(one, definition 'w.a = { run = function() return 1 end, timeout = "6s" }')
  end)

  it("keeps policies apart that differ in one field, a list or the kind of a name", function()
    local d = json.decode(definition [[
w.a = { retry = 3, breaker = "b", run = print }
w.b = { retry = { max = 3, on = { "x" } }, breaker = { name = "b", probes = 2 }, run = print }
w.c = { retry = { max = 3, on = { "y" } }, breaker = { name = "nil" }, run = print }
w.d = { retry = 3, breaker = { name = "b", window = "2s" }, run = print }]])
    assert.same(d.nodes[1].retry, d.nodes[4].retry)
    assert.same({ { "x" }, { "y" } }, { d.nodes[2].retry.on, d.nodes[3].retry.on })
    assert.same({ { name = "b" }, { name = "b", probes = 2 }, { name = "nil" }, { name = "b", window = 2 } },
      { d.nodes[1].breaker, d.nodes[2].breaker, d.nodes[3].breaker, d.nodes[4].breaker })
  end)

  it("is the same for the same workflow, whatever the order of its keys", function()
    local body = 'w.a = { run = print }\nw.b = { after = "a", timeout = "5s", deadline = "9s", retry = 3, '
      .. 'priority = "low", run = print }'
    local first = definition(body)
    for _ = 1, 20 do assert.equal(first, definition(body)) end
  end)

  it("names the conditions of edges, and members of groups", function()
    local w = flow.load { name = "e.json", source = [[{ "nodes": [ { "id": "a", "type": "const", "with": { "value": 1 } },
      { "id": "b", "type": "const", "with": { "value": 2 } } ], "edges": [ { "from": "a", "to": "b", "when": "nodes.a > 0" } ] }]] }
    local d = json.decode(bundle.definition(assert(flow.compile(w))))
    assert.same({ { node = "a", when = true } }, d.nodes[2].after)
    d = json.decode(definition('w.g = flow.parallel { one = { when = "input.x", run = print }, { run = '
      .. 'print } }'))
    local when = {}
    for _, node in ipairs(d.nodes) do when[node.name] = node.when or false end
    assert.same({ g_one = "input.x", g_1 = false, g = false }, when)
  end)

  it("takes a moment for a hundred thousand nodes", function()
    local w = flow.workflow { name = "wide" }
    local function run() end
    for i = 1, 100000 do w["n" .. i] = { after = i > 1 and "n" .. i - 1 or nil, run = run } end
    local c = assert(flow.compile(w))
    local from = core.hrtime()
    local text = bundle.definition(c)
    local seconds = (core.hrtime() - from) / 1e9
    assert.is_true(#text > 3000000)
    assert.is_true(seconds < 60, ("%.2f s"):format(seconds))
  end)
end)

-- ---- what is kept -------------------------------------------------------------------------------

describe("a bundle", function()
  it("keeps the workflow and what it requires, and what that requires", function()
    local b = made {
      ["w.lua"] = 'local util = require "util"\n'
        .. workflow "w.a = { run = function() return util.text() end }",
      ["util.lua"] = 'local deep = require "deep.er"\nreturn { text = function() return deep end }\n',
      ["deep/er.lua"] = 'local s = require "string"\nlocal uv = require "luv"\nreturn "deep" .. type(s) .. '
        .. 'type(uv)\n',
    }
    local sources = json.decode(b.sources)
    assert.same({ "(main)", "util", "deep.er" }, source_names(b))
    assert.equal(folder .. "/deep/er.lua", sources[3].path)
    assert.matches("^local s = require", sources[3].text)
    assert.equal(core.sha256(("%d:%s,%d:%s,%d:%s,%d")
      :format(#b.definition, b.definition, #b.sources, b.sources, #b.arguments,
      b.arguments, bundle.JOURNAL)), b.hash)
    assert.equal(b, bundle.of(compiled()) and b)
  end)

  it("is made once for a compiled workflow, and is equal for equal code", function()
    write { ["w.lua"] = 'require "util"\n' .. workflow "w.a = { run = print }", ["util.lua"] = "return 1" }
    local c = compiled()
    local one = bundle.of(c)
    assert.equal(one, bundle.of(c))
    assert.equal(one.hash, bundle.of(compiled()).hash)
    forget()
    assert.equal(one.hash, bundle.of(compiled()).hash)
    write { ["util.lua"] = "return 2" }
    forget()
    assert.not_equal(one.hash, bundle.of(compiled()).hash)
  end)

  it("keeps modules that somebody had loaded before, and theirs", function()
    write { ["w.lua"] = 'require "util"\n' .. workflow "w.a = { run = print }",
      ["util.lua"] = 'return { require "deep" }',
      ["deep.lua"] = 'package.loaded[...] = 1\nrequire("deeper")', ["deeper.lua"] = "return 3" }
    require "util"
    assert.same({ "(main)", "util", "deep", "deeper" }, source_names(bundle.of(compiled())))
  end)

  it("keeps what was loaded before anything was watched", function()
    local script = [[
      package.path = "./?.lua;" .. package.path
      require "util"
      local flow = require "orrery"
      local c = flow.compile(flow.load "w.lua")
      local names = {}
      for i, entry in ipairs(flow.json.decode(require("orrery.bundle").of(c).sources)) do names[i] = entry.name end
      print(table.concat(names, " "))
    ]]
    local result = command.run_with({ ["s.lua"] = script, ["util.lua"] = "local d = require 'deep'\nreturn d",
      ["deep.lua"] = "return 1",
      ["w.lua"] = 'require "util"\n' .. workflow "w.a = { run = print }" }, { "s.lua" })
    assert.equal("w.lua util deep\n", result.out, result.err)
  end)

  it("tells apart what was not there", function()
    local b = made { ["w.lua"] = 'local ok = pcall(require, "absent")\n'
      .. workflow "w.a = { run = function() return ok end }",
      ["v.lua"] = "" }
    assert.same({ "(main)", "absent missing" }, source_names(b))
  end)

  it("keeps a text that is no UTF-8 byte for byte", function()
    local b = made { ["w.lua"] = workflow "w.a = { run = function() return #'\xE4\xFF' end }"
      .. "-- \xE4\xF6\n" }
    os.remove(folder .. "/w.lua")
    assert.is_string(json.decode(b.sources)[1].hex)
    local c = bundle.load(stored(b))
    assert.equal("completed", flow.run(c).state)
  end)

  it("keeps the command's arguments only where a source reads them", function()
    local none = made { ["w.lua"] = workflow "w.a = { run = print } -- argue about argument" }
    assert.is_nil(json.decode(none.arguments).arg)
    local some = made { ["w.lua"] = workflow "w.a = { doc = arg[0], run = function() return arg[0] end }" }
    assert.equal(arg[0], json.decode(some.arguments).arg["0"])
  end)

  it("is refused to a workflow without a source, with the reason", function()
    local w = flow.workflow { name = "made here" }
    w.a = { run = print }
    local none, reason = bundle.of(assert(flow.compile(w)))
    assert.is_nil(none)
    assert.matches('^workflow "made here" was made by a script', reason)
  end)

  it("has a definition and arguments of its own for a part of a workflow", function()
    write { ["w.lua"] = workflow([[
w.a = { run = function() end }
w.b = { after = "a", run = function() return "b" end }
w.c = { after = "b", run = print }]], 'output = "${nodes.b}"') }
    local whole = compiled()
    local part = require("orrery.definition.only").compiled(whole, { only = "b" }, core.plan)
    local b = assert(bundle.of(part))
    assert.not_equal(b.hash, bundle.of(whole).hash)
    assert.equal(2, #json.decode(b.definition).nodes)
    local c = bundle.load(stored(b))
    assert.equal(2, #c.plan)
    assert.equal("b", output_of(c))
  end)
end)

-- ---- requiring as ever --------------------------------------------------------------------------

describe("require, while it is watched", function()
  before_each(function() require "orrery.definition.sources" end)

  it("gives what Lua's own gives, second results included", function()
    write { ["m.lua"] = "return ...", ["f.lua"] = "return false", ["n.lua"] = "seen_n = (seen_n or 0) + 1" }
    local value, from = require "m"
    assert.same({ "m", folder .. "/m.lua" }, { value, from })
    assert.equal(1, select("#", require "m"))
    assert.equal(false, (require "f"))
    assert.equal(false, package.loaded.f)
    assert.equal(true, (require "n"))
    assert.equal(true, (require "n"))
    assert.equal(1, rawget(_G, "seen_n"))
    rawset(_G, "seen_n", nil)
    package.preload.pre = function(...) return { ... } end
    assert.same({ "pre", ":preload:" }, (require "pre"))
    package.preload.pre = nil
  end)

  it("raises what Lua's own raises, at the place of the call", function()
    write { ["bad.lua"] = "local x = = 1", ["raise.lua"] = "error 'mine'" }
    assert.matches("^spec/bundle_spec.lua:%d+: module 'gone' not found:\n\tno field "
      .. "package.preload%['gone'%]\n",
      message_of(function() local _ = require "gone" end))
    assert.matches("^module 'gone' not found:", message_of(require, "gone"))
    assert.equal(("error loading module 'bad' from file '%s/bad.lua':\n\t%s/bad.lua:1: unexpected symbol "
      .. "near '='"):format(folder,
      folder), (message_of(require, "bad")))
    assert.equal(folder .. "/raise.lua:1: mine", (message_of(require, "raise")))
    assert.equal("bad argument #1 to 'require' (string expected, got no value)", (message_of(require)))
    assert.matches("^spec/bundle_spec.lua:%d+: bad argument #1 to 'require' %(string expected, got table%)",
      message_of(function() local _ = require {} end))
    -- one line for each place that was looked at, none twice
    local _, lines = message_of(require, "gone")
      :gsub("no file '" .. folder:gsub("%p", "%%%0") .. "/gone.lua'", "")
    assert.equal(1, lines)
  end)

  it("leaves the order of searchers alone but for one in front of that for files", function()
    local result = command.run({ "-e", [[
      local before = table.move(package.searchers, 1, #package.searchers, 1, {})
      require "orrery.definition.sources"
      local others = {}
      for _, s in ipairs(package.searchers) do
        for _, b in ipairs(before) do if s == b then others[#others + 1] = s end end
      end
      for i, s in ipairs(before) do assert(others[i] == s) end
      print(#package.searchers - #before)
    ]] })
    assert.equal("1\n", result.out, result.err)
  end)

  it("is not touched by a workflow that requires nothing of its own", function()
    local result = command.run_with({ ["w.lua"] = workflow "w.a = { run = print }", ["s.lua"] = [[
      local before = require
      local flow = require "orrery"
      assert(flow.compile(flow.load "w.lua"))
      print(require == before, package.loaded["orrery.definition.sources"], package.loaded["orrery.bundle"])
    ]] }, { "s.lua" })
    assert.equal("true\tnil\tnil\n", result.out, result.err)
  end)

  it("prefers preloaded modules and the program's own searchers, and keeps no file for them", function()
    write { ["w.lua"] = 'require "pre"\nrequire "own"\n' .. workflow "w.a = { run = print }",
      ["pre.lua"] = "return 'file'",
      ["own.lua"] = "return 'file'" }
    package.preload.pre = function() return "preloaded" end
    table.insert(package.searchers, 1, function(name)
      if name == "own" then return function() return "searched" end, "own" end
    end)
    local b = bundle.of(compiled())
    table.remove(package.searchers, 1)
    package.preload.pre = nil
    assert.same({ "preloaded", "searched" }, { package.loaded.pre, package.loaded.own })
    assert.same({ "(main)", "own" }, source_names(b))
    assert.is_nil(b.sources:find("file'", 1, true))
  end)
end)

-- ---- loading ------------------------------------------------------------------------------------

describe("loading a bundle", function()
  local UTIL = "local n = ...\nreturn { version = function() return %d end, name = n }"

  it("runs the code it was made of, though every file has changed since", function()
    local b = made { ["w.lua"] = 'local util = require "util"\n'
      .. workflow("w.a = { run = function() return util.version() + 0 end }", 'output = "${nodes.a}"'),
      ["util.lua"] = UTIL:format(1) }
    write { ["w.lua"] = "syntax error", ["util.lua"] = "error 'gone'" }
    forget()
    assert.equal(1, output_of(bundle.load(stored(b))))
    assert.is_nil(package.loaded.util)
  end)

  it("lets two versions of a module live side by side, in handlers too", function()
    local text = workflow([[w.a = { run = function()
      return { require("util").version(), require("late").which, require "util" == require "util" }
    end }]], 'output = "${nodes.a}"')
    local rows = {}
    for version = 1, 2 do
      write { ["w.lua"] = 'require "util"\nrequire "late"\n' .. text, ["util.lua"] = UTIL:format(version),
        ["late.lua"] = ('return { which = "late %d" }'):format(version) }
      rows[version] = stored(assert(bundle.of(compiled())))
      forget()
    end
    write { ["util.lua"] = UTIL:format(3), ["late.lua"] = "return { which = 'late 3' }" }
    require "util"
    local one, two = bundle.load(rows[1]), bundle.load(rows[2])
    assert.same({ 1, "late 1", true }, output_of(one))
    assert.same({ 2, "late 2", true }, output_of(two))
    assert.same({ 1, "late 1", true }, output_of(one))
    assert.equal(3, require("util").version())
    assert.not_equal(rows[1].hash, rows[2].hash)
  end)

  it("keeps the places of errors", function()
    local b = made { ["w.lua"] = 'local util = require "util"\n'
      .. workflow "w.a = { run = function()\n  util()\nend }",
      ["util.lua"] = "\n\nreturn function() error 'here' end" }
    forget()
    local the_run = flow.run(bundle.load(stored(b)))
    assert.equal("failed", the_run.state)
    assert.matches(folder:gsub("%p", "%%%0") .. "/util.lua:3: here", the_run:errors().a.message)
  end)

  it("gives modules name, path, package and globals as ever, but of its own", function()
    local b = made { ["w.lua"] = 'local m = require "m"\n'
      .. workflow("w.a = { run = function() return m() end }",
      'output = "${nodes.a}"'), ["m.lua"] = [[
local name, path = ...
mine = "global"
local inner = load "return mine, _G.mine"
return function()
  return { name, path:match "[^/]+$", package.loaded.m ~= nil, package.loaded.string == string, inner(), _G.mine, _G._G == _G,
    package.loaded._G == _G, package.path == require("package").path }
end]] }
    rawset(_G, "mine", nil)
    forget()
    local result = output_of(bundle.load(stored(b)))
    assert.same({ "m", "m.lua", true, true, "global", "global", true, true, true }, result)
    assert.is_nil(rawget(_G, "mine"))
  end)

  it("shares the machine's modules, and no others", function()
    local b = made { ["w.lua"] = 'local util = require "util"\n' .. workflow([[w.a = { run = function()
      return { require "luv" == util.luv, require "orrery.core" == util.core, package.loaded.stranger == nil,
        (pcall(require, "luv")) }
    end }]], 'output = "${nodes.a}"'), ["util.lua"] = 'return { luv = require "luv", core = require "orrery.core" }',
      ["stranger.lua"] = "return 1" }
    forget()
    require "stranger"
    assert.same({ true, true, true, true }, output_of(bundle.load(stored(b))))
  end)

  it("knows modules that return false or nothing, and those that ask for each other", function()
    local b = made { ["w.lua"] = [[
local f, n = require "f", require "n"
local a = require "ring_a"
]] .. workflow('w.a = { run = function() return { f, n, (require "f"), (require "n"), a.other.other == a } end }', 'output = "${nodes.a}"'),
      ["f.lua"] = "return false", ["n.lua"] = "",
      ["ring_a.lua"] = 'local M = {}\npackage.loaded[...] = M\nM.other = require "ring_b"\nreturn M',
      ["ring_b.lua"] = 'local M = {}\npackage.loaded[...] = M\nM.other = require "ring_a"\nreturn M' }
    assert.same({ "(main)", "f", "n", "ring_a", "ring_b" }, source_names(b))
    forget()
    assert.same({ false, true, false, true, true }, output_of(bundle.load(stored(b))))
  end)

  it("says that modules which only ask for each other do not end", function()
    local b = made { ["w.lua"] = workflow 'w.a = { run = function() require "turn_a" end }',
      ["turn_a.lua"] = 'return require "turn_b"', ["turn_b.lua"] = 'return require "turn_a"' }
    local the_run = flow.run(bundle.load(stored(b)))
    assert.matches("stack overflow", the_run:errors().a.message)
  end)

  it("does not find what was not there", function()
    local b = made { ["w.lua"] = 'local ok, why = pcall(require, "absent")\n'
      .. workflow("w.a = { run = function() return { ok, why } end }", 'output = "${nodes.a}"') }
    write { ["absent.lua"] = "return 1" }
    forget()
    local result = output_of(bundle.load(stored(b)))
    assert.is_false(result[1])
    assert.matches("^module 'absent' not found:", result[2])
  end)

  it("finds modules along a path that the workflow sets, and relative to the folder it was started in",
    function()
    local files = { ["flows/w.lua"] = 'package.path = "./lib/?.lua;" .. package.path\nlocal m = require "m"\n'
      .. workflow("w.a = { run = function() return m end }", 'output = "${nodes.a}"'), ["lib/m.lua"] = "return 'kept'", ["s.lua"] = [[
      local flow, bundle = require "orrery", require "orrery.bundle"
      local b = bundle.of(flow.compile(flow.load "flows/w.lua"))
      os.remove "lib/m.lua"
      package.loaded.m = nil
      print(flow.json.decode(b.sources)[2].path, flow.run(bundle.load(b)).output)
    ]] }
    write(files)
    local result = command.run({ "s.lua" }, nil, "cd " .. command.quote(folder) .. " &&")
    assert.equal("./lib/m.lua\tkept\n", result.out, result.err)
  end)

  it("raises the module's own error, as when it was made", function()
    local b = made { ["w.lua"] = 'local ok, why = pcall(require, "raises")\n'
      .. workflow("w.a = { run = function() return why end }", 'output = "${nodes.a}"'),
      ["raises.lua"] = "error 'mine'" }
    local before = output_of(compiled())
    write { ["raises.lua"] = "return 1" }
    forget()
    assert.equal(before, output_of(bundle.load(stored(b))))
  end)

  it("lets no module wait while it is loaded, as ever", function()
    local b = made { ["w.lua"] = workflow 'w.a = { run = function() require "waits" end }',
      ["waits.lua"] = 'require("orrery").sleep(0.001)\nreturn 1' }
    local first = flow.run(compiled()):errors().a.message
    forget()
    local again = flow.run(bundle.load(stored(b))):errors().a.message
    assert.equal(first, again)
  end)

  it("gives back its own bundle", function()
    local b = made { ["w.lua"] = workflow "w.a = { run = print }" }
    assert.equal(b.hash, bundle.of(bundle.load(stored(b))).hash)
  end)

  it("finds a workflow that the file makes besides the one it returns", function()
    write { ["w.lua"] = [[
local flow = require "orrery"
local children = {}
for i = 1, 2 do
  local child = flow.workflow { name = "child", output = "${nodes.a}" }
  child.a = { run = function() return i end }
  children[i] = child
end
local w = flow.workflow { name = "parent" }
w.a = { run = print }
HELD = children
return w]] }
    flow.load(folder .. "/w.lua")
    local children = rawget(_G, "HELD")
    rawset(_G, "HELD", nil)
    local rows = {}
    for i, child in ipairs(children) do rows[i] = stored(assert(bundle.of(assert(flow.compile(child))))) end
    assert.not_equal(rows[1].hash, rows[2].hash)
    assert.equal("child", rows[2].workflow)
    for i = 1, 2 do assert.equal(i, output_of(bundle.load(rows[i]))) end
    local later = flow.workflow { name = "later" }
    later.a = { run = print }
    assert.is_nil((bundle.of(assert(flow.compile(later)))))
  end)

  it("gives the workflows that its source makes besides the bundles they had", function()
    write { ["part.lua"] = "return 5", ["w.lua"] = [[
local flow, bundle = require "orrery", require "orrery.bundle"
local part = require "part"
local all = {}
local function hashes()
  local list = {}
  for i, each in ipairs(all) do list[i] = bundle.of(assert(flow.compile(each))).hash end
  return list
end
for i = 1, 3 do
  all[i] = flow.workflow { name = "w" .. math.min(i, 2), output = "${nodes.a}" }
  all[i].a = { run = function() return hashes(part) end }
end
HELD = all
return all[3] ]] }
    local first = output_of(compiled())
    assert.equal(3, #first)
    assert.not_equal(first[1], first[2])
    local rows = {}
    for i, each in ipairs(rawget(_G, "HELD")) do rows[i] = stored(bundle.of(assert(flow.compile(each)))) end
    rawset(_G, "HELD", nil)
    forget()
    write { ["part.lua"] = "error 'today'", ["w.lua"] = "error 'today'" }
    for i = 1, 3 do
      assert.equal(first[i], rows[i].hash)
      assert.same(first, output_of(bundle.load(rows[i])))
    end
  end)

  it("declares the pools that the workflow did not", function()
    flow.pool("bundle_spec", { max = 2, rate = "10/s" })
    local b = made { ["w.lua"] = workflow 'w.a = { pool = "bundle_spec", run = print }' }
    assert.same({ max = 2, rate = 10, per = 1 }, json.decode(b.arguments).pools.bundle_spec)
    local row = json.encode(stored(b))
    local files = { ["s.lua"] = [[
      local flow, bundle = require "orrery", require "orrery.bundle"
      local c = bundle.load(flow.json.decode(io.read "a"))
      print(flow.run(c).state, flow.pool("bundle_spec").max, flow.pool("bundle_spec").rate)
    ]] }
    local result = command.run_with(files, { "s.lua" }, row)
    assert.matches("completed\t2\t10", result.out, 1, false, result.err)
  end)

  it("declares the pools of the workflow, but changes none of those of today", function()
    local text = 'w.a = { pool = "of_its_own", run = function() return 1 end }'
    local b = made { ["w.lua"] = workflow(text, "pools = { of_its_own = { max = 2, rate = 5, burst = 7 } }") }
    local row = json.encode(stored(b))
    local function loaded(before)
      local result = command.run_with({ ["s.lua"] = [[
        local flow, bundle = require "orrery", require "orrery.bundle"
        ]] .. before .. [[

        local run = flow.run(bundle.load(flow.json.decode(io.read "a")))
        local pool = flow.pool "of_its_own"
        print(run.state, pool.max, pool.burst)
      ]] }, { "s.lua" }, row)
      return (result.out:gsub("%s+", " ")), result.err
    end
    assert.equal("completed 2 7 ", (loaded ""))
    local today = [[
        local w = flow.workflow { name = "NAME", pools = { of_its_own = 9 } }
        w.a = { run = print }
        flow.compile(w)]]
    assert.equal("completed 9 nil ", (loaded((today:gsub("NAME", "other")))))
    assert.equal("completed 9 nil ", (loaded 'flow.pool("of_its_own", { max = 9 })'))
  end)
end)

-- ---- JSON and node types ------------------------------------------------------------------------

describe("the bundle of a JSON workflow", function()
  local TYPE = [[
local flow = require "orrery"
local text = require "types.text"
return flow.type { name = "bundled.%s", config = flow.schema { more = "integer" },
  run = function(_, config) return text .. config.more end }
]]
  local WORKFLOW = [[
{ "name": "j", "output": "${nodes.a}", "nodes": [ { "id": "a", "type": "bundled.%s", "with": { "more": 7 } } ] }]]

  it("keeps the modules that declare its types", function()
    write { ["w.json"] = WORKFLOW:format "one", ["types/one.lua"] = TYPE:format "one",
      ["types/text.lua"] = "return 'first '" }
    require "types.one"
    local b = assert(bundle.of(compiled "w.json"))
    assert.same({ "(main)", "types.one", "types.text" }, source_names(b))
    assert.same({ "types.one" }, json.decode(b.arguments).first)
    write { ["types/text.lua"] = "return 'second '" }
    forget()
    assert.equal("first 7", output_of(bundle.load(stored(b))))
  end)

  it("lets two versions of a type live side by side", function()
    local rows = {}
    for version = 1, 2 do
      write { ["w.json"] = WORKFLOW:format "two",
        ["types/two.lua"] = ("\n"):rep(version) .. TYPE:format "two",
        ["types/text.lua"] = ("return 'version %d '"):format(version) }
      local script = [[
        package.path = "./?.lua;" .. package.path
        require "types.two"
        local flow = require "orrery"
        local b = require("orrery.bundle").of(flow.compile(flow.load "w.json"))
        b.modules = nil
        io.write(flow.json.encode(b))
      ]]
      write { ["s.lua"] = script }
      local result = command.run({ "s.lua" }, nil, "cd " .. command.quote(folder) .. " &&")
      assert.equal(0, result.code, result.err)
      rows[version] = json.decode(result.out)
    end
    local one, two = bundle.load(rows[1]), bundle.load(rows[2])
    assert.equal("version 1 7", output_of(one))
    assert.equal("version 2 7", output_of(two))
    assert.equal("version 1 7", output_of(one))
    -- code of the disk may declare the type as well
    write { ["types/text.lua"] = "return 'version 3 '",
      ["types/two.lua"] = ("\n"):rep(9) .. TYPE:format "two" }
    require "types.two"
    assert.equal("version 3 7", output_of(compiled "w.json"))
  end)

  it("keeps modules that the command loads first, with their pools", function()
    local files = { ["p.lua"] = 'require("orrery").pool("early", { max = 1 })\nreturn 1',
      ["w.json"] = '{ "nodes": [ { "id": "a", "type": "const", "with": { "value": 1 }, "pool": "early" } ] }',
      ["s.lua"] = [[
        assert(not require("orrery.cli.shared.modules").load { require = { "p" }, file = "w.json" })
        local flow = require "orrery"
        local b = require("orrery.bundle").of(flow.compile(flow.load "w.json"))
        print(b.arguments)
      ]] }
    local result = command.run_with(files, { "s.lua" })
    assert.same({ "p" }, json.decode(result.out).first)
  end)

  it("refuses a type that no module declares", function()
    flow.type { name = "bundle_spec.local", run = print }
    write { ["w.json"] = '{ "nodes": [ { "id": "a", "type": "bundle_spec.local" } ] }' }
    -- this spec is a file that nobody requires
    local none, reason = bundle.of(compiled "w.json")
    assert.is_nil(none)
    assert.matches('^workflow "w": the node type "bundle_spec.local" is declared at '
      .. 'spec/bundle_spec.lua:%d+, which is no module', reason)
  end)

  it("takes a text as it takes a file", function()
    local w = flow.load { name = "t.json",
      source = '{ "nodes": [ { "id": "a", "type": "const", "with": { "value": 5 } } ], "output": '
        .. '"${nodes.a}" }' }
    local b = assert(bundle.of(assert(flow.compile(w))))
    assert.is_nil(json.decode(b.arguments).path)
    assert.equal(5, output_of(bundle.load(stored(b))))
  end)
end)

describe("types that a bundle's code declares", function()
  it("are found by flow's words, beside the standard library's of the same word", function()
    local b = made { ["w.lua"] = [[
local flow = require "orrery"
local mine = require "mine"
local w = flow.workflow { name = "x", output = "${nodes.a}" }
w.a = { run = function() return { flow.scoped_spec.thing { 1 }, mine { 2 }, flow.const { value = 3 }, type(flow.http.get) } end }
return w]], ["mine.lua"] = [[
local flow = require "orrery"
flow.type { name = "http.mine", run = print }
return flow.type { name = "scoped_spec.thing", positional = "n", config = flow.schema { n = "integer" },
  run = function(_, config) return config.n * 10 end }]] }
    forget()
    assert.same({ 10, 20, 3, "table" }, output_of(bundle.load(stored(b))))
  end)
end)

-- ---- modules that come later --------------------------------------------------------------------

describe("a module that a handler requires", function()
  local FILES = { ["w.lua"] =
    workflow('w.a = { run = function() return require("late").value end }', 'output = "${nodes.a}"'),
    ["late.lua"] = 'return { value = require "later" }', ["later.lua"] = "return 'late 1'" }

  local function heard()
    local list = {}
    bundle.on_module(function(module, of)
      list[#list + 1] = { module.name, module.path, module.source, of.hash }
    end)
    return list
  end

  it("is appended once, with what it requires", function()
    write(FILES)
    local c, list = compiled(), heard()
    local b = bundle.of(c)
    assert.equal("late 1", output_of(c))
    assert.equal("late 1", output_of(c))
    assert.same({ { "late", folder .. "/late.lua", FILES["late.lua"], b.hash },
      { "later", folder .. "/later.lua",
      FILES["later.lua"], b.hash } }, list)
    assert.equal(2, #b.modules)
    assert.same({ "(main)" }, source_names(b))
    -- and is there when the bundle is loaded
    write { ["late.lua"] = "return { value = 'new' }" }
    forget()
    list = heard()
    assert.equal("late 1", output_of(bundle.load(stored(b), b.modules)))
    assert.same({}, list)
  end)

  it("is appended where somebody else had loaded it", function()
    write(FILES)
    require "late"
    local c, list = compiled(), heard()
    bundle.of(c)
    output_of(c)
    assert.equal(2, #list)
  end)

  it("comes from the disk where the bundle has none, and is appended then", function()
    local b = made(FILES)
    forget()
    local list = heard()
    local c = bundle.load(stored(b))
    assert.equal("late 1", output_of(c))
    assert.same({ "late", "later" }, { list[1][1], list[2][1] })
    assert.equal(b.hash, list[1][4])
    assert.is_nil(package.loaded.late)
    -- what was loaded once stays, whatever becomes of the file
    write { ["late.lua"] = "return { value = 'new' }" }
    assert.equal("late 1", output_of(c))
    assert.equal("late 1", output_of(bundle.load(stored(b), bundle.of(c).modules)))
  end)

  it("is no matter of runs without a bundle", function()
    write(FILES)
    local list = heard()
    output_of(compiled())
    assert.same({}, list)
  end)

  it("is searched in vain as ever, at the place of the call", function()
    local b = made { ["w.lua"] = workflow 'w.a = { run = function() require "nowhere" end }' }
    local the_run = flow.run(bundle.load(stored(b)))
    assert.matches("w.lua:3: module 'nowhere' not found:\n\tno field package.preload",
      the_run:errors().a.message)
  end)
end)

-- ---- definitions that change --------------------------------------------------------------------

describe("a workflow that depends on what may change", function()
  it("is refused with the first difference", function()
    write { ["n.txt"] = "5" }
    local b = made { ["w.lua"] = workflow(([[
local file <close> = io.open %q
local n = tonumber(file:read "a")
for i = 1, n do w["n" .. i] = { timeout = n, run = print } end]]):format(folder .. "/n.txt")) }
    assert.equal(5, #bundle.load(stored(b)).plan)
    write { ["n.txt"] = "4" }
    local text, e = message_of(bundle.load, stored(b))
    assert.equal("definition_changed", e.code)
    assert.equal('workflow "x": its source, loaded again, makes another workflow: node "n1": timeout was 5, '
      .. 'is now 4 (and 4 more); '
      .. "it must not depend on what may change, such as files, the environment or the time", text)
  end)
end)
