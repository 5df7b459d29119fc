-- A run that goes on until it is told: it is signalled, paused or cancelled.
local flow = require "orrery"

local w = flow.workflow { name = "steady" }

w.begin = { run = function(ctx) ctx:log("info", "has begun") end }
w.hold = { after = "begin", run = function(ctx) return ctx:wait "go" end }

return w
