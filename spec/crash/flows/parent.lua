-- Child runs: called one after another, side by side, as a node, and one that fails.
local flow = require "orrery"
local did = require "spec.crash.flows.did"

local CHILD = "spec/crash/flows/child.lua"
local w = flow.workflow { name = "parent",
  output = { calls = "${nodes.calls}", as_node = "${nodes.as_node}", sum = "${nodes.sum}" } }

local function input(ctx, k, fails)
  return { n = ctx.input.n * 10 + k, depth = k == 1 and 1 or 0, fails = fails or false }
end

w.calls = { run = did.run(function(ctx)
  local one = ctx:call(CHILD, input(ctx, 1))
  local two = flow.gather {
    function() return ctx:call(CHILD, input(ctx, 2)) end,
    function() return ctx:call(CHILD, input(ctx, 3)) end }
  local _, problem = pcall(ctx.call, ctx, CHILD, input(ctx, 4, true))
  return { one, two, problem.code }
end) }
w.as_node = flow.call { workflow = CHILD, input = { n = "${input.n}", depth = 0, fails = false } }
w.sum = { after = { "calls", "as_node" },
  run = did.run(function(_, inputs) return inputs.calls[1] + inputs.as_node end) }
return w
