-- orrery schedule: on a store by itself, and while a process runs its schedules.
local core = require "orrery.core"
local place = require "spec.support.place"
local simulate = require "orrery.schedule.simulate"
local triggers = require "orrery.definition.triggers"
local zones = require "orrery.calendar.zone"

local FILES = {
  ["etl.lua"] = [[
local flow = require "orrery"
local w = flow.workflow { name = "etl", output = "${nodes.it}",
  triggers = { flow.schedule { name = "nightly", cron = "30 2 * * *", zone = "Europe/Berlin" } } }
w.it = { run = function(ctx) return { ctx.input, ctx.trigger.payload and ctx.trigger.payload.cause } end }
return w]],
  ["run.lua"] = [[require("orrery.schedule").run { workflows = { "etl.lua" } }]],
}

local has = place.has

local function json(result) return core.json.decode(result.out) end

describe("orrery schedule", function()
  it("says when a schedule comes, of a file, a line and options", function()
    local here <close> = place.new(FILES)
    assert.equal("2026-03-29T03:00:00+02:00\n2026-03-30T02:30:00+02:00\n",
      here:ends(0, "schedule", "next", "etl.lua", "--from", "2026-03-28T12:00", "--count", "2").out)
    assert.equal("2026-01-01T09:00:00Z\n",
      here:ends(0, "schedule", "next", "0 9 * * *", "--from", "2026-01-01", "--count", "1").out)
    local row = json(here:ends(0, "schedule", "next", "--every", "1h", "--from", "2026-01-01", "--count", "1",
      "--json"))
    assert.same({ text = "2026-01-01T01:00:00Z", time = zones.UTC:parse "2026-01-01T01:00" }, row)
    has(here:ends(2, "schedule", "next", "0 99 * * *").err, "column 3: 99 is no hour")
    has(here:ends(2, "schedule", "next", "etl").err, "neither a file nor a cron line")
    has(here:ends(0, "schedule").err, "does not exist")
  end)

  it("makes, changes, shows, pauses and removes one", function()
    local here <close> = place.new(FILES)
    has(here:ends(0, "schedule", "add", "etl.lua", "--cron", "*/5 * * * *", "--name", "often", "--overlap",
      "allow").out, "etl:often is made; it comes next ")
    has(here:ends(0, "schedule", "add", "etl.lua", "--every", "1h", "--name", "often").out,
      "etl:often is changed")
    local row = json(here:ends(0, "schedule", "list", "--json"))
    assert.same({ "etl:often", "1h", false }, { row.id, row.definition.every, row.declared })
    assert.equal(here.folder .. "/etl.lua", row.file)
    has(here:ends(0, "schedule", "list").out, "every 1h")
    has(here:ends(0, "schedule", "pause", "etl", "--reason", "it moves").out, "etl:often is paused")
    has(here:ends(0, "schedule", "pause", "etl").out, "was paused already")
    has(here:ends(0, "schedule", "show", "etl").out, ": it moves")
    assert.same({ id = "etl:often", paused = false, changed = true },
      json(here:ends(0, "schedule", "resume", "etl:often", "--json")))
    has(here:ends(2, "schedule", "show", "etl:oftn").err, "did you mean 'etl:often'?")
    has(here:ends(2, "schedule", "show").err, "which schedule?")
    has(here:ends(2, "schedule", "add", "etl.lua", "--every", "1h", "--zone", "Europe/Brelin").err,
      "there is no time zone 'Europe/Brelin'")
    has(here:ends(2, "schedule", "add", "etl.lua").err, 'either cron = "30 2 * * *" or every = "15m"')
    assert.same({ id = "etl:often", removed = true }, json(here:ends(0, "schedule", "remove", "etl",
      "--json")))
    has(here:ends(0, "schedule").err, "there are no schedules")
  end)

  it("asks a process that runs the schedules for runs, and pauses what it runs", function()
    local here <close> = place.new(FILES)
    here:ends(0, "schedule", "add", "etl.lua", "--every", "1s", "--name", "often", "--input",
      '"${schedule.id}"')
    local asked = json(here:ends(0, "schedule", "backfill", "etl:often", "--from", "2026-01-01T00:00:00",
      "--to",
      "2026-01-01T00:00:02", "--json"))
    assert.equal(3, asked.asked)
    assert.equal(3, #asked.times)
    local process = here:start { "run.lua" }
    local function runs(cause)
      local n = 0
      for _, row in ipairs(here:query "SELECT output FROM runs WHERE state = 'completed'") do
        if row.output == ('["etl:often","%s"]'):format(cause) then n = n + 1 end
      end
      return n
    end
    here:until_true(function() return runs "backfill" == 3 and runs "time" >= 2 end, "the runs")
    here:ends(0, "schedule", "pause", "etl:often")
    here:until_true(function()
      local show = json(here:ends(0, "schedule", "show", "etl:often", "--json"))
      return show.skipped.paused
    end, "the pause")
    local manual = json(here:ends(0, "schedule", "trigger", "etl:often", "--json"))
    here:until_true(function() return runs "manual" == 1 end, "the run that was asked for")
    assert.equal(1, #here:query("SELECT id FROM runs WHERE key = ?", manual.key))
    assert.equal(3, runs "backfill")
    -- what the workflow declares is there as well, and is not the command's to change
    has(here:ends(2, "schedule", "remove", "etl:nightly").err, "declares etl:nightly itself")
    has(here:ends(2, "schedule", "pause", "etl").err, "has several: etl:nightly, etl:often")
    process.handle:kill "sigterm"
    here:finish(process)
  end)

  it("plays a year of one", function()
    local here <close> = place.new(FILES)
    local out = here:ends(0, "schedule", "simulate", "etl.lua", "--from", "2026-01-01", "--duration",
      "30h").out
    has(out, "183 runs, at most 1 at a time")
    has(out, "182 skipped: overlap")
    has(out, "2026-03-29T03:00:00+02:00  the clock is put forward by 1h00m: 1 time right after it, "
      .. "as one run")
    has(out, "2026-10-25T02:00:00+01:00  the clock is put back by 1h00m: 1 time once, the first time")
    local made = json(here:ends(0, "schedule", "simulate", "0 * * * *", "--zone", "Europe/Berlin", "--from",
      "2026-01-01", "--days", "365", "--json"))
    assert.equal(8760, made.runs)
    assert.same({ "not", "twice" }, { made.changes[1].runs, made.changes[2].runs })
  end)
end)

describe("a schedule that is played through", function()
  local function play(fields, seconds, days)
    fields.type = "schedule"
    local trigger = triggers.read(fields, "w", "spec", function(_, _, message) error(message, 0) end)
    local from = zones.UTC:parse "2026-01-01"
    return simulate.run(trigger, { from = from, to = from + days * 86400, seconds = seconds })
  end

  it("runs as it would", function()
    local made = play({ cron = "0 * * * *", overlap = "skip" }, { 90 * 60 }, 1)
    assert.same({ 12, 12 }, { made.runs, made.skipped.overlap })
    made = play({ cron = "0 * * * *", overlap = "queue_all" }, { 90 * 60 }, 1)
    assert.is_nil(made.skipped.overlap)
    assert.equal(16, made.runs) -- the last begins at 23:30
    assert.is_true(made.most_late > 7 * 3600)
    made = play({ cron = "0 * * * *", overlap = "allow" }, { 150 * 60 }, 1)
    assert.same({ 24, 3 }, { made.runs, made.beside })
    made = play({ cron = "0 * * * *", overlap = "cancel" }, { 90 * 60 }, 1)
    assert.same({ 24, 23 }, { made.runs, made.cancelled })
    made = play({ cron = "0 0 * * *", ["end"] = "2026-01-03" }, {}, 365)
    assert.same({ 2, false }, { made.runs, made.cut })
  end)
end)
