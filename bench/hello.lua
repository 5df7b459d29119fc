-- The smallest workflow, for the cold start.
local flow = require "orrery"

local w = flow.workflow { name = "hello", output = "${nodes.hello}" }

w.hello = { run = function() return "hello" end }

return w
