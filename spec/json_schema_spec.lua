-- JSON Schema: each word, what a schema may do wrong, messages, and bounds. The official tests are
-- in json_schema_suite_spec.lua, where they are at hand.
local core = require "orrery.core"
local flow = require "orrery"
local json = core.json
local json_schema = require "orrery.schema.json"

local function compiled(text, options)
  if type(text) == "string" then text = json.decode(text) end
  local made, mistakes = json_schema.compile(text, options)
  assert.is_nil(mistakes and mistakes[1].message)
  return made
end

local function mistakes_of(text, options)
  local made, mistakes = json_schema.compile(json.decode(text), options)
  assert.is_nil(made)
  local list = {}
  for i, each in ipairs(mistakes) do list[i] = each.message end
  return table.concat(list, "\n")
end

local function problems_of(schema, value, root)
  local list = {}
  local made = type(schema) == "table" and schema.problems and schema or compiled(schema)
  for i, each in ipairs(made:problems(json.decode(value), root) or {}) do list[i] = each.message end
  return list
end

-- schema, values that fit, values that do not
local WORDS = {
  { "true", { "1", "null" }, {} },
  { "false", {}, { "1", "null" } },
  { "{}", { "1", "null", "{}" }, {} },
  { '{"type":"integer"}', { "1", "1.0", "1e300", "-0" }, { "1.5", '"1"', "true", "null" } },
  { '{"type":"number"}', { "1", "1.5" }, { '"1"', "null" } },
  { '{"type":"string"}', { '""' }, { "1", "{}" } },
  { '{"type":"boolean"}', { "true", "false" }, { "0", "null" } },
  { '{"type":"null"}', { "null" }, { "false", "0", "{}" } },
  { '{"type":"array"}', { "[]", "[1]" }, { "{}", '"x"' } },
  { '{"type":"object"}', { "{}", '{"a":1}' }, { "[]", "[1]" } },
  { '{"type":["string","null"]}', { '"x"', "null" }, { "1" } },
  { '{"enum":[1,"a",null,[1,{"b":2.0}],false]}', { "1", "1.0", '"a"', "null", '[1.0,{"b":2}]', "false" },
    { "2", '"b"', "[1]", "0", "true", "{}" } },
  { '{"const":{"a":[]}}', { '{"a":[]}' }, { '{"a":{}}', "{}" } },
  { '{"const":1}', { "1", "1.0" }, { "true", '"1"' } },
  { '{"minimum":2}', { "2", "2.5", '"x"' }, { "1.99", "-3" } },
  { '{"maximum":9007199254740993}', { "9007199254740993", "9007199254740992.0" },
    { "9007199254740994", "9007199254740994.0" } },
  { '{"exclusiveMinimum":2}', { "2.0001", "3" }, { "2", "2.0", "1" } },
  { '{"exclusiveMaximum":2}', { "1" }, { "2", "3" } },
  { '{"multipleOf":3}', { "9", "0", "-3", "3.0", "9e30" }, { "10", "1.5" } },
  { '{"multipleOf":0.01}', { "4.02", "19.99", "1", "-0.07", "1e300" }, { "4.021", "0.001" } },
  { '{"multipleOf":1e-8}', { "12391239123", "0.00000003" }, { "1e-9", "0.000000035" } },
  { '{"multipleOf":2.5}', { "5", "7.5", "-2.5" }, { "4", "2" } },
  { '{"multipleOf":0.5}', { "9223372036854775807", "1e308", "-9223372036854775808" }, { "0.25" } },
  { '{"multipleOf":20.0}', { "100", "1e3" }, { "-9223372036854775808", "10" } },
  { '{"maxLength":2}', { '"éé"', '"😀😀"', "333" }, { '"abc"' } },
  { '{"minLength":2}', { '"éé"', "1" }, { '"é"', '""' } },
  { '{"pattern":"^a+$"}', { '"aa"', "1" }, { '"b"', '""' } },
  { '{"maxItems":1}', { "[]", "[1]", '"abc"' }, { "[1,2]" } },
  { '{"minItems":1}', { "[1]", "{}" }, { "[]" } },
  { '{"uniqueItems":true}', { "[]", "[1,2]", '[1,true,"1",[1],{"a":1},null,false,0]', '[{"a":1},{"a":2}]' },
    { "[1,1]", "[1,1.0]", '[{"a":1,"b":[]},{"b":[],"a":1.0}]', "[null,null]" } },
  { '{"uniqueItems":false}', { "[1,1]" }, {} },
  { '{"prefixItems":[{"type":"string"},{"type":"integer"}],"items":{"type":"null"}}',
    { "[]", '["a"]', '["a",1,null]' }, { "[1]", '["a","b"]', '["a",1,2]' } },
  { '{"prefixItems":[{}],"items":false}', { "[]", "[1]" }, { "[1,2]" } },
  { '{"items":{"type":"integer"}}', { "[]", "[1,2]", '{"0":"x"}' }, { '[1,"x"]' } },
  { '{"contains":{"type":"integer"}}', { "[1]", '["a",1]', "{}" }, { "[]", '["a"]' } },
  { '{"contains":{"const":1},"minContains":2,"maxContains":3}', { "[1,1]", "[1,2,1,1]" },
    { "[1]", "[1,1,1,1]" } },
  { '{"contains":{"const":1},"minContains":0}', { "[]", "[2]" }, {} },
  { '{"contains":{"const":1},"minContains":0,"maxContains":1}', { "[]", "[1]" }, { "[1,1]" } },
  { '{"maxProperties":1}', { "{}", '{"a":1}', "[1,2]" }, { '{"a":1,"b":2}' } },
  { '{"minProperties":1}', { '{"a":1}' }, { "{}" } },
  { '{"required":["a","b"]}', { '{"a":null,"b":1}', "[]" }, { "{}", '{"a":1}' } },
  { '{"properties":{"a":{"type":"integer"},"b":false}}', { "{}", '{"a":1,"c":"x"}' },
    { '{"a":"x"}', '{"b":1}' } },
  { '{"patternProperties":{"^x":{"type":"integer"},"y$":{"minimum":5}}}',
    { '{"x":1,"y":5,"z":"z"}', '{"xy":5}' },
    { '{"x":"a"}', '{"xy":4}' } },
  { '{"properties":{"a":{}},"patternProperties":{"^x":{}},"additionalProperties":false}',
    { '{"a":1,"x1":2}' }, { '{"b":1}' } },
  { '{"additionalProperties":{"type":"integer"}}', { '{"a":1}' }, { '{"a":"x"}' } },
  { '{"propertyNames":{"maxLength":2}}', { '{"ab":1}', "{}" }, { '{"abc":1}' } },
  { '{"dependentRequired":{"a":["b"]}}', { "{}", '{"b":1}', '{"a":1,"b":2}' }, { '{"a":1}' } },
  { '{"dependentSchemas":{"a":{"required":["c"]}}}', { '{"b":1}', '{"a":1,"c":1}' }, { '{"a":1}' } },
  { '{"dependencies":{"a":["b"],"c":{"minProperties":2}}}', { '{"a":1,"b":1}', '{"c":1,"d":1}' },
    { '{"a":1}', '{"c":1}' } },
  { '{"allOf":[{"minimum":1},{"maximum":3}]}', { "2" }, { "0", "4" } },
  { '{"anyOf":[{"type":"string"},{"minimum":3}]}', { '"x"', "3" }, { "2" } },
  { '{"oneOf":[{"multipleOf":2},{"multipleOf":3}]}', { "2", "3" }, { "6", "1" } },
  { '{"not":{"type":"string"}}', { "1" }, { '"x"' } },
  { '{"if":{"minimum":10},"then":{"multipleOf":10},"else":{"maximum":5}}', { "20", "5" }, { "15", "6" } },
  { '{"if":false,"then":false}', { "1" }, {} },
  { '{"then":false,"else":false}', { "1" }, {} },
  { '{"$ref":"#/$defs/a~1b%25","$defs":{"a/b%":{"type":"integer"}}}', { "1" }, { '"x"' } },
  { '{"$ref":"#/$defs/n","maximum":3,"$defs":{"n":{"minimum":1}}}', { "2" }, { "0", "4" } },
  { '{"$ref":"#n","$defs":{"x":{"$anchor":"n","type":"integer"}}}', { "1" }, { '"x"' } },
  { '{"$id":"http://h/a/b","$ref":"c","$defs":{"x":{"$id":"c","type":"integer"}}}', { "1" }, { '"x"' } },
  { '{"$id":"http://h/a/b","$ref":"/d#/$defs/y","$defs":{"x":{"$id":"http://h/d",'
    .. '"$defs":{"y":{"type":"null"}}}}}',
    { "null" }, { "1" } },
  { '{"properties":{"next":{"$ref":"#"}},"additionalProperties":false}', { '{"next":{"next":{}}}' },
    { '{"next":{"nxet":{}}}' } },
  { '{"$id":"http://h/strict","$ref":"tree","$dynamicAnchor":"node","unevaluatedProperties":false,'
    .. '"$defs":{"t":{'
    .. '"$id":"tree","$dynamicAnchor":"node","type":"object","properties":{"children":{"type":"array",'
    .. '"items":{"$dynamicRef":"#node"}},"data":true}}}}',
    { '{"children":[{"data":1}]}' }, { '{"children":[{"daat":1}]}' } },
  { '{"properties":{"a":{}},"unevaluatedProperties":false}', { '{"a":1}' }, { '{"b":1}' } },
  { '{"allOf":[{"properties":{"a":{}}}],"anyOf":[{"required":["b"],"properties":{"b":{}}},true],'
    .. '"unevaluatedProperties":false}', { '{"a":1}', '{"a":1,"b":1}' }, { '{"c":1}' } },
  { '{"if":{"properties":{"a":{"const":1}},"required":["a"]},"then":{"properties":{"b":{}}},'
    .. '"unevaluatedProperties":false}', { '{"a":1,"b":1}', "{}" }, { '{"a":2}', '{"b":1}' } },
  { '{"patternProperties":{"^x":{}},"unevaluatedProperties":{"type":"integer"}}', { '{"x":"s","y":1}' },
    { '{"y":"s"}' } },
  { '{"not":{"not":{"properties":{"a":{}}}},"unevaluatedProperties":false}', { "{}" }, { '{"a":1}' } },
  { '{"prefixItems":[{}],"unevaluatedItems":false}', { "[1]", "[]", "{}" }, { "[1,2]" } },
  { '{"allOf":[{"prefixItems":[{},{}]}],"contains":{"const":7},"unevaluatedItems":false}', { "[7,1,7]" },
    { "[7,1,2]", "[1]" } },
  { '{"anyOf":[{"items":{"type":"integer"}},{"prefixItems":[{"type":"string"}]}],"unevaluatedItems":false}',
    { "[1,2]", '["a"]' }, { '["a",1]' } },
  { '{"format":"ipv4","contentEncoding":"base64","title":1,"unknown":{"$ref":"#/nothing"}}', { '"x"' }, {} },
}

