-- A retry that pays twice: the payment service knows keys, and the handler makes a new one for each
-- attempt.
local flow = require "orrery"

local w = flow.workflow { name = "order" }

local function post(world, key, amount)
  world.payments = world.payments or {}
  if not world.payments[key] then
    world.payments[key] = amount
    flow.effect("payment", { amount = amount })
  end
  return { id = key }
end

w.reserve = { run = function(ctx)
  ctx:sleep("2s")
  return { item = "lamp" }
end }

w.charge = {
  after = "reserve",
  retry = { max = 3, delay = "1s" },
  run = function() return {} end,
}

flow.model("charge", function(ctx, _, world)
  return post(world, ctx.idempotency_key .. "/" .. ctx.attempt, 50)
end)

w.ship = { after = "charge", run = function(ctx)
  ctx:sleep("1h")
  return { sent = true }
end }

flow.invariant("paid once", function(h)
  local n = h.count "payment"
  return n <= 1, ("%d payments for one order"):format(n)
end)

return w
