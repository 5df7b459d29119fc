-- Ten nodes after one another; one fails twice before it succeeds.
local flow = require "orrery"
local did = require "spec.crash.flows.did"

local w = flow.workflow { name = "chain", output = "${nodes.n10}", singleton = "${input.n}" }
for i = 1, 10 do
  w["n" .. i] = { after = i > 1 and "n" .. i - 1 or nil, run = did.run(function(ctx, inputs)
    local work = did.work()
    if i == 4 and ctx.attempt < 3 then flow.error { code = "busy", message = "not yet" } end
    local before = i > 1 and inputs["n" .. i - 1] or { sum = ctx.input.n, tries = 0 }
    return { sum = before.sum * 3 + i + work % 2, tries = before.tries + ctx.attempt }
  end), retry = i == 4 and { max = 3, strategy = "fixed", delay = "4ms", jitter = "none" } or nil }
end
return w
