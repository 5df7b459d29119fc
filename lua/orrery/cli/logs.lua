--- `orrery logs RUN`: what nodes have logged, in order; with --follow as it comes, until the run has ended.
local filter = require "orrery.cli.filter"
local history = require "orrery.cli.history"
local term = require "orrery.cli.term"

local logs = {}

local LEVELS = { "debug", "info", "warn", "error" }
local RANK = { debug = 1, info = 2, warn = 3, warning = 3, error = 4 }
local STYLES = { error = "red", warn = "yellow", warning = "yellow", debug = "dim" }

local PAGE = 1000
local PAUSE = 200 -- ms between two looks

-- Conditions and parameters after the run's number and the last line shown.
local function conditions(args)
  local parts, parameters = {}, {}
  local function add(condition, value)
    parts[#parts + 1] = " AND " .. condition
    parameters[#parameters + 1] = value
  end
  if args.node then
    local name, item = args.node:match "^(.-)%[(%d+)%]$"
    add("node = ?", name or args.node)
    if item then add("item = ?", tonumber(item)) end
  end
  local rank = args.level and RANK[args.level]
  if args.level and not rank then
    local near = require "orrery.nearest"(args.level, LEVELS)
    history.stop(2, ("'%s' is no level%s"):format(args.level, near and ("; did you mean '%s'?"):format(near)
      or ": they are " .. table.concat(LEVELS, ", ")))
  end
  if rank then
    add([[CASE level WHEN 'debug' THEN 1 WHEN 'warn' THEN 3 WHEN 'warning' THEN 3 WHEN 'error' THEN 4 ELSE 2 END >= ?]], rank)
  end
  return table.concat(parts), parameters
end

local function check_node(db, run, word)
  local name = word and (word:match "^(.-)%[%d+%]$" or word)
  if not name or #db:query("SELECT 1 FROM nodes WHERE run = ? AND node = ? LIMIT 1", run.number, name) > 0 then return end
  local names = {}
  for i, row in ipairs(db:query("SELECT DISTINCT node FROM nodes WHERE run = ? LIMIT 5000", run.number)) do names[i] = row.node end
  local near = require "orrery.nearest"(name, names)
  history.stop(2, ("run %s has no node '%s'%s"):format(run.id, name, near and ("; did you mean '%s'?"):format(near) or ""))
end

--- One line for people.
---@param row table of `logs`
---@param paint function
---@return string
function logs.line(row, paint)
  local fields = history.value(row.fields)
  local text = require("orrery.cli.progress").fields(fields)
  local level = row.level or "info"
  local who = term.clean(row.node or "run") .. ((row.item or 0) > 0 and ("[%d]"):format(row.item) or "")
  return ("%s  %s  %s: %s%s"):format(paint("dim", history.clock(row.time)), who, paint(STYLES[level] or "bold", term.clean(level)),
    term.clean(row.message or ""), text)
end

local function as_data(row, run)
  return { run = run.id, node = row.node, item = (row.item or 0) > 0 and row.item or nil, iteration = row.iteration,
    attempt = row.attempt, time = row.time, level = row.level, message = row.message, fields = history.value(row.fields) }
end

-- Prints what came after line `last`; the last line now, or nil where nobody reads any more.
local function print_from(db, run, args, last, paint)
  local also, parameters = conditions(args)
  local sql = "SELECT * FROM logs WHERE run = ? AND id > ?" .. also .. " ORDER BY id LIMIT " .. PAGE
  while true do
    local rows = db:query(sql, run.number, last, table.unpack(parameters))
    for _, row in ipairs(rows) do
      local ok
      if args.json then ok = history.json(as_data(row, run)) else ok = io.stdout:write(logs.line(row, paint), "\n") end
      if not ok then return nil end
      last = row.id
    end
    if #rows < PAGE then return last end
  end
end

-- The end is asked for before the last look, so that nothing is missed between them.
local function follow(db, run, args, last, paint)
  local uv = require "luv"
  repeat
    if not io.stdout:flush() then return end
    uv.sleep(PAUSE)
    local ended = #db:query("SELECT 1 FROM runs WHERE number = ? AND ended IS NULL", run.number) == 0
    last = print_from(db, run, args, last, paint)
  until ended or not last
end

logs.main = history.command("logs", function(db, args)
  local run = filter.run(db, args.run)
  check_node(db, run, args.node)
  local _, paint = history.screen()
  local last = print_from(db, run, args, 0, paint)
  if not last then return end
  if args.follow then
    if run.owned == false then
      history.note(("nobody runs it now: more comes when `%s` lets the run go on"):format(history.typed("resume " .. run.short)))
    end
    return follow(db, run, args, last, paint)
  end
  if last == 0 and not args.json then
    history.note(("run %s has logged nothing%s"):format(run.id, (args.node or args.level) and " like that" or ""))
  end
end)

return logs
