local template = require "orrery.expr.template"
local json = require "orrery.core".json

local ctx = { input = { city = "Bern", n = 3, list = { 1, 2 }, nothing = json.null, flag = true,
  ratio = 1.5 },
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
    { "a $${b} ${input.n} $${c}", "a ${b} 3 ${c}" }, { "$", "$" }, { "$$", "$$" },
    { "cost: $5 {x}", "cost: $5 {x}" },
    { "$$${input.n}", "$${input.n}" }, { "${'}'}", "}" }, { '${"a}b" .. \'}\'}x', "a}b}x" },
    { "${'\\'}'}", "'}" },
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
    { "Hello ${input.city", 7,
      'this "${" is not closed; end it with "}", or write "$${" for a literal "${"' },
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
    assert.are.equal('input.gone is nil, which has no text; write ${default(input.gone, "")} where it may be '
      .. 'missing, '
      .. 'in message = "Storm in ${input.gone}" (w.lua:3)',
      failure_of("Storm in ${input.gone}", { field = "message", where = "w.lua:3" }))
    assert.is_truthy(failure_of("x${input.nothing}")
      :find("input.nothing is null, which has no text", 1, true))
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
    local tree = { url = "https://e.org/${input.city}", fixed = fixed, headers = { ["X-N"] = "${input.n}" },
      list = { "${input.n}", 2 } }
    local compiled = template.compile(tree)
    assert.is_false(compiled.static)
    local made = compiled.fn(ctx)
    assert.are.same({ url = "https://e.org/Bern", fixed = { "x" }, headers = { ["X-N"] = 3 },
      list = { 3, 2 } }, made)
    assert.are.equal(fixed, made.fixed)
    assert.are.equal("${input.n}", tree.list[1])
    assert.are_not.equal(made, compiled.fn(ctx))
  end)

  it("leaves out fields that are nil, and refuses holes in lists", function()
    assert.are.same({ b = 1 }, resolve { a = "${input.gone}", b = 1 })
    local message = failure_of({ args = { "a", "${input.gone}", "b" } }, { field = "argv" })
    assert.is_truthy(message:find(
      'item 2 is nil, and a list has no holes; give it a value with default(…), in argv.args[2]', 1, true),
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
    local problems = problems_of({ b = { "${", "${x}" }, a = "${1 +}", ["k-1"] = "${" },
      { field = "config", where = "w.lua:1" })
    local paths = {}
    for i, problem in ipairs(problems) do paths[i] = problem.field end
    assert.are.same({ "config.a", "config.b[1]", "config.b[2]", 'config["k-1"]' }, paths)
    assert.are.equal("w.lua:1", problems[1].where)
  end)

  it("lists what it mentions in an order that is always the same", function()
    local tree = { z = "${nodes.one.x}", a = "${nodes.two.x} ${env.HOME}",
      list = { "${nodes.three}", "${nodes.two}" } }
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

describe("a list", function()
  it("has no hole, be it the last item or the only one", function()
    for _, list in ipairs { { "a", "${input.gone}" }, { "${input.gone}", "a" }, { "${input.gone}" } } do
      assert.is_truthy(failure_of(list):find("is nil, and a list has no holes", 1, true))
    end
    assert.same({ a = 1 }, resolve { a = 1, b = "${input.gone}" })
  end)

  it("stays one where it is marked, as does an object", function()
    assert.is_true(json.is_array(resolve(json.array { "${input.n}" })))
    assert.equal(getmetatable(json.object { a = 1 }),
      getmetatable(resolve(json.object { a = "${input.gone}" })))
    assert.equal("[3]", json.encode(resolve(json.array { "${input.n}" })))
    assert.equal("{}", json.encode(resolve(json.object { a = "${input.gone}" })))
  end)
end)

describe("blocks", function()
  local data = { orders = json.array { { id = 1, lines = { "a", "b" } }, { id = 2, lines = {},
    paid = true } },
    name = "Ada", none = json.array {} }

  local function render(text)
    local compiled, problems = template.compile(text, { extra = "values" })
    if not compiled then error(problems[1].message, 0) end
    return compiled.fn(ctx, data)
  end

  local CASES = {
    { "${for x in input.list}<${x}>${end}", "<1><2>" },
    { "${for i, x in values.orders}${i}:${x.id}${if i < #values.orders}, ${end}${end}.", "1:1, 2:2." },
    { "${for x in values.orders}${for l in x.lines}${x.id}${l} ${end}${end}", "1a 1b " },
    { "${for x in values.orders}${for x in x.lines}${x}${end}${x.id}${end}", "ab12" },
    { "${for x in values.none}x${end}-", "-" },
    { "${if input.gone}a${elseif input.n == 3}b${else}c${end}", "b" },
    { "${if input.gone}a${elseif input.nothing}b${else}c${end}", "c" }, { "${if input.flag}a${end}", "a" },
    { "${if input.gone}a${end}", "" }, { "$${if} ${input.n} $${end}", "${if} 3 ${end}" },
    { "  a\n  ${for x in input.list}\n  - ${x}\n  ${end}  \nb", "  a\n  - 1\n  - 2\nb" },
    { "${for x in input.list}\r\n${x}\r\n${end}\r\n", "1\r\n2\r\n" },
    { "a ${if input.flag}\nb\n${end} c", "a \nb\n c" },
    { "\n${if input.flag}\nx\n${else}\ny\n${end}", "\nx\n" },
    { "${for x in input.list}\n${for y in input.list}\n${x}${y}\n${end}\n${end}\n", "11\n12\n21\n22\n" },
    { "${ for  x  in  input.list }${'}'}${x}${ end }", "}1}2" },
  }
  for _, case in ipairs(CASES) do
    it(("%q"):format(case[1]), function() assert.are.equal(case[2], render(case[1])) end)
  end

  it("read nodes and roots as the expressions in them do, and no names of loops", function()
    local compiled = template.compile
      "${for x in nodes.fetch.list}${x} ${item} ${if nodes.b}${x.y}${end}${end}"
    assert.same({ "fetch", "b" }, compiled.mentions.list)
    assert.same({ nodes = true, item = true }, compiled.roots)
  end)

  local MISTAKES = {
    { "a ${for x in input.list} b", 3, 'this "${for …}" is not closed; write "${end}" where it ends' },
    { "${if input.n}", 1, 'this "${if …}" is not closed' },
    { "a ${end}", 3, 'there is no "${for …}" or "${if …}" that this "${end}" ends' },
    { "${else}", 1, 'there is no "${if …}" before this "${else}"' },
    { "${for x in input.list}${else}${end}", 23, 'there is no "${if …}" before this "${else}"' },
    { "${if 1}${else}${elseif 2}${end}", 15, 'there is no "${if …}" before this "${elseif}"' },
    { "${for x of input.list}${end}", 1, 'a loop is written "${for x in list}" or "${for i, x in list}"' },
    { "${for input in input.list}${end}", 1, '"input" has a meaning already' },
    { "${for x in inptu.list}${end}", 12, 'there is no name "inptu"; did you mean "input"?' },
    { "${for x in input.list}${end}${x}", 31, 'there is no name "x"' },
    { "${for order in input.list}${oder.id}${end}", 29, 'did you mean "order"?' },
    { "${if }x${end}", 5, "the expression is empty" }, { "${if 1}${end x}", 8, '"${end}" takes nothing' },
    { ("${if 1}"):rep(21) .. ("${end}"):rep(21), 141, "blocks are nested deeper than 20" },
  }
  for _, case in ipairs(MISTAKES) do
    it("say what is wrong with " .. case[1]:sub(1, 60), function()
      local problem = problems_of(case[1])[1]
      assert.are.equal(case[2], problem.column)
      assert.is_truthy(problem.reason:find(case[3], 1, true), problem.reason)
    end)
  end

  it("fail where a list is none, and where a value has no text", function()
    assert.is_truthy(failure_of("${for x in input.gone}${end}"):find(
      'input.gone is nil, and a loop takes a list; put "${if …}" around the loop where it may be missing',
        1, true))
    assert.is_truthy(failure_of("${for x in input.city}${end}"):find("input.city is the string", 1, true))
    assert.is_truthy(failure_of("${for x in input}${end}"):find("input is an object", 1, true))
    assert.is_truthy(failure_of("a ${for x in input.list}${x.y}${end}"):find("x.y is nil, which has no text",
      1, true))
  end)

  it("are bounded in what they look at and make, and take linear time", function()
    local list = json.array {}
    for i = 1, 5000 do list[i] = i end
    local many = { input = { list = list, text = ("x"):rep(100000) } }
    local function failed(text)
      local ok, e = pcall(template.compile(text).fn, many)
      assert.is_false(ok)
      return e.message
    end
    local nested = "${for a in input.list}${for b in input.list}.${end}${end}"
    assert.is_truthy(failed(nested):find("more than 16000000 items", 1, true))
    assert.is_truthy(failed "${for a in input.list}${input.text}${end}":find("longer than 64 MiB", 1, true))
    list = table.move(list, 1, 1000, 1, json.array {})
    local made = template.compile(nested).fn { input = { list = list } }
    assert.are.equal(1000 * 1000, #made)
    local blanks = ("${if 1}" .. (" "):rep(100) .. "${end}"):rep(10000)
    assert.are.equal(1000000, #template.compile(blanks).fn(many))
  end)
end)
