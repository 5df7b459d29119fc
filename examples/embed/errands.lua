-- errands.lua: the workflow that errands.c keeps in its store: an errand takes a while, and the
-- last one needs somebody's word
local flow = require "orrery"

local w = flow.workflow {
  name   = "errand",
  input  = flow.schema { to = "string", ask = "boolean?" },
  output = "${nodes.back}",
}

w.go = { run = function(ctx)
  -- done once, however often the program is started
  local left = ctx:step("leave", function() return "left for " .. ctx.input.to end)
  ctx:sleep("300ms")
  return left
end }

w.word = flow.wait { after = "go", when = "input.ask", signal = "word", timeout = "3d" }

w.back = { after = { "go", "word" }, run = function(_, inputs)
  return inputs.go .. (inputs.word and ", and was told: " .. inputs.word or "") .. ", and is back"
end }

return w
