-- A large CSV file cleaned, freed of duplicates, checked, loaded into SQLite and summed up, as one
-- stream: a million rows need some tens of megabytes. What is wrong stands apart, with the reason.
--   orrery run examples/orders.lua --input file=orders.csv --input folder=/tmp
local flow = require "orrery"
local csv, data, sqlite = flow.csv, flow.data, flow.sqlite

local w = flow.workflow {
  name = "orders",
  input = flow.schema { file = "string", folder = { type = "string", default = "/tmp" } },
  output = { countries = "${nodes.load.rows}", rows = "${nodes.load.rows_in}",
    rejected = "${nodes.load.rejected}", stages = "${nodes.load.stages}" },
}

w.load = flow.pipe {
  csv.read { path = "${input.file}", types = { amount = "number" },
    rejects = "${input.folder}/unreadable.jsonl" },
  data.map { set = { email = "lower(trim(row.email))", country = "upper(trim(row.country))" } },
  data.filter { where = "row.amount > 0", rejects = "${input.folder}/not_positive.jsonl" },
  data.dedupe { by = "email" },
  data.validate { schema = { id = "string", email = { type = "string", min = 5 },
    country = { "DE", "FR", "NO" }, amount = "number" }, rejects = "${input.folder}/unfit.jsonl" },
  sqlite.load { database = "${input.folder}/orders.db", table = "orders", create = true },
  data.aggregate { by = "country", figures = { orders = "count", total = "sum amount", most = "max amount",
    median = "p50 amount" } },
}

return w
