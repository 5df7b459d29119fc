-- A workflow that stays unfinished where BENCH_HOLD is set: its second node waits for ever, and is
-- interrupted when the process is killed. Where it is not set, a run of it goes on to its end.
local flow = require "orrery"

local w = flow.workflow { name = "unfinished", output = "${nodes.last}" }

w.first = { run = function() return 1 end }

w.held = { after = "first", run = function(_, inputs)
  if (os.getenv "BENCH_HOLD" or "") ~= "" then flow.await(function() end) end
  return inputs.first + 1
end }

w.last = { after = "held", run = function(_, inputs) return inputs.held + 1 end }

return w
