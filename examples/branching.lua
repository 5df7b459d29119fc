-- Branches: a switch has named outcomes, and a node that comes after one of them runs only when it
-- was taken. What the branches lead to joins with "any".
--   orrery run examples/branching.lua --input amount:=120
--   orrery run examples/branching.lua --input amount:=5 --dry
local flow = require "orrery"

local w = flow.workflow {
  name = "orders",
  input = flow.schema { amount = "number" },
  output = "${nodes.ship}",
}

w.route = flow.switch {
  cases = {
    { gold = "input.amount >= 100" },
    { plain = "input.amount >= 20" },
  },
  default = "small",
}

w.courier = { after = "route:gold", run = function() return { by = "courier", days = 1 } end }
w.parcel = { after = "route:plain", run = function() return { by = "parcel", days = 3 } end }
w.letter = { after = "route:small", run = function() return { by = "letter", days = 5 } end }

w.ship = { after = { "courier", "parcel", "letter" }, join = "any", run = function(ctx, inputs)
  local chosen = inputs.courier or inputs.parcel or inputs.letter
  return { amount = ctx.input.amount, by = chosen.by, days = chosen.days }
end }

w.insure = flow.log { after = "ship", when = "input.amount > 1000", message = "insure ${input.amount}" }

return w
