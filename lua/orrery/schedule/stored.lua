--- The schedules and other triggers of a store, for the command and what serves HTTP alike: as
--- data, found by their ids, made, paused and asked for runs. What is asked for wrongly is raised
--- as a `mistake`.
local book = require "orrery.schedule.book"
local core = require "orrery.core"
local mistake = require "orrery.history.mistake"
local triggers = require "orrery.definition.triggers"

local stored = {}

local RUNS, SKIPS = 10, 10 -- that are shown of one
local MOST = 10000 -- runs of one backfill

-- ---- finding ------------------------------------------------------------------------------------

--- The trigger of a row.
---@param row table of the query `schedules`
---@return orrery.Trigger
function stored.trigger(row)
  local fields = core.json.decode(row.definition)
  return triggers.read(fields, row.workflow, row.id, function(_, _, message)
    mistake.raise(("schedule %s: %s"):format(row.id, message))
  end)
end

local function unknown(word, names)
  local near = require "orrery.nearest"(word, names)
  mistake.raise(("there is no schedule '%s'%s"):format(word, near and ("; did you mean '%s'?"):format(near)
    or #names == 0
      and ": none is known here before `orrery schedule add`, or before a process runs its workflow"
    or "; there are: " .. table.concat(names, ", ", 1, math.min(#names, 10))))
end

--- The row that an id names, or a workflow that has one.
---@param db orrery.Store
---@param word string|nil
---@return table
function stored.find(db, word)
  if not word then mistake.raise "which schedule? Name it; `orrery schedule` lists them" end
  local found, names = {}, {}
  for _, row in ipairs(db:rows("schedules", {})) do
    if row.id == word then return row end
    if row.workflow == word then found[#found + 1] = row end
    names[#names + 1] = row.id
  end
  if #found == 0 then unknown(word, names) end
  if #found > 1 then
    for i, row in ipairs(found) do found[i] = row.id end
    mistake.raise(("workflow '%s' has several: %s; name one"):format(word, table.concat(found, ", ")))
  end
  return found[1]
end

--- The same, of a schedule alone.
---@param db orrery.Store
---@param word string|nil
---@return table row
---@return orrery.Trigger
function stored.find_schedule(db, word)
  local row = stored.find(db, word)
  if row.kind ~= "schedule" then
    mistake.raise(("%s is no schedule but of type %s, which has no times"):format(row.id, row.kind))
  end
  return row, stored.trigger(row)
end

-- ---- as data ------------------------------------------------------------------------------------

--- When it comes next; nil: never, or it is paused, or has no times.
---@param row table
---@param trigger orrery.Trigger
---@param now number
---@return number|nil
function stored.next(row, trigger, now)
  if not trigger.times or row.paused then return nil end
  return trigger.times:next(math.max(now, row.watermark))
end

--- What is known of one, as `orrery schedule list --json` has it.
---@param row table
---@param now number
---@return table data
---@return orrery.Trigger
function stored.data(row, now)
  local trigger = stored.trigger(row)
  return { id = row.id, kind = row.kind, workflow = row.workflow, declared = row.declared == 1,
    file = row.file,
    definition = core.json.decode(row.definition), paused = row.paused ~= nil, paused_at = row.paused,
    reason = row.reason, watermark = row.watermark, next = stored.next(row, trigger, now) }, trigger
end

local function runs_of(db, row)
  local list = {}
  for i, run in ipairs(book.of_store(db):runs(row, RUNS)) do
    list[i] = { id = run.id, state = run.state, key = run.key, created = run.created, ended = run.ended,
      time = run.key:match "@(.*)$" }
  end
  return core.json.array(list)
end

local function skips_of(db, row)
  local list = db:rows("schedule_skips", { schedule = row.id, before = math.maxinteger, limit = SKIPS })
  for _, skip in ipairs(list) do skip.at, skip.schedule = nil, nil end
  return core.json.array(list)
end

--- The same with its last runs and skips and what is asked for, as `orrery schedule show --json`
--- has it.
---@param db orrery.Store
---@param row table
---@param now number
---@return table data
---@return orrery.Trigger
function stored.details(db, row, now)
  local data, trigger = stored.data(row, now)
  data.runs, data.skips, data.skipped = runs_of(db, row), skips_of(db, row), core.json.object {}
  for _, each in ipairs(db:rows("schedule_skipped", { schedule = row.id })) do
    data.skipped[each.cause] = each.n
  end
  data.asked = core.json.array(db:rows("schedule_asked", { schedule = row.id }))
  for _, asked in ipairs(data.asked) do asked.schedule = nil end
  return data, trigger
end

-- ---- changing -----------------------------------------------------------------------------------

--- Makes a schedule, or changes one that was made so.
---@param db orrery.Store
---@param trigger orrery.Trigger
---@param file string|nil of the workflow; nil: whoever runs the schedules has it
---@param now number
---@return table { id, workflow, next, changed }
function stored.add(db, trigger, file, now)
  local known = db:rows("schedules", { id = trigger.id })[1]
  if known and known.declared == 1 then
    mistake.raise(("the workflow declares %s itself; change it there, or give another name")
      :format(trigger.id))
  end
  book.of_store(db):keep({ { trigger = trigger, file = file } }, now)
  return { id = trigger.id, workflow = trigger.workflow, next = trigger.times:next(now),
    changed = known ~= nil }
end

--- Removes a schedule that was made, not declared.
---@param db orrery.Store
---@param row table
---@return table { id, removed }
function stored.remove(db, row)
  if row.declared == 1 then
    mistake.raise(("the workflow declares %s itself; remove it there, or pause it"):format(row.id))
  end
  book.of_store(db):remove(row.id)
  return { id = row.id, removed = true }
end

--- Pauses one, or lets it go on.
---@param db orrery.Store
---@param row table
---@param paused boolean
---@param now number
---@param reason? string
---@return table { id, paused, changed }
function stored.pause(db, row, paused, now, reason)
  local kept = book.of_store(db)
  local changed
  if paused then changed = kept:pause(row.id, reason, now) else changed = kept:resume(row.id, now) end
  return { id = row.id, paused = paused, changed = changed }
end

--- Asks for a run now.
---@param db orrery.Store
---@param row table of a schedule
---@param now number
---@return table { id, time, key } key: of the run, once it has begun
function stored.ask(db, row, now)
  now = math.floor(now * 1000) / 1000 -- as the key says it
  book.of_store(db):ask(row.id, { now }, "manual", now)
  return { id = row.id, time = now, key = book.key(row.id, now) }
end

--- Asks for runs of all times from one to another, both among them.
---@param db orrery.Store
---@param row table of a schedule
---@param trigger orrery.Trigger
---@param span { from: number, to: number, dry: boolean?, now: number } dry: asks for nothing
---@return table { id, times, asked, dry } asked: how many that were not asked for already
function stored.backfill(db, row, trigger, span)
  local list, at = {}, span.from - 1
  while true do
    at = trigger.times:next(at)
    if not at or at > span.to then break end
    list[#list + 1] = at
    if #list > MOST then
      mistake.raise(("there are more than %d times from then to then; take a shorter stretch"):format(MOST))
    end
  end
  local asks = not span.dry and #list > 0
  return { id = row.id, times = core.json.array(list), dry = span.dry or false,
    asked = asks and book.of_store(db):ask(row.id, list, "backfill", span.now) or 0 }
end

return stored
