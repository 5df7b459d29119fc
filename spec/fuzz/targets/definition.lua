-- JSON definitions: each mistake in a sentence; what has none is compiled and drawn.
local driver = require "spec.fuzz.driver"
local flow = require "orrery"

return {
  seeds = { '{"name":"x","nodes":[{"id":"a","type":"const","with":{"value":1}}]}' }, -- and the corpus
  words = { '"id":', '"type":', '"after":', '"when":', '"with":', '"each":', '"loop":', '"retry":',
    '"join":', '"timeout":',
    '"edges":', '"from":', '"to":', '"nodes":', '"output":', '"on_error":', '"const"', '"sleep"',
    '"condition"', '"switch"',
    '"a"', '"b"', "${", "}", "{", "[", "]", ",", "null", "true", "-1", "1e99", '"need":', '"5s"', '"*"',
    '"a:x"', '"handles":',
    '"compensate":', '"cache":', '"strategy":', '"deadline":', '"heartbeat":', '"singleton":',
    '"labels":' },
  run = function(text)
    local problems = flow.check { source = text, format = "json", name = "fuzz.json" }
    for _, problem in ipairs(problems) do driver.told(problem) end
    if #problems > 0 then return driver.kind(problems[1]) end
    local compiled = flow.compile(flow.load { source = text, format = "json", name = "fuzz.json" })
    return "compiled: " .. #compiled.def.nodes
  end,
}
