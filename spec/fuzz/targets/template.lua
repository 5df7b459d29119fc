-- Templates: texts with expressions in them, alone and in tables.
local driver = require "spec.fuzz.driver"
local template = require "orrery.expr.template"

local context = { input = { city = "Oslo", n = 3, list = { 1, 2, 3 } }, nodes = { a = { b = { "x" } } },
  states = {}, errors = {}, context = {}, env = {}, run = { id = "1" }, item = "i", index = 1 }

return {
  seeds = { "plain", "${input.city}", "a ${input.n} b ${nodes.a.b[1]} c", "$${kept}", "${'}'}", "${ {", "$",
    "${input.list}",
    "${upper(input.city)}: ${input.n + 1}", "${input.missing}", "x${input.missing}", "${input['${x}']}",
    "${}", "${for x in input.list}${x}${end}", "${for i, x in nodes.a.b}\n${i} ${x}\n${end}\n",
    "${if input.n > 2}a${elseif input.city}b${else}c${end}" },
  words = { "${", "}", "$${", "$", "{", "input", ".city", "'", '"', "..", "[[", "]]", " ", "\n", "upper(",
    ")", "nil",
    "nodes.a.b[1]", "\xff", "\\", "${for x in input.list}", "${if x}", "${else}", "${elseif ", "${end}" },
  run = function(text)
    local compiled, problems = template.compile({ text, key = { text } }, { where = "fuzz",
    field = "with" })
    if not compiled then return driver.kind(problems[1]) end
    local ok, value = pcall(compiled.fn, context)
    if not ok then return "raises " .. driver.kind(value) end
    return (compiled.static and "static " or "gives a ") .. type(value[1])
  end,
}
