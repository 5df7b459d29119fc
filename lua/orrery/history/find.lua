--- Which run is meant by the beginning of an id, and what is read of a run for a list.
local owners = require "orrery.history.owners"
local plain_run = require "orrery.history.plain_run"

local find = {}

--- Adds to a row what is not in the tables: `short`, and `owned` where the run has not ended.
---@param row table of the query `run_shown`
---@param living table<integer, true> of `owners.living`
---@return table row
function find.finish(row, living)
  row.short = plain_run.short(row.id, row.id_before, row.id_after)
  row.id_before, row.id_after = nil, nil
  if not row.ended then row.owned = living[row.owner] or false end
  return row
end

-- A beginning of an id as it is written: lower case, dashes in their places.
local function normal(prefix)
  local digits = prefix:lower():gsub("-", "")
  if digits == "" or #digits > 32 or digits:find "[^%x]" then return nil end
  local parts, from = {}, 1
  for _, n in ipairs { 8, 4, 4, 4, 12 } do
    if from <= #digits then parts[#parts + 1] = digits:sub(from, from + n - 1) end
    from = from + n
  end
  return table.concat(parts, "-")
end

-- What a word that is no beginning of an id may stand for.
local function meant(db, word)
  local run = require("orrery.history.list").newest(db, { workflow = word }, 1)[1]
  if run then
    return (", but of a workflow, whose newest is %s")
      :format(plain_run.short(run.id, run.id_before, run.id_after))
  end
  if word:sub(1, 1) == "@" then return "; the newest is " .. find.LAST end
  return ": it is the beginning of a UUID, such as 0193f0e2; `orrery runs` lists them"
end

local MANY = 5

local function described(row) return ("%s (%s, %s)"):format(row.id, row.workflow, row.state) end

local function several(db, prefix, from, to, rows)
  local names = {}
  for i = 1, math.min(#rows, MANY) do names[i] = described(rows[i]) end
  local n = db:row("runs_by_prefix_count", { from = from, to = to }).n
  if n > MANY then names[#names + 1] = ("and %d more"):format(n - MANY) end
  return nil, ("%d runs begin with '%s': %s; give more of the id"):format(n, prefix, table.concat(names,
    ", "))
end

-- The run whose id shares most with the one asked for, where that is enough to be what was meant.
local function neighbour(db, prefix)
  local best, most = nil, 5
  for _, query in ipairs { "run_before", "run_after" } do
    local row = db:row(query, { id = prefix })
    local n = row and #plain_run.short(row.id, prefix) or 0
    if row and row.id:sub(1, most) == prefix:sub(1, most) and n > most then best, most = row, n end
  end
  return best
end

local function none(db, prefix)
  local near = neighbour(db, prefix)
  if near then return nil, ("no run begins with '%s'; the nearest is %s"):format(prefix, described(near)) end
  local newest = db:row "run_newest"
  if not newest then return nil, ("no run begins with '%s': there are none in %s"):format(prefix, db.url) end
  return nil, ("no run begins with '%s'; the newest is %s, and `orrery runs` lists them"):format(prefix,
    described(newest))
end

--- Whether a word can name a run, by its id or as the newest.
---@param word string
---@return boolean
function find.names(word) return word == find.LAST or normal(word) ~= nil end

--- What names the newest run that no other has called.
find.LAST = "@last"

local function row_of(db, number)
  local row = db:row("run_shown", { run = number })
  return find.finish(row, owners.living(db))
end

local function newest(db)
  local row = db:row "run_newest_top"
  if row then return row_of(db, row.number) end
  return nil, ("there are no runs in %s yet; `orrery run FILE` makes one"):format(db.url)
end

--- The run that an id, or the beginning of one that no other has, names; `@last` names the newest.
---@param db orrery.Store
---@param prefix string
---@return table|nil row as `filter.select` gives
---@return string|nil message
function find.one(db, prefix)
  if prefix == find.LAST then return newest(db) end
  local from = normal(prefix)
  if not from then
    return nil, ("'%s' is no id of a run%s"):format(prefix, meant(db, prefix))
  end
  local to = from .. "~"
  local rows = db:rows("runs_by_prefix", { from = from, to = to, limit = MANY + 1 })
  if #rows == 0 then return none(db, from) end
  if #rows > 1 then return several(db, from, from, to, rows) end
  return row_of(db, rows[1].number)
end

--- The same where there has to be one. Raises `run_not_found`.
---@param db orrery.Store
---@param prefix string
---@return table row
function find.must(db, prefix)
  local run, message = find.one(db, prefix)
  if run then return run end
  error(setmetatable({ code = "run_not_found", message = message, retryable = false },
    require("orrery.core").error_mt), 0)
end

return find
