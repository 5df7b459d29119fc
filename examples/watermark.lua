-- A watermark: each run takes the orders that have come since the run before it, and remembers how
-- far it came. Where a run fails or is killed, the next one, or `orrery resume`, begins where the
-- last good one ended.
--   orrery run examples/watermark.lua --input file=orders.jsonl
local flow = require "orrery"
local data, jsonl, state = flow.data, flow.jsonl, flow.state

local w = flow.workflow {
  name = "watermark",
  singleton = true, -- two at once would take the same orders
  input = flow.schema { file = "string" },
  output = { since = "${nodes.last.value}", orders = "${nodes.sum.orders}", total = "${nodes.sum.total}" },
}

w.last = state.get { "watermark", default = 0 }

w.new = flow.pipe {
  jsonl.read { path = "${input.file}" },
  data.filter { where = "row.id > nodes.last.value" },
}

w.sum = { after = "new", run = function(_, inputs)
  local sum = { orders = #inputs.new.rows, total = 0 }
  for _, row in ipairs(inputs.new.rows) do
    sum.total = sum.total + row.amount
    sum.newest = math.max(sum.newest or 0, row.id)
  end
  return sum
end }

w.remember = state.set { when = "nodes.sum.newest ~= nil", key = "watermark", value = "${nodes.sum.newest}" }

return w
