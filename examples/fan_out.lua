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
  local files, total = 0, 0
  for _, entry in ipairs(inputs.count) do
    if entry ~= flow.json.null then -- one that may fail, and has
      files, total = files + 1, total + entry.lines
    end
  end
  return { files = files, lines = total }
end }

return w
