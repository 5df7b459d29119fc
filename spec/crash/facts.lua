--- What the journals of a store say, gathered row by row in the order of commits: for each run what
--- was begun, ended, recorded and undone, each with the number of the row (that is: what a commit
--- has of a run) that made it true. Rows are numbered as they are seen.
local journal = require "spec.crash.journal"
local json = require "orrery.core".json

local facts = {}
facts.__index = facts

local SETTLED = { completed = true, failed = true, skipped = true, cancelled = true }
local ENDS_ATTEMPT = { completed = true, iterated = true, attempt_failed = true, failed = true,
  cancelled = true }

--- Nothing known yet.
---@param store orrery.Store
function facts.new(store)
  return setmetatable({ store = store, last = 0, settled = 0, runs = {}, list = {}, definitions = {},
    records = 0, rows = 0 }, facts)
end

local function definition(self, hash)
  local known = self.definitions[hash]
  if known then return known end
  local row = self.store:query("SELECT definition FROM bundles WHERE hash = ?", hash)[1]
  local whole = json.decode(row.definition)
  known = { names = {}, nodes = {}, on_error = whole.on_error, concurrency = whole.concurrency }
  for i, node in ipairs(whole.nodes) do
    known.names[i - 1], known.nodes[node.name] = node.name, node
  end
  self.definitions[hash] = known
  return known
end

local function run_of(self, id)
  local run = self.runs[id]
  if run then return run end
  local row = self.store:query("SELECT number, workflow, bundle FROM runs WHERE id = ?", id)[1]
  run = { id = id, workflow = row.workflow, number = row.number, definition = definition(self, row.bundle),
    records = {}, started = {},
    ended = {}, settled = {}, interrupted = {}, steps = {}, undoing = {}, undone = {}, undone_list = {},
    open = {}, fences = {}, expanded = {}, iterated = {}, started_by = {}, ahead = {} }
  self.runs[id] = run
  self.list[#self.list + 1] = run
  return run
end

--- One attempt by name, in the numbers that handlers see.
function facts.attempt(node, item, iteration, attempt)
  return ("%s/%d/%d/%d"):format(node, item, iteration, attempt)
end

--- A node or item of it, whatever the iteration and the attempt.
function facts.task(node, item) return ("%s/%d"):format(node, item) end

local function first(list, key, value)
  if list[key] == nil then list[key] = value end
end

local on = {}

function on.attempt_started(run, record, attempt, task, row)
  if record.phase ~= "compensate" then
    first(run.started, attempt, row)
    first(run.started_by, attempt, run.fence)
  elseif not run.open[attempt] then
    run.undoing[task] = run.undoing[task] or {}
    table.insert(run.undoing[task], row)
  end
  first(run.open, attempt, record)
end

function on.interrupted(run, record, attempt)
  run.interrupted[attempt] = (run.interrupted[attempt] or 0) + 1
  if record.reason == 1 then run.open[attempt].blamed = (run.open[attempt].blamed or 0) + 1 end
end

function on.step(run, record, _, task, row)
  local v = record.value
  local place = ("%s/%d"):format(task, record.iteration + 1)
  run.steps[place] = run.steps[place] or {}
  table.insert(run.steps[place],
    { path = v.p or "", ordinal = v.o, name = v.n, kind = v.k, attempt = record.attempt, ok = v.e == nil,
    signal = v.s, row = row })
end

function on.compensated(run, record, attempt, task, row)
  run.undone[task] = row
  run.open[attempt] = nil
  table.insert(run.undone_list, { task = task, seq = record.seq })
end
on.compensation_failed = on.compensated

function on.expanded(run, record, _, _, row) first(run.expanded, record.name, row) end

function on.iterated(run, record, _, task, row)
  first(run.iterated, ("%s/%d"):format(task, record.iteration + 1), row)
end

function on.run_ended(run, record, _, _, row) run.over = { row = row, state = record.reason } end

local function add(run, record, row)
  local attempt, task
  record.row = row
  if record.node then
    record.name = run.definition.names[record.node]
    attempt = facts.attempt(record.name, record.item, record.iteration + 1, record.attempt)
    task = facts.task(record.name, record.item)
  end
  if ENDS_ATTEMPT[record.kind] then
    first(run.ended, attempt, row)
    run.open[attempt] = nil
  end
  if SETTLED[record.kind] then
    first(run.settled, task, { row = row, kind = record.kind, seq = record.seq, attempt = record.attempt })
  end
  if on[record.kind] then on[record.kind](run, record, attempt, task, row) end
  run.records[#run.records + 1] = record
end

-- What was seen when it was committed stands in the journal as it was. The number of records that
-- are new.
local function recognize(run, records)
  local known = #run.records
  assert(records[1].seq <= known + 1, ("run %s: record %d follows %d"):format(run.id, records[1].seq, known))
  for _, record in ipairs(records) do
    local before = run.records[record.seq]
    assert(not before or before.bytes == record.bytes,
      ("run %s: record %d is another than was committed"):format(run.id, record.seq))
  end
  return records[#records].seq - known
end

--- Reads what was committed since; the number of the last row.
---@return integer
function facts:read()
  for row in journal.rows(self.store, self.settled) do
    local run = run_of(self, row.run)
    local new = recognize(run, row.records)
    self.settled = row.id or self.settled
    if new > 0 then
      assert(not run.fences[row.fence] or run.fence == row.fence,
        ("run %s: an owner wrote after another had taken the run"):format(run.id))
      run.fence, run.fences[row.fence] = row.fence, true
      if not run.made_by then
        run.made_by = row.fence
        run.maker = self.store:query("SELECT pid FROM owners WHERE id = ?", row.fence)[1].pid
      end
      self.last, self.rows, self.records = self.last + 1, self.rows + 1, self.records + new
      for i = #row.records - new + 1, #row.records do add(run, row.records[i], self.last) end
    end
  end
  return self.last
end

--- Whether a kill now may be the last that an attempt is allowed: it has been cut off twice, or
--- will have been.
---@return boolean
function facts:in_danger()
  for _, run in ipairs(self.list) do
    if not run.over then
      for _, record in pairs(run.open) do
        if (record.blamed or 0) >= 2 then return true end
      end
    end
  end
  return false
end

--- The runs that have not ended.
---@return table[]
function facts:unfinished()
  local list = {}
  for _, run in ipairs(self.list) do
    if not run.over then list[#list + 1] = run end
  end
  return list
end

return facts