local SEVEN = {
  { '{"items":[{"type":"string"}],"additionalItems":{"type":"integer"}}', { '["a",1]', "[]" },
    { "[1]", '["a","b"]' } },
  { '{"items":{"type":"string"},"additionalItems":false}', { '["a","b"]' }, { "[1]" } },
  { '{"$ref":"#/definitions/a","maximum":1,"definitions":{"a":{"type":"integer"}}}', { "2" }, { '"x"' } },
  { '{"$ref":"#n","definitions":{"x":{"$id":"#n","type":"integer"}}}', { "1" }, { '"x"' } },
  { '{"prefixItems":[false],"dependentRequired":{"a":["b"]},"unevaluatedProperties":false}',
    { "[1]", '{"a":1}' }, {} },
  { '{"$schema":"https://json-schema.org/draft/2020-12/schema","prefixItems":[false]}', {}, { "[1]" } },
}

local FOUR = {
  { '{"minimum":1,"exclusiveMinimum":true}', { "2" }, { "1" } },
  { '{"maximum":1,"exclusiveMaximum":false}', { "1" }, { "2" } },
  { '{"id":"http://h/x","$ref":"#/definitions/a","definitions":{"a":{"type":"integer"}},"const":3}', { "1" },
    { '"x"' } },
}

local function judge(cases, options)
  for _, case in ipairs(cases) do
    it(case[1]:sub(1, 100), function()
      local made = compiled(case[1], options)
      for _, value in ipairs(case[2]) do
        local problems = made:problems(json.decode(value))
        assert.is_nil(problems, value .. " is refused: " .. tostring(problems and problems[1].message))
        assert.is_true(made:fits(json.decode(value)))
      end
      for _, value in ipairs(case[3]) do
        assert.is_table(made:problems(json.decode(value)), value .. " is taken")
        assert.is_false(made:fits(json.decode(value)))
      end
    end)
  end
