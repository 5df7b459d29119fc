-- What strangers give costs no more than in proportion to its length: twice as much of it takes at
-- most some three times as long, measured at lengths where the square would take minutes.
local definition_json = require "orrery.definition.json"
local duration = require "orrery.duration"
local expr = require "orrery.expr"
local flow = require "orrery"
local pools = require "orrery.definition.pools"
local template = require "orrery.expr.template"
local text = require "orrery.text"

local NOISE = 0.03 -- seconds, within which nothing is compared

local function seconds_of(fn, given)
  local began = os.clock()
  fn(given)
  return os.clock() - began
end

-- A machine that does other things as well only ever adds to what it takes: the least counts.
local function is_linear(name, n, make, fn)
  local first, second = make(n), make(2 * n)
  local once, twice = math.huge, math.huge
  for _ = 1, 10 do
    once, twice = math.min(once, seconds_of(fn, first)), math.min(twice, seconds_of(fn, second))
    assert(once < 60, ("%s: %.1f s for a length of %d"):format(name, once, n))
    if twice < 3.2 * once + NOISE then return end
    collectgarbage()
  end
  error(("%s: %.3f s, and %.3f s for twice as much"):format(name, once, twice))
end

local function compile(source)
  local compiled = expr.compile(source)
  if compiled then pcall(compiled.fn, { input = {} }) end
end

local function resolve(value)
  local compiled = template.compile(value)
  if compiled then pcall(compiled.fn, { input = { list = { 1, 2 } } }) end
end

local function check(json_text)
  local ok, w = pcall(definition_json.read, json_text, "flow.json")
  return ok and flow.check(w)
end

local function repeated(head, piece, tail)
  return function(n) return head .. piece:rep(n) .. tail end
end

-- A definition whose parts `each(i)` are joined.
local function definition(head, each, tail)
  return function(n)
    local parts = {}
    for i = 1, n do parts[i] = each(i) end
    return head .. table.concat(parts, ",") .. tail
  end
end

local NODE = '{"name":"n","nodes":[{"id":"a","type":"const","with":{"value":'

