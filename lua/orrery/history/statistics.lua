--- Figures over all runs of a store: those of the views `workflow_stats` and `node_stats`, and what
--- agents have used. Those of workflows come from sums that are kept; percentiles have three
--- digits.
local column = require "orrery.history.column"
local owners = require "orrery.history.owners"

local statistics = {}

--- Of the workflows, or of one.
---@param db orrery.Store
---@param workflow string|nil
---@return table[] rows as of `workflow_stats`, in the order of the names
function statistics.workflows(db, workflow)
  return db:rows("workflow_stats", { workflow = workflow })
end

--- Of the nodes of a workflow.
---@param db orrery.Store
---@param workflow string
---@return table[] rows of `node_stats`, in the order of the names
function statistics.nodes(db, workflow)
  return db:rows("node_stats", { workflow = workflow })
end

--- What the agents have used that nodes asked.
---@param db orrery.Store
---@param workflow string|nil
---@return table[] rows { workflow, node, agent, model, questions, input, output, cost }; tokens, and the
---  cost where it is known
function statistics.agents(db, workflow)
  return db:rows("agent_stats", { workflow = workflow })
end

--- What nodes have counted by `ctx:cost`.
---@param db orrery.Store
---@param workflow string|nil
---@return table[] rows { workflow, node, name, runs, amount }; runs that counted it
function statistics.costs(db, workflow)
  return db:rows("cost_stats", { workflow = workflow })
end

--- What the workers of the processes have done, as these last said: of those that live, and of the
--- one that said something last.
---@param db orrery.Store
---@return { owner: integer, pid: integer|nil, alive: boolean, pool: integer, figures: orrery.WorkersFigures }[]
function statistics.workers(db)
  local found, last = {}, nil
  for row in db:each_row "workers" do
    local figures = column.plain(row.figures)
    local owner = type(figures) == "table" and owners.of(db, row)
    if owner then
      found[#found + 1] = { owner = row.owner, pid = owner.pid, alive = owner.alive, pool = row.pool,
        figures = figures }
      if not last or figures.time > last.figures.time then last = found[#found] end
    end
  end
  local shown = {}
  for _, one in ipairs(found) do
    if one.alive or one.owner == last.owner then shown[#shown + 1] = one end
  end
  return shown
end

return statistics