end

describe("draft 2020-12:", function() judge(WORDS) end)
describe("draft 7:", function() judge(SEVEN, { draft = 7 }) end)
describe("draft 4:", function() judge(FOUR, { draft = "draft-04" }) end)

describe("formats, where they are asserted:", function()
  local CASES = {
    { "date", { "2024-02-29" }, { "2023-02-29", "2024-2-9", "2024-13-01", "2024-00-01" } },
    { "time", { "23:59:60Z", "08:30:06.28+01:30", "15:59:60-08:00" },
      { "24:00:00Z", "12:00:00", "22:59:60Z", "1:00:00Z" } },
    { "date-time", { "2024-02-29T12:00:00z", "1990-12-31t15:59:50.123-08:00" },
      { "2024-02-29 12:00:00Z", "2024-02-29" } },
    { "duration", { "P1Y2M3DT4H5M6S", "P2W", "PT0S" }, { "P", "PT", "P1Y2W", "P1S", "PT0.5S" } },
    { "email", { "a.b@example.com", '"a b"@example.com', "a@[127.0.0.1]", "a@[IPv6:::1]" },
      { "a", ".a@b.c", "a@b@c", "a@[300.0.0.1]", "@b" } },
    { "idn-email", { "δοκιμή@παράδειγμα.δοκιμή" }, { "δοκιμή" } },
    { "idn-hostname", { "실례.테스트", "παράδειγμα。com", "l·l", "א׳ב", "xn--ihqwcrb4cv8a8dqg056pqjye" },
      { "a..b", "a·l", "\u{300}a", "0א", "Ａ", "xn--X", "xn--example-", ("ü"):rep(63), "" } },
    { "hostname", { "a.example.com", "1-2", "xn--9n2bp8q" },
      { "-a", "a-", "a_b", "a..b", "", "xn--X", ("a"):rep(64) } },
    { "ipv4", { "127.0.0.1" }, { "256.0.0.1", "01.0.0.1", "1.2.3" } },
    { "ipv6", { "::", "::1", "1:2:3:4:5:6:7:8", "1::d6:192.168.0.1" },
      { "1", ":1", "1::2::3", "12345::", "::1%eth0" } },
    { "uri", { "http://a.b/c?d#e", "urn:a:b", "ldap://[2001:db8::7]/c" },
      { "/a", "a", "http://a b", "http://[::g]/", "http://a/%zz" } },
    { "uri-reference", { "", "/a", "a", "#b", "//h/p" }, { "\\a", "1:b", "/[a]" } },
    { "iri", { "http://ƒøø.ßår/?∂éœ" }, { "/é", "http://é é" } },
    { "iri-reference", { "/âππ", "" }, { "\\é" } },
    { "uri-template", { "a/{b}{?c,d*}", "{e:3}" }, { "{", "{}", "a}", "{a,,b}", "{v:0}" } },
    { "uuid", { "2EB8AA08-aa98-11ea-b4aa-73b441d16380" }, { "2eb8aa08aa9811eab4aa73b441d16380", "x" } },
    { "json-pointer", { "", "/a~0b/0" }, { "a", "/~2" } },
    { "relative-json-pointer", { "0", "1#", "2/a" }, { "01", "/a", "-1" } },
    { "regex", { "^a(b|c)*$", "(?<=a)b" }, { "(", "\\a" } },
    { "of-my-own", { "anything" }, {} },
  }
  for _, case in ipairs(CASES) do
    it(case[1], function()
      local made = compiled({ format = case[1] }, { formats = true })
      for _, text in ipairs(case[2]) do assert.is_true(made:fits(text), text) end
      for _, text in ipairs(case[3]) do assert.is_false(made:fits(text), text) end
      assert.is_true(made:fits(12))
      assert.is_true(compiled { format = case[1] }:fits "\\ nothing of the kind")
    end)
  end
end)

