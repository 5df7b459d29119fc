--- `pipe`: rows that stream through stages, as one node.
local flow = require "orrery"

local function place(i, count)
  if i == 1 then return "the first" end
  return i == count and "the last" or ("number %d"):format(i)
end

-- What is wrong with one stage of those that are known.
local function stage_problem(T, i, count)
  if not T.stage then
    return ("stages[%d]: %s is no stage; csv.read, data.filter and what `flow.type { stage = … }` makes are")
      :format(i, T.name)
  elseif i == 1 and not T.source then
    return ("stages[1]: %s takes rows, and is %s; begin with a stage that reads, such as csv.read")
      :format(T.name, place(i, count))
  elseif i > 1 and T.source then
    return ("stages[%d]: %s reads and takes no rows; only the first stage does that"):format(i, T.name)
  end
end

local function problem(config)
  local count = #config.stages
  if count == 0 then
    return "it has no stages; give it some, flow.pipe { flow.csv.read { … }, … }", "stages"
  end
  for i, item in ipairs(config.stages) do
    local T = flow.type_of(item) -- what is no type is told elsewhere
    local message = T and stage_problem(T, i, count)
    if message then return message, "stages" end
  end
end

return flow.type {
  name = "pipe",
  doc = "Streams rows through stages, as one node and one attempt: the first reads, each other takes the "
    .. "rows of the one before it. Outputs { rows_in, rows_out, rejected, files, stages }, with counts and "
    .. "paths of each stage, and rows where the last stage writes nothing. Files are in their places once "
    .. "all stages have ended.",
  config = flow.schema { stages = "any[]" },
  output = { rows_in = "integer", rows_out = "integer", rejected = "integer", files = "string[]",
    stages = "object[]", rows = "array?" },
  positional = "stages[]",
  nodes = "stages",
  check = problem,
  examples = {
    [[flow.pipe {
  flow.csv.read { path = "people.csv", types = { age = "integer" }, rejects = "bad.jsonl" },
  flow.data.filter { where = "row.age >= 18" },
  flow.data.dedupe { by = "email" },
  flow.csv.write { path = "adults.csv" },
}]],
  },
  run = function(ctx, config) return flow.rows.run(ctx, config.stages) end,
}
