--- Starts runs when they are due: those of schedules, of files that change, after other runs, and
--- of alerts.
---
--- A look goes over all of them: what is due begins, one flush makes the runs durable, and one
--- change of the store notes what is done with. A run has the key (schedule, time), so where the
--- process is killed in between the next look finds the run there. Between looks everything sleeps:
--- an alarm shows the next time and notices a suspended machine and a calendar that is set, events
--- of runs and the store's bell say that there may be something else.
local book = require "orrery.schedule.book"
local core = require "orrery.core"
local events = require "orrery.events"
local judge = require "orrery.schedule.judge"
local launch = require "orrery.runtime.launch"
local prepare = require "orrery.definition.prepare"
local run_row = require "orrery.history.run_row"
local start = require "orrery.start"
local triggers = require "orrery.definition.triggers"
local uv = require "luv"

---@class orrery.TickerStatus
---@field schedules table[]
---@field started integer
---@field skipped table<string, integer>
---@field untold integer
---@field problems table<string, string>
---@field wake number|nil

---@class orrery.Ticker
---@field rt orrery.Runtime
---@field book orrery.ScheduleBook
---@field entries table<string, table> by id
---@field moved table<string, table> of alerts, by id: when runs last moved
local Ticker = {}
Ticker.__index = Ticker

local ticker = {}

local ACTED_ON = { schedule = true, watch = true, after_run = true, alert = true }
local FAR = 6 * 3600 -- the watermark of a calendar that was set back by more than that is not believed

-- ---- what there is ------------------------------------------------------------------------------

local function complain(self, id, message)
  if self.problems[id] == message then return end
  self.problems[id] = message
  warn(("orrery: schedule %s: %s"):format(id, message))
end

-- The workflow of a schedule that a command made: one that was given, or that of its file.
local function workflow_of(self, row)
  if self.workflows[row.workflow] then return self.workflows[row.workflow] end
  if not row.file then return nil end
  local known = self.files[row.file]
  if known == nil then
    local ok, compiled = pcall(prepare.compiled, row.file)
    if not ok then complain(self, row.id, tostring(compiled)) end
    known = ok and compiled or false
    self.files[row.file] = known
  end
  return known or nil
end

-- The trigger of a row that no workflow declares.
local function trigger_of(self, row)
  local fields, wrong = core.json.decode(row.definition), nil
  local trigger = triggers.read(fields, row.workflow, row.id, function(_, _, message)
    wrong = wrong or message
  end)
  if wrong then
    complain(self, row.id, wrong)
    return nil
  end
  return trigger
end

local function new_entry(self, row)
  local what = workflow_of(self, row)
  local trigger = self.declared[row.id] or what and trigger_of(self, row)
  if not what or not trigger then return nil end
  return { id = row.id, trigger = trigger, what = what, changed = row.changed, definition = row.definition,
    own = {}, cancelled = {}, asked = {}, row = row }
end

local function take(entry, row)
  local before = entry.row
  entry.same = before.watermark == row.watermark and before.queued == row.queued
    and before.paused == row.paused and before.resumed == row.resumed
  entry.row, entry.watermark, entry.queued, entry.paused = row, row.watermark, row.queued, row.paused
  entry.resumed, entry.seen = row.resumed, row.seen
end