describe("the drafts' own schemas", function()
  for _, address in ipairs { "https://json-schema.org/draft/2020-12/schema",
    "http://json-schema.org/draft-07/schema#" } do
    it(address, function()
      local made = compiled { ["$ref"] = address }
      assert.is_nil(made:problems(json.decode '{"type":"object","properties":{"a":{"minLength":1}}}'))
      assert.is_table(made:problems(json.decode '{"properties":{"a":{"minLength":-1}}}'))
      assert.is_table(made:problems(json.decode '{"type":"strnig"}'))
      local own = require "orrery.schema.json.drafts".find((address:gsub("#$", "")))
      assert.is_nil(made:problems(own))
    end)
  end
end)

describe("messages name the place in the value and in the schema", function()
  local CASES = {
    { '{"properties":{"tags":{"items":{"type":"string"}}}}', '{"tags":["a",2]}',
      "input.tags[2] is wrong, expected a string, got integer 2 (#/properties/tags/items/type)" },
    { '{"required":["name"]}', '{"nmae":1}',
      'input.name is missing; is "nmae" meant to be it? (#/required)' },
    { '{"properties":{"name":{},"x":{}},"additionalProperties":false}', '{"nmae":1}',
      'input.nmae is not known; did you mean "name"? (#/additionalProperties)' },
    { '{"properties":{"a":{},"b":{}},"additionalProperties":false}', '{"zzz":1}',
      "input.zzz is not known; expected a, b (#/additionalProperties)" },
    { '{"properties":{"name":{}},"unevaluatedProperties":false}', '{"nmae":1}',
      'input.nmae is not known; did you mean "name"? (#/unevaluatedProperties)' },
    { '{"enum":["fast","slow"]}', '"fsat"',
      'input is wrong, expected one of "fast", "slow", got the string "fsat"; did you mean "fast"? '
        .. '(#/enum)' },
    { '{"const":3}', "4", "input is wrong, expected 3, got integer 4 (#/const)" },
    { '{"minimum":18}', "3", "input is out of range, expected at least 18, got integer 3 (#/minimum)" },
    { '{"exclusiveMaximum":1}', "1",
      "input is out of range, expected less than 1, got integer 1 (#/exclusiveMaximum)" },
    { '{"multipleOf":0.1}', "0.25",
      "input is wrong, expected a multiple of 0.1, got number 0.25 (#/multipleOf)" },
    { '{"minLength":1}', '""', "input is out of range, expected at least 1 character, got 0 (#/minLength)" },
    { '{"pattern":"^a"}', '"b"', 'input is wrong, expected a text that matches ^a, got the string "b" '
      .. '(#/pattern)' },
    { '{"uniqueItems":true}', "[1,2,1]",
      "input is wrong, its items 1 and 3 are equal: integer 1 (#/uniqueItems)" },
    { '{"contains":{"const":1}}', "[2]",
      "input is wrong, expected at least 1 of its items to fit, got 0 (#/contains)" },
    { '{"maxProperties":0}', '{"a":1}',
      "input is out of range, expected at most 0 properties, got 1 (#/maxProperties)" },
    { '{"propertyNames":{"maxLength":1}}', '{"ab":1}',
      'the name "ab" in input is out of range, expected at most 1 character, got 2 '
        .. '(#/propertyNames/maxLength)' },
    { '{"dependentRequired":{"a":["b"]}}', '{"a":1}',
      'input.b is missing, as "a" is there (#/dependentRequired/a)' },
    { '{"properties":{"a/b c":false}}', '{"a/b c":1}',
      'input["a/b c"] is not allowed (#/properties/a~1b c)' },
    { '{"anyOf":[{"type":"string"},{"type":"object"}]}', "3",
      "input is wrong, expected a string or an object, got integer 3 (#/anyOf)" },
    { '{"oneOf":[{"type":"string"},{"type":"object","required":["a"]}]}', "{}",
      "input.a is missing (#/oneOf/1/required)" },
    { '{"anyOf":[{"properties":{"k":{"const":1},"x":{"type":"string"}}},{"properties":{"k":{"const":2},'
      .. '"x":{"type":"string"},"y":{"type":"string"}}}]}', '{"k":2,"x":"a","y":3}',
      "input fits none of the 2 alternatives (#/anyOf); of the nearest: input.k is wrong, expected 1, "
        .. "got integer 2 "
      .. "(#/anyOf/0/properties/k/const)" },
    { '{"oneOf":[true,{}]}', "1", "input fits two alternatives, 1 and 2, expected exactly one (#/oneOf)" },
    { '{"not":{}}', "1", "input is what it must not be (#/not)" },
    { '{"$ref":"#/$defs/n","$defs":{"n":{"type":"null"}}}', "1",
      "input is wrong, expected null, got integer 1 (#/$defs/n/type)" },
  }
  for _, case in ipairs(CASES) do
    it(case[3]:sub(1, 100), function()
      assert.same({ case[3] }, problems_of(case[1], case[2], "input"))
    end)
  end

  it("all of them, in an order that does not change", function()
    local schema = '{"required":["a"],"properties":{"b":{"type":"string"},"c":{"minimum":1,"multipleOf":2}},'
      .. '"additionalProperties":false}'
    assert.same({
      "a is missing (#/required)",
      "b is wrong, expected a string, got integer 1 (#/properties/b/type)",
      "c is out of range, expected at least 1, got integer -1 (#/properties/c/minimum)",
      "c is wrong, expected a multiple of 2, got integer -1 (#/properties/c/multipleOf)",
      "y is not known; expected b, c (#/additionalProperties)",
      "z is not known; expected b, c (#/additionalProperties)",
    }, problems_of(schema, '{"b":1,"c":-1,"z":1,"y":1}'))
  end)

  it("at most a hundred", function()
    local list = problems_of('{"items":{"type":"string"}}', "[" .. ("1,"):rep(499) .. "1]")
    assert.equal(101, #list)
    assert.equal("and 400 more", list[101])
  end)
end)

describe("a schema with a mistake is refused:", function()
  local CASES = {
    { '{"type":"strnig"}', '#/type: there is no type "strnig"; did you mean "string"?' },
    { '{"properties":{"a":{"type":3}}}', "#/properties/a/type: there is no type" },
    { '{"type":[]}', "#/type: expected the name of a type" },
    { '{"required":"a"}', "#/required: expected a list of names, got the string" },
    { '{"minLength":-1}', "#/minLength: expected a whole number that is not negative, got" },
    { '{"minimum":"1"}', "#/minimum: expected a number, got the string" },
    { '{"multipleOf":0}', "#/multipleOf: expected a number greater than 0, got 0" },
    { '{"properties":[1]}', "#/properties: expected an object, got" },
    { '{"properties":{"a":1}}', "#/properties/a: expected a schema, an object or a boolean, got" },
    { '{"allOf":{}}', "#/allOf: expected a list of schemas, got" },
    { '{"enum":3}', "#/enum: expected a list of values, got" },
    { '{"pattern":"(a"}', '#/pattern: the string "(a" is no expression that is known here: a ( is not '
      .. 'closed' },
    { '{"pattern":"(?<=a)b"}', "a lookbehind cannot be matched in linear time" },
    { '{"patternProperties":{"[":{}}}', "#/patternProperties: " },
    { '{"$ref":"#/$defs/adress","$defs":{"address":{}}}',
      '#/$ref: "#/$defs/adress" leads to nothing: #/$defs has no "adress"; did you mean "address"?' },
    { '{"$ref":"#nmae","$defs":{"a":{"$anchor":"name"}}}',
      'there is no anchor "nmae"; did you mean "name"?' },
    { '{"$ref":"http://h/x.json"}',
      '"$ref" leads to "http://h/x.json", which is not here; give it in `remotes`, as nothing' },
    { '{"$ref":3}', "#/$ref: expected the address of a schema, got" },
    { '{"$schema":"http://json-schema.org/draft-99/schema#"}', "#/$schema: " },
    { '{"dependentRequired":{"a":3}}', '#/dependentRequired: "a": expected a list of names' },
  }
  for _, case in ipairs(CASES) do
    it(case[1], function()
      local said = mistakes_of(case[1])
      assert.is_truthy(said:find(case[2], 1, true), said)
    end)
  end

  it("all of them at once", function()
    assert.equal(3, #select(2, json_schema.compile(json.decode('{"type":"x","minLength":"y",'
      .. '"properties":{"a":{"enum":1}}}'))))
  end)

  it("a draft that is not known", function()
    assert.error_matches(function() json_schema.compile({}, { draft = 9 }) end,
      'there is no draft "9"; there are 2020%-12 and 7')
  end)
