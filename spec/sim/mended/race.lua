-- Signal and timeout without a race: the invoice is made void before the order is given up, and who
-- has paid by then is paid back.
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
  return true
end }

w.void = { after = "expire", run = function() return {} end }

flow.model("void", function(_, _, world)
  world.void = true
  if world.paid then flow.effect "paid back" end
  return true
end)

flow.model("signal:payment", function(world)
  if world.void then return { refused = true } end
  world.paid = true
  flow.effect "paid"
  return { amount = 99 }
end)

flow.invariant("who pays gets the goods, or the money", function(h)
  return h.count "paid" == 0 or h.count "shipped" > 0 or h.count "paid back" > 0,
    "it was paid, and nothing was shipped or paid back"
end)

return w
