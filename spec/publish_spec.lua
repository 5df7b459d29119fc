-- What the owner of a run publishes of its waiting nodes, for who asks from outside.
local core = require "orrery.core"
local flow = require "orrery"
local place = require "spec.support.place"

local RUNS = 200

local FLOW = [[
local w = require("orrery").workflow { name = "patient" }
w.a = { run = function(ctx)
  ctx:wait "first"
  ctx:wait "second"
end }
return w
]]

describe("why a node waits", function()
  local here, rt, db, patient

  before_each(function()
    here = place.new { ["patient.lua"] = FLOW }
    patient = flow.compile(flow.load(here.folder .. "/patient.lua"))
    rt = flow.runtime { store = "sqlite:" .. here.folder .. "/runs.db" }
    db = core.store("sqlite:" .. here.folder .. "/runs.db")
  end)

  after_each(function()
    db:close()
    rt:close()
    here:__close()
  end)

  local function published(signal)
    return db:query("SELECT count(*) AS n FROM nodes WHERE why ->> 'kind' = 'signal' AND why ->> 'name' = ?",
      signal)[1].n
  end

  local function until_published(signal, n)
    local deadline = core.hrtime() + 60e9
    repeat
      flow.sleep(0.01)
      assert(core.hrtime() < deadline, "it was not published within a minute")
    until published(signal) == n
  end

  it("is published, and anew when it changes", function()
    local run = flow.start(patient, { runtime = rt })
    until_published("first", 1)
    run:signal "first"
    until_published("second", 1)
  end)

  it("costs next to no memory to look at again", function()
    local busy = flow.workflow { name = "busy" }
    busy.a = { run = function() end }
    for _ = 1, RUNS do flow.start(patient, { runtime = rt }) end
    until_published("first", RUNS)
    collectgarbage()
    collectgarbage "stop"
    local before = collectgarbage "count"
    for _ = 1, 5 do -- a record of any run has all that wait looked at
      flow.start(busy, { runtime = rt })
      flow.sleep(0.15)
    end
    local grown = (collectgarbage "count" - before) * 1024 / RUNS
    collectgarbage "restart"
    assert(grown < 400, ("%.0f bytes of each run that waits"):format(grown))
  end)
end)