end)

describe("documents of the user's", function()
  it("are found by their addresses, and by their own ids", function()
    local options = { remotes = { ["http://h/a.json"] = json.decode('{"$id":"http://h/b.json",'
      .. '"$ref":"c.json"}'),
      ["http://h/c.json#"] = json.decode '{"type":"integer","$defs":{"d":{"type":"null"}}}',
        ["d.json"] = { type = "array" } } }
    assert.is_true(compiled({ ["$ref"] = "http://h/a.json" }, options):fits(1))
    assert.is_false(compiled({ ["$ref"] = "http://h/a.json" }, options):fits "x")
    assert.is_true(compiled({ ["$ref"] = "http://h/c.json#/$defs/d" }, options):fits(json.null))
    assert.is_true(compiled({ ["$ref"] = "d.json" }, options):fits { 1 })
    assert.same({ "the value is wrong, expected an integer, got an empty object (http://h/c.json#/type)" },
      problems_of(compiled({ ["$ref"] = "http://h/a.json" }, options), "{}"))
    assert.is_truthy(mistakes_of('{"$ref":"http://h/aa.json"}',
      options):find('did you mean "http://h/a.json"?', 1, true))
  end)

  it("a draft of one's own says which words count", function()
    local options = { remotes = { ["http://h/mine"] = json.decode [[{ "$vocabulary": {
      "https://json-schema.org/draft/2020-12/vocab/core": true, "http://h/other": false,
      "https://json-schema.org/draft/2020-12/vocab/applicator": true,
      "https://json-schema.org/draft/2020-12/vocab/format-assertion": false } }]],
      ["http://h/strange"] = json.decode '{ "$vocabulary": { "http://h/other": true } }' } }
    local made = compiled('{"$schema":"http://h/mine","minimum":3,"format":"ipv4","properties":{"a":false}}',
      options)
    assert.is_true(made:fits(1))
    assert.is_false(made:fits "x")
    assert.is_false(made:fits { a = 1 })
    assert.is_truthy(mistakes_of('{"$schema":"http://h/strange"}',
      options):find('the vocabulary "http://h/other" is needed', 1, true))
  end)
end)

