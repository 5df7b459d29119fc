-- Waits for signals that come before, during and after; one that never comes; and timers.
local flow = require "orrery"
local did = require "spec.crash.flows.did"

local w = flow.workflow { name = "signals",
  output = { one = "${nodes.one}", two = "${nodes.two}", ok = "${nodes.ok}", never = "${nodes.never}" } }

w.one = { run = did.run(function(ctx)
  local got = { ctx:wait "go" }
  did.step(ctx, "between", did.work)
  got[2] = ctx:wait "go"
  ctx:sleep "4ms"
  got[3] = ctx:wait "go"
  return got
end) }

w.rest = flow.delay { "6ms" }
w.ok = flow.wait { signal = "ok", after = "rest" }
w.never = { run = did.run(function(ctx)
  local ok, problem = pcall(ctx.wait, ctx, "never", { timeout = "8ms" })
  return { ok, problem.code }
end) }
w.two = { after = { "one", "never" }, run = did.run(function(ctx) return ctx:wait("late").n end) }
return w
