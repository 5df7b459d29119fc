-- Schedules in virtual time: what is due, missed, overlaps, waits, and what is kept of it.
local book = require "orrery.schedule.book"
local core = require "orrery.core"
local flow = require "orrery"
local judge = require "orrery.schedule.judge"
local ticker = require "orrery.schedule.ticker"
local triggers = require "orrery.definition.triggers"
local uv = require "luv"
local zones = require "orrery.calendar.zone"

local T0 = zones.UTC:parse "2026-01-01T00:00:00"
local MINUTE, HOUR, DAY = 60, 3600, 86400

local function raise(_, kind, message) error(kind .. ": " .. message, 0) end

local function trigger(fields)
  fields.type = "schedule"
  return triggers.read(fields, "w", "spec", raise)
end

-- ---- the judge, in a world of numbers -----------------------------------------------------------

local World = {}
World.__index = World

function World:alive() return self.running end
function World:start(_, time)
  if self.refuses then return false, self.refuses end
  self.started[#self.started + 1] = time
  if self.takes then self.running[#self.running + 1] = { ends = self.now + self.takes } end
  return true
end
function World.cancel(_, _, run, hard) run.cancelled = hard and "hard" or "soft" end
function World:mark(entry) self.marks = self.marks + 1 assert(entry.watermark) end
function World:skip(_, from, to, n, reason) self.skips[#self.skips + 1] = { from, to, n, reason } end
function World:answer(_, time) self.answered[#self.answered + 1] = time end

local function world(options)
  local made = { running = {}, started = {}, skips = {}, answered = {}, marks = 0, now = T0 }
  for key, value in pairs(options or {}) do made[key] = value end
  return setmetatable(made, World)
end

local function entry(fields, watermark)
  return { id = "w:s", trigger = trigger(fields), watermark = watermark or T0, asked = {} }
end

-- Looks at a time, after the runs that have ended by then have gone.
local function look(w, e, now)
  w.now = now
  local left = {}
  for _, run in ipairs(w.running) do
    if run.ends > now and not run.cancelled then left[#left + 1] = run end
  end
  w.running = left
  return judge.look(e, w, now)
end

local function minutes(list)
  local made = {}
  for i, time in ipairs(list) do made[i] = (time - T0) / MINUTE end
  return made
end

local function skipped(w)
  local made = {}
  for i, skip in ipairs(w.skips) do
    made[i] = ("%d-%d %d %s"):format((skip[1] - T0) // MINUTE, (skip[2] - T0) // MINUTE, skip[3], skip[4])
  end
  return made
end

describe("a schedule", function()
  it("begins when it is due, once, and says when the next is", function()
    local w, e = world(), entry { cron = "*/10 * * * *" }
    assert.equal(T0 + 10 * MINUTE, look(w, e, T0 + 5))
    assert.same({}, w.started)
    assert.equal(T0 + 20 * MINUTE, look(w, e, T0 + 10 * MINUTE + 0.5))
    assert.equal(T0 + 20 * MINUTE, look(w, e, T0 + 10 * MINUTE + 0.5))
    assert.same({ 10 }, minutes(w.started))
    assert.equal(T0 + 10 * MINUTE, e.watermark)
  end)

  it("is over when it has no more times", function()
    local w, e = world(), entry { cron = "0 * * * *", ["end"] = "2026-01-01T01:00" }
    look(w, e, T0 + HOUR)
    assert.same({ 60 }, minutes(w.started))
    assert.is_nil(look(w, e, T0 + 2 * HOUR))
  end)

  it("is spread by its jitter, which follows from its name and time", function()
    local e, late = entry { cron = "* * * * *", jitter = "30s" }, {}
    for i = 1, 200 do
      local due = judge.due(e, T0 + i * MINUTE) - (T0 + i * MINUTE)
      assert.is_true(due >= 0 and due < 30)
      assert.equal(due, judge.due(entry { cron = "* * * * *", jitter = "30s" },
        T0 + i * MINUTE) - (T0 + i * MINUTE))
      late[math.floor(due / 3)] = true
    end
    for part = 0, 9 do assert.is_true(late[part], part) end
    local w = world()
    local wake = look(w, e, T0 + MINUTE - 1)
    assert.equal(judge.due(e, T0 + MINUTE), wake)
    look(w, e, wake - 0.01)
    assert.same({}, w.started)
    look(w, e, wake)
    assert.same({ 1 }, minutes(w.started))
  end)

  it("skips what was missed, and says so", function()
    local w, e = world(), entry { cron = "*/10 * * * *" }
    assert.equal(T0 + 130 * MINUTE, look(w, e, T0 + 125 * MINUTE))
    assert.same({}, w.started)
    assert.same({ "10-120 12 missed" }, skipped(w))
    assert.equal(T0 + 120 * MINUTE, e.watermark)
  end)

  it("begins what is late by less than a minute", function()
    local w, e = world(), entry { cron = "*/10 * * * *" }
    look(w, e, T0 + 10 * MINUTE + judge.LATE - 1)
    assert.same({ 10 }, minutes(w.started))
  end)

  it("runs the last that was missed", function()
    local w, e = world(), entry { cron = "*/10 * * * *", missed = "last" }
    look(w, e, T0 + 125 * MINUTE)
    assert.same({ 120 }, minutes(w.started))
    assert.same({ "10-110 11 missed" }, skipped(w))
  end)

  it("runs all that was missed, one after the other", function()
    local w, e = world { takes = MINUTE }, entry { cron = "*/10 * * * *", missed = "all" }
    for now = 31 * MINUTE, 36 * MINUTE, 10 do look(w, e, T0 + now) end
    assert.same({ 10, 20, 30 }, minutes(w.started))
    assert.same({}, w.skips)
    w, e = world { takes = HOUR }, entry { cron = "*/10 * * * *", missed = "all", overlap = "allow" }
    look(w, e, T0 + 45 * MINUTE)
    assert.same({ 10, 20, 30, 40 }, minutes(w.started))
  end)

  it("takes up nothing that is older than a year", function()
    local w, e = world(), entry { cron = "0 0 * * *", missed = "all", overlap = "allow" }
    local now = T0 + 800 * DAY + HOUR
    for _ = 1, 5 do look(w, e, now) end
    assert.equal(366, #w.started)
    assert.equal("missed: more than a year ago", w.skips[1][4])
    assert.equal(800 - 366, w.skips[1][3])
    assert.equal(T0 + 800 * DAY, w.started[#w.started])
  end)

  it("counts ten thousand of what it skips, and no more", function()
    local w, e = world(), entry { cron = "* * * * * *" }
    look(w, e, T0 + 90 * DAY)
    assert.equal(1, #w.skips)
    assert.equal(10000, w.skips[1][3])
    assert.equal(T0 + 90 * DAY - 60, w.skips[1][2])
  end)

  it("that is paused skips its times", function()
    local w, e = world(), entry { cron = "*/10 * * * *" }
    e.paused = T0
    look(w, e, T0 + 10 * MINUTE)
    assert.same({}, w.started)
    assert.same({ "10-10 1 paused" }, skipped(w))
  end)

  it("notes what cannot begin, and goes on", function()
    local w, e = world { refuses = "no such input" }, entry { cron = "*/10 * * * *" }
    look(w, e, T0 + 10 * MINUTE)
    assert.same({ "10-10 1 refused: no such input" }, skipped(w))
    assert.equal(T0 + 10 * MINUTE, e.watermark)
  end)

  it("answers what it is asked for beside its times, also while it is paused", function()
    local w, e = world { takes = 5 }, entry { cron = "0 0 1 1 *" }
    e.paused, e.asked = T0, { { time = T0 - DAY, kind = "backfill" }, { time = T0 - HOUR, kind = "manual" } }
    look(w, e, T0 + 1)
    assert.same({ T0 - DAY }, w.started)
    look(w, e, T0 + 10)
    assert.same({ T0 - DAY, T0 - HOUR }, w.started)
    assert.same(w.started, w.answered)
  end)
end)

describe("a schedule whose run goes on", function()
  -- Runs of 25 minutes, every 10; which begin, when, and what is skipped, in 100 minutes.
  local function played(overlap)
    local w, e = world { takes = 25 * MINUTE }, entry { cron = "*/10 * * * *", overlap = overlap }
    local begun, cancelled = {}, 0
    for now = T0, T0 + 100 * MINUTE + 15, 15 do
      local n = #w.started
      local before = w.running
      look(w, e, now)
      for _, run in ipairs(before) do
        if run.cancelled and not run.counted then run.counted, cancelled = true, cancelled + 1 end
      end
      for i = n + 1, #w.started do
        begun[#begun + 1] = ("%d@%d"):format((w.started[i] - T0) // MINUTE, (now - T0) // MINUTE)
      end
    end
    return table.concat(begun, " "), table.concat(skipped(w), ", "), cancelled
  end

  it("skips", function()
    local begun, skips = played "skip"
    assert.equal("10@10 40@40 70@70 100@100", begun)
    assert.equal("20-20 1 overlap, 30-30 1 overlap, 50-50 1 overlap, 60-60 1 overlap, 80-80 1 overlap, "
      .. "90-90 1 overlap", skips)
  end)

  it("has all wait", function()
    local begun, skips = played "queue_all"
    assert.equal("10@10 20@35 30@60 40@85", begun)
    assert.equal("", skips)
  end)

  it("has the last one wait", function()
    local begun, skips = played "queue_one"
    assert.equal("10@10 30@35 60@60 80@85", begun)
    assert.equal("20-20 1 overlap, 40-40 1 overlap, 50-50 1 overlap, 70-70 1 overlap, 90-90 1 overlap",
      (skips:gsub(", 90%-90 1 overlap$", ", 90-90 1 overlap")))
  end)

  it("cancels it and begins once it has ended", function()
    local begun, skips, cancelled = played "cancel"
    assert.equal("10@10 20@20 30@30 40@40 50@50 60@60 70@70 80@80 90@90 100@100", begun)
    assert.equal("", skips)
    assert.equal(9, cancelled)
  end)

  it("may run beside it", function()
    local begun = played "allow"
    assert.equal("10@10 20@20 30@30 40@40 50@50 60@60 70@70 80@80 90@90 100@100", begun)
  end)

  it("loses none that waits for longer than a minute, also over a restart", function()
    local w, e = world { takes = HOUR }, entry { cron = "*/10 * * * *", overlap = "queue_all" }
    for now = T0, T0 + 40 * MINUTE, 15 do look(w, e, now) end
    -- another process, which knows what was kept
    local other = entry({ cron = "*/10 * * * *", overlap = "queue_all" }, e.watermark)
    other.queued = e.queued
    w.takes = nil
    look(w, other, T0 + 3 * HOUR)
    assert.same({ 10, 20, 30, 40, 180 }, minutes(w.started))
    assert.same({ "50-170 13 missed" }, skipped(w)) -- those came while nothing ran
  end)
end)

-- ---- the ticker, on the real engine -------------------------------------------------------------

-- A store in a file, with a runtime of a virtual clock that is held, and a ticker that is looked
-- with.
local function place(fn)
  local path = os.tmpname()
  os.remove(path)
  local here = { path = path, url = "sqlite:" .. path }
  function here.open(now)
    here.rt = flow.runtime { store = here.url, clock = "virtual", hold = true, now = now or T0 }
    return here.rt
  end
  function here.start(workflows)
    here.ticker = ticker.start(here.rt, nil, workflows, { manual = true,
      clock = function() return here.rt:now() end })
    return here.ticker
  end
  -- Goes on to a time, with a look whenever one is due or a run has ended.
  function here.to(time)
    local ended
    local off = here.rt:on(function(event) ended = ended or event.event:find "^run_" ~= nil end)
    while true do
      local wake
      repeat
        ended = false
        wake = here.ticker:look()
        here.rt:advance(0.001)
      until not ended
      local now = here.rt:now()
      if now >= time then break end
      local due = here.rt:due()
      here.rt:advance(math.max(math.min(time, wake or time, due and now + due or time) - now, 0.001))
    end
    off()
  end
  local ok, problem = xpcall(fn, debug.traceback, here)
  pcall(function() here.ticker:stop() here.rt:close() end)
  for _, suffix in ipairs { "", "-wal", "-shm", "-lock" } do os.remove(path .. suffix) end
  if not ok then error(problem, 0) end
end

local seen -- what runs were given

local function workflow(options, body)
  local w = flow.workflow { name = options.name or "w", input = options.input, triggers = options.triggers,
    output = "${nodes.it}" }
  w.it = { run = body or function(ctx)
    seen[#seen + 1] = { trigger = ctx.trigger, input = ctx.input }
    return true
  end }
  return w
end

local function texts(rows, field)
  local list = {}
  for i, row in ipairs(rows) do list[i] = row[field] end
  table.sort(list)
  return list
end

describe("a ticker", function()
  before_each(function() seen = {} end)

  it("starts what a workflow declares, with its input and what started it", function()
    place(function(here)
      here.open()
      local w = workflow { triggers = { flow.schedule { name = "daily", cron = "30 2 * * *",
        zone = "Europe/Berlin",
        input = { day = "${schedule.date}", at = "${schedule.time}" } } } }
      here.start { w }
      here.to(T0 + 2 * DAY)
      assert.equal(2, #seen)
      assert.same({ day = "2026-01-01", at = "2026-01-01T02:30:00+01:00" }, seen[1].input)
      local found = seen[2].trigger
      assert.equal("schedule", found.kind)
      assert.equal("w:daily", found.schedule)
      assert.equal(T0 + DAY + 90 * MINUTE, found.time)
      assert.equal("Europe/Berlin", found.payload.zone)
      local rows = here.rt:store():rows("runs_keyed", { workflow = "w", from = "schedule:", to = "schedule~",
        limit = 10 })
      assert.same({ "schedule:w:daily@2026-01-01T01:30:00Z", "schedule:w:daily@2026-01-02T01:30:00Z" },
        texts(rows, "key"))
    end)
  end)

  it("goes on where it was stopped, and begins no time twice", function()
    place(function(here)
      local w = workflow { triggers = { flow.schedule { every = "1h", missed = "all" } } }
      here.open()
      here.start { w }
      here.to(T0 + 90 * MINUTE)
      assert.equal(1, #seen)
      here.ticker:stop()
      here.rt:close()
      here.open(T0 + 4 * HOUR + 60)
      here.start { w }
      here.to(T0 + 5 * HOUR + 60)
      assert.equal(5, #seen)
      -- what was kept is lost, but the runs are there
      here.rt:store():perform("schedules_note", { marks = { { id = "w:schedule", watermark = T0 } },
        skips = core.json.array {}, answers = core.json.array {}, now = T0 })
      here.to(T0 + 5 * HOUR + 120)
      assert.equal(5, #seen)
      assert.same({ "schedule:w:schedule" }, { (here.rt:store():row("schedules", {}).id:gsub("^",
        "schedule:")) })
    end)
  end)

  it("keeps a record of each time that is skipped", function()
    place(function(here)
      here.open()
      here.start { workflow({ triggers = { flow.schedule { every = "10m" } } },
        function(ctx) ctx:sleep "25m" end) }
      here.to(T0 + HOUR)
      local rows = here.rt:store():rows("schedule_skips", { before = math.maxinteger, limit = 100 })
      assert.equal(4, #rows)
      assert.equal("overlap", rows[1].reason)
      assert.same({ { schedule = "w:schedule", cause = "overlap", n = 4 } },
        here.rt:store():rows("schedule_skipped", {}))
      assert.equal(4, here.ticker:status().skipped.overlap)
      assert.equal(2, here.ticker:status().started)
    end)
  end)

  it("cancels and terminates runs", function()
    for _, overlap in ipairs { "cancel", "terminate" } do
      place(function(here)
        here.open()
        local cleaned = 0
        local w = workflow({ triggers = { flow.schedule { every = "10m", overlap = overlap } } },
          function(ctx) ctx:sleep "25m" end)
        w.clean = { after = "it", join = "done",
          run = function(ctx) ctx:sleep "1s" cleaned = cleaned + 1 end }
        here.start { w }
        here.to(T0 + 31 * MINUTE)
        local rows = here.rt:store():rows("runs_keyed", { workflow = "w", from = "schedule:",
          to = "schedule~", limit = 10 })
        assert.equal(3, #rows)
        assert.same({ "cancelled", "cancelled", "running" }, (function()
          local states = texts(rows, "state")
          if states[3] == "waiting" then states[3] = "running" end
          return states
        end)())
        assert.equal(overlap == "cancel" and 2 or 0, cleaned)
      end)
    end
  end)

  it("pauses a schedule whose runs fail, until somebody lets it go on", function()
    place(function(here)
      here.open()
      local fails = true
      local w = workflow({ triggers = { flow.schedule { every = "10m", pause_on_failure = 2 } } }, function()
        seen[#seen + 1] = true
        if fails then error "no" end
      end)
      here.start { w }
      here.to(T0 + HOUR)
      assert.equal(2, #seen)
      local row = here.rt:store():row("schedules", {})
      assert.equal("2 of its runs failed, one after the other", row.reason)
      fails = false
      book.of_store(here.rt:store()):resume("w:schedule", here.rt:now())
      here.to(T0 + HOUR + 20 * MINUTE)
      assert.equal(4, #seen)
    end)
  end)

  it("takes what commands made and asked for", function()
    place(function(here)
      here.open()
      local w = workflow {}
      here.start { w }
      local kept = book.of_store(here.rt:store())
      kept:keep({ { trigger = trigger { every = "30m" } } }, T0)
      here.to(T0 + 45 * MINUTE)
      assert.equal(1, #seen)
      kept:ask("w:schedule", { T0 - 7200, T0 - 3600 }, "backfill", here.rt:now())
      kept:ask("w:schedule", { T0 - 7200 }, "backfill", here.rt:now())
      here.to(T0 + 46 * MINUTE)
      assert.equal(3, #seen)
      assert.same({ "backfill", "backfill" }, { seen[2].trigger.payload.cause,
        seen[3].trigger.payload.cause })
      assert.same({}, here.rt:store():rows("schedule_asked", {}))
      kept:pause("w:schedule", "moving", here.rt:now())
      here.to(T0 + 2 * HOUR)
      assert.equal(3, #seen)
      kept:remove "w:schedule"
      here.to(T0 + 3 * HOUR)
      assert.same({}, here.ticker:status().schedules)
    end)
  end)

  it("forgets what a workflow declares no more", function()
    place(function(here)
      here.open()
      here.start { workflow { triggers = { flow.schedule { name = "a", every = "1h" },
        flow.schedule { name = "b", every = "1h" } } } }
      here.ticker:reload { workflow { triggers = { flow.schedule { name = "b", every = "2h" } } } }
      assert.same({ "w:b" }, texts(here.rt:store():rows("schedules", {}), "id"))
      here.to(T0 + 2 * HOUR)
      assert.equal(1, #seen)
    end)
  end)

  it("notes an input that the workflow does not take", function()
    place(function(here)
      here.open()
      here.start { workflow { input = flow.schema { n = "integer" },
        triggers = { flow.schedule { every = "1h", input = { n = "${schedule.date}" } } } } }
      here.to(T0 + HOUR)
      assert.equal(0, #seen)
      local row = here.rt:store():row("schedule_skips", { before = math.maxinteger, limit = 1 })
      assert.is_true(row.reason:find("^refused: .*expected an integer") ~= nil, row.reason)
    end)
  end)

  it("takes up a calendar that was set back by far", function()
    place(function(here)
      here.open()
      here.start { workflow { triggers = { flow.schedule { every = "1h" } } } }
      book.of_store(here.rt:store()).db:perform("schedules_note", { marks = { { id = "w:schedule",
        watermark = T0 + 1000 * DAY } }, skips = core.json.array {}, answers = core.json.array {}, now = T0 })
      here.to(T0 + HOUR)
      assert.equal(1, #seen)
    end)
  end)

  it("starts a run after each run of another workflow, once", function()
    place(function(here)
      here.open()
      local first = workflow({ name = "first" }, function(ctx) if ctx.input == "fail" then error "no" end end)
      local w = workflow { triggers = { flow.after_run { workflow = "first", input = "${trigger.run}" } } }
      here.start { first, w }
      here.to(T0 + 1)
      local ids = {}
      for i = 1, 3 do
        local run = flow.run(first, { runtime = here.rt, input = i == 2 and "fail" or nil })
        if i ~= 2 then ids[#ids + 1] = run.id end
        here.rt:advance(1)
      end
      here.to(T0 + 60)
      here.to(T0 + 120)
      table.sort(ids)
      local got = texts(seen, "input")
      assert.same(ids, got)
      assert.equal("after_run", seen[1].trigger.kind)
    end)
  end)

  it("runs without a store as well", function()
    local rt = flow.runtime { clock = "virtual", hold = true, now = T0 }
    local here = ticker.start(rt, nil, { workflow { triggers = { flow.schedule { every = "1h" } } } },
      { manual = true, clock = function() return rt:now() end })
    here:look()
    rt:advance(HOUR)
    here:look()
    rt:advance(1)
    assert.equal(1, #seen)
    here:stop()
  end)
end)

local function until_true(test)
  local stop = uv.hrtime() + 60e9
  while not test() and uv.hrtime() < stop do flow.sleep(0.02) end
  assert.is_true(test() and true)
end

describe("an alarm", function()
  it("rings once at its time, at once where that has passed, and never after it is closed", function()
    local rung = {}
    local alarm = core.alarm(function(set) rung[#rung + 1] = { core.time(), set } end)
    local due = core.time() + 0.3
    alarm:at(due)
    until_true(function() return #rung == 1 end)
    assert.is_true(rung[1][1] >= due)
    assert.is_false(rung[1][2])
    alarm:at(1)
    until_true(function() return #rung == 2 end)
    alarm:at(math.huge)
    alarm:at(core.time() + 0.01)
    alarm:close()
    alarm:close()
    flow.sleep(0.1)
    assert.equal(2, #rung)
    assert.is_false((pcall(alarm.at, alarm, 1)))
  end)
end)

describe("a ticker in real time", function()
  it("wakes by itself, sees files change and commands, and stops", function()
    seen = {}
    local path = os.tmpname()
    os.remove(path)
    local file, folder = path .. ".watched", path .. ".folder"
    assert(uv.fs_mkdir(folder, 448))
    local rt = flow.runtime { store = "sqlite:" .. path }
    local w = workflow { triggers = { flow.schedule { cron = "* * * * * *" },
      flow.watch { path = file, settle = "10ms" },
      flow.watch { name = "csv", path = folder, pattern = "*.csv", on = "create", settle = "10ms",
        input = "${trigger.created}" } } }
    local here = ticker.start(rt, nil, { w })
    local function count(kind)
      local n = 0
      for _, each in ipairs(seen) do n = n + (each.trigger.kind == kind and 1 or 0) end
      return n
    end
    until_true(function() return count "schedule" >= 2 end)
    until_true(function() return here.entries["w:watch"].seen and here.entries["w:csv"].seen end)
    local out <close> = assert(io.open(file, "w"))
    out:write "x"
    out:flush()
    until_true(function() return count "watch" >= 1 end)
    local function put(name)
      local made <close> = assert(io.open(folder .. "/" .. name, "w"))
      made:write "x"
    end
    put "a.txt"
    put "b.csv"
    until_true(function() return count "watch" >= 2 end)
    local last
    for _, each in ipairs(seen) do last = each.trigger.schedule == "w:csv" and each or last end
    assert.same({ folder .. "/b.csv" }, last.input)
    local other = core.store("sqlite:" .. path, "look")
    book.of_store(other):pause("w:schedule", nil, core.time())
    until_true(function() return here.entries["w:schedule"].paused end)
    other:close()
    here:stop()
    rt:close()
    for _, suffix in ipairs { "", "-wal", "-shm", "-lock", ".watched" } do os.remove(path .. suffix) end
    os.execute("rm -r '" .. folder .. "'")
  end)
end)
