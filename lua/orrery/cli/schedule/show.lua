--- `orrery schedule list` and `show`.
local out = require "orrery.cli.shared.out"
local session = require "orrery.cli.shared.session"
local stored = require "orrery.schedule.stored"
local term = require "orrery.cli.display.term"

local show = {}

-- How its times are said, in a few words.
local function words_of(trigger)
  local f = trigger.fields
  if trigger.type == "watch" then return f.path end
  if trigger.type == "after_run" then return "after " .. f.workflow end
  if trigger.type == "alert" then
    return ("%s%s"):format(f.on, f.workflow and " of " .. f.workflow or f.schedule and " of " .. f.schedule
      or "")
  end
  local lines = type(f.cron) == "table" and table.concat(f.cron, " | ") or f.cron
  return ("%s%s"):format(lines or "every " .. tostring(f.every), f.zone and " " .. f.zone or "")
end

local function text_of(trigger, time)
  if not time then return "" end
  local zone = trigger.times and trigger.times.zone or require("orrery.calendar.zone").UTC
  return zone:text(time)
end

--- Lists what starts runs.
function show.list(db, args)
  local now, rows = session.now(), {}
  for _, row in ipairs(db:rows("schedules", {})) do
    local data, trigger = stored.data(row, now)
    if args.json then
      if not session.json(data) then return end
    else
      rows[#rows + 1] = { term.clean(row.id), term.clean(words_of(trigger)),
        data.paused and { "paused", style = "yellow" } or text_of(trigger, data.next),
        data.declared and "workflow" or "command" }
    end
  end
  if args.json then return end
  if #rows == 0 then
    session.note("there are no schedules: declare them with `triggers`, or make one with "
      .. "`orrery schedule add`")
    return
  end
  session.table({ "SCHEDULE", "WHEN", "NEXT", "MADE BY" }, rows)
end

--- Shows one, with its last runs and skips.
function show.one(db, args)
  local data, trigger = stored.details(db, stored.find(db, args.what[1]), session.now())
  if args.json then
    session.json(data)
    return
  end
  out.line(("%s  %s"):format(term.clean(data.id), term.clean(words_of(trigger))))
  if data.paused then
    out.line(("paused since %s%s"):format(text_of(trigger, data.paused_at),
      data.reason and ": " .. term.clean(data.reason) or ""))
  elseif trigger.times then
    out.line(data.next and "next " .. text_of(trigger, data.next) or "it comes no more")
  end
  for _, asked in ipairs(data.asked) do
    out.line(("asked  %s  %s"):format(text_of(trigger, asked.time), asked.kind))
  end
  for _, run in ipairs(data.runs) do
    out.line(("run    %s  %s  %s"):format(term.clean(run.time), run.state, run.id))
  end
  for _, skip in ipairs(data.skips) do
    out.line(("skip   %s  %s  %s"):format(text_of(trigger, skip.time), term.plural(skip.n, "time"),
      term.clean(skip.reason)))
  end
end

return show
