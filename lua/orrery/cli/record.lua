--- Everything a store knows of one run, as plain data: what `orrery show --json` prints and `orrery show` draws.
local history = require "orrery.cli.history"
local json = require("orrery.core").json
local stored = require "orrery.store"

local record = {}

-- A column of JSON. A large value stands in `blobs`; it is fetched where asked, and its place is shown otherwise.
local function value_of(db, text, whole)
  if not whole or not stored.place(text) then return history.value(text) end
  return (stored.value(db, text))
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
        ended = row.ended, output = value_of(db, row.output, whole), error = history.value(row.error),
        interrupted = row.interrupted > 0 and row.interrupted or nil }
    end
  end
  return nodes
end

-- What a node waits for stands in its steps, until its owner says it; what an approval is asked for stands only there.
local function add_waits(nodes, steps)
  local reasons, by_name = require "orrery.cli.reasons", {}
  for _, node in ipairs(nodes) do by_name[node.name] = node end
  for _, step in ipairs(steps) do
    local node = by_name[step.node]
    if node and not step.item and node.state == "waiting" then
      if not node.why and step.value == nil and step.error == nil then
        node.why = reasons.of_step(step.kind, step.name, node.due)
      end
      if step.name == reasons.APPROVAL and type(step.value) == "table" then node.approval = step.value end
    end
  end
end

-- Where no process runs the run, what it ran last was cut off.
local function mark_interrupted(nodes, owner)
  if owner and owner.alive then return end
  for _, node in ipairs(nodes) do
    if history.INTERRUPTED[node.state] then node.interrupted = true end
    mark_interrupted(node.items or {})
  end
end

-- The last attempt to undo a node or an item.
local function last_undoing(node, item)
  local last
  for _, try in ipairs(node.tries or {}) do
    if try.phase == "compensate" and try.item == item then last = try end
  end
  return last or {}
end

-- What was undone, what could not be, what is still to be: in the order in which it was done. Of a node with items each stands for
-- itself.
local function compensations_of(nodes)
  local made, any = { undone = {}, failed = {}, under_way = {} }, false
  local into = { compensated = made.undone, compensation_failed = made.failed, compensating = made.under_way }
  local function add(node, part)
    local list, last = into[part.state], last_undoing(node, part.item)
    if not list then return end
    list[#list + 1] = { node = node.name, item = part.item, ended = last.ended, output = last.output,
      error = part.state == "compensation_failed" and part.error or nil }
    any = true
  end
  for _, node in ipairs(nodes) do
    for _, part in ipairs(node.items or { node }) do add(node, part) end
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
  if not run.ended then mark_interrupted(made.nodes, made.owner) end
  made.inbox, made.children = inbox_of(db, run), children_of(db, run)
  return made
end

return record
