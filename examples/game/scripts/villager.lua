-- villager.lua: sleeps, buys bread of the nearest trader, and works where there is none to be had
local flow = require "orrery"
local town = flow.town

local w = flow.workflow { name = "villager", output = "${nodes.home}" }

w.sleep = { run = function(ctx) ctx:sleep(ctx:random(5, 30) / 10) end }

-- Trade is two letters: an offer with the gold in it, and the answer.
w.market = { after = "sleep", run = function(ctx)
  local seller = ctx:step("look", town.find, { kind = "trader" })
  ctx:step("walk", town.walk, { x = seller.x + ctx:random(-2, 2), y = seller.y + ctx:random(1, 3) })
  if not pcall(ctx.step, ctx, "pay", town.give, { gold = -3 }) then return "poor" end
  ctx:step("offer", town.tell, { to = seller.who, what = "offer", gold = 3 })
  local heard, answer = pcall(ctx.wait, ctx, "sold", { timeout = "4s" })
  if not heard then
    if answer.code ~= "signal_timeout" then error(answer, 0) end
    return "unheard"
  end
  if answer.gold > 0 then
    ctx:step("refund", town.give, { gold = answer.gold })
    return "sold out"
  end
  ctx:step("take", town.give, { goods = 1 })
  return "bread"
end }

w.eat = { after = "market", when = "nodes.market == 'bread'", run = function(ctx)
  ctx:sleep "500ms"
  ctx:step("eat", town.give, { goods = -1 })
end }

w.work = { after = "market", when = "nodes.market ~= 'bread'", run = function(ctx)
  ctx:step("walk", town.walk, { x = ctx:random(2, 157), y = ctx:random(2, 117) })
  ctx:sleep "1s"
  ctx:step("wage", town.give, { gold = 4 })
end }

w.home = { after = { "eat", "work" }, run = function(ctx)
  ctx:step("walk", town.walk, { x = ctx.input.home_x, y = ctx.input.home_y })
  return ctx.nodes.market == "bread" and "fed" or "hungry"
end }

return w
