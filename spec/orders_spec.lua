-- The example of a large file: what it keeps, what it rejects, and in how much memory. ORDERS_ROWS
-- is how many rows it has: `ORDERS_ROWS=1000000 make test T=orders`.
local flow = require "orrery"
local place = require "spec.support.place"
local one_node = require "spec.support.one_node"

local ROWS = tonumber(os.getenv "ORDERS_ROWS" or "") or 60000
local LIMIT = 64 * 1024 -- KiB of resident memory

local SCRIPT = [[
local flow = require "orrery"
local run = flow.run("orders.lua", { input = { file = "orders.csv", folder = "." } })
local status = io.open "/proc/self/status":read "a"
print(flow.json.encode { state = run.state, error = run.error and run.error.message, output = run.output,
  peak = tonumber(status:match "VmHWM:%s*(%d+)") })]]

describe("the example orders.lua", function()
  it("streams, tells all keys apart and keeps rejects, in bounded memory", function()
    local here <close> = place.new()
    here:write("script.lua", SCRIPT)
    here:write("orders.lua", io.open("examples/orders.lua"):read "a")
    assert(os.execute(("sh bench/rows_make.sh %d >%s/orders.csv"):format(ROWS, here.folder)))
    local result = one_node.output(flow.exec { argv = { place.orrery_path, "script.lua" },
      cwd = here.folder })
    local said = flow.json.decode(result.stdout)
    assert.equal("completed", said.state, said.error)
    local each = ROWS // 1000 -- of each kind of wrong rows
    assert.equal(3 * each, said.output.rejected)
    local orders = 0
    for _, row in ipairs(said.output.countries) do orders = orders + row.orders end
    assert.equal(ROWS - ROWS // 10 - 3 * each, orders)
    local counted = one_node.output(flow.sqlite.query { database = here.folder .. "/orders.db",
      read_only = true,
      sql = "SELECT count(*) AS n, count(DISTINCT email) AS keys FROM orders" })
    assert.same({ { n = orders, keys = orders } }, counted.rows)
    for _, name in ipairs { "unreadable", "not_positive", "unfit" } do
      local _, lines = here:read(name .. ".jsonl"):gsub("\n", "")
      assert.equal(each, lines)
    end
    if not os.getenv "ORRERY_SANITIZED" then
      assert.is_true(said.peak < LIMIT, said.peak .. " KiB")
    end
  end)
end)
