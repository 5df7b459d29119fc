--- `orrery runs`: the runs of a store, newest first, those that a run has called below it.
local out = require "orrery.cli.shared.out"
local chosen = require "orrery.cli.shared.chosen"
local filter = require "orrery.history.filter"
local plain_run = require "orrery.history.plain_run"
local session = require "orrery.cli.shared.session"
local shown = require "orrery.cli.display.shown"
local tree = require "orrery.history.tree"

local runs = {}

local SHOWN = 20   -- runs at the top of the table unless --limit says how many
local DEEPEST = 12 -- steps of indentation

local TITLES = { "RUN", "WORKFLOW", "STATE", "CREATED", ">TOOK", ">NODES", "LABELS" }

local function took(row, now)
  local from = row.started or row.created
  if row.ended then return row.ended - from end
  return row.started and now - from or nil
end

local function cells(row, now)
  local indent = ("  "):rep(math.min(row.depth or 0, DEEPEST))
  if row.more then return { indent .. "…", "", "", "", "", "", "" } end
  local term = require "orrery.cli.display.term"
  local seconds, state = took(row, now), plain_run.state(row)
  local settled = row.ended and row.nodes or row.completed + row.failed + row.skipped + row.cancelled
  return {
    indent .. row.short, term.clean(row.workflow), { state, style = shown.style(state) },
      shown.time(row.created),
    seconds and term.duration(seconds) or "", ("%d/%d"):format(settled, row.nodes),
    term.clean(shown.labels(row.labels)),
  }
end

--- The table for people.
---@param rows table[] as `filter.select` or `tree.select` gives
---@param options { now: number, paint: function, width: integer|nil }
---@return string[]
function runs.table(rows, options)
  local drawn = {}
  for i, row in ipairs(rows) do drawn[i] = cells(row, options.now) end
  return require("orrery.cli.display.columns").draw(TITLES, drawn, options)
end

local function as_json(db, args)
  for row in filter.each(db, args) do
    if not session.json(plain_run.of(row)) then return end
  end
end

-- The rows without the last run at the top and what is under it.
local function without_last(rows)
  repeat until table.remove(rows).depth == 0
end

-- Asks for one run more than is shown, to know whether there are more.
local function as_table(db, args)
  local limit = args.limit or SHOWN
  local rows = tree.select(db, setmetatable({ limit = limit > 0 and limit + 1 or 0 }, { __index = args }))
  if #rows == 0 then
    session.note(chosen.given(args) and "no such runs" or "no runs yet: `orrery run FILE` makes one")
    return
  end
  local tops, hidden = 0, false
  for _, row in ipairs(rows) do
    if row.depth == 0 then tops = tops + 1 end
    hidden = hidden or row.more
  end
  local more = limit > 0 and tops > limit
  if more then without_last(rows) end
  local width, paint = session.screen()
  out.write(table.concat(runs.table(rows, { now = session.now(), width = width, paint = paint }), "\n"),
    "\n")
  if more then
    session.note(("the newest %d; older ones with --limit N, all with --limit 0"):format(limit))
  elseif hidden then
    session.note "… stands for further children; all with --limit 0"
  end
end

runs.main = session.command("runs", function(db, args)
  if args.json then as_json(db, args) else as_table(db, args) end
end, session.lists)

return runs
