-- Times of schedules: expressions, zones, intervals and what is excluded.
local cron = require "orrery.calendar.cron"
local date = require "orrery.calendar.date"
local moments = require "orrery.calendar.moments"
local times = require "orrery.calendar.times"
local wall = require "orrery.calendar.wall"
local zones = require "orrery.calendar.zone"

local UTC = zones.UTC

local function at(text) return assert(UTC:parse(text), text) end

local function spec_of(text, name) return assert(cron.parse(text, name)) end

-- The next times of an expression, in a zone, as texts.
local function next_of(text, from, n, zone)
  zone = assert(zones.find(zone or "UTC"))
  local spec, time, list = spec_of(text), zone:parse(from), {}
  for i = 1, n do
    time = moments.next(spec, zone, time)
    list[i] = time and zone:text(time):gsub("Z$", "") or "never"
  end
  return table.concat(list, " ")
end

describe("a date", function()
  it("is a number of days, and back", function()
    for _, case in ipairs { { 1970, 1, 1, 0 }, { 2000, 2, 29, 11016 }, { 2100, 3, 1, 47541 }, { 1969, 12, 31,
      -1 },
      { 1600, 2, 29, -135081 } } do
      assert.equal(case[4], date.days(case[1], case[2], case[3]))
      assert.same({ case[1], case[2], case[3] }, { date.civil(case[4]) })
    end
    for day = -200000, 200000, 37 do assert.equal(day, date.days(date.civil(day))) end
  end)

  it("is read where it is one", function()
    assert.equal(at "2026-01-31T02:30:00Z", at "2026-01-31 02:30")
    assert.equal(at "2026-01-31T02:30:00Z", at "2026-01-31T04:30:00+02:00")
    for _, text in ipairs { "2026-02-29", "2026-13-01", "2026-01-01T24:00", "2026-01-01T10", "2026-1-1", "",
      "now" } do
      assert.is_nil((date.parse(text)), text)
    end
  end)
end)

