-- JSON: what is read is written, and read again as the same.
local driver = require "spec.fuzz.driver"
local json = require("orrery").json

return {
  seeds = { "{}", '{"a":[1,2.5,-3e7,true,false,null,"\\u00e9\\n"],"b":{"c":""}}', "[[[[1]]]]",
    '"\\ud83d\\ude00"',
    "9223372036854775807", "-0.0", "1e308", '  [ 1 , "x" ]\n', '{"a":1,"a":2}', "[1,]", '"\xc3\xa9"' },
  words = { "{", "}", "[", "]", ",", ":", '"', "\\u", "\\ud800", "null", "true", "false", "1e", "-", ".",
    "0", "\\",
    "e+", "\xff", "\xef\xbb\xbf", "\0", " ", "\n" },
  run = function(text)
    local ok, value = pcall(json.decode, text)
    if not ok then return driver.kind(value) end
    local written = json.encode(value)
    local again = json.encode(json.decode(written))
    assert(written == again, "it is not read as it was written")
    return "read: " .. math.min(#written, 40)
  end,
}
