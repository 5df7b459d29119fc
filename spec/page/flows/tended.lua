-- A pool, and a breaker that opens at once.
local flow = require "orrery"

local w = flow.workflow { name = "tended", pools = { narrow = { max = 2 } }, on_error = "continue" }

w.a = { pool = "narrow", breaker = { name = "far", threshold = 1, cooldown = "1h" },
  run = function() error "x" end }

return w
