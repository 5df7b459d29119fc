--- What streams of events send next: called on the thread, so that the loop only passes text on.
local core = require "orrery.core"
local events = require "orrery.history.events"
local mistake = require "orrery.history.mistake"
local reads = require "orrery.serve.reads"

local streams = {}

local MOST = 500 -- events of a piece

-- One event of a stream, as the HTML standard writes them (9.2.6).
local function add(text, id, event)
  local ok, data = pcall(core.json.encode, event)
  if not ok then data = core.json.encode(event, { binary = true }) end
  text[#text + 1] = ("id: %s\ndata: %s\n\n"):format(id, data)
end

---@class orrery.serve.Piece
---@field text string to be sent as it is
---@field place string what to ask with next
---@field more boolean there may be more at once
---@field change integer what the store was at, for `Reads:changed`
---@field gone boolean|nil the run is not there any more

local function number_of(text)
  return text and #text <= 19 and text:find "^%d+$" and math.tointeger(tonumber(text)) or nil
end

--- Of one run. A place is the sequence number of a record; "": before the first.
---@param db orrery.Store
---@param id string
---@param place string
---@return orrery.serve.Piece
function streams.run(db, id, place)
  local change, after = reads.change(db), place == "" and 0 or number_of(place)
  if not after then
    mistake.raise(("'%s' is no place in the journal of a run: it is a number"):format(place))
  end
  local list = events.of_run(db, id, after, MOST)
  if not list then return { text = "", place = place, more = false, change = change, gone = true } end
  local text = {}
  for _, event in ipairs(list) do add(text, event.seq, event) end
  return { text = table.concat(text), place = tostring(#list > 0 and list[#list].seq or after),
    more = #list == MOST, change = change }
end

--- The log of one run. A place is the id of a line; "": before the first.
---@param db orrery.Store
---@param id string
---@param place string
---@param wanted { node: string|nil, level: string|nil, search: string|nil }
---@return orrery.serve.Piece
function streams.logs(db, id, place, wanted)
  local change, after = reads.change(db), place == "" and 0 or number_of(place)
  if not after then mistake.raise(("'%s' is no line of a log: it is a number"):format(place)) end
  local run = require("orrery.history.find").one(db, id)
  if not run then return { text = "", place = place, more = false, change = change, gone = true } end
  local page = require("orrery.history.logs").page(db, run, { after = after, limit = MOST, node = wanted.node,
    level = wanted.level, search = wanted.search })
  local text = {}
  for _, line in ipairs(page.lines) do add(text, line.id, line) end
  return { text = table.concat(text), place = tostring(page.last), more = page.more, change = change }
end

local function set_of(list)
  if not list then return nil end
  local set = {}
  for _, name in ipairs(list) do set[name] = true end
  return set
end

local function place_of(text)
  local row, seq = text:match "^(%d+):(%d+)$"
  row, seq = number_of(row), number_of(seq)
  if not row or not seq then
    mistake.raise(("'%s' is no place in the journals: give the id of an event as it came"):format(text))
  end
  return { row = row, seq = seq }
end

--- Of all runs. A place is ROW:SEQ, as in `orrery.JournalPlace`; "": now.
---@param db orrery.Store
---@param place string
---@param wanted { runs: boolean|nil, workflows: string[]|nil } runs: only what concerns whole runs
---@return orrery.serve.Piece
function streams.all(db, place, wanted)
  local change, allowed = reads.change(db), set_of(wanted.workflows)
  local from = place == "" and events.newest(db) or place_of(place)
  local list, last, more = events.of_all(db, from, MOST, function(record, run)
    return (not allowed or allowed[run.workflow]) and not (wanted.runs and record.index)
  end)
  local text = {}
  for _, one in ipairs(list) do add(text, one.place.row .. ":" .. one.place.seq, one.event) end
  return { text = table.concat(text), place = last.row .. ":" .. last.seq, more = more, change = change }
end

return streams
