--- `orrery schedule next` and `simulate`: what would be.
local core = require "orrery.core"
local given = require "orrery.cli.schedule.given"
local out = require "orrery.cli.shared.out"
local session = require "orrery.cli.shared.session"
local stored = require "orrery.schedule.stored"
local term = require "orrery.cli.display.term"

local times = {}

local HISTORY = 200 -- runs whose durations are taken

local function is_file(word) return word:find "%.lua$" or word:find "%.json$" end

-- The schedule of a workflow's file: the one that is named, or its only one.
local function declared(file, name)
  local compiled = given.workflow(file)
  local names, found = {}, nil
  for _, trigger in ipairs(compiled.triggers or {}) do
    if trigger.type == "schedule" then
      names[#names + 1] = trigger.name
      if not name or trigger.name == name then found = trigger end
    end
  end
  if found and (name or #names == 1) then return found end
  session.stop(2, #names == 0 and ("%s declares no schedule; give --cron or --every"):format(file)
    or ("which of its schedules? Name one of %s behind the file"):format(table.concat(names, ", ")))
end

-- What is meant: an id, a file, an expression, or the options.
local function meant(db, args)
  local word = args.what[1]
  if args.cron or args.every then
    local name = word and (is_file(word) and given.workflow(word).name or word) or "schedule"
    return given.trigger(given.fields(args), name)
  end
  if not word then session.stop(2, "of which schedule? Give its id, a workflow's file, or a cron line") end
  if is_file(word) then return declared(word, args.what[2]) end
  if word:find "[%s@]" then
    local fields = given.fields(args)
    fields.cron = word
    return given.trigger(fields, "schedule")
  end
  if not db then session.stop(2,
    ("'%s' is neither a file nor a cron line, and there is no store"):format(word)) end
  local _, trigger = stored.find_schedule(db, word)
  return trigger
end

local function from_of(trigger, args)
  if not args.from then return session.now() end
  return trigger.times.zone:parse(args.from)
    or session.stop(2, '--from: expected a time, "2026-01-31" or "2026-01-31T09:30"')
end

--- Prints the next times.
function times.next(db, args)
  local trigger = meant(db, args)
  local at, zone = from_of(trigger, args), trigger.times.zone
  for _ = 1, args.count or 10 do
    at = trigger.times:next(at)
    if not at then break end
    if args.json then
      if not session.json { time = at, text = zone:text(at) } then return end
    else
      out.line(zone:text(at))
    end
  end
end

local function durations(db, trigger, args)
  if args.duration then
    local seconds, message = require("orrery.duration").parse(args.duration)
    return { session.need(seconds, message and "--duration: " .. message) }, "--duration"
  end
  local list = {}
  for _, row in ipairs(db and db:rows("run_seconds", { workflow = trigger.workflow, limit = HISTORY })
    or {}) do
    list[#list + 1] = row.seconds
  end
  return list, "history"
end

local EFFECT = { none = "no time of the schedule lies there",
  ["right after"] = "%s right after it, as one run",
  ["not"] = "%s never come", once = "%s once, the first time", twice = "%s both times" }

local function change_line(zone, change)
  local by = term.duration(math.abs(change.by))
  local n = term.plural(change.times, "time")
  local kind = change.by > 0 and "the clock is put forward by" or "the clock is put back by"
  return ("%s  %s %s: %s"):format(zone:text(change.time), kind, by, EFFECT[change.runs]:format(n))
end

local function print_simulated(trigger, made, source, seconds)
  local zone = trigger.times.zone
  out.line(("%s, %s to %s"):format(term.clean(trigger.id), zone:text(made.from):sub(1, 16),
    zone:text(made.to):sub(1, 16)))
  out.line(("durations: %s"):format(#seconds == 0 and "none known, so runs take no time; give --duration"
    or source == "history" and "of the last " .. term.plural(#seconds, "run") or term.duration(seconds[1])
      .. " each"))
  out.line(("%s, at most %d at a time, the latest %s after its time"):format(term.plural(made.runs, "run"),
    made.beside,
    term.duration(made.most_late)))
  local reasons = {}
  for reason in pairs(made.skipped) do reasons[#reasons + 1] = reason end
  table.sort(reasons)
  for _, reason in ipairs(reasons) do out.line(("%d skipped: %s"):format(made.skipped[reason], reason)) end
  if made.cancelled > 0 then out.line(term.plural(made.cancelled, "run") .. " cancelled by a later one") end
  for i = 1, math.min(5, #made.skips) do
    out.line(("  skip %s %s"):format(zone:text(made.skips[i].time), made.skips[i].reason))
  end
  for _, change in ipairs(made.changes) do out.line(change_line(zone, change)) end
  if made.cut then out.line "there are more than a million times; the rest was left out" end
end

--- Plays a year of it.
function times.simulate(db, args)
  local trigger = meant(db, args)
  local from = math.floor(from_of(trigger, args))
  local seconds, source = durations(db, trigger, args)
  local made = require("orrery.schedule.simulate").run(trigger,
    { from = from, to = from + (args.days or 365) * 86400, seconds = seconds })
  if not args.json then return print_simulated(trigger, made, source, seconds) end
  made.id, made.durations = trigger.id, { n = #seconds, source = source }
  for _, key in ipairs { "list", "skips", "changes" } do core.json.array(made[key]) end
  core.json.object(made.skipped)
  session.json(made)
end

return times
