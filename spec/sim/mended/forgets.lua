-- A booking whose compensation forgets nothing: a seat that may have been taken is released.
local flow = require "orrery"
local w = flow.workflow { name = "booking" }

w.seat = {
  timeout = "10s",
  run = function()
    flow.effect "seat taken"
    return { seat = "12A" }
  end,
  compensate = function()
    flow.effect "seat released"
  end,
}

w.pay = { after = "seat", run = function() return { paid = true } end }

flow.invariant("who does not fly has no seat", function(h)
  if h.state == "completed" or h.count "seat taken" == 0 or h.count "seat released" > 0 then return true end
  return false, ("the run is %s, and the seat is still taken"):format(h.state)
end)

return w
