--- `pipe`: rows that stream through stages, as one node.
local flow = require "orrery"

local function place(i, count)
  if i == 1 then return "the first" end
  return i == count and "the last" or ("number %d"):format(i)
end

-- Whether a stage is given rows: in its node, in the node's `with`, or in what the handler has of
-- it.
local function has_rows(item)
  for _, key in ipairs { "config", "with" } do
    local inner = rawget(item, key)
    if type(inner) == "table" and inner.rows ~= nil then return true end
  end
  return rawget(item, "rows") ~= nil
end

-- What is wrong with one stage of those that are known.
local function stage_problem(T, i, count, item)
  if not T.stage then
    return ("stages[%d]: %s is no stage; csv.read, data.filter and what `flow.type { stage = … }` makes are")
      :format(i, T.name)
  elseif i == 1 and not T.source and not has_rows(item) then
    return ("stages[1]: %s takes rows, and is %s; give it rows = \"${nodes.x}\", or begin with a stage that "
      .. "reads, such as csv.read"):format(T.name, place(i, count))
  elseif i > 1 and has_rows(item) then
    return ("stages[%d]: %s is given rows, and takes those of the stage before it; leave out its rows")
      :format(i, T.name)
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
    local message = T and stage_problem(T, i, count, item)
    if message then return message, "stages" end
  end
end

return flow.type {
  name = "pipe",
  doc = "Streams rows through stages, as one node and one attempt: the first reads, or has a list in "
    .. "its rows, and each other takes the rows of the one before it. Outputs { rows_in, rows_out, rejected, "
    .. "files, stages }, with counts and paths of each stage, and rows where the last stage writes nothing. "
    .. "Files are in their places once all stages have ended.",
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
    [[flow.pipe {
  flow.data.filter { rows = "${nodes.fetch.items}", where = "row.total > 0" },
  flow.sqlite.load { database = "shop.db", table = "orders" },
}]],
  },
  run = function(ctx, config) return flow.rows.run(ctx, config.stages) end,
}
