-- Tests of the official suite of JSON Schema that do not pass, with the reason: file, group, test.
local CONTENT = "contentEncoding and contentMediaType are remarks, as draft 2020-12 has them"

local made = {}

for group, tests in pairs {
  ["validation of string-encoded content based on media type"] = { "an invalid JSON document" },
  ["validation of binary string-encoding"] = { "an invalid base64 string (% is not a valid character)" },
  ["validation of binary-encoded media type documents"] = { "a validly-encoded invalid JSON document",
    "an invalid base64 string that is valid JSON" },
} do
  for _, test in ipairs(tests) do
    made[("optional/content.json | %s | %s"):format(group, test)] = CONTENT
  end
end

return made
