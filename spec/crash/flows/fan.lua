-- A list, an item of which may fail, a loop over each of a few, and a sum.
local flow = require "orrery"
local did = require "spec.crash.flows.did"

local w = flow.workflow { name = "fan", concurrency = 4,
  output = { sum = "${nodes.sum}", polls = "${nodes.poll}" } }

w.list = { run = did.run(function(ctx)
  local items = {}
  for i = 1, 8 do items[i] = ctx.input.n * 10 + i end
  return items
end) }

w.square = { each = "${nodes.list}", each_failures = 1, run = did.run(function(ctx)
  did.work()
  if ctx.index % 3 == 0 then ctx:sleep "3ms" end
  if ctx.index == 5 then flow.error { code = "odd_one_out", message = "the fifth" } end
  return ctx.item * ctx.item
end) }

w.poll = { each = { "a", "b" }, loop = { ["until"] = "output.n >= 3", max = 5, delay = "3ms" },
  run = did.run(function(ctx)
  did.work()
  return { n = ctx.iteration, item = ctx.item }
end) }

w.sum = { after = { "square", "poll" }, run = did.run(function(_, inputs)
  local sum, n = 0, 0
  for i = 1, 8 do
    local value = inputs.square[i]
    if type(value) == "number" then sum, n = sum + value, n + 1 end
  end
  return { sum = sum, n = n }
end) }
return w
