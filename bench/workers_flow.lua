-- What bench/workers.lua runs: handlers that compute for a while, on the loop or in workers, and
-- one that only says when it began.
local flow = require "orrery"
local spin = require "bench.spin"
local uv = require "luv"

local w = flow.workflow { name = "spread", input = { how = "string", items = "array", spins = "integer" } }

local function handler(ctx) return spin(ctx.input.spins) end

w.direct = { when = "input.how == 'direct'", each = "${input.items}", run = handler }
w.thread = { when = "input.how == 'thread'", each = "${input.items}", strategy = "thread", run = handler }
w.echo = { when = "input.how == 'echo'", strategy = "thread", run = function() return uv.hrtime() end }

return w
