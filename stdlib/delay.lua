--- `delay`: waits for a while.
local flow = require "orrery"

return flow.type {
  name = "delay",
  doc = 'Waits for a duration ("250ms", "5s", "1h30m", a number of seconds) and outputs nothing. Holds no slot meanwhile.',
  config = flow.schema { duration = "duration" },
  positional = "duration",
  examples = { [[flow.delay { "5s" }]], [[flow.delay { duration = "${input.pause}" }]] },
  run = function(ctx, config) ctx:sleep(flow.duration(config.duration)) end,
}
