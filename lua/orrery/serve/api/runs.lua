--- What the API says of runs. Nothing is read here: the thread reads, and gives the text of the
--- answer.
local problem = require "orrery.serve.problem"

local runs = {}

local JSON = { type = "application/json" }

local function asked(call, name, ...)
  return call.host.reads:text("orrery.serve.reads.asks", name, ...), JSON
end

--- A page of runs.
---@param call orrery.serve.Call
---@return string json
---@return table options
function runs.list(call)
  local args, own = call.query, call.who.workflows
  if args.workflow then call:must(args.workflow)
  elseif own then args.workflows = own end
  return asked(call, "runs", args)
end

-- The answer about the run in the path.
local function about(name)
  return function(call)
    local args = call.query or {}
    args.node = call.params.node or args.node
    if args.search then
      return call.host.reads:slowly("orrery.serve.reads.asks", name, call.params.id, args), JSON
    end
    return asked(call, name, call.params.id, args)
  end
end

runs.show, runs.nodes, runs.node, runs.items = about "run", about "nodes", about "node", about "items"
runs.attempts, runs.steps, runs.signals = about "attempts", about "steps", about "signals"
runs.logs, runs.why, runs.published = about "logs", about "why", about "published"

local function drawn(name)
  return function(call)
    return call.host.reads:text("orrery.serve.reads.drawings", name, call.params.id), JSON
  end
end

runs.graph, runs.timeline = drawn "graph", drawn "timeline"

-- The answer about the run in the path and another, of which who asks may see the workflow as well.
local function compared(name)
  return function(call)
    local reads = call.host.reads
    local other = reads:value("orrery.serve.reads.asks", "which", call.params.other)
    call:must(other.workflow)
    return reads:slowly("orrery.serve.reads.compared", name, call.params.id, other.id, call.query or {}), JSON
  end
end

runs.compare, runs.compare_nodes = compared "runs", compared "nodes"

--- Figures over runs.
---@param call orrery.serve.Call
---@return string json
---@return table options
function runs.statistics(call)
  local args, own = call.query, call.who.workflows
  if args.workflow then call:must(args.workflow) end
  if own and #own == 0 then problem.raise("forbidden", "this token is bound to no workflow") end
  args.workflows = not args.workflow and own or nil
  if args.workflow then return call.host.reads:slowly("orrery.serve.reads.asks", "statistics", args), JSON end
  return asked(call, "statistics", args)
end

return runs
