-- A pipe: rows of a CSV file are checked, thinned out and summed up, without ever being in memory
-- together; those that are wrong are kept with the reason.
--   orrery run examples/pipe.lua --input folder=/tmp
local flow = require "orrery"
local csv, data = flow.csv, flow.data

local w = flow.workflow {
  name = "pipe",
  input = flow.schema { folder = { type = "string", default = "/tmp" } },
  output = { countries = "${nodes.sum.rows}", rejected = "${nodes.sum.rejected}" },
}

w.orders = csv.write {
  path = "${input.folder}/orders.csv", columns = { "id", "country", "amount" },
  rows = {
    { id = 1, country = "DE", amount = "20.5" }, { id = 2, country = "FR", amount = "8" },
    { id = 2, country = "FR", amount = "8" }, { id = 3, country = "DE", amount = "much" },
    { id = 4, country = "DE", amount = "1.5" }, { id = 5, country = "FR", amount = "-3" },
  },
}

w.sum = flow.pipe { after = "orders",
  csv.read { path = "${input.folder}/orders.csv", types = { amount = "number" },
    rejects = "${input.folder}/rejected.jsonl" },
  data.filter { where = "row.amount > 0" },
  data.dedupe { by = "id" },
  data.aggregate { by = "country", figures = { orders = "count", total = "sum amount",
    most = "max amount" } },
}

return w
