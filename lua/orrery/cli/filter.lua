--- Which runs are meant: the options that choose runs, the rows they choose, and the one run that the beginning of an id names.
local history = require "orrery.cli.history"

local filter = {}

--- The states of a run, in the order in which they come; and `interrupted`, which a person calls those that were under way when their
--- process ended.
filter.STATES = {
  "pending", "running", "waiting", "paused", "compensating", "completed", "failed", "cancelled", "compensated",
  "compensation_failed", "interrupted",
}

--- The options, as `orrery.cli.options` has them.
filter.options = {
  { "--workflow", "Only runs of this workflow.", argname = "NAME" },
  { "--state", "Only runs in this state; may be repeated, or several with commas.", many = true, argname = "STATE" },
  { "--since", "Only runs created since then: so long ago (1d, 2h30m), or a time (2026-03-01, 2026-03-01T09:30).", argname = "WHEN" },
  { "--until", "Only runs created before then.", argname = "WHEN" },
  { "--label", "Only runs with this label, NAME=VALUE or NAME; may be repeated.", many = true, argname = "LABEL" },
  { "-n --limit", "At most so many, the newest; 0 is all.", number = true, least = 0, argname = "N" },
}

-- ---- times ----------------------------------------------------------------------------------------------------

-- Days from 1970-01-01 in the proleptic Gregorian calendar (Howard Hinnant, "chrono-compatible low-level date algorithms").
local function days_from_civil(y, m, d)
  y = m <= 2 and y - 1 or y
  local era = y // 400
  local yoe = y - era * 400
  local doy = (153 * (m + (m > 2 and -3 or 9)) + 2) // 5 + d - 1
  return era * 146097 + yoe * 365 + yoe // 4 - yoe // 100 + doy - 719468
end

local function in_utc(t) return days_from_civil(t.year, t.month, t.day) * 86400 + t.hour * 3600 + t.min * 60 + t.sec end

local function in_range(t)
  local lengths = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }
  return lengths[t.month] and t.day >= 1 and t.day <= lengths[t.month] and t.hour < 24 and t.min < 60 and t.sec < 61
end

--- Reads a point in time: a duration (so long before now), or a date with or without a time, local or with a Z in UTC.
---@param text string
---@param now number
---@return number|nil seconds since the epoch
---@return string|nil message
function filter.time(text, now)
  local y, m, d, rest = text:match "^(%d%d%d%d)%-(%d%d)%-(%d%d)(.*)$"
  if y then
    local zone = rest:match "Z$"
    local h, min, s = rest:gsub("Z$", ""):match "^[T ](%d%d):(%d%d):?(%d*)$"
    local t = { year = tonumber(y), month = tonumber(m), day = tonumber(d), hour = tonumber(h) or 0, min = tonumber(min) or 0,
      sec = tonumber(s) or 0 }
    if (h or rest == "") and in_range(t) then return zone and in_utc(t) or os.time(t) end
    return nil, ("'%s' is no time: write 2026-03-01, 2026-03-01T09:30, or with a Z at the end for UTC"):format(text)
  end
  local seconds, message = require("orrery.duration").parse(text)
  if seconds then return now - seconds end
  return nil, message .. "; or write a time, such as 2026-03-01T09:30"
end

-- ---- conditions -----------------------------------------------------------------------------------------------

local function nearest(name, names) return require "orrery.nearest"(name, names) end

