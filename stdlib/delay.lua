--- `delay`: waits for a while.
local flow = require "orrery"

return flow.type {
  name = "delay",
  doc = 'Waits for a duration ("250ms", "5s", "1h30m", a number of seconds) and outputs nothing. Holds no '
    .. 'slot meanwhile.',
  config = flow.schema { duration = "duration" },
  positional = "duration",
  examples = { [[flow.delay { "5s" }]], [[flow.delay { duration = "${input.pause}" }]] },
  -- no coroutine is kept meanwhile: a node that only waits costs a sixth of one that sleeps in its
  -- handler
  run = function(_, config) return flow.later(config.duration) end,
}
