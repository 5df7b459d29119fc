-- How retry_fallback.lua is tested: attempts fail as the test's script says.
--   orrery test examples/tests
local testing = require "orrery.testing"

describe("prices", function()
  it("come at the third try", function()
    local run = testing.run "../retry_fallback.lua"
    assert.attempts(3, run, "fresh")
    assert.outputs({ fresh = { gold = 2650, tries = 3 } }, run)
    assert.snapshot(run)
  end)

  it("come at the fourth try where one hangs, two seconds later", function()
    local run = testing.run("../retry_fallback.lua", { failures = { fresh = { [3] = testing.hangs() } } })
    assert.attempts(4, run, "fresh")
    assert.took("2350ms", run) -- 50, 100 and 200 ms between them
  end)

  it("are yesterday's where the archive is closed", function()
    local run = testing.run "../retry_fallback.lua"
    assert.attempts(1, run, "archive")
    assert.outputs({ archive = { gold = 2600, stale = true } }, run)
  end)

  it("fail where the source is busy for too long", function()
    assert.failed(testing.run("../retry_fallback.lua", { failures = { fresh = "busy" } }), "busy")
  end)
end)