local function check_workflow(db, name)
  if #db:query("SELECT 1 FROM workflows WHERE name = ?", name) > 0 then return end
  local names = {}
  for i, row in ipairs(db:query "SELECT name FROM workflows ORDER BY last DESC LIMIT 1000") do names[i] = row.name end
  local near = nearest(name, names)
  history.stop(2, ("no workflow called '%s' has run here%s"):format(name, near and ("; did you mean '%s'?"):format(near)
    or #names > 0 and "; there are: " .. table.concat(names, ", ", 1, math.min(#names, 10)) or ""))
end

--- The workflow of that name has runs here; ends the command where not, with the nearest name.
filter.check_workflow = check_workflow

local UNFINISHED = { pending = true, running = true, waiting = true, paused = true, compensating = true, interrupted = true }

local function states_of(args)
  local states, known = {}, {}
  for _, state in ipairs(filter.STATES) do known[state] = true end
  for _, word in ipairs(args.state or {}) do
    for state in word:gmatch "[^,%s]+" do
      if not known[state] then
        local near = nearest(state, filter.STATES)
        history.stop(2, ("'%s' is no state of a run%s"):format(state, near and ("; did you mean '%s'?"):format(near)
          or "; the states are: " .. table.concat(filter.STATES, ", ")))
      end
      states[#states + 1] = state
    end
  end
  if #states == 0 and args.state and #args.state > 0 then -- it must not mean all
    history.stop(2, "--state names no state; the states are: " .. table.concat(filter.STATES, ", "))
  end
  return states
end

local function all_unfinished(states)
  for _, state in ipairs(states) do
    if UNFINISHED[state] == nil then return false end
  end
  return #states > 0
end

-- Runs in one of these states; who is alive is not in the tables.
local function state_condition(db, states)
  local stored, conditions, parameters = {}, {}, {}
  for _, state in ipairs(states) do
    if state ~= "interrupted" then stored[#stored + 1] = state end
  end
  if #stored > 0 then conditions[1] = "runs.state IN (" .. ("?, "):rep(#stored - 1) .. "?)" end
  table.move(stored, 1, #stored, 1, parameters)
  if #stored < #states then
    local living, json = {}, require("orrery.core").json
    for id in pairs(history.living(db)) do living[#living + 1] = id end
    conditions[#conditions + 1] = [[(runs.state IN ('pending', 'running', 'compensating')
      AND (runs.owner IS NULL OR runs.owner NOT IN (SELECT value FROM json_each(?))))]]
    parameters[#parameters + 1] = json.encode(json.array(living))
  end
  return "(" .. table.concat(conditions, " OR ") .. ")", table.unpack(parameters)
end

local LABEL = "EXISTS (SELECT 1 FROM json_each(runs.labels) AS l WHERE l.key = ?"
local LABEL_VALUE = LABEL .. " AND (CAST(l.value AS TEXT) = ? OR (l.type IN ('true', 'false') AND l.type = ?)))"

local function label_condition(word)
  local name, value = word:match "^([^=]+)=(.*)$"
  if name then return LABEL_VALUE, name, value, value end
  if word == "" or word:sub(1, 1) == "=" then history.stop(2, ("'%s' is no label: write NAME=VALUE, or NAME"):format(word)) end
  return LABEL .. ")", word
end

--- Whether the options choose anything at all.
---@param args table
---@return boolean
function filter.given(args)
  return (args.workflow or args.since or args["until"] or #(args.state or {}) > 0 or #(args.label or {}) > 0) and true or false
end

--- The options as a condition over `runs`. Ends the command where one is wrong.
---@param db orrery.Store
---@param args table
---@return string sql conditions joined by AND, never empty
---@return any[] parameters
function filter.where(db, args)
  local conditions, parameters = {}, {}
  local function add(condition, ...)
    conditions[#conditions + 1] = condition
    for _, parameter in ipairs { ... } do parameters[#parameters + 1] = parameter end
  end
  if args.workflow then
    check_workflow(db, args.workflow)
    add("runs.workflow = ?", args.workflow)
  end
  local states = states_of(args)
  if all_unfinished(states) then add "runs.ended IS NULL" end -- there is an index of those
  if #states > 0 then add(state_condition(db, states)) end
  local now = history.now()
  if args.since then add("runs.created >= ?", history.need(filter.time(args.since, now))) end
  if args["until"] then add("runs.created < ?", history.need(filter.time(args["until"], now))) end
  for _, word in ipairs(args.label or {}) do add(label_condition(word)) end
  return #conditions > 0 and table.concat(conditions, " AND ") or "1", parameters
end

-- ---- rows -----------------------------------------------------------------------------------------------------

-- What a list of runs shows; without the input and the output, which may be large.
local COLUMNS = [[runs.number, runs.id, runs.workflow, runs.bundle, runs.key, runs.parent, runs.state, runs.owner, runs.durability,
  runs.context, runs.labels, runs.error, runs.created, runs.started, runs.ended, runs.seq, runs.nodes, runs.completed, runs.failed,
  runs.skipped, runs.cancelled, runs.running, runs.waiting,
  (SELECT p.id FROM runs AS p WHERE p.number = runs.parent) AS parent_id,
  (SELECT max(b.id) FROM runs AS b WHERE b.id < runs.id) AS id_before,
  (SELECT min(a.id) FROM runs AS a WHERE a.id > runs.id) AS id_after]]

local PAGE = 500

-- The numbers first, from the tables and indices alone: only chosen rows are then read in full.
local SLICE = "SELECT " .. COLUMNS .. [[ FROM runs WHERE runs.number IN
  (SELECT number FROM runs WHERE runs.number < ? AND (%s) ORDER BY runs.number DESC LIMIT ?) ORDER BY runs.number DESC]]

-- Adds what is not in the tables.
local function finish(row, living)
  row.short = history.short(row.id, row.id_before, row.id_after)
  row.id_before, row.id_after = nil, nil
  if not row.ended then row.owned = living[row.owner] or false end
  return row
end

--- The chosen runs one after the other, newest first, read a page at a time.
---@param db orrery.Store
---@param args table
---@param also? string a further condition over `runs`, such as "runs.ended IS NULL"
---@return fun(): table|nil
function filter.each(db, args, also)
  local where, parameters = filter.where(db, args)
  if also then where = also .. " AND " .. where end
  local sql, left = SLICE:format(where), (args.limit or 0) > 0 and args.limit or math.huge
  local before, page, at, living = math.maxinteger, {}, 0, nil
  return function()
    at = at + 1
    if page[at] then return finish(page[at], living) end
    local n = math.tointeger(math.min(left, PAGE))
    if n == 0 or (before < math.maxinteger and #page < PAGE) then return nil end
    local values = table.move(parameters, 1, #parameters, 2, { before })
    values[#values + 1] = n
    page, at, left = db:query(sql, table.unpack(values)), 1, left - n
    if #page == 0 then return nil end
    before, living = page[#page].number, history.living(db)
    return finish(page[1], living)
  end
end

--- The chosen runs, newest first, as rows of `runs` without input and output, with `short`, the shortest unique beginning of the
--- id, `parent_id`, and `owned`, whether a process that lives runs it, where it has not ended.
---@param db orrery.Store
---@param args table
---@param also? string a further condition over `runs`
---@return table[]
function filter.select(db, args, also)
  local rows = {}
  for row in filter.each(db, args, also) do rows[#rows + 1] = row end
  return rows
end

-- ---- one run --------------------------------------------------------------------------------------------------

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

local MANY = 5

local function described(row) return ("%s (%s, %s)"):format(row.id, row.workflow, row.state) end

local function several(db, prefix, from, to, rows)
  local names = {}
  for i = 1, math.min(#rows, MANY) do names[i] = described(rows[i]) end
  local n = db:query("SELECT count(*) AS n FROM runs WHERE id >= ? AND id < ?", from, to)[1].n
  if n > MANY then names[#names + 1] = ("and %d more"):format(n - MANY) end
  return nil, ("%d runs begin with '%s': %s; give more of the id"):format(n, prefix, table.concat(names, ", "))
end

-- The run whose id shares most with the one asked for, where that is enough to be what was meant.
local function neighbour(db, prefix)
  local best, most = nil, 5
  for _, sql in ipairs { "id < ? ORDER BY id DESC", "id > ? ORDER BY id" } do
    local row = db:query("SELECT id, workflow, state FROM runs WHERE " .. sql .. " LIMIT 1", prefix)[1]
    local n = row and #history.short(row.id, prefix) or 0
    if row and row.id:sub(1, most) == prefix:sub(1, most) and n > most then best, most = row, n end
  end
  return best
end

local function none(db, prefix)
  local near = neighbour(db, prefix)
  if near then return nil, ("no run begins with '%s'; the nearest is %s"):format(prefix, described(near)) end
  local newest = db:query("SELECT id, workflow, state FROM runs ORDER BY number DESC LIMIT 1")[1]
  if not newest then return nil, ("no run begins with '%s': there are none in %s"):format(prefix, db.url) end
  return nil, ("no run begins with '%s'; the newest is %s, and `orrery runs` lists them"):format(prefix, described(newest))
end

--- The run that an id, or the beginning of one that no other has, names.
---@param db orrery.Store
---@param prefix string
---@return table|nil row as `filter.select` gives
---@return string|nil message
function filter.one(db, prefix)
  local from = normal(prefix)
  if not from then
    return nil, ("'%s' is no id of a run: it is the beginning of a UUID, such as 0193f0e2; `orrery runs` lists them"):format(prefix)
  end
  local to = from .. "~"
  local rows = db:query("SELECT number, id, workflow, state FROM runs WHERE id >= ? AND id < ? ORDER BY id LIMIT ?", from, to, MANY + 1)
  if #rows == 0 then return none(db, from) end
  if #rows > 1 then return several(db, from, from, to, rows) end
  return finish(db:query("SELECT " .. COLUMNS .. " FROM runs WHERE number = ?", rows[1].number)[1], history.living(db))
end

--- The same, for a command: ends it where there is no such run.
---@param db orrery.Store
---@param prefix string
---@return table row
function filter.run(db, prefix) return history.need(filter.one(db, prefix)) end

--- The runs that a command is to act on: those whose ids are given, or those that the options choose.
---@param db orrery.Store
---@param args { run: string[] }
---@param what string for the message, such as "cancel"
---@param also? string a further condition over `runs` for those that the options choose
---@return table[]
function filter.meant(db, args, what, also)
  local by_id = args.run and #args.run > 0
  if by_id and filter.given(args) then
    history.stop(2, ("give the ids of runs, or options that choose them (--workflow, --state, --since, --label), not both; "
      .. "see `orrery %s --help`"):format(what))
  end
  if not by_id then
    if not filter.given(args) then
      history.stop(2, ("which runs? Give their ids, or choose them: orrery %s --workflow NAME --state running --since 1d"):format(what))
    end
    return filter.select(db, args, also)
  end
  local rows, seen = {}, {}
  for _, prefix in ipairs(args.run) do
    local row = filter.run(db, prefix)
    if not seen[row.number] then rows[#rows + 1] = row end
    seen[row.number] = true
  end
  return rows
end

return filter
