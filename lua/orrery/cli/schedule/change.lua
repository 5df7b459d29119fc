--- `orrery schedule add`, `remove`, `pause`, `resume`, `trigger` and `backfill`: they change the
--- store, and a process that runs its schedules notices at once.
local given = require "orrery.cli.schedule.given"
local out = require "orrery.cli.shared.out"
local session = require "orrery.cli.shared.session"
local stored = require "orrery.schedule.stored"

local change = {}

local function report(args, data, text, ...)
  if args.json then session.json(data) else out.line(text:format(...)) end
end

local function absolute(path)
  return path:sub(1, 1) == "/" and path or require("luv").fs_realpath(path) or path
end

--- Makes a schedule of a workflow's file.
function change.add(db, args)
  local file = session.need(args.what[1], "add which workflow? Give its file, and --cron or --every")
  local trigger = given.trigger(given.fields(args), given.workflow(file).name)
  local data = stored.add(db, trigger, absolute(file), session.now())
  report(args, data, "%s %s; %s", data.id, data.changed and "is changed" or "is made",
    data.next and "it comes next " .. trigger.times.zone:text(data.next) or "it never comes")
end

--- Removes a schedule that a command made.
function change.remove(db, args)
  local data = stored.remove(db, stored.find(db, args.what[1]))
  report(args, data, "%s is removed", data.id)
end

--- Pauses one.
function change.pause(db, args)
  local data = stored.pause(db, stored.find(db, args.what[1]), true, session.now(), args.reason)
  report(args, data, "%s %s; `%s` lets it go on", data.id, data.changed and "is paused"
    or "was paused already",
    session.typed("schedule resume " .. session.word(data.id)))
end

--- Lets one go on.
function change.resume(db, args)
  local data = stored.pause(db, stored.find(db, args.what[1]), false, session.now())
  report(args, data, "%s %s", data.id, data.changed and "goes on" or "was not paused")
end

--- Asks for a run now.
function change.trigger(db, args)
  local data = stored.ask(db, (stored.find_schedule(db, args.what[1])), session.now())
  report(args, data,
    "%s: a run is asked for; it begins with the process that runs the schedules of this store",
    data.id)
end

local function time_of(trigger, name, text)
  local at = text and trigger.times.zone:parse(text)
  if at then return at end
  session.stop(2,
    ('--%s: expected a time in the zone of the schedule, "2026-01-31" or "2026-01-31T09:30", got %s')
    :format(name, require("orrery.errors").show(text)))
end

--- Asks for runs of times that have passed.
function change.backfill(db, args)
  local row, trigger = stored.find_schedule(db, args.what[1])
  local data = stored.backfill(db, row, trigger, { from = time_of(trigger, "from", args.from),
    to = time_of(trigger, "to", args.to), dry = args.dry, now = session.now() })
  local n = require("orrery.cli.display.term").plural(#data.times, data.dry and "time" or "run")
  report(args, data, data.dry and "%s has %s there"
    or "%s: %s asked for, one after the other; a time that has a run already gets no second", data.id, n)
end

return change
