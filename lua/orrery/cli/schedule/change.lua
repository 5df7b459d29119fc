--- `orrery schedule add`, `remove`, `pause`, `resume`, `trigger` and `backfill`: they change the store,
--- and a process that runs its schedules notices at once.
local book = require "orrery.schedule.book"
local find = require "orrery.cli.schedule.find"
local given = require "orrery.cli.schedule.given"
local out = require "orrery.cli.shared.out"
local session = require "orrery.cli.shared.session"

local change = {}

local MOST = 10000 -- runs of one backfill

local function report(args, data, text)
  if args.json then session.json(data) else out.line(text) end
end

local function absolute(path)
  return path:sub(1, 1) == "/" and path or require("luv").fs_realpath(path) or path
end

--- Makes a schedule of a workflow's file.
function change.add(db, args)
  local file = session.need(args.what[1], "add which workflow? Give its file, and --cron or --every")
  local compiled = given.workflow(file)
  local trigger = given.trigger(given.fields(args), compiled.name)
  local known = db:rows("schedules", { id = trigger.id })[1]
  if known and known.declared == 1 then
    session.stop(2, ("the workflow declares %s itself; change it there, or give another --name"):format(trigger.id))
  end
  book.of_store(db):keep(trigger, false, absolute(file), session.now())
  local at = trigger.times:next(session.now())
  report(args, { id = trigger.id, workflow = compiled.name, next = at, changed = known ~= nil },
    ("%s %s; %s"):format(trigger.id, known and "is changed" or "is made",
      at and "it comes next " .. trigger.times.zone:text(at) or "it never comes"))
end

--- Removes a schedule that a command made.
function change.remove(db, args)
  local row = find.one(db, args.what[1])
  if row.declared == 1 then
    session.stop(2, ("the workflow declares %s itself; remove it there, or pause it with `%s`"):format(row.id,
      session.typed("schedule pause " .. session.word(row.id))))
  end
  book.of_store(db):remove(row.id)
  report(args, { id = row.id, removed = true }, row.id .. " is removed")
end

--- Pauses one.
function change.pause(db, args)
  local row = find.one(db, args.what[1])
  local changed = book.of_store(db):pause(row.id, args.reason, session.now())
  report(args, { id = row.id, paused = true, changed = changed }, ("%s %s; `%s` lets it go on"):format(row.id,
    changed and "is paused" or "was paused already", session.typed("schedule resume " .. session.word(row.id))))
end

--- Lets one go on.
function change.resume(db, args)
  local row = find.one(db, args.what[1])
  local changed = book.of_store(db):resume(row.id, session.now())
  report(args, { id = row.id, paused = false, changed = changed },
    ("%s %s"):format(row.id, changed and "goes on" or "was not paused"))
end

local LATER = "it begins with the process that runs the schedules of this store"

--- Asks for a run now.
function change.trigger(db, args)
  local row = find.schedule(db, args.what[1])
  local now = math.floor(session.now() * 1000) / 1000
  book.of_store(db):ask(row.id, { now }, "manual", now)
  report(args, { id = row.id, time = now, key = book.key(row.id, now) }, ("%s: a run is asked for; %s"):format(
    row.id, LATER))
end

local function time_of(trigger, name, text)
  local at = text and trigger.times.zone:parse(text)
  if at then return at end
  session.stop(2, ('--%s: expected a time in the zone of the schedule, "2026-01-31" or "2026-01-31T09:30", got %s')
    :format(name, require("orrery.errors").show(text)))
end

--- Asks for runs of times that have passed.
function change.backfill(db, args)
  local row, trigger = find.schedule(db, args.what[1])
  local from, to = time_of(trigger, "from", args.from), time_of(trigger, "to", args.to)
  local list, at = {}, from - 1
  while true do
    at = trigger.times:next(at)
    if not at or at > to then break end
    list[#list + 1] = at
    if #list > MOST then
      session.stop(2, ("there are more than %d times from then to then; take a shorter stretch"):format(MOST))
    end
  end
  local asked = not args.dry and #list > 0 and book.of_store(db):ask(row.id, list, "backfill", session.now()) or 0
  local plural = require("orrery.cli.display.term").plural
  report(args, { id = row.id, times = require("orrery.core").json.array(list), asked = asked, dry = args.dry or false },
    args.dry and ("%s has %s there"):format(row.id, plural(#list, "time"))
    or ("%s: %s asked for, one after the other; a time that has a run already gets no second"):format(row.id,
      plural(#list, "run")))
end

return change
