-- Fan-out: one node that runs once for each item of a list that is known only at run time, three at
-- a time.
--   orrery run examples/fan_out.lua
local flow = require "orrery"

flow.pool("readers", { max = 3 })

local w = flow.workflow {
  name = "fan_out",
  input = flow.schema { folder = "string?" },
  output = "${nodes.total}",
}

w.list = flow.file.list { path = "${input.folder or '/usr/share/common-licenses'}" }

w.count = { each = "${nodes.list}", pool = "readers", each_failures = "10%", run = function(ctx)
  local lines = 0
  for _ in io.lines(ctx.item.path) do lines = lines + 1 end
  return { file = ctx.item.name, lines = lines }
end }

w.total = { after = "count", run = function(_, inputs)
  local total = 0
  for _, entry in ipairs(inputs.count) do total = total + entry.lines end
  return { files = #inputs.count, lines = total }
end }

return w
