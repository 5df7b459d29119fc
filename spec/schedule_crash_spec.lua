-- Schedules across kill -9: right before and right after each commit of a process that runs them,
-- and at any moment. No time is lost, and none begins twice.
local book = require "orrery.schedule.book"
local flow = require "orrery"
local place = require "spec.support.place"
local uv = require "luv"
local zones = require "orrery.calendar.zone"

local FILES = {
  -- every second
  ["w.lua"] = [[
local flow = require "orrery"
local w = flow.workflow { name = "w", output = "${nodes.it}",
  triggers = { flow.schedule { name = "s", every = "1s", missed = "all", overlap = "allow" } } }
w.it = { run = function(ctx) return ctx.trigger.time end }
return w]],
  ["run.lua"] = [[require("orrery.schedule").run { workflows = { "w.lua" } }]],
}

-- The keys of all runs, and what the schedule is done with.
local function found(here)
  if not uv.fs_stat(here.db) then return { runs = {} } end
  local ok, state = pcall(function()
    return { runs = here:query "SELECT key FROM runs ORDER BY key",
      row = here:query("SELECT watermark FROM schedules")[1],
      skips = here:query("SELECT count(*) AS n FROM schedule_skips")[1].n }
  end)
  return ok and state or { runs = {} } -- it has no tables yet
end

-- All times from the first run on up to the watermark have a run, and one alone.
local function check(here, words)
  local state = found(here)
  if #state.runs == 0 then return end
  assert.equal(0, state.skips, words)
  local times, first = {}, nil
  for _, run in ipairs(state.runs) do
    assert.is_nil(times[run.key], words .. ": twice " .. run.key)
    times[run.key] = true
    first = first or zones.UTC:parse(run.key:match "@(.*)$")
  end
  for time = first, math.floor(state.row.watermark) do
    local key = book.key("w:s", time)
    assert.is_true(times[key] or false, ("%s: %s is lost"):format(words, key))
  end
end

describe("schedules of a process that is killed", function()
  it("lose no time and begin none twice, before and after each commit", function()
    local here <close> = place.new(FILES)
    for n = 1, 8 do
      for _, suffix in ipairs { "", ":after" } do
        here:with({ ORRERY_CRASH = n .. suffix }, "run.lua")
        check(here, "killed at " .. n .. suffix)
      end
    end
    assert.is_true(#found(here).runs > 5)
  end)

  it("lose no time and begin none twice, at any moment", function()
    local seed = tonumber(os.getenv "SCHEDULE_SEED") or os.time()
    math.randomseed(seed)
    local here <close> = place.new(FILES)
    for round = 1, 8 do
      local before = #found(here).runs
      local process = here:start { "run.lua" }
      here:until_true(function() return #found(here).runs > before end, "a run")
      flow.sleep(math.random() * 0.7)
      process.handle:kill "sigkill"
      here:finish(process)
      check(here, ("seed %d, round %d"):format(seed, round))
    end
  end)
end)
