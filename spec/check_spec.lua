-- `orrery check`: fields of closed schemas, workflows that are called, files that do not disturb
-- each other.
local bytecode = require "orrery.bundle.bytecode"
local command = require "spec.support.command"
local flow = require "orrery"
local json = require("orrery.core").json

local function workflow(head, body)
  return ('local flow = require "orrery"\nlocal w = flow.workflow { name = "x"%s }\n%s\nreturn w\n')
    :format(head, body)
end

local function check(files, ...)
  return command.run_with(files, { "check", ... })
end

describe("a field that cannot be there", function()
  local INPUT = ', input = flow.schema { city = "string", tags = { type = "array", items = { name = '
    .. '"string" } }, '
    .. 'rest = { ["..."] = "any" }, any = "any", to = { street = "string" } }'

  local function mistakes(body, head)
    local w = flow.load { source = workflow((head or INPUT), body), format = "lua" }
    local list = {}
    for i, problem in ipairs(flow.check(w)) do
      assert.equal("unknown_field", problem.kind)
      list[i] = problem.message
    end
    return list
  end

  for text, message in pairs {
    ["${input.city}"] = false, ["${input.cty}"] = 'input has no field "cty"; did you mean "city"?',
    ["${input.tags[1].name}"] = false, ["${input.tags}"] = false, ["${input}"] = false,
    ["${input.tags[index].nam}"] = 'input.tags[…] has no field "nam"; did you mean "name"?',
    ["${input.rest.what.ever}"] = false, ["${input.tags.what.ever}"] = false,
      ["${input.any.thing}"] = false, ["${input['to'].street}"] = false,
    ["${default(input.to.stret, 1)}"] = 'input.to has no field "stret"; did you mean "street"?',
    ["a ${input.city} b ${input['no no']} c"] = 'input has no field "no no"; expected "any", "city", "rest", '
      .. '"tags" or "to"',
  } do
    it(("is %sa mistake of the input: %s"):format(message and "" or "not ", text), function()
      local found = mistakes(('w.a = flow.log { "%s" }'):format(text))
      assert.same({ message and ('node "a": message: ' .. message) or nil }, found)
    end)
  end

  it("is one of an output whose type declares it, in any expression", function()
    assert.same({
      'workflow "x": output: nodes.e has no field "stdot"; did you mean "stdout"?',
      'node "f": message: nodes.e has no field "stder"; did you mean "stderr"?',
      'node "f": when: nodes.e has no field "cod"; did you mean "code"?',
      'node "h": message: nodes.g[1] has no field "stdo"; did you mean "stdout"?',
    }, mistakes([[
w.e = flow.exec { "true" }
w.f = flow.log { "${nodes.e.stder}", when = "nodes.e.cod == 0" }
w.g = flow.exec { "true", each = { 1 } }
w.h = flow.log { "${nodes.g[1].stdo} ${nodes.g[1].code}" }]], ', output = "${nodes.e.stdot}"'))
  end)

  it("is not looked for where anything may come", function()
    assert.same({}, mistakes([[
w.e = flow.exec { "true", fallback = function() return { mine = 1 } end }
w.f = flow.log { "${nodes.e.mine} ${input.anything} ${nodes.l.text}" }
w.l = { run = function() return { text = 1 } end }]], ""))
  end)

  it("is found of a type of one's own, by a schema or a table of one", function()
    flow.type { name = "checked.words", output = { words = "integer" }, run = function() end }
    flow.type { name = "checked.more", output = flow.schema { n = "integer", ["..."] = "any" },
      run = function() end }
    flow.type { name = "checked.told", output = { n = "how many there are" }, run = function() end }
    assert.same({ 'node "d": message: nodes.a has no field "word"; did you mean "words"?' }, mistakes([[
w.a = flow.checked.words {}
w.b = flow.checked.more {}
w.c = flow.checked.told {}
w.d = flow.log { "${nodes.a.word} ${nodes.b.x} ${nodes.c.x}" }]], ""))
  end)

  it("does not keep a run of an older version from going on", function()
    local compile = require "orrery.definition.compile"
    local w = flow.load { source = workflow(INPUT, 'w.a = flow.log { "${input.cty}" }'), format = "lua" }
    assert.is_nil((compile.workflow(w)))
    assert.is_truthy((compile.workflow(w, { any_field = true })))
  end)
end)

describe("the calls of a handler", function()
  local path, other = "outer.lua", "other.lua"
  local function values(fn)
    local list = {}
    for i, call in ipairs(bytecode.calls(fn, "call")) do list[i] = call.value end
    return list
  end

  it("are those of its first parameter with a text or a variable from outside", function()
    assert.same({ "a.lua", "outer.lua", "b.lua", "other.lua", "c.lua" }, values(function(ctx, inputs)
      ctx:call("a.lua", { n = 1 })
      local x = ctx:call(path)
      inputs:call "no.lua"
      ctx:emit "no"
      ctx:call(inputs.name)
      ctx:call(x)
      flow.gather { function() return ctx:call "b.lua" end, function() return ctx:call(other, x) end }
      local function inner(me) return me:call "no.lua" end
      return inner(ctx) or function() return function() end, ctx:call("c.lua") end
    end))
    assert.same({}, values(print))
    assert.same({}, values(function() end))
  end)
end)

