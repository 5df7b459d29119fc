-- trader.lua: answers offers while the stall is open, and buys new goods in the evening
local flow = require "orrery"
local town = flow.town

local w = flow.workflow { name = "trader", output = "${nodes.stock}" }

w.stall = { run = function(ctx)
  for _ = 1, 6 do
    local heard, offer = pcall(ctx.wait, ctx, "offer", { timeout = "6s" })
    if not heard then
      if offer.code ~= "signal_timeout" then error(offer, 0) end
      return
    end
    local has = pcall(ctx.step, ctx, "sell", town.give, { gold = offer.gold, goods = -1 })
    -- what cannot be served goes back with its gold
    ctx:step("answer", town.tell, { to = offer.from, what = "sold", gold = has and 0 or offer.gold })
  end
end }

w.stock = { after = "stall", run = function(ctx)
  ctx:sleep "200ms"
  return pcall(ctx.step, ctx, "buy", town.give, { gold = -4, goods = 2 }) and "stocked" or "broke"
end }

return w