-- Instructions of Lua that a call takes, in hundreds.
local function steps_of(fn)
  local steps = 0
  debug.sethook(function() steps = steps + 1 end, "", 100)
  fn()
  debug.sethook()
  return steps
end

describe("a validation is bounded:", function()
  it("a schema that refers to itself without end", function()
    for _, text in ipairs { '{"$ref":"#"}', '{"anyOf":[{"$ref":"#"},{"$ref":"#"}]}', '{"not":{"$ref":"#"}}',
      '{"$dynamicAnchor":"a","allOf":[{"$dynamicRef":"#a"}]}' } do
      local problems = problems_of(text, "1")
      assert.equal(1, #problems)
      assert.is_truthy(problems[1]:find("the schema refers to itself without end", 1, true), problems[1])
    end
  end)

  it("a value of a thousand levels is no trouble, one that holds itself is refused", function()
    local made = compiled('{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},'
      .. '"b":{"items":{"$ref":"#/$defs/a"},"type":"array"}}}')
    assert.is_nil(made:problems(json.decode(("["):rep(999) .. ("]"):rep(999))))
    local circle = {}
    circle[1] = circle
    assert.equal("deep", made:problems(circle)[1].kind)
  end)

  it("what was answered is not asked again", function()
    local defs = { ["0"] = { type = "object" } }
    for i = 1, 60 do
      local ref = { ["$ref"] = "#/$defs/" .. i - 1 }
      defs[tostring(i)] = { allOf = { ref, { ["$ref"] = ref["$ref"] } } }
    end
    local made = compiled { ["$ref"] = "#/$defs/60", ["$defs"] = defs }
    local steps = steps_of(function()
      assert.is_true(made:fits {})
      assert.is_false(made:fits(1))
      assert.is_table(made:problems(1))
    end)
    assert.is_true(steps < 1000000, steps)
  end)

  it("time in proportion to the value", function()
    local made = compiled('{"uniqueItems":true,"items":{"anyOf":[{"type":"null"},{"$ref":"#/$defs/o"}]},'
      .. '"$defs":{"o":{"type":"object","properties":{"a":{"type":"array","items":{"type":"integer"}}},'
      .. '"unevaluatedProperties":false}}}')
    local function time(n)
      local list = {}
      for i = 1, n do list[i] = { a = json.array { i, i + 1 } } end
      return steps_of(function() assert.is_true(made:fits(list)) end)
    end
    local short, long = time(500), time(5000)
    assert.is_true(long < 12 * short + 100, ("%d and %d"):format(short, long))
  end)

  it("a schema of too many levels is refused", function()
    assert.is_truthy(mistakes_of(('{"not":'):rep(600) .. "{}"
      .. ("}"):rep(600)):find("nested deeper than 500", 1, true))
  end)

  it("a schema of Lua that holds itself is one that refers to itself", function()
    local list = { type = "array" }
    list.items = list
    local made = compiled(list)
    assert.is_true(made:fits { json.array {}, { json.array {} } })
    assert.is_false(made:fits { { 1 } })
  end)
end)

describe("flow.schema", function()
  local address = { ["$schema"] = "https://json-schema.org/draft/2020-12/schema", type = "object",
    properties = { street = { type = "string" },
      no = { type = "integer", default = 1, minimum = 1, description = "the number" },
      tags = { type = "array", items = { type = "string" } }, kind = { enum = { "home", "work" } } },
    required = { "street" }, additionalProperties = false }

  it("takes a JSON Schema, and fills in defaults", function()
    local schema = flow.schema(address)
    local given = { street = "a" }
    assert.same({ street = "a", no = 1 }, (schema:check(given)))
    assert.same({ street = "a" }, given)
    local made, problems = schema:check({ steret = "a" }, { root = "input" })
    assert.is_nil(made)
    assert.equal('input.street is missing; is "steret" meant to be it? (#/required)', problems[1].message)
    assert.equal("street", problems[1].field)
    assert.equal("#/required", problems[1].schema)
    assert.equal("unknown", problems[2].kind)
  end)

  it("fills in defaults through references, items and all of several", function()
    local schema = flow.schema(json.decode [[{ "$ref": "#/$defs/o", "$defs": { "o": { "properties": {
      "list": { "items": { "allOf": [ { "properties": { "x": { "default": [1] } } } ] } },
      "next": { "$ref": "#/$defs/o" }, "n": { "default": null } } } } }]])
    local value = json.decode '{"list":[{},{"x":2}],"next":{"next":{}}}'
    assert.equal('{"list":[{"x":[1]},{"x":2}],"n":null,"next":{"n":null,"next":{"n":null}}}',
      json.encode((schema:check(value))))
    assert.equal('{"list":[{},{"x":2}],"next":{"next":{}}}', json.encode(value))
  end)

  it("knows one by what only a JSON Schema has", function()
    for _, text in ipairs { '{"$ref":"#/$defs/a","$defs":{"a":{}}}',
      '{"type":"object","properties":{"a":{"type":"string"}}}',
      '{"anyOf":[{"type":"integer"},{"type":"object"}]}', '{"$id":"http://h/x","minProperties":1}' } do
      assert.equal("json", flow.schema(json.decode(text)).shape.kind, text)
    end
    for _, fields in ipairs { { type = "object", properties = "string" }, { allOf = "string" },
      { anyOf = { "a", "b" } },
      { type = "string" }, { properties = { a = "string" } } } do
      assert.equal("object", flow.schema(fields).shape.kind)
    end
  end)

  it("stands as a field of the shorthand", function()
    local schema = flow.schema { name = "string", home = address, other = flow.schema(address) }
    assert.equal(1, (schema:check { name = "x", home = { street = "a" }, other = { street = "b" } }).home.no)
    local _, problems = schema:check({ name = "x", home = { street = 3 }, other = 3 }, { root = "input" })
    assert.equal("input.home.street is wrong, expected a string, got integer 3 (#/properties/street/type)",
      problems[1].message)
    assert.equal("home.street", problems[1].field)
    assert.equal("input.other is wrong, expected an object, got integer 3 (#/type)", problems[2].message)
    local _, missing = schema:check { name = "x", other = { street = "b" } }
    assert.equal("home is missing, expected an object", missing[1].message)
  end)

  it("describes it, and reads words", function()
    local schema = flow.schema(address)
    local fields = schema:describe()
    assert.same({ "kind", "no", "street", "tags" },
      { fields[1].name, fields[2].name, fields[3].name, fields[4].name })
    assert.same({ "integer", 1, 1, "the number", false },
      { fields[2].type, fields[2].default, fields[2].min, fields[2].doc, fields[2].required })
    assert.same({ "string", true, "string[]" }, { fields[3].type, fields[3].required, fields[4].type })
    assert.same({ no = 3, street = "7", tags = { "a" }, kind = "work", other = "1" },
      schema:from_strings { no = "3", street = "7", tags = '["a"]', kind = "work", other = "1" })
  end)

  it("lets templates pass where it is told to, and secrets stand for texts", function()
    local schema = flow.schema(address)
    local value = { street = "${input.s}", no = "${input.no}", kind = "${input.k}" }
    assert.same(value, (schema:check(value, { templates = true })))
    assert.is_nil((schema:check(value)))
    local secret = flow.secret "TOKEN"
    assert.equal(secret, schema:check({ street = secret, no = 1 }).street)
    assert.is_nil((schema:check { street = "x", no = secret }))
    assert.is_nil((flow.schema { ["$schema"] = address["$schema"], type = "object" }:check(secret)))
  end)

  it("raises the mistakes of a schema with their places", function()
    assert.error_matches(function() flow.schema { ["$schema"] = address["$schema"],
      properties = { a = { type = "strnig" } } } end,
      'schema: #/properties/a/type: there is no type "strnig"; did you mean "string"%?')
    assert.error_matches(function() flow.schema { a = { ["$ref"] = "#/b" } } end,
      'a: #/%$ref: "#/b" leads to nothing: # has no "b"')
  end)

  it("takes formats, a draft and documents as options", function()
    local schema = flow.schema({ ["$ref"] = "x.json" }, { formats = true, draft = 7,
      remotes = { ["x.json"] = { items = { { format = "ipv4" } } } } })
    assert.is_table((schema:check { "127.0.0.1", "x" }))
    assert.is_nil((schema:check { "x" }))
  end)

  it("says how to write an empty array in Lua", function()
    local _, problems = flow.schema { ["$schema"] = address["$schema"], type = "array" }:check {}
    assert.equal("the value is wrong, expected an array, got an empty object; flow.json.array {} is an "
      .. "empty array (#/type)",
      problems[1].message)
  end)
end)
