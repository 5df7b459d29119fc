--- `orrery stats`: figures over all runs of a store, by workflow, or by the nodes of one. The figures are those of the views
--- `workflow_stats` and `node_stats`.
local columns = require "orrery.cli.columns"
local history = require "orrery.cli.history"
local term = require "orrery.cli.term"

local stats = {}

local function seconds(value) return value and term.duration(value) or "" end
local function count(value) return value and value > 0 and term.count(value) or "" end

local function success(row)
  if not row.success then return "" end
  return { ("%.1f %%"):format(row.success * 100), style = row.success < 0.9 and "red" or nil }
end

local WORKFLOWS = {
  "WORKFLOW", ">RUNS", ">UNFINISHED", ">COMPLETED", ">FAILED", ">CANCELLED", ">UNDONE", ">SUCCESS", ">P50", ">P95", ">P99",
}

local function workflow_cells(row)
  return { term.clean(row.workflow), term.count(row.runs), count(row.unfinished), count(row.completed),
    { count(row.failed), style = "red" }, count(row.cancelled), count(row.compensated + row.compensation_failed), success(row),
    seconds(row.p50), seconds(row.p95), seconds(row.p99) }
end

local NODES = { "NODE", ">RUNS", ">COMPLETED", ">FAILED", ">RETRIES", ">P50", ">P95", ">P99" }

local function node_cells(row)
  return { term.clean(row.node), term.count(row.runs), count(row.completed), { count(row.failed), style = "red" }, count(row.retries),
    seconds(row.p50), seconds(row.p95), seconds(row.p99) }
end

local function draw(titles, rows, cells)
  local drawn = {}
  for i, row in ipairs(rows) do drawn[i] = cells(row) end
  local width, paint = history.screen()
  io.stdout:write(table.concat(columns.draw(titles, drawn, { width = width, paint = paint }), "\n"), "\n")
end

stats.main = history.command("stats", function(db, args)
  local json, where, parameters = require("orrery.core").json, "", {}
  if args.workflow then
    require("orrery.cli.filter").check_workflow(db, args.workflow)
    where, parameters = " WHERE workflow = ?", { args.workflow }
  end
  local workflows = db:query("SELECT * FROM workflow_stats" .. where .. " ORDER BY workflow", table.unpack(parameters))
  local nodes = args.workflow and db:query("SELECT * FROM node_stats" .. where .. " ORDER BY node", table.unpack(parameters))
  if args.json then
    history.json { workflows = json.array(workflows), nodes = nodes and json.array(nodes) or nil }
  elseif #workflows == 0 then
    history.note "no runs yet: `orrery run FILE` makes one"
  else
    draw(WORKFLOWS, workflows, workflow_cells)
    if nodes and #nodes > 0 then
      io.stdout:write "\n"
      draw(NODES, nodes, node_cells)
    end
  end
end, history.lists)

return stats
