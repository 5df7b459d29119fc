--- Which runs are meant: by their workflow, state, age and labels. What is asked for wrongly is
--- raised as a `mistake`.
local core = require "orrery.core"
local find = require "orrery.history.find"
local list = require "orrery.history.list"
local mistake = require "orrery.history.mistake"
local owners = require "orrery.history.owners"
local plain_run = require "orrery.history.plain_run"

local filter = {}

--- The states of a run, in the order in which they come; and `interrupted`, which a person calls
--- those that their process has left unfinished when it ended.
filter.STATES = {
  "pending", "running", "waiting", "paused", "compensating", "completed", "failed", "cancelled",
  "compensated",
  "compensation_failed", "interrupted",
}

-- ---- times --------------------------------------------------------------------------------------

local function in_utc(t)
  local days = require("orrery.calendar.date").days(t.year, t.month, t.day)
  return days * 86400 + t.hour * 3600 + t.min * 60 + t.sec
end

local function in_range(t)
  local lengths = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }
  return lengths[t.month] and t.day >= 1 and t.day <= lengths[t.month] and t.hour < 24 and t.min < 60
    and t.sec < 61
end

--- Reads a point in time: a duration (so long before now), or a date with or without a time, local
--- or with a Z in UTC.
---@param text string
---@param now number
---@return number|nil seconds since the epoch
---@return string|nil message
function filter.time(text, now)
  local y, m, d, rest = text:match "^(%d%d%d%d)%-(%d%d)%-(%d%d)(.*)$"
  if y then
    local zone = rest:match "Z$"
    local h, min, s = rest:gsub("Z$", ""):match "^[T ](%d%d):(%d%d):?(%d*)$"
    local t = { year = tonumber(y), month = tonumber(m), day = tonumber(d), hour = tonumber(h) or 0,
      min = tonumber(min) or 0,
      sec = tonumber(s) or 0 }
    if (h or rest == "") and in_range(t) then return zone and in_utc(t) or os.time(t) end
    return nil, ("'%s' is no time: write 2026-03-01, 2026-03-01T09:30, or with a Z at the end for UTC")
      :format(text)
  end
  local seconds, message = require("orrery.duration").parse(text)
  if seconds then return now - seconds end
  return nil, message .. "; or write a time, such as 2026-03-01T09:30"
end

-- ---- conditions ---------------------------------------------------------------------------------

local function nearest(name, names) return require "orrery.nearest"(name, names) end

