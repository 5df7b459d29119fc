-- Branches side by side, one of which fails while others are under way; what there is to undo
-- depends on the moment.
local flow = require "orrery"
local did = require "spec.crash.flows.did"

local w = flow.workflow { name = "undo" }

local function work(ctx)
  did.work()
  return ctx.node
end

for i = 1, 4 do
  w["a" .. i] = { run = did.run(work), compensate = did.undo() }
  w["b" .. i] = { after = "a" .. i, compensate = did.undo(), run = did.run(function(ctx)
    ctx:sleep(0.002 * i)
    if i == 3 then flow.error { code = "broken", message = "b3 breaks" } end
    return ctx.node
  end) }
  w["c" .. i] = { after = "b" .. i, run = did.run(work), compensate = did.undo() }
end
return w
