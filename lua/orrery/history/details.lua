--- Everything a store knows of one run, as plain data: what `orrery show --json` prints and `orrery
--- show` draws.
local column = require "orrery.history.column"
local items = require "orrery.history.items"
local owners = require "orrery.history.owners"
local plain_run = require "orrery.history.plain_run"
local json = require("orrery.core").json

local details = {}

-- A column of JSON. A large value stands in `blobs`; it is fetched where asked, and its place is
-- shown otherwise.
local function value_of(db, text, whole)
  if not whole or not column.refers(text) then return column.plain(text) end
  return (column.value(db, text))
end

local function node_of(db, row, whole)
  return {
    name = row.node, item = row.item > 0 and row.item or nil, state = row.state, attempts = row.attempts,
    iteration = row.iteration > 1 and row.iteration or nil, started = row.started, ended = row.ended,
    due = row.due,
    output = value_of(db, row.output, whole), error = column.plain(row.error), source = row.source,
    outcome = row.outcome,
    why = column.plain(row.why),
  }
end

-- The items of a node in their order: those that have a row, and those that nothing has happened
-- to.
local function with_idle(known, count, state)
  local list, at = {}, 1
  for i = 1, count do
    if known[at] and known[at].item == i then
      list[i], at = known[at], at + 1
    else
      list[i] = { item = i, state = state, attempts = 0 }
    end
  end
  return list
end

-- What their nodes say of items stands in the rows of the whole nodes.
local function complete_items(db, run, expanded, names)
  local bounds = #expanded > 0 and items.bounds(db, run)
  for _, row in ipairs(expanded) do
    local node, own = row.made, names[row.node]
    if not node.ended then
      node.parallel = bounds[row.idx]
      node.items = with_idle(node.items or {}, row.items, node.parallel and "pending" or "ready")
    end
    for _, item in ipairs(node.items or {}) do item.item_name = own[item.item] end
  end
end

