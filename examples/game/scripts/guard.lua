-- guard.lua: walks from post to post, and runs to whoever cries for help
local flow = require "orrery"
local town = flow.town

local w = flow.workflow { name = "guard", output = "${nodes.report}" }

w.patrol = { run = function(ctx)
  local alarms = 0
  for _ = 1, 4 do
    ctx:step("walk", town.walk, {
      x = math.max(2, math.min(157, ctx.input.home_x + ctx:random(-9, 9))),
      y = math.max(2, math.min(117, ctx.input.home_y + ctx:random(-9, 9))),
    })
    local heard, alarm = pcall(ctx.wait, ctx, "alarm", { timeout = ctx:random(5, 25) / 10 })
    if heard then
      alarms = alarms + 1
      ctx:step("run", town.walk, { x = alarm.x, y = alarm.y })
      ctx:step("help", town.tell, { to = alarm.from, what = "help" })
    elseif alarm.code ~= "signal_timeout" then
      error(alarm, 0)
    end
  end
  return alarms
end }

w.report = { after = "patrol", run = function(_, inputs)
  return inputs.patrol > 0 and "helped" or "quiet"
end }

return w
