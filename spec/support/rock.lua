-- rock.lua: shows in a plain Lua that the installed module runs a workflow; `make rock` calls it.
local flow = require "orrery"

local w = flow.workflow { name = "rock", output = "${nodes.sum}" }
w.numbers = { run = function() return { 1, 2, 3 } end }
w.double = { each = "${nodes.numbers}", run = function(ctx) return ctx.item * 2 end }
w.sum = { after = "double", run = function(_, inputs)
  local n = 0
  for _, value in ipairs(inputs.double) do n = n + value end
  return n
end }

local run = flow.run(w)
assert(run.state == "completed" and run.output == 12,
  ("the run ended %s with %s"):format(run.state, run.output))
print(("%s, %s: the rock ran a workflow"):format(_VERSION, package.searchpath("orrery.core", package.cpath)))
