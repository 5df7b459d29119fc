--- Graphs and charts with their coordinates, made on the thread: a large one takes its time.
local core = require "orrery.core"
local find = require "orrery.history.find"
local graph = require "orrery.history.graph"
local mistake = require "orrery.history.mistake"
local timeline = require "orrery.history.timeline"

local drawings = {}

--- The graph of a view (see `orrery.history.graph`).
---@param _ orrery.Store
---@param view orrery.graph.View
---@return table
function drawings.of_view(_, view) return graph.of(view) end

--- The graph of a run.
---@param db orrery.Store
---@param id string
---@return table
function drawings.graph(db, id)
  local run = find.must(db, id)
  return graph.of_run(db, run)
    or mistake.raise(("the store does not have the code of run %s, so its graph is not known"):format(run.id),
      "not_found")
end

--- The time chart of a run (see `orrery.history.timeline`); `left_out` where it has more nodes than
--- a graph may have.
---@param db orrery.Store
---@param id string
---@return table
function drawings.timeline(db, id)
  return db:snapshot(function()
    local run, nodes = find.must(db, id), {}
    if run.nodes > graph.MOST then -- others wait meanwhile
      return { from = run.started or run.created, to = run.ended, started = 0, nodes = core.json.object(),
        critical = core.json.array(), left_out = true }
    end
    for row in db:each_row("nodes_of_run", { run = run.number }) do
      if row.item == 0 then
        nodes[#nodes + 1] = { name = row.node, state = row.state, started = row.started, ended = row.ended }
      end
    end
    return timeline.of(db, run, nodes, core.time())
  end)
end

return drawings