describe("a cron expression", function()
  it("gives its next times", function()
    for _, case in ipairs {
      { "30 2 * * *", "2026-01-31T02:30", "2026-02-01T02:30:00" },
      { "*/15 9-10 * * mon-fri", "2026-01-30T10:45", "2026-02-02T09:00:00" },
      { "0 0 29 2 *", "2026-01-01", "2028-02-29T00:00:00" },
      { "0 0 29 2 *", "2096-03-01", "2104-02-29T00:00:00" },
      { "0 0 13 * 5", "2026-01-01", "2026-01-02T00:00:00" },         -- either the 13th or a Friday
      { "0 0 13 * ?", "2026-01-01", "2026-01-13T00:00:00" },
      { "0 0 L * *", "2026-02-01", "2026-02-28T00:00:00" },
      { "0 0 L-3 * *", "2026-02-01", "2026-02-25T00:00:00" },
      { "0 0 29-L * *", "2026-02-01", "2026-03-29T00:00:00" },
      { "0 0 15W * *", "2026-08-01", "2026-08-14T00:00:00" },        -- the 15th is a Saturday
      { "0 0 1W * *", "2026-08-03T12:00", "2026-09-01T00:00:00" },
      { "0 0 1W 8 *", "2026-07-01", "2026-08-03T00:00:00" },
        -- the 1st is a Saturday: in the same month
      { "0 0 31W 5 *", "2026-05-01", "2026-05-29T00:00:00" },        -- the 31st is a Sunday
      { "0 0 LW * *", "2026-05-01", "2026-05-29T00:00:00" },
      { "0 0 * * 5L", "2026-01-01", "2026-01-30T00:00:00" },
      { "0 0 * * fril", "2026-01-01", "2026-01-30T00:00:00" },
      { "0 0 * * fri#5", "2026-02-01", "2026-05-29T00:00:00" },
      { "0 0 * 2 5#5", "2026-01-01", "2036-02-29T00:00:00" },
      { "0 0 * * mon#1,fri#L", "2026-01-06", "2026-01-30T00:00:00" },
      { "0 0 * * sat-mon", "2026-01-06", "2026-01-10T00:00:00" },
      { "0 22-2 * * *", "2026-01-01T02:30", "2026-01-01T22:00:00" },
      { "0 0 1 nov-feb *", "2026-02-02", "2026-11-01T00:00:00" },
      { "20 */10 * * * *", "2026-01-01T00:00:20", "2026-01-01T00:10:20" },
      { "0/25 0 1 1 *", "2026-01-01T00:25", "2026-01-01T00:50:00" },
      { "@weekly", "2026-01-01", "2026-01-04T00:00:00" },
      { "@YEARLY", "2026-01-01", "2027-01-01T00:00:00" },
    } do assert.equal(case[3], next_of(case[1], case[2], 1), case[1]) end
  end)

  it("says where it is wrong and what was expected", function()
    for _, case in ipairs {
      { "0 60 * * *", 3, "60 is no hour; expected an hour, 0-23" },
      { "61 0 * * *", 1, "61 is no minute; expected a minute, 0-59" },
      { "0 0 * * mno", 9,
        "expected a weekday, 0-7 (0 and 7 are Sunday) or sun-sat, got 'mno'; did you mean \"mon\"?" },
      { "0 0 1,,2 * *", 7, "expected a day of the month, 1-31, got nothing" },
      { "0 0 5-2 * *", 5, "the range 5-2 goes backwards; write the lower day of the month first" },
      { "*/0 * * * *", 3, "a step is a whole number of at least 1, got '0'" },
      { "*/90 * * * *", 3,
        'a step of 90 leads out of these minutes at once; write a single value, or every = "…" for a '
        .. "time that is no part of an hour, day or month" },
      { "* * * *", 8,
        "expected five fields (minute, hour, day of the month, month, weekday), or six with the second "
        .. "first, got 4" },
      { "* * * * * * *", 13,
        "expected five fields (minute, hour, day of the month, month, weekday), or six with the "
        .. "second first, got 7" },
      { "0 0 * * L5", 9, "L stands behind a weekday: 5L is the last Friday of the month" },
      { "0 0 * * 5#6", 10, "expected which one of the month, #1 to #5 or #L for the last, got '#6'" },
      { "0 0 LW/2 * *", 7, "W is one day and has no step" },
      { "0 0 L/2 * *", 6, "L is one day and has no step" },
      { "@every 5m", 1, 'intervals are no part of an expression; write every = "15m"' },
      { "@reboot", 1, "@reboot is no time; start what is to run once with the program itself" },
      { "@dayly", 1, "there is no '@dayly'; did you mean \"@daily\"?" },
      { "TZ=Europe/Berlin 0 0 * * *", 1, 'the zone stands beside the expression: zone = "Europe/Berlin"' },
    } do
      local spec, problem = cron.parse(case[1])
      assert.is_nil(spec, case[1])
      assert.equal(("cron \"%s\", column %d: %s"):format(case[1], case[2], case[3]), problem.message)
      assert.equal(case[2], problem.column)
    end
    for _, text in ipairs { "", "0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 31W 2 *", ("1,"):rep(200)
      .. " * * * *",
      "\0 * * * *", "* * * * *\n", "ä * * * *", "H(5-1) * * * *", "Hx * * * *", "1-2-3 * * * *", "-1 * * * *",
      "99999 * * * *", "0x1 * * * *", "1e1 * * * *" } do
      local spec, problem = cron.parse(text)
      assert.is_nil(spec, text)
      assert.equal("string", type(problem.message))
    end
  end)

  it("with H falls on a time that follows from the name alone", function()
    local seen, spread = {}, 0
    for i = 1, 300 do
      local first = spec_of("H H * * *", "job" .. i)
      assert.same(first, spec_of("H H * * *", "job" .. i))
      if not seen[first.minute] then spread = spread + 1 end
      seen[first.minute] = true
      local part = spec_of("H(10-19) H/6 H * H", "job" .. i)
      assert.is_true(part.minute >= 1 << 10 and part.minute < 1 << 20)
      local hours = 0
      for hour = 0, 23 do hours = hours + (part.hour >> hour & 1) end
      assert.equal(4, hours)
      assert.is_true(part.days.days < 1 << 29 and part.days.weekdays < 1 << 7)
    end
    assert.is_true(spread > 50, spread)
  end)

  it("is found again from both sides", function()
    local seed = tonumber(os.getenv "CALENDAR_SEED") or os.time()
    math.randomseed(seed)
    local function field(low, high)
      local kind = math.random(6)
      local a, b = math.random(low, high), math.random(low, high)
      if kind <= 2 then return "*" end
      if kind == 3 then return ("%d-%d"):format(math.min(a, b), math.max(a, b)) end
      if kind == 4 then return ("*/%d"):format(math.random(1, high - low)) end
      if kind == 5 then return ("%d,%d"):format(a, b) end
      return tostring(a)
    end
    for _ = 1, 300 do
      local text = table.concat({ field(0, 59), field(0, 59), field(0, 23), field(1, 28), field(1, 12),
        field(0, 6) },
        " ")
      local spec, from = spec_of(text), math.random(0, 4102444800)
      local found = wall.next(spec, from)
      local words = ("seed %d: %s from %d"):format(seed, text, from)
      assert.is_true(found > from, words)
      assert.is_true(wall.fits(spec, found), words)
      assert.equal(found, wall.next(spec, found - 1), words)
      local before = wall.prev(spec, found)
      assert.is_true(not before or before <= from, words)
      assert.equal(found, before and wall.next(spec, before) or found, words)
    end
  end)
end)

