-- Work that is undone: one after another, with a compensation that needs three attempts and one
-- that takes steps; then a cleanup node.
local flow = require "orrery"
local did = require "spec.crash.flows.did"

local w = flow.workflow { name = "saga" }

local function work(ctx)
  did.work()
  return ctx.node .. ctx.input.n
end

w.reserve = { run = did.run(work), compensate = did.undo() }
w.charge = { after = "reserve", run = did.run(work), compensate = {
  retry = { max = 4, strategy = "fixed", delay = "3ms", jitter = "none" },
  run = did.undo(function(ctx)
    if ctx.attempt < 3 then flow.error { code = "bank_closed", message = "come again" } end
    return ctx.output
  end) } }
w.pack = { after = "charge", each = { "box", "bag" }, run = did.run(work), compensate = did.undo() }
w.label = { after = "pack", run = did.run(work), compensate = did.undo(function(ctx)
  local first = did.step(ctx, "peel", function() return "peeled" end)
  ctx:sleep "3ms"
  return { first, did.step(ctx, "burn", function() return "burnt" end) }
end) }
w.ship = { after = "label", run = did.run(function() flow.error { code = "no_truck", message = "gone" } end),
  compensate = did.undo() }
w.told = { after = "ship", run = did.run(work) }
w.sweep = { after = "ship", join = "done", run = did.run(work) }
return w
