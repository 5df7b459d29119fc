local expr = require "orrery.expr"
local json = require "orrery.core".json

local ctx = {
  input = { n = 3, city = "Bern", nothing = json.null, list = json.array { 1, 2, 3 }, empty = json.array {},
    flag = false,
    object = { b = 2, a = 1 }, names = { "x", "y" } },
  nodes = { fetch = { body = { items = { 10, 20, 30 } }, status = 200 }, ["a-b"] = { x = 7 } },
  states = { fetch = "completed" }, errors = {}, context = { tenant = "acme" }, env = { HOME = "/root" },
  item = 5, index = 2,
  run = { id = "r1" },
}

local function value(source, extra, more)
  local compiled, mistake = expr.compile(source, { extra = extra })
  if not compiled then error(mistake.message, 0) end
  return compiled.fn(ctx, more)
end

local function mistake_in(source)
  local compiled, mistake = expr.compile(source)
  assert.is_nil(compiled, "compiled: " .. source:sub(1, 60))
  return mistake
end

local function failure_of(source, options)
  local compiled, mistake = expr.compile(source, options)
  assert.is_truthy(compiled, mistake and mistake.message)
  local ok, e = pcall(compiled.fn, ctx)
  assert.is_false(ok, source)
  assert.are.equal("config_error", e.code)
  assert.is_false(e.retryable)
  return e.message
end

describe("values", function()
  local CASES = {
    { "nil", nil }, { "true", true }, { "false", false }, { "42", 42 }, { "0x10", 16 }, { "1.5e3", 1500.0 },
    { ".5", 0.5 },
    { "9223372036854775807", math.maxinteger }, { "'a\"b'", 'a"b' }, { '"it\'s"', "it's" },
    { [['\n\t\\\'\65\x41\u{E9}\u{1F600}\z   x']], "\n\t\\'AA" .. "é😀x" },
    { "input.n", 3 }, { "input.missing", nil }, { "input.missing.deeper[1].x", nil }, { "input.city.x", nil },
    { "nodes.fetch.body.items[2]", 20 }, { 'nodes["a-b"].x', 7 }, { "input['city']", "Bern" },
    { "input.list[input.n]", 3 },
    { "input.list[input.missing]", nil }, { "states.fetch", "completed" }, { "context.tenant", "acme" },
    { "env.HOME", "/root" },
    { "item", 5 }, { "index", 2 }, { "run.id", "r1" }, { "input.end", nil }, { "(input.object).a", 1 },
    { "input.nothing", json.null },
    { "errors.fetch.code", nil },
  }
  for _, case in ipairs(CASES) do
    it(case[1], function()
      assert.are.equal(case[2], value(case[1]))
    end)
  end

  it("keeps integers and floats apart", function()
    assert.are.equal("integer", math.type(value "2 * 3"))
    assert.are.equal("float", math.type(value "2 * 3.0"))
    assert.are.equal("float", math.type(value "9223372036854775808"))
  end)
end)

