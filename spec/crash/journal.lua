--- A journal as it stands in the store, read by nothing of the engine: rows by SQL, records by what runtime/store/journal.h says
--- of the format.
local json = require "orrery.core".json

local journal = {}

local VERSION = 1
local KINDS = { [0] = "run_created", "attempt_started", "attempt_failed", "completed", "failed", "skipped", "cancelled", "expanded",
  "iterated", "waiting", "woken", "ready", "edge", "stopping", "cleanup", "paused", "resumed", "held", "run_ended", "interrupted",
  "suspended", "step", "signal", "retried", "compensating", "compensated", "compensation_failed" }
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

--- The records of the rows after number `after`, by run and row.
---@param store orrery.Store
---@param after integer
---@return fun(): table|nil row { id, run, fence, records }
function journal.rows(store, after)
  local next_row = store:each([[SELECT j.id, r.id AS run, j.first, j.fence, j.records FROM journal AS j JOIN runs AS r ON r.number = j.run
    WHERE j.id > ? ORDER BY j.id]], after)
  return function()
    local row = next_row()
    if not row then return nil end
    local records, at = {}, 1
    while at <= #row.records do
      local bytes
      bytes, at = text(row.records, at)
      local record = journal.decode(bytes)
      assert(record.seq == row.first + #records, "the numbers of the records have a gap")
      records[#records + 1] = record
    end
    row.records = records
    return row
  end
end

return journal
