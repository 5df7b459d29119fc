-- The example runs against a real server, as a reader of the manual would run it.
local command = require "spec.support.command"
local json = require("orrery.core").json
local postgres = require "spec.support.postgres"

describe("the example", function()
  it("postgres.lua loads orders, books them and sums them up", function()
    local server = postgres.start()
    local _ <close> = setmetatable({}, { __close = server.remove })
    local url = ("url=postgres://orrery@127.0.0.1:%d/orrery"):format(server.port)
    for _ = 1, 2 do -- a second run finds the table
      local result = command.run({ "run", "examples/postgres.lua", "--input", url }, nil,
        "PGPASSWORD=pass/word")
      assert.equal(0, result.code, result.err)
      local out = json.decode(result.out)
      assert.same({ { country = "DE", orders = 2, total = 22.0 }, { country = "FR", orders = 1,
        total = 8.0 } },
        out.countries)
      assert.equal(2, out.booked)
      assert.same({ 2, 3 }, { out.refused[1].row.id, out.refused[2].row.id })
    end
  end)
end)
