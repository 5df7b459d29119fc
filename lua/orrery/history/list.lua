--- Runs, newest first, a page at a time, by whatever they are chosen by.
---
--- The order is that of their creation, and of their numbers where that is the same. Both stay, so
--- whatever comes and goes between two pages, none is given twice and none is left out that was
--- there all the while. A page is of one moment. Each state is asked for by itself, because an
--- index has the runs of one in order; they are merged here.
local mistake = require "orrery.history.mistake"

local list = {}

---@class orrery.ListPlace where in the list a page begins: behind this run
---@field at number when it was created
---@field before integer its number

local UNFINISHED = { "pending", "running", "waiting", "paused", "compensating" }
local ENDED = { "completed", "failed", "cancelled", "compensated", "compensation_failed" }
local LEFT = { "running", "compensating", "pending", "waiting" } -- that a dead process may have left

local function add_all(into, states)
  for _, state in ipairs(states) do into[state] = true end
  return into
end

-- The states in which there may be runs that are chosen.
local function states_of(chosen)
  if chosen.retryable then return { failed = true, cancelled = true } end
  if chosen.lacking then return { failed = true, cancelled = true, completed = true } end
  if not chosen.states then
    local all = add_all({}, UNFINISHED)
    return chosen.unfinished and all or add_all(all, ENDED)
  end
  local wanted = add_all({}, chosen.states)
  return chosen.living and add_all(wanted, LEFT) or wanted
end

local FEW = 1000 -- runs that are looked at one by one as well

-- The label by which they are found, the rarest, and another one. None where the workflow has few
-- runs.
local function drivers(db, chosen)
  if not chosen.labels then return nil end
  if chosen.workflow and db:row("workflow_runs", { workflow = chosen.workflow, limit = FEW }).n < FEW then
    return nil
  end
  local words = {}
  for i, label in ipairs(chosen.labels) do
    local word = label.value and label.name .. "=" .. label.value or label.name
    words[i] = { word = word, n = db:row("label_runs", { label = word, limit = FEW }).n, place = i }
  end
  table.sort(words, function(a, b)
    if a.n ~= b.n then return a.n < b.n end
    return a.place < b.place
  end)
  return words[1].word, words[2] and words[2].word
end

local function before(a, b)
  if a.created ~= b.created then return a.created > b.created end
  return a.number > b.number
end

-- Adds those of one workflow, or of all: of each state as many as there are to be in all.
local function add_found(db, chosen, place, limit, found)
  local asked = { limit = limit, at = place and place.at, before = place and place.before }
  for name, value in pairs(chosen) do asked[name] = value end
  local states = states_of(chosen)
  local function add(rows) table.move(rows, 1, #rows, #found + 1, found) end
  if states.pending then add(db:rows("runs_new", asked)) end
  asked.label, asked.also = drivers(db, chosen)
  local query = asked.label and "runs_labelled" or "runs_in_state"
  for state in pairs(states) do
    asked.state = state
    add(db:rows(query, asked))
  end
end

local function ask(db, chosen, place, limit)
  local found, numbers = {}, {}
  for _, one in ipairs(chosen.workflows or { chosen }) do
    add_found(db, one, place, limit, found)
  end
  table.sort(found, before)
  for i = 1, math.min(limit, #found) do numbers[i] = found[i].number end
  return #numbers > 0 and db:rows("runs_shown", { runs = numbers }) or {}
end

--- The next runs of a list.
---@param db orrery.Store
---@param chosen table of `filter.chosen_by`; or `workflows`, a list of such, each of another workflow
---@param place orrery.ListPlace|nil nil: from the newest on
---@param limit integer
---@return table[] rows of the query `runs_shown`; fewer than `limit`: there are no more
function list.page(db, chosen, place, limit) return db:snapshot(ask, db, chosen, place, limit) end

--- The newest runs that are chosen.
---@param db orrery.Store
---@param chosen table
---@param limit integer
---@return table[] rows as of `list.page`
function list.newest(db, chosen, limit) return list.page(db, chosen, nil, limit) end

--- Where the list goes on behind a run.
---@param row table
---@return orrery.ListPlace
function list.behind(row) return { at = row.created, before = row.number } end

-- ---- as text ------------------------------------------------------------------------------------

--- A place as text, which says nothing to who reads it.
---@param place orrery.ListPlace
---@return string
function list.cursor(place)
  return ("%016x%x"):format(string.unpack(">i8", string.pack(">d", place.at)), place.before)
end

--- The place of a text. Raises a mistake for one that `list.cursor` has not made.
---@param text string|nil
---@return orrery.ListPlace|nil nil where there is no text
function list.place(text)
  if not text then return nil end
  local digits = #text > 16 and #text <= 31 and text:match "^%x+$"
  local at = digits and string.unpack(">d", string.pack(">i8", tonumber(digits:sub(1, 16), 16)))
  if not at or at ~= at then mistake.cursor(text) end
  return { at = at, before = tonumber(digits:sub(17), 16) }
end

return list