describe("operators", function()
  -- Lua itself is the oracle: no name is read, so that the same text means the same there.
  local SOURCES = {
    "1 + 2 * 3 - 4 / 2", "2 ^ 3 ^ 2", "-2 ^ 2", "2 ^ -1", "- -1", "not nil == true", "not not 1",
    "7 // 2 % 3", "-7 // 2", "-7 % 3",
    "7.5 // 2", "1 .. 2 .. 3", "'a' .. 1.0 .. 'b'", "1 + 2 .. 3 + 4", "1 < 2 and 2 < 3", "1 > 2 or 'x'",
    "nil or false", "false and 1",
    "nil and 1 or 2", "1 and nil or 'z'", "'a' < 'b'", "'a' <= 'a'", "1 == 1.0", "1 ~= '1'", "#'abc'",
    "-(1 + 2) * 3", "(1 < 2) == true",
    "1 + 1 == 2 and 'y' or 'n'", "'10' + 5", "'3' * '4'", "1 - 2 - 3", "100 / 10 / 2", "2 * 3 % 4",
    "not (1 == 2)", "- 2 - - 3",
    "'a' .. 'b' == 'ab'", "1 or 2 and 3", "1e308 * 10", "#'a' + 1", "not 1 == 2", "2 ^ 2 * 3",
    "-2 ^ 0.5 == -(2 ^ 0.5)", "1//1.0",
  }
  for _, source in ipairs(SOURCES) do
    it(source, function()
      local wanted = load("return " .. source)()
      assert.are.equal(wanted, value(source))
      assert.are.equal(math.type(wanted), math.type(value(source)))
    end)
  end

  it("splits paths as all else", function()
    local lex, words = require "orrery.expr.lex", require "orrery.expr.words"
    local seed = tonumber(os.getenv "SEED") or os.time()
    math.randomseed(seed)
    local parts = { "a", "nodes", "x1", "_", ".", ".", ".", "1", "-", " ", "[", "end", "'", "\0", "é" }
    for _ = 1, 3000 do
      local source = {}
      for i = 1, math.random(6) do source[i] = parts[math.random(#parts)] end
      source = table.concat(source)
      assert.same(words.split(source), lex.words(source), ("SEED=%d: %q"):format(seed, source))
    end
    for _, source in ipairs { "", "a", "nodes.a.b", "a..b", ".a", "a.", "a.1", "1a", "a.b1_c" } do
      assert.same(words.split(source), lex.words(source), source)
    end
  end)

  it("random expressions mean what they mean in Lua", function()
    local seed = tonumber(os.getenv("SEED")) or os.time()
    math.randomseed(seed)
    local BINARY = { "+", "-", "*", "/", "//", "%", "^", "==", "~=", "<", ">", "<=", ">=", "and", "or", ".." }
    local LEAVES = { "1", "2", "0.5", "3", "true", "false", "nil", "'a'", "'7'", "10" }
    local function random(depth)
      local pick = math.random(depth > 5 and 1 or 6)
      if pick == 1 then return LEAVES[math.random(#LEAVES)] end
      if pick == 2 then return "(" .. random(depth + 1) .. ")" end
      if pick == 3 then return ({ "not ", "- ", "# " })[math.random(3)] .. random(depth + 1) end
      return random(depth + 1) .. " " .. BINARY[math.random(#BINARY)] .. " " .. random(depth + 1)
    end
    local compared = 0
    for _ = 1, 5000 do
      local source = random(1)
      local compiled = expr.compile(source)
      if compiled then -- chained comparisons are refused here
        local good, wanted = pcall(load("return " .. source))
        local ours, got = pcall(compiled.fn, {})
        assert.are.equal(good, ours, ("SEED=%d: %s: %s"):format(seed, source, tostring(got)))
        if good and wanted == wanted then
          compared = compared + 1
          assert.are.equal(wanted, got, ("SEED=%d: %s"):format(seed, source))
        end
      end
    end
    assert.is_true(compared > 500)
  end)

  it("take null for nothing", function()
    assert.is_true(value "input.nothing == nil")
    assert.is_false(value "input.nothing ~= nil")
    assert.is_true(value "not input.nothing")
    assert.are.equal("x", value "input.nothing or 'x'")
    assert.is_false(expr.compile("input.nothing").test(ctx))
    assert.is_true(expr.compile("input.n").test(ctx))
  end)

  it("evaluate only what counts", function()
    assert.is_false(value "false and input.missing > 1")
    assert.are.equal(1, value "1 or input.missing > 1")
    assert.are.equal(3, value "default(input.n, input.missing + 1)")
  end)
end)

describe("functions", function()
  local CASES = {
    { "len('abc')", 3 }, { "len(input.list)", 3 }, { "len(input.empty)", 0 }, { "lower('ABc')", "abc" },
    { "upper('abc')", "ABC" }, { "trim('  a b\\n ')", "a b" }, { "trim('   ')", "" },
    { "contains('a.b', '.')", true },
    { "contains('ab', '.')", false }, { "contains(input.list, 2)", true },
    { "contains(input.list, 9)", false },
    { "starts_with('abc', 'ab')", true }, { "ends_with('abc', 'bc')", true },
    { "ends_with('abc', '')", true },
    { "ends_with('bc', 'abc')", false }, { "join(input.names, '-')", "x-y" }, { "join(input.list)", "123" },
    { "join(input.empty, ',')", "" }, { "split('a,b,,c', ',')[4]", "c" }, { "len(split('', ','))", 1 },
    { "min(3, 1, 2)", 1 },
    { "max(input.list)", 3 }, { "max(input.empty)", nil }, { "abs(-2)", 2 }, { "floor(2.7)", 2 },
    { "ceil(2.1)", 3 },
    { "date(0)", "1970-01-01" }, { "date(1709210096.9, '%Y%m%dT%H%M%S')", "20240229T123456" },
    { "date('951782400', '%G-W%V-%u %j %y %T %%')", "2000-W09-2 060 00 00:00:00 %" },
    { "date(-1)", "1969-12-31" },
    { "date(-30610224000)", "1000-01-01" }, { "date(253402300799, '%F %T')", "9999-12-31 23:59:59" },
    { "round(2.5)", 3 }, { "round(-2.5)", -3 }, { "round(2.4)", 2 }, { "tostring(1.0)", "1.0" },
    { "tostring(nil)", "nil" },
    { "tonumber('0x10')", 16 }, { "tonumber('ff', 16)", 255 }, { "tonumber('x')", nil },
    { "tonumber(nil)", nil },
    { "type(1)", "number" }, { "type(input.list)", "array" }, { "type(input.object)", "object" },
    { "type(input.nothing)", "null" },
    { "default(input.nothing, 1)", 1 }, { "default(false, 1)", false },
    { "json(input.object)", '{"a":1,"b":2}' },
    { "json(nil)", "null" }, { "join(keys(input.object), ',')", "a,b" },
    { "join(values(input.object), ',')", "1,2" },
    { "first(input.list)", 1 }, { "last(input.list)", 3 }, { "first(input.empty)", nil },
    { "sum(input.list)", 6 },
    { "sum(input.empty)", 0 }, { "count(input.object)", 2 }, { "count(input.list)", 3 },
    { "sub('abcdef', 2, 3)", "bc" },
    { "sub('abc', -2)", "bc" }, { "replace('a.b.c', '.', '%1')", "a%1b%1c" },
    { "replace('aaa', 'a', '')", "" },
    { "format('%05.1f|%s|%d|%x|100%%', 2.25, 'x', 3, 255)", "002.2|x|3|ff|100%" },
    { "format('%s', true)", "true" },
    { "upper(lower('A')) .. len('x')", "A1" },
  }
  for _, case in ipairs(CASES) do
    it(case[1], function()
      assert.are.equal(case[2], value(case[1]))
    end)
  end

  it("do not change what they are given", function()
    local before = json.encode(ctx.input)
    value "json(keys(input.object)) .. json(values(input.object)) .. sum(input.list) .. max(input.list)"
    assert.are.equal(before, json.encode(ctx.input))
  end)
end)

describe("mistakes", function()
  local CASES = {
    { "", 1, "the expression is empty" }, { "   ", 1, "the expression is empty" },
    { "1 +", 4, "expected a value, got the end" },
    { "(1", 3, "expected ')' to close the '(' at column 1, got the end" },
    { "1 2", 3, "expected an operator or the end, got '2'" },
    { "lenght(1)", 1, 'there is no function "lenght"; did you mean "len"?' },
    { "uper('a')", 1, 'there is no function "uper"; did you mean "upper"?' },
    { "inptu.x", 1, 'there is no name "inptu"; did you mean "input"?' },
    { "1 + nods.x", 5, 'did you mean "nodes"?' },
    { "input.", 7, "expected a field's name after '.', got the end" },
    { "upper", 1, "upper is a function: upper(...)" },
    { "nodes[input.x]", 1, '"nodes" takes a name that is written out, such as nodes.fetch' },
    { "json(nodes)", 6, '"nodes" takes a name that is written out' },
    { "env[input.x]", 1, '"env" takes a name that is written out' },
    { "nodes.a-b.x", 9, 'a name with a dash is written nodes["a-b"]' },
    { "states.a-b-c == 'x'", 10, 'a name with a dash is written states["a-b-c"]' },
    { "input.a != 1", 9, 'write "~="' }, { "input.a && 1", 9, 'write "and"' },
    { "!input.a", 1, 'write "not"' },
    { "input.a = 1", 9, 'write "=="' }, { "input.a ? 1 : 2", 9, 'write "a and b or c"' },
    { "input:upper()", 6, "there are no methods" },
    { "{1}", 1, "there are no tables here" }, { "[1]", 1, "a list cannot be written here" },
    { "1 << 2", 3, "no operators on bits" },
    { "'abc", 1, "this string is not closed" }, { "'a\\qb'", 3, "a backslash begins no escape" },
    { "'\\300'", 2, "a backslash" },
    { "'\\u{110000}'", 2, "a backslash" }, { "1..2", 1, "'1..2' is no number" },
    { "3x", 1, "'3x' is no number" },
    { "1 < 2 < 3", 9, "comparisons do not chain" }, { "len()", 1, "takes 1 argument, got 0" },
    { "sub('a')", 1, "takes 2 to 3 arguments, got 1" },
    { "input.a(1)", 8, "expected an operator or the end, got '('" },
    { "1 and", 6, "expected a value, got the end" },
    { "and 1", 1, "expected a value, got 'and'" }, { "input.x @ 2", 9, "got '@'" },
    { "function() end", 1, "no function \"function\"" },
    { "os.exit()", 1, 'there is no name "os"' }, { "load('x')", 1, 'there is no function "load"' },
    { "_G", 1, 'there is no name "_G"' },
  }
  for _, case in ipairs(CASES) do
    it(case[1] == "" and "nothing" or case[1], function()
      local mistake = mistake_in(case[1])
      assert.are.equal(case[2], mistake.column, mistake.message)
      assert.is_truthy(mistake.reason:find(case[3], 1, true), mistake.message)
    end)
  end

  it("show the place with a caret, also in long and in multibyte sources", function()
    assert.are.equal("column 9: '!=' cannot stand here; write \"~=\" for \"not equal\"\n  input.a != 1\n     "
      .. "     ^",
      mistake_in("input.a != 1").message)
    for _, source in ipairs { ("'é' .. "):rep(100) .. "?" .. (" .. 'é'"):rep(100), "'é' ? 1",
        ("1 + "):rep(100) .. "? 2" } do
      local message = mistake_in(source).message
      local shown, pointer = message:match "\n  ([^\n]*)\n  ( *)%^$"
      assert.is_truthy(shown)
      assert.are.equal("?", utf8.char(utf8.codepoint(shown, utf8.offset(shown, #pointer + 1))))
      assert.is_truthy(utf8.len(shown))
    end
  end)

  it("are answers, whatever the bytes", function()
    math.randomseed(7)
    for _ = 1, 3000 do
      local bytes = {}
      for i = 1, math.random(30) do bytes[i] = string.char(math.random(0, 255)) end
      local compiled, mistake = expr.compile(table.concat(bytes))
      assert.is_true(compiled ~= nil or type(mistake.message) == "string")
    end
    assert.is_truthy(expr.compile(nil) == nil)
  end)

  local NESTED = {
    { "parentheses", ("("):rep(10000) .. "1" .. (")"):rep(10000) }, { "open parentheses", ("("):rep(10000) },
    { "signs", ("-"):rep(10000) .. "1" }, { "negations", ("not "):rep(10000) .. "1" },
    { "powers", ("2^"):rep(10000) .. "1" },
    { "calls", ("len("):rep(10000) .. "1" .. (")"):rep(10000) }, { "indices", ("input["):rep(10000) },
    { "lengths", ("#"):rep(10000) .. "'a'" },
  }
  for _, case in ipairs(NESTED) do
    it("refuses 10,000 levels of " .. case[1], function()
      assert.is_truthy(mistake_in(case[2]).reason:find("nested deeper than 200 levels", 1, true))
    end)
  end

  it("are not made of long flat sources", function()
    assert.are.equal(10001, value(("1 + "):rep(10000) .. "1"))
    assert.are.equal(5001, #value(("'a' .. "):rep(5000) .. "'b'"))
    assert.is_true(value(("true and "):rep(5000) .. "true"))
    assert.is_nil(value("input" .. (".x"):rep(10000)))
    assert.are.equal(1, value(("("):rep(199) .. "1" .. (")"):rep(199)))
    assert.is_truthy(mistake_in(("1 + "):rep(20000) .. "1").reason:find("longer than 65536 bytes", 1, true))
  end)
end)

describe("failures", function()
  local CASES = {
    { "nodes.parse.wind > 100", "nodes.parse.wind is nil; '>' compares two numbers or two strings" },
    { "100 > nodes.parse.wind", "nodes.parse.wind is nil; '>' compares" },
    { "input.nothing + 1", "input.nothing is null; '+' takes two numbers" },
    { "1 + 2 + input.gone * 2", "input.gone is nil; '*' takes two numbers" },
    { "1 + input.n + input.gone", "input.gone is nil; '+' takes two numbers" },
    { "input.city < 3", 'input.city is the string "Bern", the number 3; \'<\' compares two numbers or two '
      .. 'strings' },
    { "input.city + 1", 'input.city is the string "Bern", the number 1; \'+\' takes two numbers' },
    { "'a' .. input.gone", "input.gone is nil; '..' joins strings and numbers" },
    { "'a' .. input.flag", "input.flag is the boolean false" },
    { "-input.city", 'input.city is the string "Bern"; \'-\' takes a number' },
    { "#input.gone", "input.gone is nil; '#' takes" },
    { "#input.object", "count() any table" },
    { "1 // 0", "0 is zero, and a whole number is not divided by it" },
    { "1 % (input.n - 3)", "(input.n - 3) is zero" },
    { "upper(input.gone)", "input.gone is nil: upper() takes a string" },
    { "len(input.n)", "input.n is the number 3: len() takes an array" },
    { "sum(input.city)", "sum() takes a number" },
    { "sum(input.names)", 'item 1 of input.names is the string "x": sum() takes numbers' },
    { "split('a', '')", "split() takes text that is not empty" },
    { "join(input.object, ',')", "join() takes an array" },
    { "format('%q', 1)", 'format() has no "%q"' }, { "format('%s')", "format() wants 1 values or more" },
    { "format('%d', 1.5)", "format() takes a whole number" }, { "format('%', 1)", "format() has no" },
    { "format('%999d', 1)", "format() has no" },
    { "format('%s', input.gone)", "input.gone is nil: format() takes a string" },
    { "tostring(input.object)", "json() writes those" },
    { "sub('a', input.gone)", "input.gone is nil: sub() takes a number" },
    { "keys(input.n)", "keys() takes an array or an object" }, { "tonumber('1', 99)", "a base from 2 to 36" },
  }
  for _, case in ipairs(CASES) do
    it(case[1], function()
      local message = failure_of(case[1])
      assert.is_truthy(message:find(case[2], 1, true), message)
    end)
  end

  it("name the field and the place", function()
    assert.are.equal([[nodes.p.wind is nil; '>' compares two numbers or two strings, in when = "nodes.p.wind > 1" (w.lua:3)]],
      failure_of("nodes.p.wind > 1", { field = "when", where = "w.lua:3" }))
  end)
end)

describe("cost", function()
  local big = { text = ("a"):rep(200000), list = {}, long = ("a"):rep(32 * 1024 * 1024) }
  for i = 1, 1100000 do big.list[i] = 1 end
  json.array(big.list)

  local function cost(source)
    local compiled, mistake = expr.compile(source)
    assert.is_truthy(compiled, mistake and mistake.message)
    local before = os.clock()
    local ok, e = pcall(compiled.fn, { input = big })
    assert.is_true(os.clock() - before < 20, source:sub(1, 40))
    return ok, ok or e.message
  end

  it("bounds the texts that are made", function()
    for _, source in ipairs { "input.text" .. (" .. input.text"):rep(10),
      "replace(input.text, 'a', 'aaaaaaaaaa')",
      "format('%s%s%s%s%s%s', input.text, input.text, input.text, input.text, input.text, input.text)",
      "upper(input.long)",
      "join(split(input.text, 'a'), 'aaaaaaaaaa')", "json(input)" } do
      local ok, message = cost(source)
      assert.is_false(ok, source)
      assert.is_truthy(message:find("1 MiB", 1, true) or message:find("limit of 1048576 bytes", 1, true),
        message)
    end
  end)

  it("bounds the items that are looked at", function()
    for _, source in ipairs { "sum(input.list)", "max(input.list)", "contains(input.list, 2)",
      "keys(input.list)",
      "count(keys(input.list))", "join(input.list, '')",
      ("len(split(input.text, 'a')) + "):rep(50) .. "1" } do
      local ok, message = cost(source)
      assert.is_false(ok, source)
      assert.is_truthy(message:find("more than 1000000 items", 1, true), message)
    end
    assert.is_true((cost "len(input.list) + count(input.list) - 1100000 > 0 and last(input.list) == 1"))
  end)

  it("does not search long texts for long parts", function()
    local ok, message = cost "contains(input.long, input.text .. 'b')"
    assert.is_false(ok)
    assert.is_truthy(message:find("more than 1000000 items", 1, true), message)
    assert.is_true((cost "contains(input.long, 'aab')"))
  end)
end)

describe("what an expression reads", function()
  it("is listed in the order of the first mention", function()
    local compiled = expr.compile(
      "nodes.b.x + nodes.a.y + nodes.b.z + default(errors.c.code, states.a) + input.x + env.HOME")
    assert.are.same({ "b", "a", "c" }, compiled.mentions.list)
    assert.are.same({ a = true, b = true }, compiled.mentions.nodes)
    assert.are.same({ c = true }, compiled.mentions.errors)
    assert.are.same({ a = true }, compiled.mentions.states)
    assert.are.same({ "HOME" }, compiled.mentions.env_list)
    assert.are.same({ nodes = true, errors = true, states = true, input = true, env = true }, compiled.roots)
    assert.is_false(compiled.constant)
    assert.is_true(expr.compile("1 + 1").constant)
  end)

  it("points at names with dashes", function()
    assert.are.same({ { root = "nodes", name = "a-index", column = 5 } },
      expr.compile("1 + nodes.a-index").dashed)
    assert.are.same({}, expr.compile("nodes.a - index").dashed)
    assert.are.same({}, expr.compile("nodes.a.n-index").dashed)
  end)

  it("may have one more root", function()
    assert.are.equal(8, value("output.n + input.n", "output", { n = 5 }))
    assert.are.equal(5, value("output", "output", 5))
    assert.is_nil((expr.compile("output.n")))
    assert.are.equal(3, value "input.n")
  end)

  it("may be a proxy, but fields below it are data", function()
    local nodes = setmetatable({}, { __index = function(_, name) return { name = name } end })
    assert.are.equal("fetch", expr.compile("nodes.fetch.name").fn { nodes = nodes })
  end)
end)
