-- Schemas and values, as JSON: {"schema": …, "value": …}.
local driver = require "spec.fuzz.driver"
local json = require("orrery").json
local schema = require "orrery.schema"

return {
  seeds = {
    '{"schema":{"city":"string","limit":"integer?"},"value":{"city":"Oslo","limit":3}}',
    '{"schema":{"a":"number = 3","b":"string[]","c":{"d":"boolean"}},"value":{"b":["x"],"c":{"d":true}}}',
    '{"schema":{"t":"duration","e":"\\"one\\" | \\"two\\""},"value":{"t":"5s","e":"one"}}',
    '{"schema":{"n":{"type":"integer","min":1,"max":9,"doc":"x"}},"value":{"n":5}}',
    '{"schema":{"x":"any","...":"string"},"value":{"x":null,"y":"z"}}',
    '{"schema":"string|integer","value":"x"}', '{"schema":{"l":["string"]},"value":{"l":[1]}}',
    '{"schema":{"m":"map<string>"},"value":{"m":{"a":"b"}}}',
  },
  words = { "string", "integer", "number", "boolean", "any", "duration", "object", "array", "?", "[]", "|",
    " = ", '\\"',
    "{", "}", "[", "]", '"', ":", ",", "min", "max", "type", "default", "enum", "fields", "...", "null",
    "1", "-1e9", "<", ">" },
  run = function(text)
    local ok, read = pcall(json.decode, text)
    if not ok or type(read) ~= "table" or read.schema == nil then return "no schema" end
    if type(read.schema) ~= "table" and type(read.schema) ~= "string" then return "another value" end
    local compiled, problems = schema.compile(read.schema)
    if not compiled then return driver.kind(problems[1]) end
    local value, wrong = schema.check(compiled, read.value, { root = "input" })
    if wrong then
      for _, problem in ipairs(wrong) do driver.told(problem) end
      return "value: " .. driver.kind(wrong[1])
    end
    if value ~= nil then
      local again, worse = schema.check(compiled, value)
      assert(not worse, "what was checked is refused: " .. (worse and worse[1].message or ""))
      assert(json.encode(again) == json.encode(value), "what was checked changes")
    end
    schema.describe(compiled)
    return "fits: " .. type(value)
  end,
}
