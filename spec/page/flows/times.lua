-- A run that queues, waits, is tried again and has a longest chain: start, slow, last.
local flow = require "orrery"

local w = flow.workflow { name = "times", concurrency = 2, output = { last = "${nodes.last}" } }

w.start = { run = function(ctx)
  ctx:log("info", "begins")
  return { rows = 3 }
end }
w.slow = { after = "start", doc = "The longest.", run = function(ctx)
  ctx:sleep(0.3)
  return "slept"
end }
w.flaky = { after = "start", retry = { max = 2, strategy = "fixed", delay = 0.05 }, run = function(ctx)
  if ctx.attempt == 1 then flow.error { code = "odd", message = "only the second time", retryable = true } end
  return ctx:step("answer", function() return 42 end)
end }
w.queued = { after = "start", run = function() return "last of three" end }
w.each = { after = "start", each = { "Oslo", "Rome", "Bern" }, item_name = "${item}", run = function(ctx)
  return #ctx.item
end }
w.never = { after = "start", when = "1 > 2", run = function() end }
w.last = { after = { "slow", "flaky", "queued" }, run = function() return "done" end }

return w
