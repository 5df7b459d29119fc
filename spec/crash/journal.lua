--- A journal as it stands in the store, read by nothing of the engine: rows by SQL, records by what
--- runtime/store/record/record.h says of the format.
local json = require "orrery.core".json

local journal = {}

local VERSION = 1
local KINDS = { [0] = "run_created", "attempt_started", "attempt_failed", "completed", "failed", "skipped",
  "cancelled", "expanded",
  "iterated", "waiting", "woken", "ready", "edge", "stopping", "cleanup", "paused", "resumed", "held",
  "run_ended", "interrupted",
  "suspended", "step", "signal", "retried", "compensating", "compensated", "compensation_failed",
  "begun" }
local TASK, DUE, COUNT, PORT, REASON, PAYLOAD, ERROR = 1, 2, 4, 8, 16, 32, 64
journal.PHASES = { [0] = "run", "fallback", "compensate" }

local function number(bytes, at)
  local n, shift = 0, 0
  repeat
    local byte = bytes:byte(at)
    n, shift, at = n | (byte & 0x7f) << shift, shift + 7, at + 1
  until byte < 0x80
  return n, at
end

local function signed(bytes, at)
  local n
  n, at = number(bytes, at)
  return n >> 1 ~ -(n & 1), at
end

local function text(bytes, at)
  local size
  size, at = number(bytes, at)
  return bytes:sub(at, at + size - 1), at + size
end

local function task(bytes, at, record)
  record.node, at = number(bytes, at)
  record.item, at = number(bytes, at) -- 0: none
  record.iteration, at = number(bytes, at)
  record.attempt, at = number(bytes, at)
  return at
end

local function problem(bytes, at, record)
  at = at + 1
  local _
  _, at = signed(bytes, at)
  record.code, at = text(bytes, at)
  record.message, at = text(bytes, at)
  record.code = record.code:sub(1, -2)
  return at
end

--- One record as a table.
---@param bytes string
---@return table
function journal.decode(bytes)
  local version, kind, parts = bytes:byte(1, 3)
  assert(version == VERSION and KINDS[kind], "no record of this version")
  local record, at = { kind = KINDS[kind], phase = "run", reason = 0 }, 4
  record.seq, at = number(bytes, at)
  record.time, at = signed(bytes, at)
  if parts & TASK ~= 0 then at = task(bytes, at, record) end
  if parts & DUE ~= 0 then record.due, at = signed(bytes, at) end
  if parts & COUNT ~= 0 then record.count, at = number(bytes, at) end
  if parts & PORT ~= 0 then record.port, at = number(bytes, at) end
  if parts & REASON ~= 0 then
    record.reason, record.phase = bytes:byte(at), journal.PHASES[bytes:byte(at + 1)]
    at = at + 2
  end
  if parts & ERROR ~= 0 then at = problem(bytes, at, record) end
  if parts & PAYLOAD ~= 0 then
    local payload
    payload, at = text(bytes, at)
    record.value = json.decode(payload)
  end
  assert(at == #bytes + 1, "bytes are left over")
  return record
end

-- The records of one run, one after the other, the first of them with this number.
local function records_of(bytes, first)
  local records, at = {}, 1
  while at <= #bytes do
    local one
    one, at = text(bytes, at)
    local record = journal.decode(one)
    assert(record.seq == first + #records, "the numbers of the records have a gap")
    record.bytes = one
    records[#records + 1] = record
  end
  return records
end

-- What a commit has of each run, by the number of the run.
local function groups_of(bytes)
  local groups, at = {}, 1
  while at <= #bytes do
    local group = {}
    group.number, at = number(bytes, at)
    group.first, at = number(bytes, at)
    group.bytes, at = text(bytes, at)
    group.records = records_of(group.bytes, group.first)
    groups[#groups + 1] = group
  end
  return groups
end

-- One statement is one snapshot: meanwhile records may move from one table to the other.
local ALL = [[SELECT 0 AS kind, id, run AS number, first, fence, records FROM journal WHERE id > ?
  UNION ALL SELECT 1, id, NULL, NULL, fence, records FROM commits ORDER BY kind, id]]

--- The records of the rows of the journal after number `after`, and those that were committed and
--- are not there yet, by run and row.
---@param store orrery.Store
---@param after integer
---@return fun(): table|nil row { id = of the row of the journal, run, fence, records }
function journal.rows(store, after)
  local ids = {}
  local function id_of(n)
    ids[n] = ids[n] or store:query("SELECT id FROM runs WHERE number = ?", n)[1].id
    return ids[n]
  end
  return coroutine.wrap(function()
    for row in store:each(ALL, after) do
      local groups = row.kind == 0
        and { { number = row.number, records = records_of(row.records, row.first) } }
        or groups_of(row.records)
      for _, group in ipairs(groups) do
        coroutine.yield { id = row.kind == 0 and row.id or nil, run = id_of(group.number), fence = row.fence,
          records = group.records }
      end
    end
  end)
end

return journal