local function check_workflow(db, name)
  if db:row("workflow_known", { name = name }) then return end
  local names = {}
  for i, row in ipairs(db:rows("workflows_recent", { limit = 1000 })) do
    names[i] = row.name
  end
  local near = nearest(name, names)
  mistake.raise(("no workflow called '%s' has run here%s"):format(name,
    near and ("; did you mean '%s'?"):format(near)
    or #names > 0 and "; there are: " .. table.concat(names, ", ", 1, math.min(#names, 10)) or ""))
end

--- The workflow of that name has runs here; raises a mistake where not, with the nearest name.
filter.check_workflow = check_workflow

local UNFINISHED = { pending = true, running = true, waiting = true, paused = true, compensating = true,
  interrupted = true }

local function states_of(args)
  local states, known = {}, {}
  for _, state in ipairs(filter.STATES) do known[state] = true end
  for _, word in ipairs(args.state or {}) do
    for state in word:gmatch "[^,%s]+" do
      if not known[state] then
        local near = nearest(state, filter.STATES)
        mistake.raise(("'%s' is no state of a run%s"):format(state,
          near and ("; did you mean '%s'?"):format(near)
          or "; the states are: " .. table.concat(filter.STATES, ", ")))
      end
      states[#states + 1] = state
    end
  end
  if #states == 0 and args.state and #args.state > 0 then -- it must not mean all
    mistake.raise("--state names no state; the states are: " .. table.concat(filter.STATES, ", "))
  end
  return states
end

local function all_unfinished(states)
  for _, state in ipairs(states) do
    if UNFINISHED[state] == nil then return false end
  end
  return #states > 0
end

-- Adds runs in one of these states; who is alive is not in the tables.
local function add_states(db, chosen, states)
  if #states == 0 then return end
  chosen.unfinished, chosen.states = all_unfinished(states), {}
  for _, state in ipairs(states) do
    if state == "interrupted" then
      chosen.living = {}
      for id in pairs(owners.living(db)) do chosen.living[#chosen.living + 1] = id end
    else
      chosen.states[#chosen.states + 1] = state
    end
  end
end

-- NAME=VALUE, or NAME with any value.
local function label_of(word)
  local name, value = word:match "^([^=]+)=(.*)$"
  if name then return { name = name, value = value } end
  if word == "" or word:sub(1, 1) == "=" then
    mistake.raise(("'%s' is no label: write NAME=VALUE, or NAME"):format(word))
  end
  return { name = word }
end

local function time_of(text, now)
  local time, message = filter.time(text, now)
  return time or mistake.raise(message)
end

--- The options as parameters of `list.page`. Raises a mistake where one is wrong.
---@param db orrery.Store
---@param args table
---@return table
function filter.chosen_by(db, args)
  local chosen, now = { workflow = args.workflow }, core.time()
  if args.workflow then check_workflow(db, args.workflow) end
  add_states(db, chosen, states_of(args))
  chosen.since = args.since and time_of(args.since, now)
  chosen["until"] = args["until"] and time_of(args["until"], now)
  for i, word in ipairs(args.label or {}) do
    chosen.labels = chosen.labels or {}
    chosen.labels[i] = label_of(word)
  end
  return chosen
end

-- ---- rows ---------------------------------------------------------------------------------------

local PAGE = 500

--- The chosen runs one after the other, newest first, read a page at a time.
---@param db orrery.Store
---@param args table
---@param also? "unfinished"|"retryable"|"lacking"|"tops" only those; lacking: that can be retried
--- with their items; tops: whose parent is not chosen
---@return fun(): table|nil
function filter.each(db, args, also)
  local chosen, left = filter.chosen_by(db, args), (args.limit or 0) > 0 and args.limit or math.huge
  local page, at, n, place, living = {}, 0, nil, nil, nil
  if also then chosen[also] = true end
  return function()
    at = at + 1
    if page[at] then return find.finish(page[at], living) end
    if n and #page < n then return nil end
    n = math.tointeger(math.min(left, PAGE))
    if n == 0 then return nil end
    page, at, left = list.page(db, chosen, place, n), 1, left - n
    if #page == 0 then return nil end
    place, living = list.behind(page[#page]), owners.living(db)
    return find.finish(page[1], living)
  end
end

--- The same for each of some workflows, as `list.page` takes it.
---@param chosen table of `filter.chosen_by`
---@param workflows string[]
---@return table
function filter.of_each(chosen, workflows)
  local each = {}
  for i, name in ipairs(workflows) do
    each[i] = { workflow = name }
    for key, value in pairs(chosen) do each[i][key] = value end
  end
  return { workflows = each }
end

--- A page of the chosen runs, as data.
---@param db orrery.Store
---@param args table `limit`: how many at most, 100 where it is left out; `cursor`: that of the page
---  before; `workflows`: a list, only runs of these
---@return { runs: table[], next: string|nil } as `plain_run.of` gives them; next: there may be more
function filter.page(db, args)
  local limit = args.limit or 100
  local chosen, place = filter.chosen_by(db, args), list.place(args.cursor)
  if args.workflows then chosen = filter.of_each(chosen, args.workflows) end
  local rows, living, runs = list.page(db, chosen, place, limit), owners.living(db), {}
  for i, row in ipairs(rows) do
    runs[i] = plain_run.of(find.finish(row, living))
    runs[i].short = row.short
  end
  return { runs = core.json.array(runs),
    next = #rows == limit and list.cursor(list.behind(rows[#rows])) or nil }
end

--- The chosen runs, newest first, as rows of `runs` without input and output, with `short`, the
--- shortest unique beginning of the id, `parent_id`, and `owned`, whether a process that lives runs
--- it, where it has not ended.
---@param db orrery.Store
---@param args table
---@param also? "unfinished"|"retryable"|"lacking"|"tops" only those
---@return table[]
function filter.select(db, args, also)
  local rows = {}
  for row in filter.each(db, args, also) do rows[#rows + 1] = row end
  return rows
end

return filter
