-- A run that somebody has to decide about, and whose input has a field of each kind.
local flow = require "orrery"
local w = flow.workflow { name = "approve",
  input = flow.schema { city = "string", days = "integer?", deep = "boolean?", kind = { "a", "b" } } }
w.build = { run = function(ctx) return "app for " .. ctx.input.city end }
w.go = flow.wait { after = "build", approval = { message = "Ship ${nodes.build}?" }, timeout = "3d" }
w.ship = { after = "go", run = function(ctx)
  ctx:log("info", "ships to " .. ctx.input.city)
  return "shipped"
end }
return w
