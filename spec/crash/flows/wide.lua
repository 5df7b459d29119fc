-- Many nodes that wait for nothing but a place, so that attempts start while the records of those
-- before them are on their way to the disk; and among them some that wait for their own.
local flow = require "orrery"
local did = require "spec.crash.flows.did"

local w = flow.workflow { name = "wide", pools = { lanes = 3, alone = 1 },
  output = { sum = "${nodes.sum}", late = "${nodes.late}" } }

local function work(ctx)
  did.work()
  return ctx.input.n
end

local names = {}
for i = 1, 14 do
  local name = "n" .. i
  names[i] = name
  w[name] = { pool = i % 7 == 0 and "alone" or "lanes", run = did.run(function(ctx)
    if i % 5 == 0 and ctx.attempt < 2 then flow.error { code = "busy", message = "not yet" } end
    if i % 6 == 0 then return did.step(ctx, "counted", work, ctx) end
    return work(ctx)
  end), retry = i % 5 == 0 and { max = 2, strategy = "fixed", delay = "2ms", jitter = "none" } or nil }
end

w.undone = { pool = "lanes", run = did.run(work), compensate = did.undo() }
w.soon = { pool = "lanes", deadline = "1h", run = did.run(work) }
w.wanted = { pool = "lanes", when = "input.n > 0", run = did.run(work) }
w.items = { each = { 1, 2, 3, 4, 5, 6 }, pool = "lanes",
  run = did.run(function(ctx) return ctx.item * work(ctx) end) }
w.rounds = { pool = "lanes", loop = { times = 3 }, run = did.run(work) }
w.late = { after = { "n1", "n2" }, pool = "lanes", run = did.run(work) }
w.sum = { after = { "items", "rounds", "late", "wanted", table.unpack(names) },
  run = did.run(function(_, inputs)
  local sum = 0
  for _, name in ipairs(names) do sum = sum + inputs[name] end
  for i = 1, 6 do sum = sum + inputs.items[i] end
  return sum
end) }
return w
