-- Called by parent.lua, and by itself.
local flow = require "orrery"
local did = require "spec.crash.flows.did"

local w = flow.workflow { name = "child", output = "${nodes.last}" }
w.first = { run = did.run(function(ctx)
  did.work()
  return did.step(ctx, "in child", function() return ctx.input.n * 2 end)
end) }
w.last = { after = "first", run = did.run(function(ctx, inputs)
  ctx:sleep "3ms"
  if ctx.input.fails then flow.error { code = "as_told", message = "it was to fail" } end
  if ctx.input.depth > 0 then
    return inputs.first + ctx:call("spec/crash/flows/child.lua",
      { n = ctx.input.n, depth = ctx.input.depth - 1, fails = false })
  end
  return inputs.first
end) }
return w
