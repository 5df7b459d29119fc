--- What happens to runs, as their journals say it: of one run, or of all. It is read from the
--- store, so it is the same whichever process runs them; and whoever says what he has seen gets
--- what came after, without a gap.
local core = require "orrery.core"

local events = {}

local MOST_NAMES = 200000 -- nodes whose names are kept

-- What a definition calls its nodes and outcomes. A bundle is named by its content: what was read
-- once stays right.
local kept, n_kept = {}, 0

local function names_of(db, hash)
  if not hash then return { nodes = {}, ports = {} } end
  if kept[hash] then return kept[hash] end
  local row, found = db:get("bundle", hash), { nodes = {}, ports = {} }
  local definition = row and row.definition and core.json.decode(row.definition, { binary = true }) or {}
  for i, node in ipairs(definition.nodes or {}) do found.nodes[i] = node.name end
  found.ports = definition.ports or {}
  if n_kept + #found.nodes > MOST_NAMES then kept, n_kept = {}, 0 end
  kept[hash], n_kept = found, n_kept + #found.nodes
  return found
end

-- A record of `core.records` with names in place of numbers.
local function named(record, names, run)
  record.run, record.workflow = run.id, run.workflow
  if record.index then record.node = names.nodes[record.index] or "#" .. record.index end
  if record.port then record.outcome = names.ports[record.port] end
  record.index, record.port = nil, nil
  return record
end

---@class orrery.JournalEvent a record of a run's journal, without its value
---@field run string
---@field workflow string
---@field seq integer its number in the journal of the run, from 1
---@field kind string such as "attempt_started", "completed", "run_ended"; see docs/store.md
---@field time number
---@field node? string
---@field item? integer
---@field iteration? integer
---@field attempt? integer
---@field due? number when it goes on
---@field items? integer
---@field outcome? string
---@field state? string how the run ended
---@field error? { code: string, message: string }

--- What a run's journal says after a record.
---@param db orrery.Store
---@param id string of the run
---@param after integer sequence number; 0: from the beginning
---@param most integer
---@return orrery.JournalEvent[]|nil nil: there is no such run any more
function events.of_run(db, id, after, most)
  local run, records = db:row("run", { id = id }), db:records(id, after, most)
  if not run or not records then return nil end
  local names = names_of(db, run.bundle)
  for _, record in ipairs(records) do named(record, names, run) end
  return records
end

---@class orrery.JournalPlace a place in the journals of all runs
---@field row integer of the journal
---@field seq integer of that row all records up to this one were seen; of the rows before all were

--- The place behind all that is in the journals now.
---@param db orrery.Store
---@return orrery.JournalPlace
function events.newest(db) return { row = db:row("journal_last").id, seq = math.maxinteger } end

local BYTES, ROWS = 4 << 20, 500 -- of the journal that are read at a time

--- What the journals of all runs say behind a place, in the order in which it was kept.
---@param db orrery.Store
---@param place orrery.JournalPlace
---@param most integer
---@param wanted? fun(record: table, run: { id: string, workflow: string }): boolean only those; of a
---  record as `core.records` gives it
---@return { event: orrery.JournalEvent, place: orrery.JournalPlace }[]
---@return orrery.JournalPlace behind all of them, and behind those that are not wanted
---@return boolean more there may be others already
function events.of_all(db, place, most, wanted)
  local found, last, read = {}, place, 0
  for row in db:each_row("journal_after", { from = place.row, bytes = BYTES, limit = ROWS }) do
    local after = row.id == place.row and place.seq or 0
    local run = { id = row.run, workflow = row.workflow }
    read = read + 1
    for _, record in ipairs(row.run and core.records(row.records, row.first, after, most - #found) or {}) do
      last = { row = row.id, seq = record.seq }
      if not wanted or wanted(record, run) then
        found[#found + 1] = { event = named(record, names_of(db, row.bundle), run), place = last }
      end
    end
    if #found >= most then return found, last, true end
    last = { row = row.id, seq = math.maxinteger }
  end
  return found, last, read > 1
end

return events
