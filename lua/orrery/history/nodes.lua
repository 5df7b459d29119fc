--- The nodes of a run as the store has them: looking one up, and what is asked about several.
local column = require "orrery.history.column"
local items = require "orrery.history.items"

local nodes = {}

local MANY = 5000 -- names that are read for a suggestion

--- The names of the nodes that have rows.
---@param db orrery.Store
---@param run { number: integer }
---@return string[]
function nodes.names(db, run)
  local names = {}
  local rows = db:rows("node_names", { run = run.number, limit = MANY })
  for i, row in ipairs(rows) do names[i] = row.node end
  return names
end

--- Whether the node has a row.
---@param db orrery.Store
---@param run { number: integer }
---@param name string
---@return boolean
function nodes.has(db, run, name)
  return db:row("node_known", { run = run.number, node = name }) ~= nil
end

--- The row of a node or item, or nil. That of an item has its name as `item_name`.
---@param db orrery.Store
---@param run { number: integer, bundle: string|nil }
---@param name string
---@param item? integer|string the number of an item, or its name
---@return table|nil row of `nodes`
function nodes.find(db, run, name, item)
  local whole = db:row("node", { run = run.number, node = name, item = 0 })
  if not item or not whole then return whole end
  local number = items.number(db, whole, item)
  if not number then return nil end
  local row = db:row("node", { run = run.number, node = name, item = number })
    or items.idle(db, run, whole, number)
  if row then row.item_name = items.name(db, whole, number) end
  return row
end

--- The nodes that did not simply complete, each with its items that failed behind it, in the order
--- of the definition; such items also of a node that completed.
---@param db orrery.Store
---@param run { number: integer }
---@param most? integer
---@return fun(): table|nil rows of `nodes`
function nodes.notable(db, run, most)
  return db:each_row("nodes_notable", { run = run.number, limit = most })
end

--- Whether a node does something now. One with `each` is running until its last item has ended,
--- also while none of them does anything.
---@param db orrery.Store
---@param node table row of `nodes`
---@return boolean
function nodes.at_work(db, node)
  if node.state ~= "running" then return false end
  local known = db:row("node_items", { run = node.run, node = node.node })
  return node.item > 0 or known.begun == 0 or known.live > 0
end

--- The nodes that a node is after, by its run's definition. An entry of `after` is a name, or a
--- table with the node and an outcome or condition.
---@param db orrery.Store
---@param run { bundle: string|nil }
---@param node table row of `nodes`
---@return string[]
function nodes.after(db, run, node)
  local text = db:row("node_after", { bundle = run.bundle, idx = node.idx })
  local after, names = text and column.plain(text.after), {}
  for i, entry in ipairs(type(after) == "table" and after or {}) do
    names[i] = type(entry) == "table" and entry.node or entry
  end
  return names
end

--- The state of a node; nil where nothing of it was recorded yet.
---@param db orrery.Store
---@param run { number: integer }
---@param name string
---@return string|nil
function nodes.state(db, run, name)
  local row = db:row("node_state", { run = run.number, node = name })
  return row and row.state
end

return nodes
