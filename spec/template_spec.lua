local template = require "orrery.template"
local json = require "orrery.core".json

local ctx = { input = { city = "Bern", n = 3, list = { 1, 2 }, nothing = json.null, flag = true, ratio = 1.5 },
  nodes = { fetch = { body = "x" } }, env = { HOME = "/root" } }

local function resolve(value, options)
  local compiled, problems = template.compile(value, options)
  if not compiled then error(problems[1].message, 0) end
  return compiled.fn(ctx)
end

local function problems_of(value, options)
  local compiled, problems = template.compile(value, options)
  assert.is_nil(compiled)
  return problems
end

local function failure_of(value, options)
  local ok, e = pcall(template.compile(value, options).fn, ctx)
  assert.is_false(ok)
  assert.are.equal("config_error", e.code)
  return e.message
end

describe("a string", function()
  local CASES = {
    { "plain", "plain" }, { "", "" }, { "${input.n}", 3 }, { "${ input.n }", 3 }, { "${input.flag}", true },
    { "${input.gone}", nil },
    { "${input.nothing}", json.null }, { "Storm in ${input.city}!", "Storm in Bern!" },
    { "${input.city}${input.n}", "Bern3" },
    { " ${input.n}", " 3" }, { "${input.ratio} ${input.flag}", "1.5 true" }, { "$${input.n}", "${input.n}" },
    { "a $${b} ${input.n} $${c}", "a ${b} 3 ${c}" }, { "$", "$" }, { "$$", "$$" }, { "cost: $5 {x}", "cost: $5 {x}" },
    { "$$${input.n}", "$${input.n}" }, { "${'}'}", "}" }, { '${"a}b" .. \'}\'}x', "a}b}x" }, { "${'\\'}'}", "'}" },
    { "${'${'}", "${" }, { "é${input.city}é", "éBerné" }, { "${input.n}\n${input.n}", "3\n3" },
  }
  for _, case in ipairs(CASES) do
    it(("%q"):format(case[1]), function()
      assert.are.equal(case[2], resolve(case[1]))
    end)
  end

  it("keeps the very value of a whole expression", function()
    assert.are.equal(ctx.input.list, resolve "${input.list}")
  end)

  local MISTAKES = {
    { "Hello ${input.city", 7, 'this "${" is not closed; end it with "}", or write "$${" for a literal "${"' },
    { "a ${'x} b", 5, "this string is not closed" }, { "${}", 3, "the expression is empty" },
    { "x ${ inptu.n } y", 6, 'there is no name "inptu"; did you mean "input"?' },
    { "${input.n} ${1 +}", 17, "expected a value, got the end" },
    { "$${ok} ${", 8, 'this "${" is not closed' },
  }
  for _, case in ipairs(MISTAKES) do
    it("says what is wrong with " .. case[1], function()
      local problems = problems_of(case[1])
      assert.are.equal(1, #problems)
      assert.are.equal(case[2], problems[1].column, problems[1].message)
      assert.is_truthy(problems[1].reason:find(case[3], 1, true), problems[1].reason)
      assert.is_truthy(problems[1].message:find(case[1], 1, true))
    end)
  end

  it("has no text for nothing, nor for tables", function()
    assert.are.equal('input.gone is nil, which has no text; write ${default(input.gone, "")} where it may be missing, '
      .. 'in message = "Storm in ${input.gone}" (w.lua:3)',
      failure_of("Storm in ${input.gone}", { field = "message", where = "w.lua:3" }))
    assert.is_truthy(failure_of("x${input.nothing}"):find("input.nothing is null, which has no text", 1, true))
    assert.is_truthy(failure_of("x${input.list}"):find("write ${json(input.list)}", 1, true))
  end)

  it("does not grow without end", function()
    local big = { input = { s = ("x"):rep(40 * 1024 * 1024) } }
    assert.are.equal(40 * 1024 * 1024 + 1, #template.compile("${input.s}!").fn(big))
    local ok, e = pcall(template.compile("${input.s}${input.s}").fn, big)
    assert.is_false(ok)
    assert.is_truthy(e.message:find("longer than 64 MiB", 1, true))
  end)
end)

describe("a tree", function()
  it("is handed back as it is where nothing is to evaluate", function()
    local tree = { a = 1, b = { "x", { c = true } }, f = print }
    local compiled = template.compile(tree)
    assert.is_true(compiled.static)
    assert.are.equal(tree, compiled.fn(ctx))
  end)

  it("is rebuilt along templates only", function()
    local fixed = { "x" }
    local tree = { url = "https://e.org/${input.city}", fixed = fixed, headers = { ["X-N"] = "${input.n}" }, list = { "${input.n}", 2 } }
    local compiled = template.compile(tree)
    assert.is_false(compiled.static)
    local made = compiled.fn(ctx)
    assert.are.same({ url = "https://e.org/Bern", fixed = { "x" }, headers = { ["X-N"] = 3 }, list = { 3, 2 } }, made)
    assert.are.equal(fixed, made.fixed)
    assert.are.equal("${input.n}", tree.list[1])
    assert.are_not.equal(made, compiled.fn(ctx))
  end)

  it("leaves out fields that are nil, and refuses holes in lists", function()
    assert.are.same({ b = 1 }, resolve { a = "${input.gone}", b = 1 })
    local message = failure_of({ args = { "a", "${input.gone}", "b" } }, { field = "argv" })
    assert.is_truthy(message:find('item 2 is nil, and a list has no holes; give it a value with default(…), in argv.args[2]', 1, true),
      message)
  end)

  it("keeps the marks of arrays and objects, and does not look into things", function()
    assert.are.equal("[3]", json.encode(resolve(json.array { "${input.n}" })))
    local thing = setmetatable({ name = "${input.n}" }, {})
    local made = resolve { thing = thing, n = "${input.n}" }
    assert.are.equal(thing, made.thing)
    assert.are.equal("${input.n}", made.thing.name)
  end)

  it("collects all mistakes with their paths", function()
    local problems = problems_of({ b = { "${", "${x}" }, a = "${1 +}", ["k-1"] = "${" }, { field = "config", where = "w.lua:1" })
    local paths = {}
    for i, problem in ipairs(problems) do paths[i] = problem.field end
    assert.are.same({ "config.a", "config.b[1]", "config.b[2]", 'config["k-1"]' }, paths)
    assert.are.equal("w.lua:1", problems[1].where)
  end)

  it("lists what it mentions in an order that is always the same", function()
    local tree = { z = "${nodes.one.x}", a = "${nodes.two.x} ${env.HOME}", list = { "${nodes.three}", "${nodes.two}" } }
    for _ = 1, 20 do
      local compiled = template.compile(tree)
      assert.are.same({ "two", "three", "one" }, compiled.mentions.list)
      assert.are.same({ "HOME" }, compiled.mentions.env_list)
      assert.are.same({ nodes = true, env = true }, compiled.roots)
    end
  end)

  it("may not contain itself, nor be too deep", function()
    local t = { "${input.n}" }
    t.self = { t, t }
    local problems = problems_of(t)
    assert.are.equal("a table contains itself; config is a tree", problems[1].reason)
    assert.are.equal(".self[1]", problems[1].path)
    local deep = "${input.n}"
    for _ = 1, 10000 do deep = { deep } end
    assert.is_truthy(problems_of(deep)[1].reason:find("nested deeper than 200 levels", 1, true))
  end)

  it("may hold one table often", function()
    local shared = {}
    for _ = 1, 60 do shared = { shared, shared } end
    assert.is_true(template.compile(shared).static)
    local twice = { "${input.n}" }
    assert.are.same({ { 3 }, { 3 } }, resolve { twice, twice })
  end)

  it("takes what is no string", function()
    for _, value in ipairs { 1, true, print } do assert.are.equal(value, resolve(value)) end
    assert.is_nil(resolve(nil))
  end)
end)

describe("an expression", function()
  it("may be bare or in one ${…}", function()
    for _, text in ipairs { "input.n > 2", "${input.n > 2}", "  ${ input.n > 2 } " } do
      assert.is_true(template.expression(text).fn(ctx))
    end
    assert.are.equal(7, template.expression("${output + input.n}", { extra = "output" }).fn(ctx, 4))
  end)

  it("is one", function()
    local _, mistake = template.expression "${input.n} > 2"
    assert.are.equal(12, mistake.column)
    assert.is_truthy(mistake.reason:find('more than one "${…}"', 1, true))
    _, mistake = template.expression "${input.n"
    assert.are.equal(1, mistake.column)
    _, mistake = template.expression "${inptu.n}"
    assert.are.equal(3, mistake.column)
    _, mistake = template.expression(5)
    assert.is_string(mistake.message)
  end)
end)
