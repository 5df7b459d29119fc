-- Runs within runs, of which one fails while another has nested child runs: that one is cancelled,
-- and undone from the innermost outwards.
local flow = require "orrery"
local did = require "spec.crash.flows.did"

local function work(ctx)
  did.work()
  return ctx.node .. ctx.input
end

local leaf = flow.workflow { name = "leaf", output = "${nodes.long}" }
leaf.short = { run = did.run(work), compensate = did.undo() }
leaf.long = { after = "short", run = did.run(function(ctx)
  if ctx.input == "slow" then ctx:sleep(60) end
  return ctx.input
end), compensate = did.undo() }

local branch = flow.workflow { name = "branch", output = "${nodes.calls}" }
branch.first = { run = did.run(work), compensate = did.undo(function(ctx)
  return did.step(ctx, "undo first", did.work)
end) }
branch.calls = { after = "first", run = did.run(function(ctx) return ctx:call(leaf, ctx.input) end),
  compensate = did.undo() }
branch.sweep = { after = "calls", join = "done", run = did.run(work) }

local w = flow.workflow { name = "tree" }
w.fast = { run = did.run(function(ctx) return ctx:call(branch, "fast") end), compensate = did.undo() }
w.slow = { after = "fast", run = did.run(function(ctx) return ctx:call(branch, "slow") end),
  compensate = did.undo() }
w.breaks = { after = "fast", run = did.run(function(ctx)
  ctx:sleep "60ms"
  flow.error { code = "broken", message = "it breaks" }
end) }
w.sweep = { after = { "slow", "breaks" }, join = "done",
  run = did.run(function(ctx) return ctx.states.slow end) }
return w
