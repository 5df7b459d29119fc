--- `orrery schedule list` and `show`.
local core = require "orrery.core"
local find = require "orrery.cli.schedule.find"
local out = require "orrery.cli.shared.out"
local session = require "orrery.cli.shared.session"
local term = require "orrery.cli.display.term"

local show = {}

local RUNS, SKIPS = 10, 10

-- How its times are said, in a few words.
local function words_of(trigger)
  local f = trigger.fields
  local lines = type(f.cron) == "table" and table.concat(f.cron, " | ") or f.cron
  if trigger.type == "watch" then return f.path end
  if trigger.type == "after_run" then return "after " .. f.workflow end
  return ("%s%s"):format(lines or "every " .. tostring(f.every), f.zone and " " .. f.zone or "")
end

local function as_data(row, trigger, now)
  return { id = row.id, kind = row.kind, workflow = row.workflow, declared = row.declared == 1, file = row.file,
    definition = core.json.decode(row.definition), paused = row.paused ~= nil, paused_at = row.paused,
    reason = row.reason, watermark = row.watermark, next = find.next(row, trigger, now) }
end

local function text_of(trigger, time)
  if not time then return "" end
  local zone = trigger.times and trigger.times.zone
  return zone and zone:text(time) or os.date("%Y-%m-%dT%H:%M:%S", math.floor(time))
end

--- Lists what starts runs.
function show.list(db, args)
  local now, rows = session.now(), {}
  for _, row in ipairs(db:rows("schedules", {})) do
    local trigger = find.trigger(row)
    if args.json then
      if not session.json(as_data(row, trigger, now)) then return end
    else
      rows[#rows + 1] = { term.clean(row.id), term.clean(words_of(trigger)),
        row.paused and { "paused", style = "yellow" } or text_of(trigger, find.next(row, trigger, now)),
        row.declared == 1 and "workflow" or "command" }
    end
  end
  if args.json then return end
  if #rows == 0 then
    session.note "there are no schedules: declare them with `triggers`, or make one with `orrery schedule add`"
    return
  end
  session.table({ "SCHEDULE", "WHEN", "NEXT", "MADE BY" }, rows)
end

local function runs_of(db, row)
  local list = {}
  local from = ("schedule:%s@"):format(row.id)
  for _, run in ipairs(db:rows("runs_keyed", { workflow = row.workflow, from = from, to = from .. "~",
    limit = RUNS })) do
    list[#list + 1] = { id = run.id, state = run.state, key = run.key, created = run.created, ended = run.ended,
      time = run.key:sub(#from + 1) }
  end
  return list
end

local function skips_of(db, row)
  local list = db:rows("schedule_skips", { schedule = row.id, before = math.maxinteger, limit = SKIPS })
  for _, skip in ipairs(list) do skip.at, skip.schedule = nil, nil end
  return list
end

--- Shows one, with its last runs and skips.
function show.one(db, args)
  local row = find.one(db, args.what[1])
  local trigger, now = find.trigger(row), session.now()
  local data = as_data(row, trigger, now)
  data.runs, data.skips, data.skipped = runs_of(db, row), skips_of(db, row), {}
  for _, each in ipairs(db:rows("schedule_skipped", { schedule = row.id })) do
    data.skipped[each.cause] = each.n
  end
  data.asked = db:rows("schedule_asked", { schedule = row.id })
  if args.json then
    for _, key in ipairs { "runs", "skips", "asked" } do core.json.array(data[key]) end
    core.json.object(data.skipped)
    session.json(data)
    return
  end
  out.line(("%s  %s"):format(term.clean(row.id), term.clean(words_of(trigger))))
  out.line(row.paused and ("paused since %s%s"):format(text_of(trigger, row.paused),
    row.reason and ": " .. term.clean(row.reason) or "") or "next " .. text_of(trigger, data.next))
  for _, run in ipairs(data.runs) do out.line(("run   %s  %s  %s"):format(run.time, run.state, run.id)) end
  for _, skip in ipairs(data.skips) do
    out.line(("skip  %s  %d  %s"):format(text_of(trigger, skip.time), skip.n, term.clean(skip.reason)))
  end
  for _, asked in ipairs(data.asked) do
    out.line(("asked %s  %s"):format(text_of(trigger, asked.time), asked.kind))
  end
end

return show
