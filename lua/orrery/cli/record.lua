--- Everything a store knows of one run, as plain data: what `orrery show --json` prints and `orrery show` draws.
local history = require "orrery.cli.history"
local json = require("orrery.core").json

local record = {}

-- A column of JSON. A large value stands in `blobs`: its place says which, and in which member of it; it is fetched where asked.
local function value_of(db, text, whole)
  local value = history.value(text)
  if not whole or type(value) ~= "table" or type(value["$blob"]) ~= "string" then return value end
  local blob = db:get("blob", value["$blob"])
  if not blob then return value end
  local made = history.value(blob.data)
  if value.member then return type(made) == "table" and made[value.member] or nil end
  return made
end

local function node_of(db, row, whole)
  return {
    name = row.node, item = row.item > 0 and row.item or nil, state = row.state, attempts = row.attempts,
    iteration = row.iteration > 1 and row.iteration or nil, started = row.started, ended = row.ended, due = row.due,
    output = value_of(db, row.output, whole), error = history.value(row.error), source = row.source, outcome = row.outcome,
    why = history.value(row.why),
  }
end

-- Nodes in the order of the definition, each with its items and its attempts.
local function nodes_of(db, run, whole)
  local nodes, by_name = {}, {}
  for row in db:each("SELECT * FROM nodes WHERE run = ? ORDER BY idx, item", run.number) do
    local node = node_of(db, row, whole)
    local of = by_name[row.node]
    if row.item == 0 or not of then
      nodes[#nodes + 1], by_name[row.node] = node, node
    else
      of.items = of.items or {}
      of.items[#of.items + 1] = node
      node.name = nil
    end
  end
  for row in db:each("SELECT * FROM attempts WHERE run = ? ORDER BY started, attempt", run.number) do
    local node = by_name[row.node]
    if node then
      node.tries = node.tries or {}
      node.tries[#node.tries + 1] = { attempt = row.attempt, item = row.item > 0 and row.item or nil,
        iteration = row.iteration > 1 and row.iteration or nil, phase = row.phase, state = row.state, started = row.started,
        ended = row.ended, error = history.value(row.error), interrupted = row.interrupted > 0 and row.interrupted or nil }
    end
  end
  return nodes
end

-- What a node waits for stands in its steps, until its owner says it.
local function add_waits(nodes, steps)
  local by_name = {}
  for _, node in ipairs(nodes) do by_name[node.name] = node end
  for _, step in ipairs(steps) do
    local node = by_name[step.node]
    if node and not step.item and node.state == "waiting" and not node.why and step.value == nil and step.error == nil then
      node.why = require("orrery.cli.reasons").of_step(step.kind, step.name, node.due)
    end
  end
end

-- What was undone, what could not be, what is still to be: node by node, in the order in which it was done.
local function compensations_of(nodes)
  local made, any = { undone = {}, failed = {}, under_way = {} }, false
  local into = { compensated = made.undone, compensation_failed = made.failed, compensating = made.under_way }
  for _, node in ipairs(nodes) do
    local list, last = into[node.state], nil
    for _, try in ipairs(node.tries or {}) do
      if try.phase == "compensate" then last = try end
    end
    if list then
      list[#list + 1] = { node = node.name, ended = last and last.ended,
        error = node.state == "compensation_failed" and node.error or nil }
      any = true
    end
  end
  local function earlier(a, b) return (a.ended or math.huge) < (b.ended or math.huge) end
  for name, list in pairs(made) do
    table.sort(list, earlier)
    made[name] = json.array(list)
  end
  return any and made or nil
end

local function steps_of(db, run, whole)
  local steps = {}
  for row in db:each("SELECT * FROM steps WHERE run = ? ORDER BY time, node, item, ordinal", run.number) do
    steps[#steps + 1] = { node = row.node, item = row.item > 0 and row.item or nil,
      iteration = row.iteration > 1 and row.iteration or nil, path = row.path ~= "" and row.path or nil, ordinal = row.ordinal,
      name = row.name, kind = row.kind, attempt = row.attempt, value = value_of(db, row.value, whole),
      error = history.value(row.error), time = row.time }
  end
  return json.array(steps)
end

local function signals_of(db, run, whole)
  local signals = {}
  for row in db:each("SELECT * FROM signals WHERE run = ? ORDER BY seq", run.number) do
    signals[#signals + 1] = { name = row.name, data = value_of(db, row.data, whole), sent = row.sent, received = row.received,
      taken = row.taken }
  end
  return json.array(signals)
end

-- What others want of the run and nobody has taken out of the inbox.
local function inbox_of(db, run)
  local messages = {}
  for row in db:each("SELECT name, text, time FROM inbox WHERE run = ? AND taken IS NULL ORDER BY id", run.number) do
    local text = history.value(row.text)
    messages[#messages + 1] = { message = row.name, signal = row.name == "signal" and type(text) == "table" and text.name or nil,
      sent = row.time }
  end
  return json.array(messages)
end

local function children_of(db, run)
  local children = {}
  for row in db:each("SELECT id, workflow, state, created, ended FROM runs WHERE parent = ? ORDER BY number", run.number) do
    children[#children + 1] = row
  end
  return json.array(children)
end

--- Reads a run.
---@param db orrery.Store
---@param run table row of `filter.one`
---@param whole? boolean fetch values that stand in `blobs`
---@return table
function record.of(db, run, whole)
  local made = history.run(run)
  local row = db:query("SELECT input, output, bundle, forked_from FROM runs WHERE number = ?", run.number)[1] or {}
  made.input, made.output = value_of(db, row.input, whole), value_of(db, row.output, whole)
  if made.output == nil then made.output = json.null end
  made.bundle, made.owner, made.forked_from = row.bundle, history.owner(db, run), row.forked_from
  made.total, made.nodes = made.nodes, json.array(nodes_of(db, run, whole))
  made.compensations = compensations_of(made.nodes)
  made.steps, made.signals = steps_of(db, run, whole), signals_of(db, run, whole)
  add_waits(made.nodes, made.steps)
  made.inbox, made.children = inbox_of(db, run), children_of(db, run)
  return made
end

return record
