--- What the runs of a store say of the handlers of a workflow: how long attempts took, how they
--- failed, and what they gave.
local column = require "orrery.history.column"
local core = require "orrery.core"

local MOST_RUNS = 200 -- the newest
local LARGEST = 1 << 20 -- bytes of an output that is kept as a sample

local function code_of(error)
  local decoded = column.plain(error)
  return type(decoded) == "table" and decoded.code or "error"
end

-- Outputs of the nodes of a run, by node.
local function outputs_of(db, run)
  local outputs = {}
  for _, row in ipairs(db:rows("node_outputs", { run = run })) do
    if row.state == "completed" and row.output and #row.output < LARGEST then
      outputs[row.node] = { value = column.value(db, row.output), outcome = row.outcome }
    end
  end
  return outputs
end

local function add(learned, db, run)
  local outputs = outputs_of(db, run)
  for _, row in ipairs(db:rows("attempts_of_run", { run = run })) do
    local completed, whole = row.state == "completed", outputs[row.node]
    local of_node = row.phase == "run" and row.ended and (row.item or 0) == 0
    if of_node and (row.error or completed and whole) then
      local samples = learned[row.node] or {}
      learned[row.node] = samples
      samples[#samples + 1] = { took = math.max(0, row.ended - row.started),
        code = row.error and code_of(row.error), output = whole and whole.value,
        outcome = whole and whole.outcome }
    end
  end
end

--- Reads the newest runs of a workflow. Raises where the store cannot be read or has none.
---@param url string
---@param workflow string
---@return table<string, {took: number, code: string?, output: any, outcome: string?}[]> samples by node
return function(url, workflow)
  local db <close> = core.store(url)
  local learned = {}
  db:project()
  for _, row in ipairs(require("orrery.history.list").newest(db, { workflow = workflow }, MOST_RUNS)) do
    add(learned, db, row.number)
  end
  if next(learned) == nil then
    error(("it has no attempts of a workflow %q: run it first with --store"):format(workflow), 0)
  end
  return learned
end