-- The entries as the book has them now.
local function refresh(self)
  local there = {}
  for _, row in ipairs(self.book:rows()) do
    local entry = self.entries[row.id]
    if ACTED_ON[row.kind] and (not entry or entry.definition ~= row.definition) then
      if entry and entry.watcher then entry.watcher:close() end
      entry = new_entry(self, row)
    end
    if entry then take(entry, row) end
    there[row.id], self.entries[row.id] = true, entry
  end
  for id, entry in pairs(self.entries) do
    entry.asked = {}
    if not there[id] then
      if entry.watcher then entry.watcher:close() end
      self.entries[id] = nil
    end
  end
  for _, asked in ipairs(self.book:asked()) do
    local entry = self.entries[asked.schedule]
    if entry then entry.asked[#entry.asked + 1] = { time = asked.time, kind = asked.kind } end
  end
end

-- ---- runs ---------------------------------------------------------------------------------------

-- What expressions and the run see of what starts it.
local function shown(entry, time, cause)
  local zone = entry.trigger.times.zone
  local text = zone:text(time)
  return { id = entry.id, time = text, date = text:sub(1, 10), epoch = time, zone = zone.name, cause = cause }
end

-- Begins a run; returns it, or nil and why it cannot.
local function begin(self, entry, key, value, time)
  local trigger = entry.trigger
  local ok, run = pcall(function()
    local input = trigger.input and trigger.input.fn({}, value)
    if trigger.type == "alert" and not trigger.input then input = value end
    return start.start(entry.what, { runtime = self.rt, key = self.rt:durable() and key or nil, input = input,
      labels = { schedule = entry.id },
      trigger = { kind = trigger.type, schedule = entry.id, time = time, payload = value } })
  end)
  if not ok then return nil, type(run) == "table" and run.message or tostring(run) end
  if type(run) == "table" and run.skipped then return nil, ("run %s has its lock"):format(run.id) end
  -- where runs may be beside each other nobody asks for them
  if type(run) == "userdata" and trigger.overlap ~= "allow" then entry.own[run.id] = run end
  self.begun, self.count.started = true, self.count.started + 1
  return run
end

-- Runs of an entry that have not ended, here or elsewhere.
local function alive(self, entry)
  local list, seen = {}, {}
  for id, run in pairs(entry.own) do
    if run.ended then entry.own[id] = nil else list[#list + 1] = { id = id, run = run } end
    seen[id] = true
  end
  for _, row in ipairs(self.book:runs(entry.row, 100, true)) do
    if not seen[row.id] then
      list[#list + 1] = { id = row.id, run = launch.live(row.id) }
    end
  end
  if #list == 0 then entry.cancelled = {} end
  return list
end

-- Whether so many of its last runs have failed, one after the other.
local function has_failed(self, entry)
  local most = entry.trigger.pause_on_failure
  if not most then return false end
  local rows = self.book:runs(entry.row, most)
  for _, row in ipairs(rows) do
    if row.state ~= "failed" or entry.resumed and row.created < entry.resumed then return false end
  end
  return #rows >= most
end

-- ---- the world of the judge ---------------------------------------------------------------------

local World = {}
World.__index = World

function World:alive(entry) return alive(self.ticker, entry) end

function World:start(entry, time, cause)
  local own = self.ticker
  local run, message = begin(own, entry, book.key(entry.id, time), shown(entry, time, cause), time)
  if run then own.count.late = own.count.late + math.max(0, own.clock() - time) end
  return run ~= nil, message
end

function World:cancel(entry, other, hard)
  local own = self.ticker
  if entry.cancelled[other.id] then return end
  entry.cancelled[other.id] = true
  if other.run then
    other.run:cancel()
    if hard then other.run:cancel() end
    return
  end
  for i = 1, hard and 2 or 1 do
    pcall(own.rt:store().send, own.rt:store(), other.id, "cancel", "{}", ("schedule %d"):format(i))
  end
end

function World:mark(entry)
  self.ticker.book:mark(entry.id, { watermark = entry.watermark, queued = entry.queued })
end

function World:skip(entry, from, to, n, reason)
  local own = self.ticker
  own.book:skip(entry.id, from, to, n, reason)
  local word = reason:match "^[^:]*"
  own.count.skipped[word] = (own.count.skipped[word] or 0) + n
end

function World:answer(entry, time) self.ticker.book:answer(entry.id, time) end

-- ---- a look -------------------------------------------------------------------------------------

local LOOK = {}

function LOOK.schedule(self, entry, now)
  if entry.watermark > now + FAR then
    entry.watermark, entry.queued = now, now
    self.world:mark(entry)
  end
  if not entry.paused and has_failed(self, entry) then
    entry.paused = now
    self.book:pause(entry.id, ("%d of its runs failed, one after the other"):format(
      entry.trigger.pause_on_failure), now)
  end
  -- most have nothing to do until their time, and there may be many
  if entry.same and entry.next and now < entry.next and not entry.waits and not entry.asked[1] then
    return entry.next
  end
  local wake
  wake, entry.waits = judge.look(entry, self.world, now)
  return wake
end

function LOOK.watch(self, entry, now) return require("orrery.schedule.watch").look(self, entry, now) end

function LOOK.after_run(self, entry, now) return require("orrery.schedule.after").look(self, entry, now) end

function LOOK.alert(self, entry, now) return require("orrery.schedule.alert").look(self, entry, now) end

--- The ids of its entries, in their order.
---@return string[]
function Ticker:ids()
  local ids = {}
  for id in pairs(self.entries) do ids[#ids + 1] = id end
  table.sort(ids)
  return ids
end

--- Starts what is due. Whoever has a clock of his own calls it; the others need not.
---@return number|nil wake when it is to be called next; nil: not before something happens
function Ticker:look()
  local now, wake = self.clock(), nil
  if self.rt:durable() then pcall(function() self.rt:store():project() end) end
  refresh(self)
  for _, id in ipairs(self:ids()) do
    local entry = self.entries[id]
    local ok, at = pcall(LOOK[entry.trigger.type], self, entry, now)
    if not ok then
      complain(self, id, tostring(at))
      at = now + 60
    end
    entry.next = at
    if at and (not wake or at < wake) then wake = at end
  end
  if self.begun and self.rt:durable() then self.rt:sync() end
  self.begun = false
  self.book:write(now)
  self.wake = wake
  return wake
end

--- Begins something beside times; for what watches files and other runs.
---@return any run nil and why it cannot
function Ticker:begin(entry, key, value, time) return begin(self, entry, key, value, time) end

--- Whether a run has a key already.
---@return boolean
function Ticker:has(workflow, key)
  return self.rt:durable() and run_row.of_key(self.rt:store(), workflow, key) ~= nil
end

--- Runs of an entry that have not ended.
---@return { id: string, run: orrery.Run|nil }[]
function Ticker:alive(entry) return alive(self, entry) end

-- ---- in time ------------------------------------------------------------------------------------

local SOON = 100 -- ms: the tables follow within that
local APART = 1 -- seconds between two looks that something else than time asked for

-- Looks, and sets the alarm for the next time.
local function go(self)
  if self.stopped then return end
  self.looked = core.hrtime() / 1e9
  local ok, wake = pcall(self.look, self)
  if not ok then
    warn("orrery: schedules could not be looked at: " .. tostring(wake))
    wake = self.clock() + 10
  end
  if self.alarm then self.alarm:at(wake or math.huge) end
end

-- Looks soon, however often it is asked to.
function Ticker:soon()
  if self.stopped or not self.alarm or self.timer:is_active() then return end
  local since = core.hrtime() / 1e9 - (self.looked or 0)
  local left = math.max(SOON, math.floor((APART - since) * 1000))
  self.timer:start(left, 0, function() go(self) end)
end

-- The store's bell is rung by who changes something in it.
local function listen(self)
  local path = self.rt:durable() and self.rt:store().path
  if not path then return end
  self.bell = uv.new_fs_event()
  if not self.bell:start(path .. "-lock", {}, function() self:soon() end) then
    self.bell:close()
    self.bell = nil
  else
    self.bell:unref()
  end
end

-- ---- workflows ----------------------------------------------------------------------------------

-- By name, with what each declares.
local function compile_all(list)
  local workflows, declared = {}, {}
  for _, what in ipairs(list) do
    local compiled = prepare.compiled(what)
    workflows[compiled.name] = compiled
    for _, trigger in ipairs(compiled.triggers or {}) do
      if ACTED_ON[trigger.type] then declared[trigger.id] = trigger end
    end
  end
  return workflows, declared
end

--- Takes these workflows in place of those before: what they declare is kept, and what they declare
--- no more goes.
---@param list (orrery.Workflow|orrery.Compiled|string)[]
function Ticker:reload(list)
  local workflows, declared = compile_all(list)
  self.workflows, self.declared, self.files, self.problems = workflows, declared, {}, {}
  local now = self.clock()
  for _, entry in pairs(self.entries) do
    if entry.watcher then entry.watcher:close() end
  end
  local own = self.entries
  self.entries = {}
  local keep = {}
  for _, trigger in pairs(declared) do keep[#keep + 1] = { trigger = trigger, declared = true } end
  self.book:keep(keep, now)
  for _, row in ipairs(self.book:rows()) do
    local gone = row.declared == 1 and workflows[row.workflow] and not declared[row.id]
    if gone then self.book:remove(row.id) end
  end
  refresh(self)
  for id, entry in pairs(self.entries) do entry.own = own[id] and own[id].own or entry.own end
  self:soon()
end

--- What it does: of each schedule its id, kind, workflow, next time, whether it is paused and how
--- many of its runs go on; how many runs it has started and times were skipped, by reason; how many
--- runs of alerts did not complete; what is wrong with schedules that cannot run.
---@return orrery.TickerStatus
function Ticker:status()
  local list = {}
  for _, id in ipairs(self:ids()) do
    local entry = self.entries[id]
    list[#list + 1] = { id = id, kind = entry.trigger.type, workflow = entry.trigger.workflow,
      next = entry.next, paused = entry.paused ~= nil, running = #alive(self, entry) }
  end
  return { schedules = list, started = self.count.started, skipped = self.count.skipped,
    untold = self.count.untold,
    problems = self.problems, wake = self.wake }
end

--- Starts nothing more. What runs goes on.
function Ticker:stop()
  if self.stopped then return end
  self.stopped = true
  self.off()
  for _, entry in pairs(self.entries) do
    if entry.watcher then entry.watcher:close() end
  end
  if self.alarm then self.alarm:close() end
  if self.timer then self.timer:close() end
  if self.bell then self.bell:close() end
  if self.on_stop then self.on_stop() end
end

local function on_event(self)
  return function(event)
    if not events.ENDS[event.event] or event.node then return end
    self:soon()
  end
end

--- Starts what is due from now on: what these workflows declare, and what was made by commands in
--- the store for them. Does not wait. Raises mistakes of the workflows.
---@param rt orrery.Runtime where the runs are started; nothing outlives one without a store
---@param db orrery.Store|nil the runtime's where it is left out
---@param workflows (orrery.Workflow|orrery.Compiled|string)[]
---@param options? { clock: (fun(): number)?, manual: boolean? } clock: seconds since 1970, of whoever calls `look`
--- himself, which is told by `manual`
---@return orrery.Ticker
function ticker.start(rt, db, workflows, options)
  options = options or {}
  local kept = rt:durable() and book.of_store(db or rt:store()) or book.in_memory()
  local self = setmetatable({ rt = rt, book = kept, entries = {}, moved = {},
    clock = options.clock or core.time, count = { started = 0, late = 0.0, untold = 0,
      skipped = {} } }, Ticker)
  self.world = setmetatable({ ticker = self }, World)
  self.off = rt:on(on_event(self))
  local ok, problem = pcall(self.reload, self, workflows)
  if not ok then
    self.off()
    error(problem, 0)
  end
  if options.manual then return self end
  self.timer = uv.new_timer()
  self.alarm = core.alarm(function() go(self) end)
  if not self.alarm then error("the system gives no timer for schedules; it has too many open files", 0) end
  listen(self)
  go(self)
  return self
end

return ticker
