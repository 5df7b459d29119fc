-- How approval.lua is tested: three days pass in no time, and the decision is a signal.
--   orrery test examples/tests
local testing = require "orrery.testing"

describe("the release", function()
  it("waits for somebody, and goes out when it is approved", function()
    local run = testing.start "../approval.lua"
    assert.equal("waiting", run.state)
    run:advance "2d"
    assert.states({ go = "waiting", publish = "pending" }, run)

    run:signal("go", { approved = true, by = "ada", why = "tests are green" })
    assert.output({ by = "ada", released = "published, as ada wished: tests are green" }, run)
    assert.took("2d", run)
  end)

  it("stays where it is after a rejection", function()
    local run = testing.start "../approval.lua"
    run:signal("go", { approved = false, by = "grace", why = "tests are red" })
    assert.completed(run)
    assert.states({ publish = "skipped" }, run)
  end)

  it("hears nobody else", function()
    local run = testing.start "../approval.lua"
    run:signal("go", { approved = true, by = "mallory" })
    assert.is_not.completed(run)
  end)

  it("fails when nobody has answered within three days", function()
    local run = testing.run "../approval.lua"
    assert.failed(run)
    assert.took("3d", run)
  end)

  it("is published once, whenever the process is killed", function()
    local published = 0
    testing.crashes("../approval.lua", function()
      return { nodes = { publish = function() published = published + 1 end },
        drive = function(run)
          run:advance "1h"
          run:signal("go", { approved = true, by = "ada" })
          run:finish()
        end }
    end, function(run, killed)
      assert.completed(run)
      -- Killed between the deed and its record, it is done again.
      assert.is_true(published >= 1 and published <= run:attempts "publish" + 1, killed)
      published = 0
    end)
  end)
end)
