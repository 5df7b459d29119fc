--- What starts runs by itself: seen, made, paused, asked for more.
local book = require "orrery.schedule.book"
local core = require "orrery.core"
local problem = require "orrery.serve.problem"
local stored = require "orrery.schedule.stored"
local triggers = require "orrery.definition.triggers"

local schedules = {}

local array = core.json.array

-- The row of an id; nil: there is none.
local function row_at(call, id) return book.of_store(call.host.store):rows(id)[1] end

-- The row of the schedule in the path, of a workflow that who asks may see.
local function row_of(call)
  local row = row_at(call, call.params.id)
  if not row then problem.raise("not_found", ("there is no schedule '%s'"):format(call.params.id)) end
  call:must(row.workflow)
  return row
end

-- The same, which has times.
local function timed(call)
  return stored.find_schedule(call.host.store, row_of(call).id)
end

-- The same, which the workflow does not declare itself.
local function own(call)
  local row = row_of(call)
  if row.declared == 0 then return row end
  problem.raise("conflict", ("the workflow declares %s itself: change it there, or pause it"):format(row.id))
end

local function plain(row) return (stored.data(row, core.time())) end

function schedules.list(call)
  local list = {}
  for _, row in ipairs(book.of_store(call.host.store):rows()) do
    if call:may(row.workflow) then list[#list + 1] = plain(row) end
  end
  return { schedules = array(list) }
end

--- One, with its last runs, what was skipped and what is asked for.
function schedules.show(call) return (stored.details(call.host.store, row_of(call), core.time())) end

-- The trigger of these fields. Raises `validation_error` with all that is wrong.
local function read(fields, workflow)
  local wrong = {}
  local trigger = triggers.read(fields, workflow, "body", function(field, kind, message)
    wrong[#wrong + 1] = { field = field, kind = kind, message = message }
  end)
  if #wrong == 0 then return trigger end
  problem.raise("validation_error", wrong[1].message, { problems = array(wrong) })
end

-- Keeps a schedule of a served workflow.
local function keep(call, fields, workflow)
  local entry = require("orrery.serve.api.workflows").runnable(call, workflow)
  local trigger = read(fields, workflow)
  stored.add(call.host.store, trigger, entry.path, core.time())
  call.target, call.after = trigger.id, fields
  return plain(row_at(call, trigger.id))
end

function schedules.create(call)
  local fields, workflow = { type = "schedule" }, call.body.workflow
  call:must(workflow)
  for name, value in pairs(call.body) do
    if name ~= "workflow" then fields[name] = value end
  end
  local id = workflow .. ":" .. (type(fields.name) == "string" and fields.name or "schedule")
  if row_at(call, id) then
    problem.raise("conflict",
      ("there is a schedule %s already: give this one another name, or change that"):format(id))
  end
  return keep(call, fields, workflow)
end

--- Changes the fields that are sent; null takes one away.
function schedules.change(call)
  local row = own(call)
  local fields = core.json.decode(row.definition)
  call.before = core.json.decode(row.definition)
  for name, value in pairs(call.body) do
    if value == core.json.null then value = nil end
    if (name == "name" or name == "type") and value ~= fields[name] then
      problem.raise("bad_request", "a schedule keeps its name and kind: make another one")
    end
    fields[name] = value
  end
  return keep(call, fields, row.workflow)
end

function schedules.remove(call)
  local row = own(call)
  call.before = core.json.decode(row.definition)
  return stored.remove(call.host.store, row)
end

local function pause(call, paused)
  local row = row_of(call)
  call.before = { paused = row.paused ~= nil }
  return stored.pause(call.host.store, row, paused, core.time(), call.body and call.body.reason)
end

function schedules.pause(call) return pause(call, true) end
function schedules.resume(call) return pause(call, false) end

--- Asks for a run now.
function schedules.trigger(call)
  call.host:must_start()
  return stored.ask(call.host.store, (timed(call)), core.time())
end

local function time_of(trigger, name, text)
  local at = trigger.times.zone:parse(text)
  if at then return at end
  problem.raise("bad_request", ("%s: expected a time in the zone of the schedule, \"2026-01-31\" or "
    .. "\"2026-01-31T09:30\""):format(name))
end

--- Asks for runs of times that have passed.
function schedules.backfill(call)
  call.host:must_start()
  local row, trigger = timed(call)
  local body = call.body
  local made = stored.backfill(call.host.store, row, trigger, { from = time_of(trigger, "from", body.from),
    to = time_of(trigger, "to", body.to), dry = body.dry, now = core.time() })
  call.after = { from = body.from, to = body.to, asked = made.asked }
  return made
end

--- The next times, whether it is paused or not.
function schedules.next(call)
  local _, trigger = timed(call)
  local list, at = {}, core.time()
  while #list < call.query.count do
    at = trigger.times:next(at)
    if not at then break end
    list[#list + 1] = { time = at, text = trigger.times.zone:text(at) }
  end
  return { times = array(list) }
end

return schedules
