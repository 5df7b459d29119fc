-- Expressions: compiled or refused, evaluated or refused.
local driver = require "spec.fuzz.driver"
local expr = require "orrery.expr"

local context = { input = { city = "Oslo", n = 3, list = { 1, 2, 3 }, deep = { a = { b = { c = 1 } } } },
  nodes = { fetch = { body = { items = { { id = 1 }, { id = 2 } } }, status = 200 } },
  states = { fetch = "completed" }, errors = {}, context = { tenant = "acme" }, env = { HOME = "/root" },
  run = { id = "1", state = "running" }, item = 2, index = 1 }

return {
  seeds = { "1 + 2 * 3 == 7", "nodes.fetch.body.items[1].id", "#input.list > 2 and not (input.n < 1)",
    "input.city .. '-' .. context.tenant", "upper(input.city)", "format('%05.2f', input.n)",
    "states.fetch == 'completed'",
    "input.missing.deeper == nil", "-2 ^ 2 // 3 % 4", "split('a,b', ',')[1]", "\"a\\n\\x41\\u{48}\"",
    "[[long]]",
    "input['city']", "errors.fetch.code or 'none'", "join(input.list, ', ')" },
  words = { "input", "nodes", ".", "[", "]", "(", ")", "'", '"', "..", "==", "~=", "<=", "and", "or", "not",
    "#", "nil",
    "true", "^", "//", "%", "1e9", "0x", "[[", "]]", "--", "upper(", "format(", "'%s'", "join(", "split(",
    "replace(",
    "contains(", "keys(", "len(", "sum(", ",", "\\", "\xff" },
  run = function(text)
    local compiled, mistake = expr.compile(text, { where = "fuzz", field = "when" })
    if not compiled then return driver.kind(mistake) end
    local ok, value = pcall(compiled.fn, context)
    if not ok then return "raises " .. driver.kind(value) end
    return "gives a " .. (math.type(value) or type(value))
  end,
}
