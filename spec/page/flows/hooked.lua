-- A hook that anybody may call, which starts what publishes values and has input of a shape.
local flow = require "orrery"

local w = flow.workflow {
  name = "hooked", input = { order = "string" },
  triggers = { flow.hook { name = "orders", verify = "none", start = "${hook.body.type == 'made'}",
    input = { order = "${hook.body.order}" } } },
}

w.take = { run = function(ctx)
  ctx:publish("order", ctx.input.order)
  ctx:publish("place", { shelf = 7, note = "text of several words, long enough for the table to cut it" })
  return ctx.input.order
end }

w.fixed = { run = function() return 1 end }

return w