describe("a change of the clock", function()
  local BERLIN = "Europe/Berlin"

  it("that skips a time has it run right after, once", function()
    assert.equal("2026-03-28T02:30:00+01:00 2026-03-29T03:00:00+02:00 2026-03-30T02:30:00+02:00",
      next_of("30 2 * * *", "2026-03-28", 3, BERLIN))
    assert.equal("2026-03-29T03:00:00+02:00 2026-03-30T02:00:00+02:00",
      next_of("0,20,40 2 * * *", "2026-03-28T02:40", 2, BERLIN))
    assert.equal("2026-03-29T03:00:00+02:00 2026-03-30T02:30:00+02:00", -- 3:00 itself is the same moment
      next_of("30 2 * * *", "2026-03-29", 2, BERLIN))
    assert.equal("2026-03-29T03:00:00+02:00 2026-03-30T02:00:00+02:00",
      next_of("0 2,3 * * *", "2026-03-29", 2, BERLIN))
  end)

  it("that repeats a time has it run once, the first time", function()
    assert.equal("2026-10-25T02:30:00+02:00 2026-10-26T02:30:00+01:00",
      next_of("30 2 * * *", "2026-10-25", 2, BERLIN))
    assert.equal("2026-10-25T03:00:00+01:00", next_of("0 3 * * *", "2026-10-25", 1, BERLIN))
    assert.equal("2026-10-26T02:45:00+01:00",
      next_of("45 2 * * *", "2026-10-25T02:15:00+01:00", 1, BERLIN)) -- the second time around
  end)

  it("moves nothing that follows the time that passes", function()
    assert.equal("2026-03-29T01:30:00+01:00 2026-03-29T03:00:00+02:00 2026-03-29T03:30:00+02:00",
      next_of("*/30 * * * *", "2026-03-29T01:00", 3, BERLIN))
    assert.equal("2026-10-25T02:00:00+02:00 2026-10-25T02:00:00+01:00 2026-10-25T03:00:00+01:00",
      next_of("0 * * * *", "2026-10-25T01:00", 3, BERLIN))
    assert.equal("2026-03-30T02:00:00+02:00", next_of("*/30 2 * * *", "2026-03-29", 1, BERLIN))
  end)

  it("may skip a day, or be half an hour", function()
    assert.equal("2011-12-29T10:00:00-10:00 2011-12-31T00:00:00+14:00 2011-12-31T10:00:00+14:00",
      next_of("0 10 * * *", "2011-12-29", 3, "Pacific/Apia"))
    assert.equal("2024-10-06T02:30:00+11:00", next_of("15 2 * * *", "2024-10-06", 1, "Australia/Lord_Howe"))
  end)

  it("leaves next and prev each other's inverse, and no time out: against a look at each minute", function()
    local seed = tonumber(os.getenv "CALENDAR_SEED") or os.time()
    math.randomseed(seed)
    local names = { "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo",
      "Pacific/Apia",
      "Africa/Casablanca", "Asia/Tehran", "UTC" }
    local lines = { "30 2 * * *", "*/20 * * * *", "0 */2 * * *", "*/15 1-3 * * *", "15,45 0-3 * * 0",
      "0 0 * * *",
      "59 23 * * 6", "10 1,2,3 L * *" }
    for _ = 1, 40 do
      local name, text = names[math.random(#names)], lines[math.random(#lines)]
      local zone, spec = assert(zones.find(name)), spec_of(text)
      -- around a change of the clock, where there is one
      local _, _, change = zone:segment(math.random(0, 2000000000))
      local from = (change == math.maxinteger and 1500000000 or change) // 60 * 60 - 6 * 3600
      local to, expected, shown_last = from + 30 * 3600, {}, -math.huge
      -- what the clock has shown so far is not new when it is shown again
      for t = from - 40 * 3600, to - 60, 60 do
        local shown = math.floor((zone:wall(t)))
        if spec.elapsed then
          if t > from and wall.fits(spec, shown) then expected[#expected + 1] = t end
        elseif shown > shown_last then
          local found = wall.next(spec, math.max(shown_last, shown - 86400 * 2))
          local skipped_or_now = shown_last > -math.huge and found and found <= shown
          if t > from and skipped_or_now then expected[#expected + 1] = t end
        end
        shown_last = math.max(shown_last, shown)
      end
      local words = ("seed %d: %s in %s from %d"):format(seed, text, name, from)
      local got, t = {}, from
      while true do
        t = moments.next(spec, zone, t)
        if t >= to then break end
        got[#got + 1] = t
      end
      assert.same(expected, got, words)
      for i = 2, #got do assert.equal(got[i - 1], moments.prev(spec, zone, got[i]), words) end
    end
  end)
end)

describe("a time zone", function()
  it("has a name that leads to no other folder", function()
    for _, name in ipairs { "../etc/passwd", "/etc/passwd", "Europe/../UTC", "", "Europe/", "Europe//Berlin",
      "a\0b",
      ".", "Europe/Berlin ", ("a"):rep(200) } do
      local zone, message = zones.find(name)
      assert.is_nil(zone, name)
      assert.is_true(message:find("expected the name of a time zone", 1, true) ~= nil, message)
    end
    local zone, message = zones.find "Europe/Brelin"
    assert.is_nil(zone)
    assert.is_true(message:find("there is no time zone 'Europe/Brelin'", 1, true) ~= nil, message)
  end)

  it("of a damaged file is refused, and none of it is read beyond its end", function()
    local file <close> = assert(io.open("/usr/share/zoneinfo/Europe/Berlin", "rb"))
    local text = file:read "a"
    assert.is_not_nil(zones.of_text("x", text))
    for size = 0, #text - 1 do assert.is_nil(zones.of_text("x", text:sub(1, size))) end
    local seed = tonumber(os.getenv "CALENDAR_SEED") or os.time()
    math.randomseed(seed)
    for _ = 1, 500 do
      local place = math.random(#text)
      local other = text:sub(1, place - 1) .. string.char(math.random(0, 255)) .. text:sub(place + 1)
      local ok, zone = pcall(zones.of_text, "x", other)
      assert.is_true(ok, ("seed %d: %s"):format(seed, tostring(zone)))
      if zone then zone:segment(1700000000) zone:segment(5000000000) zone:instant(5000000000) end
    end
  end)

  it("goes on by the rule at the end of its file", function()
    local berlin, sao = assert(zones.find "Europe/Berlin"), assert(zones.find "America/Sao_Paulo")
    assert.equal("2099-07-01T02:00:00+02:00", berlin:text(at "2099-07-01T00:00:00"))
    assert.equal("2099-01-01T01:00:00+01:00", berlin:text(at "2099-01-01T00:00:00"))
    assert.equal("2099-01-01T00:00:00-03:00", sao:text(at "2099-01-01T03:00:00"))
    assert.equal("1850-01-01T00:53:28+00:53:28", berlin:text(at "1850-01-01"))
  end)
end)

describe("the times of a schedule", function()
  local function of(fields) return assert(times.read(fields, "w:s")) end

  local function list(made, from, n)
    local texts, time = {}, made.zone:parse(from)
    for i = 1, n do
      time = made:next(time)
      if not time then break end
      texts[i] = made.zone:text(time):sub(1, 16)
    end
    return texts
  end

  it("are an interval from an anchor", function()
    assert.same({ "2026-01-01T00:15", "2026-01-01T00:30" }, list(of { every = "15m" }, "2026-01-01", 2))
    assert.same({ "2026-01-01T00:05", "2026-01-01T00:20" },
      list(of { every = "15m", anchor = "2026-06-01T00:05" }, "2026-01-01", 2))
    local berlin = of { every = "1d", zone = "Europe/Berlin", anchor = "2026-03-28T12:00" }
    assert.same({ "2026-03-28T12:00", "2026-03-29T13:00" }, list(berlin, "2026-03-28", 2)) -- time that passes
    assert.equal(berlin:next(0), berlin:prev(berlin:next(berlin:next(0))))
  end)

  it("leave out what is excluded", function()
    assert.same({ "2026-12-23T09:00", "2027-01-04T09:00", "2027-01-05T09:00" }, list(of { cron = "0 9 * * *",
      except = { "2026-12-24/2026-12-31", "--01-01", "* * * * sat,sun" } }, "2026-12-23", 3))
    assert.same({ "2026-01-01T08:59", "2026-01-01T17:00" },
      list(of { cron = "* * * * *", except = "* 9-16 * * *" }, "2026-01-01T08:58", 2))
    local nights = of { cron = "* * * * * *", except = "* 0-21 * * *", start = "2026-01-01" }
    assert.same({ "2026-01-01T22:00" }, list(nights, "2025-01-01", 1))
    assert.equal(at "2026-01-02T23:59:59", nights:prev(at "2026-01-03T12:00"))
  end)

  it("lie between start and end", function()
    local made = of { cron = "0 0 * * *", start = "2026-01-03", ["end"] = "2026-01-04" }
    assert.same({ "2026-01-03T00:00", "2026-01-04T00:00" }, list(made, "2025-06-01", 9))
    assert.equal(at "2026-01-04", made:prev(at "2030-01-01"))
    assert.is_nil(made:prev(at "2026-01-03"))
  end)

  it("of several expressions are those of each, once", function()
    assert.same({ "2026-01-02T12:00", "2026-01-03T09:00", "2026-01-03T12:00" },
      list(of { cron = { "0 12 * * *", "0 9,12 * * sat" } }, "2026-01-02", 3))
  end)

  it("say what is wrong with them", function()
    for _, case in ipairs {
      { {}, 'a schedule has either cron = "30 2 * * *" or every = "15m"' },
      { { cron = "* * * * *", every = "1m" }, 'a schedule has either cron = "30 2 * * *" or every = "15m"' },
      { { every = "500ms" }, "every: an interval is whole seconds, and at least one" },
      { { cron = "* * * * *", anchor = "2026-01-01" },
        "anchor: only intervals (every = …) count from a time" },
      { { cron = "* * * * *", start = "2026-02-01", ["end"] = "2026-01-01" }, "end: it is before start" },
      { { cron = {} }, "cron: expected an expression, \"30 2 * * *\", or a list of them" },
    } do
      local made, problems = times.read(case[1], "w:s")
      assert.is_nil(made)
      assert.equal(case[2], problems[1].message)
    end
  end)
end)
