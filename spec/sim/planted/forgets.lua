-- A booking whose compensation forgets: it releases the seat only where the seat is known to have
-- been taken, and an attempt that failed after its work is not.
local flow = require "orrery"

local w = flow.workflow { name = "booking" }

w.seat = {
  retry = 1,
  run = function(ctx)
    flow.effect("take", { order = ctx.run.id })
    return { seat = "12A" }
  end,
  compensate = function(ctx)
    if ctx.output then flow.effect("release", { order = ctx.run.id }) end
  end,
}

w.hotel = { after = "seat", run = function() return { room = 7 } end }

w.pay = { after = "hotel", run = function() return { paid = true } end }

flow.invariant("a seat that is not paid for is released", function(h)
  if h.state == "completed" or h.count "take" == 0 or h.count "release" > 0 then return true end
  return false, ("the run is %s, and the seat was taken and never released"):format(h.state)
end)

return w
