-- How fan_out.lua is tested: the folder is a list in the test, and a double counts the files.
--   orrery test examples/tests
local testing = require "orrery.testing"

local function folder(n)
  local list = {}
  for i = 1, n do list[i] = { name = "file" .. i, path = "/nowhere/file" .. i } end
  return list
end

-- A file takes a second and has ten lines.
local function counts(ctx) return { file = ctx.item.name, lines = 10 } end

describe("fan_out", function()
  it("reads three files at a time", function()
    local run = testing.run("../fan_out.lua",
      { types = { ["file.list"] = folder(7) }, nodes = { count = testing.after("1s", counts) } })
    assert.output({ files = 7, lines = 70 }, run)
    assert.took("3s", run)
    assert.calls(7, run, "count")
  end)

  it("lets one file in ten fail", function()
    local function broken(ctx) return ctx.index <= 2 and "broken" end
    local run = testing.run("../fan_out.lua", { types = { ["file.list"] = folder(20) },
      nodes = { count = counts }, failures = { count = broken } })
    assert.output({ files = 18, lines = 180 }, run)
    run = testing.run("../fan_out.lua", { types = { ["file.list"] = folder(10) },
      nodes = { count = counts }, failures = { count = broken } })
    assert.failed(run)
  end)
end)
