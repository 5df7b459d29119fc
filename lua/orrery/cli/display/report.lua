--- A run with all that is known of it, as data for the page that `orrery show --html` writes.
local graph = require "orrery.history.graph"
local items = require "orrery.history.items"
local json = require("orrery.core").json
local lines = require "orrery.history.logs"
local nodes = require "orrery.history.nodes"
local plain_run = require "orrery.history.plain_run"
local remedies = require "orrery.history.remedies"
local timeline = require "orrery.history.timeline"
local why = require "orrery.cli.why"

local report = {}

local LOGS = 20000 -- lines, the last ones
local BARS = 20000 -- nodes in the chart
local REASONS = 2000 -- nodes of which it is said why they are where they are

-- The last lines, and how many there were before them.
local function logs_of(db, run)
  local names, kept, n = items.names(db, run), {}, 0
  for row in lines.each(db, run, {}, 0) do
    n = n + 1
    kept[(n - 1) % LOGS + 1] = row
  end
  local list = {}
  for i = math.max(1, n - LOGS + 1), n do
    local row = lines.plain(kept[(i - 1) % LOGS + 1], run, names)
    row.run = nil
    list[#list + 1] = row
  end
  return { lines = json.array(list), before = n - #list }
end

-- Why nodes are where they are, in words, by node; of those that did not simply complete.
local function reasons_of(db, run)
  local reasons, n = {}, 0
  for node in nodes.notable(db, run) do
    if node.item == 0 then
      local text, remedy = why.of(db, run, node)
      reasons[node.node], n = { sentence = text, remedy = remedy }, n + 1
    end
    if n == REASONS then break end
  end
  return json.object(reasons)
end

-- What helps against an error, and where it is.
local function help(error, attempts)
  if type(error) ~= "table" then return nil end
  return { try = remedies.of(error, attempts), lines = json.array(remedies.lines(error)) }
end

local function add_help(run)
  run.help = help(run.error)
  for _, node in ipairs(run.nodes) do
    if node.error then node.help = help(node.error, node.attempts) end
    for _, item in ipairs(node.items or {}) do
      if item.error then item.help = help(item.error, item.attempts) end
    end
  end
end

--- Reads it.
---@param db orrery.Store
---@param row table of `find.one`
---@param run table of `details.of`
---@param now number
---@return table
function report.of(db, row, run, now)
  add_help(run)
  run.shown_state = plain_run.state(row)
  return { format = 1, made = now, store = db.url, run = run, graph = graph.of_run(db, row),
    timeline = timeline.of(db, row, run.nodes, now, BARS), logs = logs_of(db, row),
    why = reasons_of(db, row) }
end

return report
