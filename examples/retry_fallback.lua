-- What may fail: a source that answers at the third try, and one that never does, for which
-- yesterday's answer is good enough. The error that is raised says whether another try is of use.
--   orrery run examples/retry_fallback.lua
local flow = require "orrery"

local w = flow.workflow { name = "prices",
  output = { today = "${nodes.fresh}", archive = "${nodes.archive}" } }

w.fresh = {
  retry = { max = 4, strategy = "exponential", delay = "50ms", jitter = "none" },
  timeout = "2s",
  run = function(ctx)
    if ctx.attempt < 3 then
      flow.error { code = "busy", message = "the source is busy", retryable = true }
    end
    return { gold = 2650, tries = ctx.attempt }
  end,
}

w.archive = {
  retry = { max = 1, delay = "50ms", unless = { "gone" } },
  fallback = { gold = 2600, stale = true },
  run = function()
    flow.error { code = "gone", message = "the archive has been closed", retryable = true }
  end,
}

return w
