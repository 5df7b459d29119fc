-- PostgreSQL: orders are loaded into a table, booked in one transaction that conflicts are no
-- danger to, and summed up.
--   PGPASSWORD=… orrery run examples/postgres.lua --input url=postgres://USER@HOST/DATABASE
local flow = require "orrery"
local postgres = flow.postgres

local w = flow.workflow {
  name = "postgres",
  input = flow.schema { url = "string" },
  output = { countries = "${nodes.sum.rows}", refused = "${nodes.load.rejects}",
    booked = "${nodes.book[1].changes}" },
}

local URL = "${input.url}"

w.load = postgres.load { url = URL, retry = "standard", table = "example_orders", create = true, empty = true,
  types = { id = "bigint", amount = "numeric(10, 2)", tags = "text[]" }, key = { "id" }, rejects = true,
  rows = {
    { id = 1, country = "DE", amount = 20.5, tags = { "new" } }, { id = 2, country = "FR", amount = 8 },
    { id = 2, country = "FR", amount = 8 }, { id = 3, country = "DE", amount = "much" },
    { id = 4, country = "DE", amount = "1.50", tags = { "new", "large" } },
  },
}

w.book = postgres.query { url = URL, after = "load", retry = "standard", isolation = "serializable",
  statements = {
    { sql = "UPDATE example_orders SET tags = tags || $1 WHERE $2 = ANY (tags)",
      params = { { "booked" }, "new" } },
    { sql = "SELECT count(*) AS n FROM example_orders WHERE 'booked' = ANY (tags)" },
  },
}

w.sum = postgres.query { url = URL, after = "book", retry = "standard", timeout = "30s", numeric = "float",
  sql = [[SELECT country, count(*) AS orders, sum(amount) AS total FROM example_orders WHERE amount > $1
    GROUP BY country ORDER BY country]],
  params = { 1 },
}

return w
