-- A race of signal and timeout: the order is cancelled when the payment has not come in half an
-- hour, and a payment that comes all the same is kept.
local flow = require "orrery"

local w = flow.workflow { name = "invoice" }

w.send = { run = function(ctx)
  ctx:sleep("5s")
  return { invoice = 17 }
end }

w.paid = { after = "send", on_error = "ignore", run = function(ctx)
  return ctx:wait("payment", { timeout = "30m" })
end }

w.ship = { after = "paid", when = "nodes.paid.amount", run = function()
  flow.effect "shipped"
  return true
end }

w.expire = { after = "paid", when = "nodes.paid == nil", run = function(ctx)
  ctx:sleep("10s")
  flow.effect "expired"
  return true
end }

flow.model("signal:payment", function()
  flow.effect "paid"
  return { amount = 99 }
end)

flow.invariant("who pays gets the goods", function(h)
  return h.count "paid" == 0 or h.count "shipped" > 0, "it was paid, and nothing was shipped"
end)

return w
