-- Alerts: what begins their runs, in virtual time on the real engine, and over a restart.
local book = require "orrery.schedule.book"
local core = require "orrery.core"
local flow = require "orrery"
local ticker = require "orrery.schedule.ticker"
local uv = require "luv"

local T0 = require("orrery.calendar.zone").UTC:parse "2026-01-01T00:00:00"
local MINUTE, HOUR = 60, 3600

local told -- what runs of alerts were given

local function teller(alert)
  local w = flow.workflow { name = "tell", triggers = { flow.alert(alert) } }
  w.it = { run = function(ctx) told[#told + 1] = { input = ctx.input, trigger = ctx.trigger } end }
  return w
end

local function worker()
  local w = flow.workflow { name = "load" }
  w.it = { run = function(ctx)
    if ctx.input == "fail" then error "no" end
    if type(ctx.input) == "number" then ctx:sleep(ctx.input) end
  end }
  return w
end

-- A store in a file, a runtime with a clock that is held, a ticker that is looked with.
local function place(fn)
  local path = os.tmpname()
  os.remove(path)
  local here = { path = path, load = worker() }
  function here.open(now)
    here.rt = flow.runtime { store = "sqlite:" .. path, clock = "virtual", hold = true, now = now or T0 }
  end
  function here.close()
    here.ticker:stop()
    here.rt:close()
  end
  function here.start(...)
    here.ticker = ticker.start(here.rt, nil, { ... }, { manual = true,
      clock = function() return here.rt:now() end })
  end
  -- Goes on to a time, with a look every half minute; a look at its end.
  function here.to(time)
    here.ticker:look()
    while here.rt:now() < time do
      here.rt:advance(math.min(30, time - here.rt:now()))
      here.ticker:look()
    end
    here.rt:advance(0.001)
  end
  function here.run(input)
    flow.start(here.load, { runtime = here.rt, input = input })
    here.rt:advance(0.001)
  end
  local ok, problem = xpcall(fn, debug.traceback, here)
  pcall(here.close)
  for _, suffix in ipairs { "", "-wal", "-shm", "-lock" } do os.remove(path .. suffix) end
  if not ok then error(problem, 0) end
end

local function states()
  local list = {}
  for i, each in ipairs(told) do list[i] = each.input.state end
  return table.concat(list, " ")
end

describe("an alert", function()
  before_each(function() told = {} end)

  it("on failures tells when they come and when they are over, once each", function()
    place(function(here)
      here.open()
      here.start(teller { on = "failures", workflow = "load", limit = "50%", least = 2, window = "10m" })
      here.run "fail"
      here.to(T0 + MINUTE)
      assert.equal("", states()) -- one is too few
      here.run "fail"
      here.to(T0 + 8 * MINUTE)
      assert.equal("firing", states())
      local first = told[1].input
      assert.same({ "tell:alert", "failures", "load", "error", 1.0, "Runs of load fail",
        "2 of the last 2 runs of load failed (100 %)" },
        { first.alert, first.on, first.workflow, first.level, first.value, first.title, first.message })
      assert.equal(36, #first.run)
      assert.equal("alert", told[1].trigger.kind)
      here.to(T0 + 20 * MINUTE)
      assert.equal("firing resolved", states())
      assert.same({ "info", first.since }, { told[2].input.level, told[2].input.since })
      here.run "fail"
      here.run "fail"
      here.to(T0 + 22 * MINUTE)
      assert.equal("firing resolved firing", states())
    end)
  end)

  it("counts those that completed in a share, and is paused like any trigger", function()
    place(function(here)
      here.open()
      here.start(teller { on = "failures", workflow = "load", limit = "50%" })
      for _ = 1, 2 do here.run() end
      here.run "fail"
      here.to(T0 + MINUTE)
      assert.equal("", states())
      book.of_store(here.rt:store()):pause("tell:alert", "known", here.rt:now())
      here.run "fail"
      here.to(T0 + 2 * MINUTE)
      assert.equal("", states())
      book.of_store(here.rt:store()):resume("tell:alert", here.rt:now())
      here.to(T0 + 3 * MINUTE)
      assert.equal("firing", states())
    end)
  end)

  it("lasts over a restart, and reminds where it is asked to", function()
    place(function(here)
      local w = teller { on = "failures", workflow = "load", remind = "20m", window = "2h" }
      here.open()
      here.start(w)
      here.run "fail"
      here.to(T0 + 5 * MINUTE)
      here.close()
      here.open(T0 + 6 * MINUTE)
      here.start(w)
      here.to(T0 + 15 * MINUTE)
      assert.equal("firing", states())
      here.to(T0 + 45 * MINUTE)
      assert.equal("firing reminder reminder", states())
    end)
  end)

  it("tells nothing twice where the note of it was lost", function()
    place(function(here)
      here.open()
      here.start(teller { on = "failures", workflow = "load" })
      here.run "fail"
      local write = here.ticker.book.write
      here.ticker.book.write = function(self) self.marks = {} end
      here.to(T0 + MINUTE)
      here.ticker.book.write = write
      here.to(T0 + 3 * MINUTE)
      assert.equal("firing", states())
    end)
  end)

  it("on slow looks at runs that go on as well, and at those before", function()
    place(function(here)
      here.open()
      here.start(teller { on = "slow", workflow = "load", limit = "10m", window = "30m" })
      here.run(15 * MINUTE)
      here.to(T0 + 9 * MINUTE)
      assert.equal("", states())
      here.to(T0 + 12 * MINUTE)
      assert.equal("firing", states())
      here.to(T0 + HOUR)
      assert.equal("firing resolved", states())
    end)
    told = {}
    place(function(here)
      here.open()
      here.start(teller { on = "slow", workflow = "load", limit = "2 p95", window = "10m" })
      for _ = 1, 25 do here.run(60) end
      here.to(T0 + 30 * MINUTE)
      here.run(110)
      here.to(T0 + 34 * MINUTE)
      assert.equal("", states())
      here.run(130)
      here.to(T0 + 38 * MINUTE)
      assert.equal("firing", states())
    end)
  end)

  it("on stalled tells of a run whose journal does not grow", function()
    place(function(here)
      here.open()
      here.start(teller { on = "stalled", workflow = "load", limit = "10m" })
      here.run(25 * MINUTE)
      here.to(T0 + 9 * MINUTE)
      assert.equal("", states())
      here.to(T0 + 12 * MINUTE)
      assert.equal("firing", states())
      here.to(T0 + 30 * MINUTE)
      assert.equal("firing resolved", states())
    end)
  end)

  it("on skipped tells of times at which no run began", function()
    place(function(here)
      here.open()
      local w = flow.workflow { name = "often", triggers = { flow.schedule { every = "10m" } } }
      w.it = { run = function(ctx) ctx:sleep(25 * MINUTE) end }
      here.start(w, teller { on = "skipped", schedule = "often:schedule", limit = 2, window = "30m" })
      here.to(T0 + 25 * MINUTE)
      assert.equal("", states())
      here.to(T0 + 31 * MINUTE)
      assert.equal("firing", states())
      assert.equal("2 times of schedules were skipped (often:schedule: overlap)", told[1].input.message)
    end)
  end)

  it("on disk compares what is free", function()
    place(function(here)
      here.open()
      local found = assert(uv.fs_statfs(here.path:match "^(.*)/"))
      here.start(teller { on = "disk", limit = found.bavail * found.bsize * 2 + 1, every = "1h" })
      here.to(T0 + 60)
      assert.equal("firing", states())
      here.ticker:reload { teller { on = "disk", limit = 1, every = "1h" } }
      here.to(T0 + HOUR)
      assert.equal("firing resolved", states())
    end)
  end)

  it("whose run fails is counted, and looks on", function()
    place(function(here)
      here.open()
      local w = flow.workflow { name = "tell", triggers = { flow.alert { on = "failures", workflow = "load",
        window = "5m" } } }
      w.it = { run = function(ctx)
        told[#told + 1] = { input = ctx.input }
        if ctx.input.state == "firing" then error "nobody is there" end
      end }
      here.start(w)
      here.run "fail"
      warn "@off"
      here.to(T0 + MINUTE)
      warn "@on"
      assert.equal(1, here.ticker:status().untold)
      here.to(T0 + 6 * MINUTE)
      assert.equal("firing resolved", states())
      assert.equal(1, here.ticker:status().untold)
    end)
  end)

  it("that cannot begin its run says so and goes on", function()
    place(function(here)
      here.open()
      local w = flow.workflow { name = "tell", input = flow.schema { n = "integer" },
        triggers = { flow.alert { on = "failures", workflow = "load" } } }
      w.it = { run = function() end }
      here.start(w)
      here.run "fail"
      here.to(T0 + MINUTE)
      local row = here.rt:store():row("schedule_skips", { before = math.maxinteger, limit = 1 })
      assert.equal("tell:alert", row.schedule)
      assert.is_truthy(row.reason:find("refused: ", 1, true))
      assert.equal(1, core.json.decode(here.rt:store():row("schedules", {}).seen).number)
    end)
  end)
end)