local CHILD = [[
local flow = require "orrery"
local w = flow.workflow { name = "child", input = flow.schema { city = "string" } }
w.a = { run = function() end, aftr = "b" }
return w]]
local GOOD = CHILD:gsub(', aftr = "b"', "")

describe("orrery check", function()
  it("finds mistakes in workflows that nodes and handlers call, each once, at their own places", function()
    local result = check({ ["bad.lua"] = CHILD, ["good.lua"] = GOOD, ["x.lua"] = workflow("", [[
local inline = flow.workflow { name = "inline" }
inline.a = { run = function() end, wen = "true" }
w.a = flow.call { workflow = "bad.lua", input = { city = "Oslo" } }
w.b = flow.call { workflow = "good.lua", input = { cty = "${nodes.a}" } }
w.c = flow.call { workflow = "none.lua" }
w.d = { run = function(ctx)
  ctx:call "bad.lua"
  return ctx:call(inline)
end }
w.e = { run = function(ctx) return ctx:call "none.json" end }
w.f = flow.call { workflow = "good.lua", input = "${nodes.e}" }
w.g = flow.call { workflow = "x.lua" }]]) }, "x.lua")
    assert.equal(2, result.code)
    assert.equal(table.concat({
      'bad.lua:3: node "a": unknown key "aftr"; did you mean "after"?',
      'x.lua:6: node "b": workflow: workflow "child": input.city is missing, expected string',
      'x.lua:6: node "b": workflow: workflow "child": input.cty is not known; did you mean "city"?',
      'x.lua:7: node "c": workflow: cannot read the workflow none.lua: No such file or directory; give '
      .. 'the path '
        .. "of a Lua or JSON file",
      'x.lua:4: node "a": unknown key "wen"; did you mean "when"?',
      'x.lua:12: node "e": run: cannot read the workflow none.json: No such file or directory; give the '
      .. 'path of '
        .. "a Lua or JSON file",
    }, "\n") .. "\n", result.err)
  end)

  it("finds them from JSON definitions, which call only such", function()
    local result = check({
      ["child.json"] = '{"name":"c","nodes":[{"id":"a","type":"cons","with":{"value":1}}]}',
      ["good.lua"] = GOOD,
      ["p.json"] = '{"name":"p","nodes":[{"id":"a","type":"workflow","with":{"workflow":"child.json"}},'
        .. '{"id":"b","type":"workflow","with":{"workflow":"good.lua"}}]}' }, "p.json")
    assert.equal(2, result.code)
    assert.truthy(result.err:find('child.json:1:32: nodes[0].type: node "a": type: there is no node type '
      .. '"cons"', 1, true),
      result.err)
    assert.truthy(result.err:find('node "b": workflow: the workflow "good.lua" is not JSON', 1, true),
      result.err)
  end)

  it("finds what flow.check finds, which looks into the workflows that are called as well", function()
    local result = command.run_with({
      ["child.json"] = '{"name":"c","nodes":[{"id":"a","type":"cons"}]}',
      ["p.json"] = '{"name":"p","nodes":[{"id":"a","type":"workflow","with":{"workflow":"child.json"}}]}',
      ["check.lua"] = [[
local flow = require "orrery"
local inline = flow.workflow { name = "inline" }
inline.a = { run = function() end, wen = "true" }
local w = flow.workflow { name = "x" }
w.a = { run = function(ctx) return ctx:call(inline) end }
for _, what in ipairs { "p.json", w } do
  local problems = flow.check(what)
  print(#problems, problems[1].where, problems[1].kind)
end]] }, { "check.lua" })
    assert.equal("", result.err)
    assert.equal("1\tchild.json:1:32: nodes[0].type\tunknown_type\n1\tcheck.lua:3\tunknown_key\n", result.out)
  end)

  it("takes each file for itself, whatever another does", function()
    local type_of = [[
assert(not G)
G = true
string.format = nil
package.loaded["words"] = { "mine" }
local flow = require "orrery"
flow.type { name = "my.own", run = function() end }
local w = flow.workflow { name = "x" }
w.a = flow.my.own {}
return w]]
    local files = { ["1.lua"] = type_of, ["2.lua"] = type_of, ["exits.lua"] = "os.exit(0)",
      ["good.lua"] = GOOD,
      ["dies.lua"] = 'local uv = require "luv"; uv.kill(uv.os_getpid(), "sigkill")',
      ["says.lua"] = 'print "said"\n' .. GOOD }
    local result = check(files, "1.lua", "exits.lua", "2.lua", "dies.lua", "says.lua", "good.lua")
    assert.equal(2, result.code)
    assert.equal("1.lua: no mistakes\n2.lua: no mistakes\nsays.lua: no mistakes\ngood.lua: no mistakes\n",
      result.out)
    assert.equal("exits.lua:1: it ends the process (os.exit) while it is loaded; a workflow's file must not\n"
      .. "dies.lua: the process ended by signal SIGKILL while the file was checked; a file that defines a "
      .. "workflow "
      .. "must not end it\nsaid\n", result.err)
    result = check(files, "--json", "good.lua", "exits.lua", "1.lua")
    local report = json.decode(result.out)
    assert.same({ 1, "exits.lua", "exits.lua:1" },
      { report.count, report.problems[1].file, report.problems[1].where })
    assert.equal(2, check(files, "exits.lua").code)
  end)
end)
