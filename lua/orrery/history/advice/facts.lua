--- What the newest runs of a workflow have shown, gathered for advice.
local column = require "orrery.history.column"
local durations = require "orrery.history.durations"
local retries = require "orrery.history.advice.retries"

local MOST_RUNS = 200

---@class orrery.AdviceFacts
---@field workflow string
---@field runs integer that are over
---@field names string[] of its nodes, as the newest of them has them
---@field nodes table<string, table> by name: `definition` of the node, `tasks`, `attempts` that completed (seconds,
---  rising), `seconds` of the node, `waits`, `demand`
---@field pools table<string, table> by name, as they were when the newest run began
---@field concurrency integer|nil
---@field outputs table<string, { runs: integer, outputs: integer }>

local function node_of(facts, name)
  local node = facts.nodes[name]
  if not node then
    node = { name = name, definition = {}, tasks = {}, attempts = {}, waits = {}, spans = {} }
    facts.nodes[name], facts.names[#facts.names + 1] = node, name
  end
  return node
end

-- The code of the newest run: the policies of its nodes, and what they depend on.
local function read_definition(facts, db, bundle)
  local row = bundle and db:get("bundle", bundle)
  local definition = row and column.plain(row.definition)
  local arguments = row and column.plain(row.arguments)
  if type(definition) ~= "table" then return end
  facts.concurrency, facts.estimates = definition.concurrency, definition.estimates
  facts.pools = type(arguments) == "table" and arguments.pools or {}
  for _, node in ipairs(definition.nodes or {}) do
    local after = {}
    for k, dep in ipairs(node.after or {}) do after[k] = type(dep) == "table" and dep.node or dep end
    local made = node_of(facts, node.name)
    made.definition, made.after = node, after
  end
end

-- From when a node of a run could have started to when it did, and to its end.
local function add_waits(facts, run)
  for name, row in pairs(run.by_name) do
    local node = facts.nodes[name]
    if node and node.after and row.started and row.ended and row.source ~= "cache" then
      local ready = run.created
      for _, other in ipairs(node.after) do
        local before = run.by_name[other]
        ready = math.max(ready, before and before.ended or ready)
      end
      node.waits[#node.waits + 1] = math.max(0, row.started - ready)
      node.spans[#node.spans + 1] = { run = run.number, ready = math.min(ready, row.started),
        ended = row.ended }
    end
  end
end

local function read_runs(facts, db)
  local runs, last = {}, nil
  for row in db:each_row("nodes_of_workflow", { workflow = facts.workflow, limit = MOST_RUNS }) do
    if not last or last.number ~= row.run then
      last = { number = row.run, bundle = row.bundle, created = row.created, by_name = {} }
      runs[#runs + 1] = last
    end
    last.by_name[row.node] = row
  end
  facts.runs = #runs
  if last then read_definition(facts, db, last.bundle) end
  for _, run in ipairs(runs) do add_waits(facts, run) end
end

local function read_attempts(facts, db)
  local tasks = retries.tasks(db:each_row("attempts_of_workflow", { workflow = facts.workflow,
    limit = MOST_RUNS }))
  for _, task in ipairs(tasks) do
    local node = node_of(facts, task.node)
    node.tasks[#node.tasks + 1] = task
    for _, attempt in ipairs(task.attempts) do
      if not attempt.code then table.insert(node.attempts, attempt.ended - attempt.started) end
    end
  end
end

--- Gathers them.
---@param db orrery.Store
---@param workflow string
---@return orrery.AdviceFacts
return function(db, workflow)
  local facts = { workflow = workflow, runs = 0, names = {}, nodes = {}, pools = {}, outputs = {} }
  read_runs(facts, db)
  read_attempts(facts, db)
  local seconds = durations.of(db, workflow)
  for _, node in pairs(facts.nodes) do
    node.seconds = seconds[node.name] or {}
    table.sort(node.attempts)
    table.sort(node.waits)
  end
  for row in db:each_row("outputs_repeated", { workflow = workflow, limit = MOST_RUNS }) do
    facts.outputs[row.node] = row
  end
  return facts
end