-- Nodes in the order of the definition, each with its items and its attempts.
local function nodes_of(db, run, whole, names)
  local nodes, by_name, expanded = {}, {}, {}
  for row in db:each_row("nodes_of_run", { run = run.number }) do
    local node = node_of(db, row, whole)
    local of = by_name[row.node]
    if row.item == 0 or not of then
      nodes[#nodes + 1], by_name[row.node] = node, node
      if (row.items or 0) > 0 then
        expanded[#expanded + 1], row.made = row, node
      end
    else
      of.items = of.items or {}
      of.items[#of.items + 1] = node
      node.name = nil
    end
  end
  complete_items(db, run, expanded, names)
  for row in db:each_row("attempts_of_run", { run = run.number }) do
    local node = by_name[row.node]
    if node then
      node.tries = node.tries or {}
      node.tries[#node.tries + 1] = { attempt = row.attempt, item = row.item > 0 and row.item or nil,
        item_name = names[row.node][row.item],
        iteration = row.iteration > 1 and row.iteration or nil, phase = row.phase, state = row.state,
        started = row.started,
        ended = row.ended, output = value_of(db, row.output, whole), error = column.plain(row.error),
        interrupted = row.interrupted > 0 and row.interrupted or nil }
    end
  end
  return nodes
end

-- What a node waits for stands in its steps, until its owner says it; what an approval is asked for
-- stands only there.
local function add_waits(nodes, steps)
  local reasons, by_name = require "orrery.history.reasons", {}
  for _, node in ipairs(nodes) do by_name[node.name] = node end
  for _, step in ipairs(steps) do
    local node = by_name[step.node]
    if node and not step.item and node.state == "waiting" then
      if step.value == nil and step.error == nil then
        node.why = node.why or reasons.of_step(step.kind, step.name, node.due)
        reasons.add_child(node.why or {}, step.kind, step.name)
      end
      if step.name == reasons.APPROVAL and type(step.value) == "table" then node.approval = step.value end
    end
  end
end

-- While a run is paused nothing of it is due.
local function mark_paused(nodes)
  local reasons = require "orrery.history.reasons"
  for _, node in ipairs(nodes) do
    node.due = nil
    if type(node.why) == "table" then reasons.in_pause(node.why) end
    mark_paused(node.items or {})
  end
end

-- Where no process runs the run, what it ran last was cut off; a node with items where one of them
-- was.
local function mark_interrupted(nodes, owner)
  if owner and owner.alive then return end
  local any
  for _, node in ipairs(nodes) do
    local busy = plain_run.INTERRUPTED[node.state]
    if node.items and #node.items > 0 then busy = mark_interrupted(node.items) end
    if busy then node.interrupted, any = true, true end
  end
  return any
end

-- The last attempts to undo a node, by item; 0 for the node itself.
local function last_undoings(node)
  local last = {}
  for _, try in ipairs(node.tries or {}) do
    if try.phase == "compensate" then last[try.item or 0] = try end
  end
  return last
end

-- What was undone, what could not be, what is still to be: in the order in which it was done. Of a
-- node with items each stands for itself.
local function compensations_of(nodes)
  local made, any = { undone = {}, failed = {}, under_way = {} }, false
  local into = { compensated = made.undone, compensation_failed = made.failed, compensating = made.under_way }
  local function add(node, part, undoings)
    local list, last = into[part.state], undoings[part.item or 0] or {}
    if not list then return end
    list[#list + 1] = { node = node.name, item = part.item, item_name = part.item_name,
      ended = last.ended, output = last.output,
      error = part.state == "compensation_failed" and part.error or nil }
    any = true
  end
  for _, node in ipairs(nodes) do
    local undoings = last_undoings(node)
    for _, part in ipairs(node.items or { node }) do add(node, part, undoings) end
  end
  local function earlier(a, b) return (a.ended or math.huge) < (b.ended or math.huge) end
  for name, list in pairs(made) do
    table.sort(list, earlier)
    made[name] = json.array(list)
  end
  return any and made or nil
end

-- What attempts have counted: in each attempt, and the sums of the run by name.
local function add_costs(db, run, nodes)
  local by_name, sums, any = {}, {}, false
  for _, node in ipairs(nodes) do by_name[node.name] = node end
  for row in db:each_row("costs_of_run", { id = run.id }) do
    sums[row.name], any = (sums[row.name] or 0) + row.amount, true
    local node = by_name[row.node]
    if node then
      node.costs = node.costs or {}
      node.costs[row.name] = (node.costs[row.name] or 0) + row.amount
    end
    for _, try in ipairs(node and node.tries or {}) do
      local same = (try.item or 0) == row.item and (try.iteration or 1) == row.iteration
      if same and try.attempt == row.attempt then
        try.costs = try.costs or {}
        try.costs[row.name] = row.amount
      end
    end
  end
  return any and sums or nil
end

local function steps_of(db, run, whole, names)
  local steps = {}
  for row in db:each_row("steps_of_run", { run = run.number }) do
    steps[#steps + 1] = { node = row.node, item = row.item > 0 and row.item or nil,
      item_name = names[row.node][row.item],
      iteration = row.iteration > 1 and row.iteration or nil, path = row.path ~= "" and row.path or nil,
      ordinal = row.ordinal,
      name = row.name, kind = row.kind, attempt = row.attempt, value = value_of(db, row.value, whole),
      error = column.plain(row.error), time = row.time }
  end
  return json.array(steps)
end

local function signals_of(db, run, whole)
  local signals = {}
  for row in db:each_row("signals_of_run", { run = run.number }) do
    signals[#signals + 1] = { name = row.name, data = value_of(db, row.data, whole), sent = row.sent,
      received = row.received,
      taken = row.taken }
  end
  return json.array(signals)
end

-- What others want of the run and nobody has taken out of the inbox.
local function inbox_of(db, run)
  local messages = {}
  for row in db:each_row("inbox_of_run", { run = run.number }) do
    local text = column.plain(row.text)
    messages[#messages + 1] = { message = row.name, signal = row.name == "signal" and type(text) == "table"
      and text.name or nil,
      sent = row.time }
  end
  return json.array(messages)
end

local function children_of(db, run)
  return json.array(db:rows("runs_of_parent", { run = run.number }))
end

--- What is known of a run itself, without what it consists of.
---@param db orrery.Store
---@param run table row of `find.one`
---@param whole? boolean fetch values that stand in `blobs`
---@return table
function details.head(db, run, whole)
  local made = plain_run.of(run)
  local row = db:row("run_values", { run = run.number }) or {}
  made.input, made.output = value_of(db, row.input, whole), value_of(db, row.output, whole)
  if made.output == nil then made.output = json.null end
  made.bundle, made.owner, made.forked_from = row.bundle, owners.of(db, run), row.forked_from
  made.lock = not run.ended and require("orrery.history.lock").of(db, run.number) or nil
  made.inbox = inbox_of(db, run)
  return made
end

--- Reads a run.
---@param db orrery.Store
---@param run table row of `find.one`
---@param whole? boolean fetch values that stand in `blobs`
---@return table
function details.of(db, run, whole)
  local made = details.head(db, run, whole)
  local names = items.names(db, run)
  made.total, made.nodes = made.nodes, json.array(nodes_of(db, run, whole, names))
  made.compensations = compensations_of(made.nodes)
  made.steps, made.signals = steps_of(db, run, whole, names), signals_of(db, run, whole)
  add_waits(made.nodes, made.steps)
  if not run.ended then mark_interrupted(made.nodes, made.owner) end
  if run.state == "paused" then mark_paused(made.nodes) end
  made.children = children_of(db, run)
  made.published = require("orrery.history.published").list(db, run.id)
  made.costs = add_costs(db, run, made.nodes)
  made.critical_path = require("orrery.history.critical").of(db, made)
  return made
end

return details
