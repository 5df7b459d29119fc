-- How saga.lua is tested: a step is made to fail, and what was done before it is undone.
--   orrery test examples/tests
local testing = require "orrery.testing"

describe("an order", function()
  it("is sent", function()
    local run = testing.run "../saga.lua"
    assert.output({ parcel = "parcel-1", paid = 25.0 }, run)
  end)

  it("is undone, the last step first, where nothing is left to send", function()
    local run = testing.run("../saga.lua", { input = { stock = 0 } })
    assert.compensated(run)
    assert.order({ "ship failed", "charge compensating", "charge compensated", "reserve compensated" }, run)
    assert.snapshot(run)
  end)

  it("asks a bank that is busy again", function()
    local run = testing.run("../saga.lua", { input = { stock = 0 } })
    assert.equal(2, #run:events("node_retrying", "charge"))
  end)

  it("releases the shelf though the bank never pays back", function()
    local run = testing.run("../saga.lua", { input = { stock = 0 },
      compensations = { charge = testing.fails("busy", "the bank is busy") } })
    assert.equal("compensation_failed", run.state)
    assert.equal(1, #run:events("node_compensated", "reserve"))
  end)

  it("is undone entirely, whenever the process is killed", function()
    local kills = testing.crashes("../saga.lua", { input = { stock = 0 } }, function(run)
      assert.compensated(run)
    end)
    assert.is_true(kills > 10)
  end)
end)
