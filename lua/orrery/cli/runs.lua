--- `orrery runs`: the runs of a store, newest first.
local filter = require "orrery.cli.filter"
local history = require "orrery.cli.history"

local runs = {}

local SHOWN = 20 -- rows of the table where nobody says how many

local TITLES = { "RUN", "WORKFLOW", "STATE", "CREATED", ">TOOK", ">NODES", "LABELS" }

local function took(row, now)
  local from = row.started or row.created
  if row.ended then return row.ended - from end
  return row.started and now - from or nil
end

local function cells(row, now)
  local term = require "orrery.cli.term"
  local seconds, state = took(row, now), history.state(row)
  local settled = row.ended and row.nodes or row.completed + row.failed + row.skipped + row.cancelled
  return {
    row.short, term.clean(row.workflow), { state, style = history.style(state) }, history.time(row.created),
    seconds and term.duration(seconds) or "", ("%d/%d"):format(settled, row.nodes), term.clean(history.labels(row.labels)),
  }
end

--- The table for people.
---@param rows table[] as `filter.select` gives
---@param options { now: number, paint: function, width: integer|nil }
---@return string[]
function runs.table(rows, options)
  local drawn = {}
  for i, row in ipairs(rows) do drawn[i] = cells(row, options.now) end
  return require("orrery.cli.columns").draw(TITLES, drawn, options)
end

local function as_json(db, args)
  for row in filter.each(db, args) do
    if not history.json(history.run(row)) then return end
  end
end

-- One more than is shown is asked for, to know whether there are more.
local function as_table(db, args)
  local limit = args.limit or SHOWN
  local rows = filter.select(db, setmetatable({ limit = limit > 0 and limit + 1 or 0 }, { __index = args }))
  if #rows == 0 then
    history.note(filter.given(args) and "no such runs" or "no runs yet: `orrery run FILE` makes one")
    return
  end
  local more = limit > 0 and #rows > limit
  if more then rows[#rows] = nil end
  local width, paint = history.screen()
  io.stdout:write(table.concat(runs.table(rows, { now = history.now(), width = width, paint = paint }), "\n"), "\n")
  if more then history.note(("the newest %d; older ones with --limit N, all with --limit 0"):format(limit)) end
end

runs.main = history.command("runs", function(db, args)
  if args.json then as_json(db, args) else as_table(db, args) end
end, history.lists)

return runs
