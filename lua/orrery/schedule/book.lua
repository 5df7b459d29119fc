--- What is kept of schedules between looks at them: in a store, or in memory for a runtime without
--- one and for simulations. Both have the same functions.
local core = require "orrery.core"

local book = {}

local json = core.json

-- A definition as it is kept: the same fields give the same text.
local function as_text(value)
  if type(value) ~= "table" then return json.encode(value) end
  local keys, parts = {}, {}
  if json.is_array(value) or #value > 0 then
    for i, item in ipairs(value) do parts[i] = as_text(item) end
    return "[" .. table.concat(parts, ",") .. "]"
  end
  for key in pairs(value) do keys[#keys + 1] = tostring(key) end
  table.sort(keys)
  for i, key in ipairs(keys) do parts[i] = json.encode(key) .. ":" .. as_text(value[key]) end
  return "{" .. table.concat(parts, ",") .. "}"
end

--- The text of a definition.
---@param fields table
---@return string
function book.text(fields) return as_text(fields) end

-- Times as texts sort as they follow each other.
local function prefix(id) return "schedule:" .. id .. "@" end

--- The key of the run of a time: no time has two.
---@param id string of the schedule
---@param mark number|string a time, or another mark of what starts the run
---@return string
function book.key(id, mark)
  if type(mark) == "number" then mark = require("orrery.calendar.date").text(mark) .. "Z" end
  return prefix(id) .. mark
end

-- ---- in a store ---------------------------------------------------------------------------------

---@class orrery.ScheduleBook
local Kept = {}
Kept.__index = Kept

--- Keeps them in a store.
---@param db orrery.Store
---@return orrery.ScheduleBook
function book.of_store(db)
  return setmetatable({ db = db, marks = {}, skips = {}, answers = {} }, Kept)
end

function Kept:rows(id) return self.db:rows("schedules", { id = id }) end

--- Keeps what is not there as it is: a list of { trigger, declared?, file? }.
function Kept:keep(list, now)
  local known, changed = {}, {}
  for _, row in ipairs(self.db:rows("schedules", {})) do known[row.id] = row end
  for _, each in ipairs(list) do
    local trigger, declared = each.trigger, each.declared and 1 or 0
    local made = { id = trigger.id, workflow = trigger.workflow, kind = trigger.type, declared = declared,
      definition = book.text(trigger.fields), file = each.file }
    local row = known[trigger.id]
    if not row or row.definition ~= made.definition or row.file ~= made.file or row.declared ~= declared then
      changed[#changed + 1] = made
    end
  end
  if #changed > 0 then self.db:perform("schedules_keep", { schedules = changed, now = now }) end
end

function Kept:remove(id) self.db:perform("schedule_remove", { id = id }) end

function Kept:pause(id, reason, now)
  return self.db:perform("schedule_pause", { id = id, reason = reason, now = now }) > 0
end

function Kept:resume(id, now) return self.db:perform("schedule_resume", { id = id, now = now }) > 0 end

function Kept:ask(id, times, kind, now)
  return self.db:perform("schedule_ask", { id = id, times = times, kind = kind, now = now })
end

function Kept:asked(id) return self.db:rows("schedule_asked", { schedule = id }) end

function Kept:mark(id, fields)
  fields.id = id
  self.marks[#self.marks + 1] = fields
end

function Kept:skip(id, from, to, n, reason)
  self.skips[#self.skips + 1] = { id = id, time = from, last = to, n = n, reason = reason:sub(1, 500) }
end

function Kept:answer(id, time) self.answers[#self.answers + 1] = { id = id, time = time } end

--- Whether there is anything to write.
function Kept:changed() return #self.marks + #self.skips + #self.answers > 0 end

--- Writes what was marked, skipped and answered, all of it or nothing.
function Kept:write(now)
  if not self:changed() then return end
  self.db:perform("schedules_note", { marks = self.marks, skips = self.skips, answers = self.answers,
    now = now })
  self.marks, self.skips, self.answers = {}, {}, {}
end

--- Runs of a schedule, the latest time first.
function Kept:runs(row, limit, unfinished)
  local from = prefix(row.id)
  return self.db:rows("runs_keyed", { workflow = row.workflow, from = from, to = from .. "~",
    unfinished = unfinished or nil, limit = limit })
end

-- ---- in memory ----------------------------------------------------------------------------------

local Memory = {}
Memory.__index = Memory

--- Keeps them in memory.
---@return orrery.ScheduleBook
function book.in_memory()
  return setmetatable({ by_id = {}, requests = {}, skipped = {} }, Memory)
end

function Memory:rows(id)
  local list = {}
  for name, row in pairs(self.by_id) do
    if not id or name == id then list[#list + 1] = row end
  end
  table.sort(list, function(a, b) return a.id < b.id end)
  return list
end

function Memory:keep(list, now)
  for _, each in ipairs(list) do
    local trigger = each.trigger
    local row = self.by_id[trigger.id] or { id = trigger.id, watermark = now }
    row.workflow, row.kind, row.definition = trigger.workflow, trigger.type, book.text(trigger.fields)
    row.file, row.declared = each.file, each.declared and 1 or 0
    self.by_id[trigger.id] = row
  end
end

function Memory:remove(id) self.by_id[id] = nil end

function Memory:pause(id, reason, now)
  local row = self.by_id[id]
  if not row or row.paused then return false end
  row.paused, row.reason = now, reason
  return true
end

function Memory:resume(id, now)
  local row = self.by_id[id]
  if not row or not row.paused then return false end
  row.paused, row.reason, row.resumed = nil, nil, now
  return true
end

function Memory:ask(id, times, kind)
  for _, time in ipairs(times) do self.requests[#self.requests + 1] = { schedule = id, time = time,
    kind = kind } end
  return #times
end

function Memory:asked(id)
  local list = {}
  for _, each in ipairs(self.requests) do
    if not id or each.schedule == id then list[#list + 1] = each end
  end
  return list
end

function Memory:mark(id, fields)
  for key, value in pairs(fields) do self.by_id[id][key] = value end
end

function Memory:skip(id, from, to, n, reason)
  self.skipped[#self.skipped + 1] = { schedule = id, time = from, last = to, n = n, reason = reason }
end

function Memory:answer(id, time)
  for i, each in ipairs(self.requests) do
    if each.schedule == id and each.time == time then return table.remove(self.requests, i) end
  end
end

function Memory.changed() return false end
function Memory.write() end
function Memory.runs() return {} end

return book