describe("a text costs in proportion to its length:", function()
  local EXPRESSIONS = { -- at most 64 KiB
    { "an unclosed string of escaped quotes", 15000, repeated('"', '\\"', "") },
    { "quotes of both kinds", 15000, repeated("", "'\"", "") },
    { "a conversion of zeros", 30000, repeated("format('%", "0", "!', 1)") },
    { "flags of a conversion", 30000, repeated("format('%", "- ", "!', 1)") },
    { "conversions", 5000, repeated("format('", "%0-9.3", "')") },
    { "a name before a dash", 30000, repeated("", "a", ".b-c") },
    { "dashes", 15000, repeated("nodes.a", "-b", "") },
    { "dashes alone", 30000, repeated("nodes.a", "-", "") },
    { "spaces", 30000, repeated("", " ", "!") },
    { "digits", 30000, repeated("", "1", "x") },
    { "dots", 15000, repeated("1", ".1", "") },
    { "backslashes", 15000, repeated('"', "\\\\", '"') },
    { "zeros of a code point", 30000, repeated('"\\u{', "0", '}"') },
    { "parentheses", 30000, repeated("", "(", "") },
    { "a long name", 30000, repeated("", "a", "") },
    { "trimming", 30000, repeated("trim('x", " ", ".')") },
    { "splitting", 15000, repeated("split('", "ab", "', 'a')") },
    { "fields", 15000, repeated("input", ".a", "") },
    { "operators", 10000, repeated("1", " + 1", "") },
    { "operators that fail", 5000, repeated("1", " + input.a", "") },
    { "texts", 10000, repeated("'a'", "..'a'", "") },
  }
  for _, case in ipairs(EXPRESSIONS) do
    it("expression, " .. case[1], function() is_linear(case[1], case[2], case[3], compile) end)
  end

  local TEMPLATES = {
    { "spaces in an expression that is nil", 30000, repeated("x${input.a", " ", ".b}") },
    { "spaces around it", 15000, repeated("x${", " ", "input.a }") },
    { "openings", 100000, repeated("", "${", "") },
    { "escapes", 100000, repeated("", "$${", "") },
    { "expressions", 5000, repeated("", "${1}", "") },
    { "an unclosed string", 100000, repeated("${'", "\\'", "") },
    { "a wrong expression in each", 2000, function(n)
      local list = {}
      for i = 1, n do list[i] = "${" .. ("("):rep(i % 7 + 1) .. "}" end
      return list
    end },
    { "a long key above many", 40000, function(n)
      local list = {}
      for i = 1, n // 10 do list[i] = "${input.a}" end
      return { [("k"):rep(n)] = list }
    end },
  }
  for _, case in ipairs(TEMPLATES) do
    it("template, " .. case[1], function() is_linear(case[1], case[2], case[3], resolve) end)
  end

  local DURATIONS = {
    { "digits of ISO 8601", repeated("P", "1", "") }, { "digits", repeated("", "1", "") },
    { "parts", repeated("P", "1D", "") }, { "dots", repeated("PT1", ".", "S") },
    { "a unit", repeated("1", "a", "") },
  }
  for _, case in ipairs(DURATIONS) do
    it("duration, " .. case[1], function() is_linear(case[1], 500000, case[2], duration.parse) end)
  end

  local RATES = { { "spaces", repeated("1/1", " ", "!") }, { "digits", repeated("", "1", "") },
    { "spaces in front", repeated("", " ", "!") } }
  for _, case in ipairs(RATES) do
    it("rate, " .. case[1], function() is_linear(case[1], 500000, case[2], pools.rate) end)
  end

  local TYPES = { { "spaces", repeated("a!", " ", "!") }, { "brackets", repeated("string", "[]", "") },
    { "question marks", repeated("string", " ?", "!") },
    { "alternatives", repeated("string", "|string", "") } }
  for _, case in ipairs(TYPES) do
    it("type, " .. case[1], function()
      is_linear(case[1], 300000, case[2], function(written) pcall(flow.schema, { x = written }) end)
    end)
  end

  it("value against a schema", function()
    local schema = flow.schema { list = { type = "array", items = { a = "integer" } }, pause = "duration?",
      ["..."] = "any" }
    is_linear("items", 20000, function(n)
      local list = {}
      for i = 1, n do list[i] = { a = i % 2 == 0 and "x" or i, ["key" .. i] = 1 } end
      return { list = flow.json.array(list) }
    end, function(value) schema:check(value) end)
    is_linear("pause", 300000, function(n) return { pause = "P" .. ("1"):rep(n) } end,
      function(value) schema:check(value) end)
    is_linear("names", 100000, function(n) return { [("k"):rep(n)] = 1, list = flow.json.array {} } end,
      function(value) schema:check(value) end)
  end)

  local NAMES = { { "stars", "*", "~" }, { "stars and letters", "*a", "~" }, { "question marks", "?", "" },
    { "both", "*?", "~" } }
  for _, case in ipairs(NAMES) do
    it("name against a pattern, " .. case[1], function()
      local match = flow.glob(case[2]:rep(250 // #case[2]) .. case[3])
      is_linear(case[1], 20000, repeated("", "a", "b"), match)
    end)
  end

  local TEXTS = {
    { "brackets", 200000, repeated("", "[", "") }, { "quotes", 200000, repeated("", '"', "") },
    { "digits", 200000, repeated("[", "1", "]") },
    { "zeros of an exponent", 200000, repeated("[1e", "0", "1]") },
    { "escapes", 50000, repeated('["', "\\u00e9", '"]') }, { "commas", 200000, repeated("[1", ",1", "]") },
    { "lines", 200000, repeated("[", "\n", "x]") },
    { "names", 50000, definition("{", function(i) return ('"k%d":%d'):format(i, i) end, "}") },
    { "one name", 50000, definition("{", function() return '"k":1' end, "}") },
  }
  for _, case in ipairs(TEXTS) do
    it("JSON, " .. case[1], function()
      is_linear(case[1], case[2], case[3], function(given) pcall(flow.json.decode, given) end)
    end)
  end

  local DEFINITIONS = {
    { "a long text", 100000, repeated(NODE .. '"', "x", '"}}]}') },
    { "templates", 5000, repeated(NODE .. '"', "${input}", '"}}]}') },
    { "wrong templates", 2000, definition(NODE .. "[", function() return '"${(}"' end, "]}}]}") },
    { "nodes", 2000, definition('{"name":"n","nodes":[', function(i)
      return ('{"id":"a%d","type":"const","with":{"value":1}}'):format(i)
    end, "]}") },
    { "unknown types", 1000, definition('{"name":"n","nodes":[', function(i)
      return ('{"id":"a%d","type":"kind%d"}'):format(i, i)
    end, "]}") },
    { "unknown names", 1000, definition('{"name":"n","nodes":[', function(i)
      return ('{"id":"a%d","type":"const","after":"b%d","with":{"value":1}}'):format(i, i)
    end, "]}") },
    { "unknown keys", 1000, definition('{"name":"n","nodes":[{"id":"a","type":"const",', function(i)
      return ('"key%d":1'):format(i)
    end, "}]}") },
    { "one name", 1000, definition('{"name":"n","nodes":[', function()
      return '{"id":"a","type":"const","with":{"value":1}}'
    end, "]}") },
    { "edges to nothing", 1000, definition('{"name":"n","nodes":[{"id":"a","type":"const",'
      .. '"with":{"value":1}}],"edges":[',
      function(i) return ('{"from":"a","to":"b%d"}'):format(i) end, "]}") },
    { "mentions", 2000, function(n)
      local nodes, values = {}, {}
      for i = 1, n do
        nodes[i] = ('{"id":"a%d","type":"const","with":{"value":1}}'):format(i)
        values[i] = ('"${nodes.a%d}"'):format(i)
      end
      return '{"name":"n","nodes":[' .. table.concat(nodes, ",")
        .. ',{"id":"z","type":"const","with":{"value":['
        .. table.concat(values, ",") .. "]}}]}"
    end },
    { "a percentage", 200000, repeated('{"name":"n","nodes":[{"id":"a","type":"const","each":[1],'
      .. '"each_failures":"', "1", 'x","with":{"value":1}}]}') },
    { "a timeout", 200000, repeated('{"name":"n","nodes":[{"id":"a","type":"const","timeout":"P', "1",
      '","with":{"value":1}}]}') },
  }
  for _, case in ipairs(DEFINITIONS) do
    it("definition, " .. case[1], function() is_linear(case[1], case[2], case[3], check) end)
  end

  it("a text without its ends", function()
    is_linear("trim", 300000, repeated("x", " ", "!"), text.trim)
    is_linear("trim_end", 300000, repeated("x", " ", "!"), text.trim_end)
  end)
end)

describe("a text without its ends", function()
  it("keeps what stands between", function()
    assert.same({ "", "", "a", "a b", "\0" }, { text.trim "", text.trim " \n\t", text.trim " a\n",
      text.trim "a b  ", text.trim " \0 " })
    assert.same({ "", "", " a", "a\n" }, { text.trim_end "", text.trim_end "   ", text.trim_end " a  ",
      text.trim_end "a\n " })
  end)
end)

describe("flow.glob", function()
  local CASES = {
    { "*.txt", "a.txt", true }, { "*.txt", ".txt", true }, { "*.txt", "a.txt.gz", false }, { "*", "", true },
    { "", "", true }, { "", "a", false }, { "?", "", false }, { "?", "a", true }, { "a?c", "abc", true },
    { "a*b*c", "a1b2b3c", true }, { "a*b*c", "acb", false }, { "*a*", "bab", true }, { "*a*", "bbb", false },
    { "**", "x", true }, { "a*a", "a", false }, { "a*a", "aa", true }, { "*aab", "aaab", true },
    { "*ab*ab", "abab", true }, { "*ab*ab", "ab", false }, { "*?", "", false }, { "*?", "x", true },
    { "?*?", "x", false }, { "?*?", "xy", true }, { "*?b?*", "abcb1", true }, { "%a[x]", "%a[x]", true },
    { "%a", "b", false }, { "a.c", "abc", false }, { "*\n", "x\n", true }, { "a\0*", "a\0b", true },
  }
  for _, case in ipairs(CASES) do
    it(("%q %q"):format(case[1], case[2]), function()
      assert.equal(case[3], flow.glob(case[1])(case[2]))
    end)
  end

  -- Compared with the pattern that Lua makes of it, for all short names.
  it("says what a shell would", function()
    local names = { "" }
    for _, name in ipairs(names) do
      if #name < 5 then
        for _, letter in ipairs { "a", "b" } do names[#names + 1] = name .. letter end
      end
    end
    local patterns = { "" }
    for _, pattern in ipairs(patterns) do
      if #pattern < 5 then
        for _, letter in ipairs { "a", "b", "*", "?" } do patterns[#patterns + 1] = pattern .. letter end
      end
    end
    for _, pattern in ipairs(patterns) do
      local match, by_lua = flow.glob(pattern), "^" .. pattern:gsub("%*", ".*"):gsub("%?", ".") .. "$"
      for _, name in ipairs(names) do
        if match(name) ~= (name:find(by_lua) ~= nil) then error(("%q %q"):format(pattern, name)) end
      end
    end
  end)

  it("refuses what is no pattern, or too long a one", function()
    assert.has_error(function() flow.glob(("*"):rep(256)) end)
    assert.has_error(function() flow.glob(1) end)
  end)
end)

describe("flow.url.escape", function()
  it("leaves only what is unreserved", function()
    assert.equal("a-Z_0.9~", flow.url.escape "a-Z_0.9~")
    assert.equal("a%20b%26c%2F%C3%A9", flow.url.escape "a b&c/é")
    assert.equal("7", flow.url.escape(7))
  end)
end)
