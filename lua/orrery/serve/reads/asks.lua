--- What the API reads, by the id of a run: called on the thread. Each answer is of one moment.
local core = require "orrery.core"
local details = require "orrery.history.details"
local find = require "orrery.history.find"
local logs = require "orrery.history.logs"
local parts = require "orrery.history.parts"
local reported = require "orrery.history.reported"
local statistics = require "orrery.history.statistics"

local asks = {}

local array = core.json.array

-- Of one moment, with the run in place of its id.
local function about_run(fn)
  return function(db, id, args)
    return db:snapshot(function() return fn(db, find.must(db, id), args or {}) end)
  end
end

--- A page of runs; see `filter.page`.
---@param db orrery.Store
---@param args table
---@return table
function asks.runs(db, args) return require("orrery.history.filter").page(db, args) end

--- The id and the workflow of a run.
---@param db orrery.Store
---@param id string or the beginning of one, or @last
---@return { id: string, workflow: string }
function asks.which(db, id)
  local run = find.must(db, id)
  return { id = run.id, workflow = run.workflow }
end

local CHILDREN = 100

local function children_of(db, run)
  local list = db:rows("runs_under", { parents = { run.number }, limit = CHILDREN })
  for i, row in ipairs(list) do
    list[i] = { id = row.id, workflow = row.workflow, state = row.state, created = row.created,
      ended = row.ended }
  end
  return array(list)
end

--- One run, without its parts; `seq` is the last record of its journal that is in it: a stream of
--- its events goes on from there.
asks.run = about_run(function(db, run)
  local made = details.head(db, run, true)
  made.short, made.seq, made.children = run.short, run.seq, children_of(db, run)
  made.awaits = array(run.ended and {} or require("orrery.history.reasons").awaited(db, run.number))
  return made
end)

asks.nodes, asks.items = about_run(parts.nodes), about_run(parts.items)
asks.attempts, asks.steps = about_run(parts.attempts), about_run(parts.steps)
asks.signals, asks.logs = about_run(parts.signals), about_run(logs.page)
asks.published = about_run(function(db, run)
  return { published = require("orrery.history.published").list(db, run.id) }
end)
asks.node = about_run(function(db, run, args) return parts.node(db, run, args.node) end)

--- Why its nodes are where they are, or one of them.
asks.why = about_run(function(db, run, args)
  if args.node then return reported.node(db, run, parts.find(db, run, args.node)) end
  local list, more = reported.run(db, run)
  return { run = run.id, state = run.state, nodes = array(list), more = more }
end)

--- Figures over all runs; or those of a workflow, with its nodes and agents, which takes the longer
--- the more runs there are.
---@param db orrery.Store
---@param args { workflow: string|nil, workflows: string[]|nil } workflows: only of these
---@return table
function asks.statistics(db, args)
  local name, allowed = args.workflow, nil
  if name then require("orrery.history.filter").check_workflow(db, name) end
  for _, each in ipairs(args.workflows or {}) do
    allowed = allowed or {}
    allowed[each] = true
  end
  local function only(rows)
    if not allowed then return array(rows) end
    local kept = {}
    for _, row in ipairs(rows) do kept[#kept + 1] = allowed[row.workflow] and row or nil end
    return array(kept)
  end
  return { workflows = only(statistics.workflows(db, name)),
    agents = name and only(statistics.agents(db, name)) or nil,
    nodes = name and only(statistics.nodes(db, name)) or nil,
    workers = not args.workflows and array(statistics.workers(db)) or nil }
end

return asks
