--- `orrery stats`: figures over all runs of a store, by workflow, or by the nodes of one; of
--- agents; and of the workers of its processes. Those of runs are those of the views
--- `workflow_stats` and `node_stats`, those of workers what processes have told the store.
local out = require "orrery.cli.shared.out"
local session = require "orrery.cli.shared.session"
local term = require "orrery.cli.display.term"

local stats = {}

local function seconds(value) return value and term.duration(value) or "" end
local function count(value) return value and value > 0 and term.count(value) or "" end

local function success(row)
  if not row.success then return "" end
  return { ("%.1f %%"):format(row.success * 100), style = row.success < 0.9 and "red" or nil }
end

local WORKFLOWS = {
  "WORKFLOW", ">RUNS", ">UNFINISHED", ">COMPLETED", ">FAILED", ">CANCELLED", ">UNDONE", ">SUCCESS", ">P50",
  ">P95", ">P99",
}

local function workflow_cells(row)
  return { term.clean(row.workflow), term.count(row.runs), count(row.unfinished), count(row.completed),
    { count(row.failed), style = "red" }, count(row.cancelled),
    count(row.compensated + row.compensation_failed), success(row),
    seconds(row.p50), seconds(row.p95), seconds(row.p99) }
end

local NODES = { "NODE", ">RUNS", ">COMPLETED", ">FAILED", ">RETRIES", ">P50", ">P95", ">P99" }

local function node_cells(row)
  return { term.clean(row.node), term.count(row.runs), count(row.completed),
    { count(row.failed), style = "red" }, count(row.retries),
    seconds(row.p50), seconds(row.p95), seconds(row.p99) }
end

local AGENTS = { "WORKFLOW", "NODE", "AGENT", "MODEL", ">QUESTIONS", ">INPUT", ">OUTPUT", ">COST" }

local function agent_cells(row)
  return { term.clean(row.workflow), term.clean(row.node), term.clean(row.agent), term.clean(row.model or ""),
    term.count(row.questions), term.count(math.tointeger(row.input) or 0),
    term.count(math.tointeger(row.output) or 0), row.cost and ("%.4f"):format(row.cost) or "" }
end

local COSTS = { "WORKFLOW", "NODE", "COST OF", ">RUNS", ">TOTAL", ">A RUN" }

local function cost_cells(row)
  local number = require "orrery.cli.display.forecast_text".number
  return { term.clean(row.workflow), term.clean(row.node), term.clean(row.name), term.count(row.runs),
    number(row.amount), number(row.amount / row.runs) }
end

local WORKERS = {
  "PROCESS", ">WORKER", ">UTILISATION", ">UNDER WAY", ">DONE", ">FAILED", ">SUCCESS", ">AGE",
}

local function percent(share) return share and ("%.1f %%"):format(share * 100) or "" end

local function worker_cells(row)
  local one = row.worker
  return { tostring(row.pid), tostring(one.number), percent(one.utilisation), count(one.live),
    count(one.done), { count(one.failed), style = "red" }, success(one), seconds(one.age) }
end

-- What is true of all workers of a process together, the line among it.
local function pool_text(one)
  local f = one.figures
  local ended = f.done + f.failed
  return ("process %d%s: %s of at most %d, %s in line, %s done%s, %s")
    :format(one.pid, one.alive and "" or ", which has ended", term.plural(f.threads, "worker"), f.max,
    term.count(f.queued), term.count(ended),
    f.success and (", %s of them well"):format(percent(f.success)) or "",
    "as of " .. term.duration(math.max(0, session.now() - f.time)) .. " ago")
end

local function draw(titles, rows, cells)
  local drawn = {}
  for i, row in ipairs(rows) do drawn[i] = cells(row) end
  session.table(titles, drawn)
end

local function draw_workers(pools)
  local rows = {}
  for _, one in ipairs(pools) do
    out.write("\n", pool_text(one), "\n")
    for _, worker in ipairs(one.figures.workers) do rows[#rows + 1] = { pid = one.pid, worker = worker } end
  end
  if #rows > 0 then draw(WORKERS, rows, worker_cells) end
end

stats.main = session.command("stats", function(db, args)
  local json, statistics = require("orrery.core").json, require "orrery.history.statistics"
  if args.workflow then require("orrery.history.filter").check_workflow(db, args.workflow) end
  local workflows = statistics.workflows(db, args.workflow)
  local workers = statistics.workers(db)
  local nodes = args.workflow and statistics.nodes(db, args.workflow)
  local agents, costs = statistics.agents(db, args.workflow), statistics.costs(db, args.workflow)
  if args.json then
    session.json { workflows = json.array(workflows), nodes = nodes and json.array(nodes) or nil,
      agents = #agents > 0 and json.array(agents) or nil,
      costs = #costs > 0 and json.array(costs) or nil, workers = json.array(workers) }
  elseif #workflows == 0 then
    session.note "no runs yet: `orrery run FILE` makes one"
  else
    draw(WORKFLOWS, workflows, workflow_cells)
    if nodes and #nodes > 0 then
      out.write "\n"
      draw(NODES, nodes, node_cells)
    end
    if #agents > 0 then
      out.write "\n"
      draw(AGENTS, agents, agent_cells)
    end
    if #costs > 0 then
      out.write "\n"
      draw(COSTS, costs, cost_cells)
    end
    draw_workers(workers)
  end
end, session.lists)

return stats
