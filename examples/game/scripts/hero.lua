-- hero.lua: a quest with branches; one that fails is undone, step by step
local flow = require "orrery"
local town = flow.town

local w = flow.workflow { name = "hero", output = "${nodes.treasure}" }

w.rest = { run = function(ctx) ctx:sleep(ctx:random(2, 20) / 10) end }

-- The guild takes a deposit, and gives it back where the quest fails.
w.deposit = {
  after = "rest",
  run = function(ctx) ctx:step("pay", town.give, { gold = -5 }) end,
  compensate = function(ctx) ctx:step("refund", town.give, { gold = 5 }) end,
}

w.ride = {
  after = "deposit",
  run = function(ctx)
    ctx:step("ride", town.walk, { x = ctx:random(2, 20), y = ctx:random(2, 20) })
    return ctx:random(2) == 1 and "roar" or "silence"
  end,
  compensate = function(ctx)
    ctx:step("home", town.walk, { x = ctx.input.home_x, y = ctx.input.home_y })
  end,
}

w.meet = flow.switch { cases = { { dragon = "nodes.ride == 'roar'" } }, default = "nobody" }

w.fight = { after = "meet:dragon", run = function(ctx)
  local guard = ctx:step("look", town.find, { kind = "guard" })
  ctx:step("cry", town.tell, { to = guard.who, what = "alarm" })
  if pcall(ctx.wait, ctx, "help", { timeout = "3s" }) then return "saved" end
  if ctx:random(3) == 1 then return "won" end
  flow.error { code = "slain", message = "the dragon was stronger" }
end }

w.dig = { after = "meet:nobody", run = function(ctx) ctx:sleep "1s" end }

w.treasure = { after = { "fight", "dig" }, run = function(ctx)
  ctx:step("treasure", town.give, { gold = 15 })
  ctx:step("home", town.walk, { x = ctx.input.home_x, y = ctx.input.home_y })
  return "rich"
end }

return w
