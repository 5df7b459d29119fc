-- Expressions with the times that other libraries find for them: a corpus that lies beside the
-- repository where there is one.
local cron = require "orrery.calendar.cron"
local moments = require "orrery.calendar.moments"
local wall = require "orrery.calendar.wall"
local zones = require "orrery.calendar.zone"

local FOLDER = "../shared/corpus/cron"

local function rows(name)
  local file = io.open(FOLDER .. "/" .. name, "rb")
  if not file then return nil end
  local list, titles = {}, nil
  for line in file:lines() do
    local row, i = {}, 0
    for field in (line:gsub("\r$", "") .. "\t"):gmatch "([^\t]*)\t" do
      i = i + 1
      row[titles and titles[i] or i] = field
    end
    if titles then list[#list + 1] = row else titles = row end
  end
  file:close()
  return list
end

local function need(name)
  local list = rows(name)
  if not list then
    pending "../shared/corpus/cron is absent"
  end
  return list
end

-- Whether a change of the clock lies near: there the libraries differ by their rules.
local function is_near_change(zone, time)
  local _, from, to = zone:segment(time)
  return time - from < 26 * 3600 or to - time < 26 * 3600
end

describe("the cron corpus: expressions on which libraries agree", function()
  it("come at the same times", function()
    local list = need "next_agree.public.tsv"
    if not list then return end
    local compared, wrong, excused = 0, {}, 0
    for _, row in ipairs(list) do
      local spec, problem = cron.parse(row.expression)
      local zone = assert(zones.find(row.tz))
      local time = assert(zone:parse(row.from))
      for i = 1, 5 do
        local expected = row["next" .. i]
        if expected == "" then break end
        local found = spec and moments.next(spec, zone, time)
        local wanted = zone:parse(expected)
        if found ~= wanted then
          if found and (is_near_change(zone, found) or is_near_change(zone, wanted)) then
            excused = excused + 1
          else
            wrong[#wrong + 1] = ("%s in %s from %s: %s, not %s"):format(row.expression, row.tz,
              zone:text(time),
              found and zone:text(found) or problem and problem.message or "never", expected)
          end
        end
        compared, time = compared + 1, wanted
      end
    end
    assert.equal("", table.concat(wrong, "\n", 1, math.min(#wrong, 20)))
    assert.is_true(compared > 5000, compared)
    assert.is_true(excused < compared / 50, ("%d of %d differ at changes of the clock"):format(excused,
      compared))
  end)
end)

-- Where croniter means another thing: a restricted day and an n-th weekday must both fit there, `*`
-- in a list of weekdays stands for nothing, from a day to itself for all days, steps begin anew
-- where a range goes on from the beginning; and rows that were recorded in the middle of a test
-- that moves the clock.
local DIFFERS = { ["30 23 1-7 JAN MON-FRI#1"] = true, ["0 0 * * *,sat#3"] = true,
  ["0 0 1 Apr-Mar/2 *"] = true,
  ["* * * * * *"] = true, ["0 0 * * Thu-Tue/2"] = true, ["0 0 * * Sun-Sun"] = true, ["0 0 * * 7-7"] = true,
    ["0 0 * * 0-0"] = true, ["0 0 * * thu-tue/2"] = true }

-- What the library calls another thing: 6 fields have the seconds last there, and 7 have years.
local function as_ours(text)
  local words = {}
  for word in text:gmatch "%S+" do words[#words + 1] = word end
  if #words == 6 then table.insert(words, 1, table.remove(words)) end
  return #words <= 6 and table.concat(words, " ") or nil
end

describe("the cron corpus: calls of croniter's own tests", function()
  it("give the same times", function()
    local list = need "croniter_selftest_vectors.tsv"
    if not list then return end
    local compared, refused, wrong = 0, {}, {}
    for _, row in ipairs(list) do
      local text = as_ours(row.expression)
      local plain = not row.options:find 'day_or": false'
        and not row.options:find "expand_from_start_time\": true"
        and not row.options:find "implement_cron_bug" and not row.options:find "second_at_beginning\": true"
      local zone = row.tz == "" and zones.UTC or nil
      if text and plain and zone and not DIFFERS[row.expression] then
        local spec = cron.parse(text)
        if not spec then
          refused[text] = true
        else
          local from, to = zone:parse(row.from:gsub("%.%d+", "")), zone:parse(row.to:gsub("%.%d+", ""))
          local whole = not row.from:find "%."
          local found = row.call == "get_next" and wall.next(spec, from) or row.call == "get_prev"
            and wall.prev(spec, whole and from or from + 1)
          compared = compared + 1
          if found ~= to then
            wrong[#wrong + 1] = ("%s %s from %s: %s, not %s"):format(row.call, row.expression, row.from,
              found and zone:text(found) or "never", row.to)
          end
        end
      end
    end
    local names = {}
    for text in pairs(refused) do names[#names + 1] = text end
    table.sort(names)
    assert.equal("", table.concat(wrong, "\n", 1, math.min(#wrong, 20)))
    assert.is_true(compared > 1500, compared)
    assert.is_true(#names < 30, table.concat(names, "\n"))
  end)
end)

local MONTHS = { Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6, Jul = 7, Aug = 8, Sep = 9, Oct = 10,
  Nov = 11,
  Dec = 12 }

-- "Mon Jul 9 15:00:05 2012", or with a zone's name and an ISO time.
local function go_time(text)
  local month, day, clock, year = text:match "^%a+ (%a+) +(%d+) ([%d:]+) (%d+)$"
  if not month then return zones.UTC:parse((text:gsub("^TZ=%S+ ", ""))) end
  return zones.UTC:parse(("%04d-%02d-%02d %s"):format(year, MONTHS[month], day, clock))
end

describe("the cron corpus: the tables of robfig/cron", function()
  it("hold, but for times that a change of the clock moves", function()
    local list = need "robfig_spec.tsv"
    if not list then return end
    local wrong, compared = {}, 0
    for _, row in ipairs(list) do
      local zone_name = row.spec:match "TZ=(%S+)" or row.from:match "TZ=(%S+)"
      local zone = zone_name and zones.find(zone_name) or zones.UTC
      local spec, problem = cron.parse((row.spec:gsub("^C?R?O?N?_?TZ=%S+ ", "")))
      if row.kind:find "^invalid" then
        if spec and not row.spec:find "^TZ=" then wrong[#wrong + 1] = row.spec .. " is taken" end
        compared = compared + 1
      elseif row.expected == "" then
        if spec then wrong[#wrong + 1] = row.spec .. " comes" end
        compared = compared + 1
      elseif not spec then
        wrong[#wrong + 1] = row.spec .. ": " .. problem.message
      elseif row.kind:find "^fires_at" then
        local time = go_time(row.from)
        if tostring(wall.fits(spec, time, false)) ~= row.expected then
          wrong[#wrong + 1] = ("%s at %s is not %s"):format(row.spec, row.from, row.expected)
        end
        compared = compared + 1
      else
        local from, to = go_time(row.from), go_time(row.expected)
        local found = from and moments.next(spec, zone, from)
        if from and found ~= to and not is_near_change(zone, found) then
          wrong[#wrong + 1] = ("%s from %s: %s, not %s"):format(row.spec, row.from, zone:text(found),
            row.expected)
        end
        compared = compared + 1
      end
    end
    assert.equal("", table.concat(wrong, "\n"))
    assert.is_true(compared > 90, compared)
  end)
end)

describe("the cron corpus: expressions that libraries judge", function()
  it("are taken where all take them, and refused where all refuse", function()
    local list = need "validity.public.tsv"
    if not list then return end
    local taken, refused = {}, {}
    for _, row in ipairs(list) do
      local spec = cron.parse(row.expression)
      local yes, no = 0, 0
      for _, library in ipairs { "croniter", "cron_parser", "croner" } do
        if row[library] == "ok" then yes = yes + 1 elseif row[library] == "reject" then no = no + 1 end
      end
      if spec and yes == 0 and no >= 2 then taken[#taken + 1] = row.expression end
      if not spec and no == 0 then refused[#refused + 1] = row.expression end
    end
    assert.same({}, taken)
    assert.same({}, refused)
    assert.is_true(#list > 300)
  end)
end)
