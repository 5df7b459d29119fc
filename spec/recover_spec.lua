-- What a long-lived host does at its start: unfinished runs of its store go on, a few at a time.
local flow = require "orrery"

local folder, url

before_each(function()
  folder = os.tmpname()
  os.remove(folder)
  os.execute("mkdir -p " .. folder)
  url = "sqlite:" .. folder .. "/runs.db"
end)

after_each(function() os.execute("rm -rf " .. folder) end)

local SOURCE = [[
local flow = require "orrery"
local w = flow.workflow { name = "waits", output = "${nodes.a}", input = { n = "integer" } }
w.a = { run = function(ctx) ctx:sleep "1h" return ctx.input.n end }
return w
]]

local function leave(n)
  local rt = flow.runtime { store = url, clock = "virtual" }
  for i = 1, n do flow.start({ source = SOURCE, name = "waits.lua" }, { runtime = rt, input = { n = i } }) end
  rt:sync()
  rt:close()
end

describe("the unfinished runs of a store", function()
  it("go on, oldest first, and only those that are left", function()
    leave(70)
    local runs = {}
    local rt = flow.runtime { store = url, clock = "virtual",
      resume = { limit = 8, on_run = function(run) runs[#runs + 1] = run end } }
    for _ = 1, 6000 do
      flow.sleep(0.01)
      if #runs == 70 then break end
    end
    assert.equal(70, #runs)
    for i, run in ipairs(runs) do
      rt:wait(run)
      assert.same({ "completed", i }, { run.state, run.output })
    end
    rt:close()
    local again = {}
    rt = flow.runtime { store = url, clock = "virtual",
      resume = { on_run = function(run) again[#again + 1] = run end } }
    flow.sleep(0.1)
    assert.same({}, again)
    rt:close()
  end)

  it("are reported where they cannot go on", function()
    leave(2)
    local rt = flow.runtime { store = url, clock = "virtual" }
    rt:store():change { { "UPDATE runs SET bundle = 'lost'" } }
    rt:close()
    local refused = {}
    rt = flow.runtime { store = url, clock = "virtual",
      resume = { on_refused = function(id, name)
        assert.is_nil(refused[id])
        refused[id], refused[#refused + 1] = name, name
      end } }
    for _ = 1, 6000 do
      flow.sleep(0.01)
      if #refused == 2 then break end
    end
    assert.same({ "waits", "waits" }, { refused[1], refused[2] })
    rt:close()
  end)

  it("need a store, and options that exist", function()
    assert.has_error(function() flow.runtime { resume = true } end)
    for _, bad in ipairs { { limt = 1 }, { limit = 0 }, { limit = "8" }, "all" } do
      assert.has_error(function() flow.runtime { store = url, resume = bad } end)
    end
    local _, problem = pcall(flow.runtime, { store = "sqlite:/nowhere/at/all/runs.db", resume = true })
    assert.equal("store_error", problem.code)
  end)
end)
