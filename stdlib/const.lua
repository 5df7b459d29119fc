--- `const`: a fixed value, or one computed by a template, as a node's output.
local flow = require "orrery"

return flow.type {
  name = "const",
  doc = "Outputs a value: a literal, or what its templates resolve to.",
  config = flow.schema { value = "any?" },
  positional = "value",
  examples = { [[flow.const { value = { city = "${input.city}", limit = 10 } }]] },
  run = function(_, config) return config.value end,
}
