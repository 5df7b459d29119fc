-- JSON Schemas and values: {"schema": …, "value": …}.
local driver = require "spec.fuzz.driver"
local json = require("orrery").json
local json_schema = require "orrery.schema.json"

return {
  seeds = {
    '{"schema":{"type":"object","properties":{"a":{"type":"integer","minimum":1}},'
      .. '"required":["a"]},"value":{"a":0}}',
    '{"schema":{"$defs":{"n":{"type":"array","items":{"$ref":"#/$defs/n"}}},'
      .. '"$ref":"#/$defs/n"},"value":[[],[[]]]}',
    '{"schema":{"oneOf":[{"const":1},{"enum":["a",null]}],"not":{"type":"string"}},"value":1}',
    '{"schema":{"pattern":"^(a|b+)*[c-x]{2,5}$","maxLength":9},"value":"abbcc"}',
    '{"schema":{"if":{"required":["x"]},"then":{"minProperties":2},"else":false},"value":{"x":1}}',
    '{"schema":{"prefixItems":[true,{"multipleOf":0.1}],"contains":{"const":3},'
      .. '"uniqueItems":true},"value":[1,0.3,3]}',
    '{"schema":{"$id":"http://x/y","$anchor":"z","$dynamicRef":"#z",'
      .. '"unevaluatedProperties":false},"value":{"a":1}}',
    '{"schema":{"patternProperties":{"^x":{"format":"email"}},"additionalProperties":false},'
      .. '"value":{"xa":"a@b"}}',
    '{"schema":{"$schema":"http://json-schema.org/draft-07/schema#","definitions":{},'
      .. '"items":[{}],"dependencies":{"a":["b"]}},"value":[]}',
  },
  words = { '"$ref":"#"', '"$defs"', '"type"', '"string"', '"integer"', '"array"', "true", "false",
    "null", "{}", "[]",
    '"allOf":[', '"anyOf":[', '"not":', '"items":', '"pattern":"', "(a*)*", "[^", "\\\\p{L}", "{1,9999}",
    "(?=", "]", "}",
    ",", '"minimum":', "1e308", "-1", "0.1", '"format":"date-time"', '"$dynamicAnchor":"a"',
    '"dependentSchemas"',
    '"$id":"x"', "#/%24defs/~1" },
  run = function(text)
    local ok, read = pcall(json.decode, text)
    if not ok or type(read) ~= "table" or read.schema == nil then return "no schema" end
    local made, mistakes = json_schema.compile(read.schema, { formats = #text % 2 == 0 })
    if not made then return driver.kind(mistakes[1]) end
    local problems = made:problems(read.value, "input")
    if not problems then return "fits: " .. type(read.value) end
    for _, problem in ipairs(problems) do driver.told(problem) end
    return "value: " .. driver.kind(problems[1])
  end,
}
