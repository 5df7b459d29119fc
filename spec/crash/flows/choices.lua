-- What is decided on the way: a switch, conditions, joins, failures that are handled, ignored or
-- replaced by a fallback, and a cleanup node.
local flow = require "orrery"
local did = require "spec.crash.flows.did"

local w = flow.workflow { name = "choices", on_error = "continue",
  output = { way = "${nodes.way}", cleaned = "${nodes.cleaned}" } }

local function work(ctx)
  did.work()
  return ctx.node
end
local function fail() flow.error { code = "no_way", message = "as it is meant" } end

w.route = flow.switch { value = "${input.n % 2}", map = { ["0"] = "even", ["1"] = "odd" } }
w.even = { after = "route:even", run = did.run(work) }
w.odd = { after = "route:odd", run = did.run(work) }
w.way = { after = { "even", "odd" }, join = "any",
  run = did.run(function(_, inputs) return inputs.even or inputs.odd end) }
w.never = { after = "way", when = "input.n < 0", run = did.run(work) }
w.breaks = { after = "way", run = did.run(fail) }
w.mends = { after = "breaks", join = "failed", run = did.run(work) }
w.ignored = { after = "way", on_error = "ignore", run = did.run(fail) }
w.goes_on = { after = "ignored", run = did.run(work) }
w.made_up = { after = "way", run = did.run(fail), fallback = did.run(function() return "instead" end) }
w.cleaned = { after = { "mends", "goes_on", "made_up", "never" }, join = "done", run = did.run(function(ctx)
  return { ctx.states.mends, ctx.states.goes_on, ctx.states.never, ctx.nodes.made_up }
end) }
return w
