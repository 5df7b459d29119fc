local schema = require "orrery.schema"
local json = require "orrery.core".json

local function problems_of(spec, value, options)
  local made, problems = schema.new(spec):check(value, options)
  assert.is_nil(made)
  local messages = {}
  for i, problem in ipairs(problems) do messages[i] = problem.message end
  return messages, problems
end

local function mistakes_in(spec)
  local made, problems = schema.compile(spec)
  assert.is_nil(made)
  local messages = {}
  for i, problem in ipairs(problems) do messages[i] = problem.message end
  return table.concat(messages, "\n")
end

describe("check", function()
  local GOOD = {
    { "string", "x", "x" }, { "integer", 3, 3 }, { "integer", 3.0, 3 }, { "number", 3, 3 },
    { "number", 3.5, 3.5 },
    { "boolean", false, false }, { "duration", "1h30m", 5400 }, { "duration", 5, 5 }, { "any", 0, 0 },
    { "any", json.null, json.null },
    { "function", print, print }, { "string?", nil, nil }, { "string?", json.null, nil },
    { "string|integer", 3, 3 },
    { "string|integer", "x", "x" }, { "boolean|string", false, false },
    { { "fast", "slow" }, "slow", "slow" },
    { { 1, 2 }, 2, 2 },
    { { type = "integer", default = 3 }, nil, 3 }, { { type = "integer", default = 3 }, json.null, 3 },
    { { type = "boolean", default = false }, nil, false }, { { type = "duration", default = "5s" }, nil, 5 },
    { { type = "string?" }, nil, nil }, { { type = "string", optional = true }, nil, nil },
    { { enum = { "a" }, default = "a" }, nil, "a" },
    { { type = "integer", min = 1, max = 3 }, 3, 3 }, { { type = "string", min = 2 }, "éé", "éé" },
  }
  for i, case in ipairs(GOOD) do
    it(("accepts case %d"):format(i), function()
      local made, problems = schema.new({ x = case[1] }):check { x = case[2] }
      assert.is_nil(problems)
      assert.are.equal(case[3], made.x)
      assert.are.equal(math.type(case[3]), math.type(made.x))
    end)
  end

  local BAD = {
    { "string", 3, "x is wrong, expected string, got integer 3" },
    { "string", nil, "x is missing, expected string" },
    { "string", json.null, "x is missing, expected string" },
    { "integer", "3", 'x is wrong, expected an integer, got the string "3"' },
    { "integer", 3.5, "x is wrong, expected an integer, got number 3.5" },
    { "number", 0 / 0, "x is wrong, expected number, got number" },
    { "number", math.huge, "x is wrong, expected number, got number inf" },
    { "boolean", 0, "x is wrong, expected boolean, got integer 0" },
    { "string[]", "a", 'x is wrong, expected string[], got the string "a"' },
    { "string[]", { a = 1 }, "x is wrong, expected string[], got an object" },
    { "string[]", { "a", 2 }, "x[2] is wrong, expected string, got integer 2" },
    { "integer[][]", { { 1 }, { "a" } }, "x[2][1] is wrong" },
    { "array", { a = 1 }, "x is wrong, expected an array, got an object" },
    { "object", { 1 }, "x is wrong, expected an object, got an array" },
    { "function", {}, "x is wrong, expected function, got an empty table" },
    { "any", nil, "x is missing, expected a value" },
    { "duration", "5", 'x is wrong: "5" is not a duration: 5 has no unit' },
    { "string|integer", true, "x is wrong, expected string or an integer, got the boolean true" },
    { { "fast", "slow" }, "fsat",
      'x is wrong, expected one of "fast", "slow", got the string "fsat"; did you mean "fast"?' },
    { { a = "string" }, "x", 'x is wrong, expected an object, got the string "x"' },
    { { a = "string" }, {}, "x.a is missing, expected string" },
    { { a = { b = "integer" } }, { a = { b = "q" } }, "x.a.b is wrong, expected an integer" },
    { { type = "integer", min = 1 }, 0, "x is out of range, expected at least 1, got integer 0" },
    { { type = "integer", max = 9 }, 10, "x is out of range, expected at most 9, got integer 10" },
    { { type = "string", min = 1 }, "", "x is out of range, expected at least 1 characters, got 0" },
    { { type = "string[]", max = 1 }, { "a", "b" }, "x is out of range, expected at most 1 items, got 2" },
    { { type = "duration", max = 60 }, "2m", "x is out of range, expected at most 60 seconds, got 2m00s" },
    { { type = "array", items = { a = "string" } }, { { a = "x" }, {} },
      "x[2].a is missing, expected string" },
  }
  for i, case in ipairs(BAD) do
    it(("refuses case %d"):format(i), function()
      local messages = problems_of({ x = case[1] }, { x = case[2] })
      assert.are.equal(1, #messages)
      assert.is_truthy(messages[1]:find(case[3], 1, true), messages[1])
    end)
  end

  it("finds all that is wrong, in the order of the names", function()
    local messages, problems = problems_of({ city = "string", limit = "integer?", tags = "string[]" },
      { limit = "x", tags = { 1, "a", 2 }, ctiy = "Bern" }, { root = "input" })
    assert.are.same({
      "input.city is missing, expected string",
      'input.limit is wrong, expected an integer, got the string "x"',
      "input.tags[1] is wrong, expected string, got integer 1",
      "input.tags[3] is wrong, expected string, got integer 2",
      'input.ctiy is not known; did you mean "city"?',
    }, messages)
    assert.are.equal("input.tags[3]", problems[4].path)
    assert.are.equal("tags[3]", problems[4].field)
    assert.are.equal("unknown", problems[5].kind)
  end)

  it("stops listing at a hundred", function()
    local list = {}
    for i = 1, 5000 do list[i] = "x" end
    local messages = problems_of({ n = "integer[]" }, { n = list })
    assert.are.equal(101, #messages)
    assert.are.equal("and 4900 more", messages[101])
  end)

  it("lets other fields through where it is told to", function()
    assert.are.same({ a = 1, b = { 2 } },
      (schema.new { a = "integer", ["..."] = "any" }:check { a = 1, b = { 2 } }))
    local messages = problems_of({ ["..."] = "integer" }, { b = "x" })
    assert.are.equal('b is wrong, expected an integer, got the string "x"', messages[1])
    assert.are.equal("3 is not known; expected a", problems_of({ a = "any?" }, { [3] = 1, a = 1 })[1])
  end)

  it("does not change the value, and makes its own", function()
    local given = { x = 3.0, list = {}, nested = {} }
    local made = schema.new { x = "integer", list = "any[]",
      nested = { d = { type = "integer", default = 1 } } }:check(given)
    assert.are.equal("float", math.type(given.x))
    assert.are.same({}, given.nested)
    assert.are.equal(1, made.nested.d)
    assert.are.equal("[]", json.encode(made.list))
  end)

  it("takes a schema inside a schema, and a type alone", function()
    local address = schema.new { street = "string" }
    assert.are.equal("home.street is missing, expected string",
      problems_of({ home = address }, { home = {} })[1])
    assert.are.equal(2, (schema.new "integer":check(2)))
    assert.are.equal("the value is wrong, expected an integer, got the string \"x\"",
      problems_of("integer", "x")[1])
    assert.are.equal(address, schema.new(address))
    assert.is_true(schema.is(address))
    assert.is_false(schema.is {})
  end)

  it("lets what is not resolved yet through where it is told to", function()
    local spec = { n = { type = "integer", max = 3 }, mode = { "a", "b" }, list = "integer[]",
      o = { k = "duration" } }
    local value = { n = "${input.n}", mode = "${input.m}", list = { 1, "${input.i}" },
      o = { k = "${input.k}s" } }
    assert.are.same(value, (schema.new(spec):check(value, { templates = true })))
    local messages = problems_of(spec, { n = "4", mode = "c", list = "${x}", o = {} }, { templates = true })
    assert.are.equal(3, #messages)
    assert.are.equal(4, #problems_of(spec, value))
  end)
end)

describe("mistakes in a schema", function()
  local CASES = {
    { { a = "strng" }, 'a: there is no type "strng"; did you mean "string"?' },
    { { a = "int" }, 'did you mean "integer"?' },
    { { a = "list" }, 'did you mean "array"?' }, { { a = "nil" }, 'a field that may be missing ends in "?"' },
    { { a = "string?[]" }, '"?" stands at the end' }, { { a = "string?|integer" }, '"?" stands at the end' },
    { { a = "string|" }, "expected a type such as" }, { { a = "" }, "expected a type such as" },
    { { a = "string x" }, 'only "[]" and "?"' },
    { { a = 3 }, "a: expected a type such as" }, { { a = { {} } }, "a value to choose from is a string" },
    { { a = { "x", "x" } }, "the value x stands twice" },
    { { a = { b = { c = "foo" } } }, 'a.b.c: there is no type "foo"' },
    { { a = { type = "integer", defualt = 3 } },
      '"defualt" is no option of a field; did you mean "default"?' },
    { { a = { type = "string", name = "string" } }, 'is no option of a field' },
    { { a = { type = "string", doc = 3 } }, '"doc" is a string' },
    { { a = { type = "boolean", min = 3 } }, '"min" and "max" go with' },
    { { a = { type = "integer", min = 3, max = 1 } }, "greater than" },
    { { a = { type = "integer", default = "x" } }, "the default of a is wrong, expected an integer" },
    { { a = { b = { type = "integer", default = "x" } } }, "the default of a.b is wrong" },
    { { a = { type = "integer", items = "string" } }, '"items" goes with' },
    { { "string" }, "fields have names, got the key 1" },
    { { a = { enum = {} } }, "at least one value" }, { 5, "expected a type such as" }, { nil, "got a nil" },
  }
  for i, case in ipairs(CASES) do
    it(("are found, case %d"):format(i), function()
      local message = mistakes_in(case[1])
      assert.is_truthy(message:find(case[2], 1, true), message)
    end)
  end

  it("are found all at once, and raised with the caller's place", function()
    local _, problems = schema.compile { a = "strng", b = "integr", c = "string" }
    assert.are.equal(2, #problems)
    local ok, message = pcall(function() schema.new { a = "strng" } end)
    assert.is_false(ok)
    assert.is_truthy(message:find("^spec/schema_spec.lua:%d+: a: there is no type"), message)
  end)

  it("do not hang on a schema that contains itself", function()
    local spec = {}
    spec.a = spec
    assert.is_truthy(mistakes_in(spec):find("nested deeper than 100 levels", 1, true))
  end)
end)

describe("from_strings", function()
  local made = schema.new { i = "integer", n = "number", b = "boolean", s = "string", l = "integer[]",
    o = { x = "integer" }, d = "duration", u = "string|integer", a = "any", e = { 1, 2 },
    m = "boolean|string" }

  it("gives words the types of the schema", function()
    local words = { i = "3", n = "1.5", b = "false", s = "3", l = "[1,2]", o = '{"x":1}', d = "5s", u = "7",
      a = '{"k":null}', e = "2",
      m = "false" }
    local values = made:from_strings(words)
    assert.are.same({ i = 3, n = 1.5, b = false, s = "3", l = { 1, 2 }, o = { x = 1 }, d = "5s", u = 7,
      a = { k = json.null }, e = 2,
      m = false }, values)
    assert.is_truthy((made:check(values)))
  end)

  it("leaves the rest to the check", function()
    local values = made:from_strings { i = "x", n = "nan", b = "yes", l = "1,2", zzz = "1", a = "plain text" }
    assert.are.same({ i = "x", n = "nan", b = "yes", l = "1,2", zzz = "1", a = "plain text" }, values)
    assert.are.equal(30, made:from_strings({ d = "30" }).d)
  end)
end)

describe("describe", function()
  it("lists the fields in the order of their names", function()
    local list = schema.new { url = { type = "string", doc = "Where." }, method = { "GET", "POST" },
      retries = { type = "integer", default = 3, min = 0 },
      headers = { accept = "string?" }, tags = "string[]?" }:describe()
    local names = {}
    for i, field in ipairs(list) do names[i] = field.name end
    assert.are.same({ "headers", "method", "retries", "tags", "url" }, names)
    assert.are.same({ name = "url", type = "string", required = true, doc = "Where." }, list[5])
    assert.are.same({ name = "retries", type = "integer", required = false, default = 3, min = 0 }, list[3])
    assert.are.equal('"GET"|"POST"', list[2].type)
    assert.are.equal("string[]", list[4].type)
    assert.are.equal("accept", list[1].fields[1].name)
  end)
end)
