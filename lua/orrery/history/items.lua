--- The items of nodes with `each`, as the store has them: what they are called, and those that have
--- no row because nothing has happened to them yet.
local column = require "orrery.history.column"

local items = {}

--- Takes "fetch[3]" or "fetch[Oslo]" apart. A name is never a number.
---@param word string a node, or one item of it
---@return string name the whole word where it names no item
---@return integer|string|nil item its number or its name
function items.parts(word)
  local name, item = word:match "^([^%[]+)%[(.+)%]$"
  return name or word, math.tointeger(tonumber(item and item:match "^%d+$")) or item
end

local function names_of(db, text)
  local names = text and column.value(db, text)
  return type(names) == "table" and names or {}
end

--- The names of all items of a run.
---@param db orrery.Store
---@param run { number: integer }
---@return table<string, string[]> by node; of items without names an empty list
function items.names(db, run)
  local names = {}
  for row in db:each_row("items_named", { run = run.number }) do
    names[row.node] = names_of(db, row.item_names)
  end
  return setmetatable(names, { __index = function() return {} end })
end

--- The number of an item of a node.
---@param db orrery.Store
---@param node table row of `nodes`, of the whole node
---@param item integer|string its number or its name
---@return integer|nil
function items.number(db, node, item)
  if math.type(item) == "integer" then return item end
  for i, name in ipairs(names_of(db, node.item_names)) do
    if name == item then return i end
  end
end

--- What the items of a node are called; empty where they have no names.
---@param db orrery.Store
---@param node table row of `nodes`, of the whole node
---@return string[]
function items.names_of(db, node) return names_of(db, node.item_names) end

--- What an item is called; nil where it has no name.
---@param db orrery.Store
---@param node table row of `nodes`, of the whole node
---@param item integer
---@return string|nil
function items.name(db, node, item) return names_of(db, node.item_names)[item] end

local MOST_FAILED = 3

--- The items of a node that failed: how many of how many, and the first few; nil where none did.
---@param db orrery.Store
---@param node table row of `nodes`, of the whole node
---@return { failed: integer, items: integer, first: { item: integer, item_name: string|nil, error: any }[] }|nil
function items.failed(db, node)
  if node.item > 0 or (node.items or 0) == 0 then return nil end
  local known, first = db:row("node_items", { run = node.run, node = node.node }), {}
  if known.failed == 0 then return nil end
  local names = names_of(db, node.item_names)
  for row in db:each_row("items_failed", { run = node.run, node = node.node, limit = MOST_FAILED }) do
    first[#first + 1] = { item = row.item, item_name = names[row.item], error = column.plain(row.error),
      attempts = row.attempts }
  end
  return { failed = known.failed, items = node.items, first = first }
end

--- How many items of each node may be under way, of nodes that say so.
---@param db orrery.Store
---@param run { bundle: string|nil }
---@return table<integer, integer> by the node's place in the definition
function items.bounds(db, run)
  local bounds = {}
  for row in db:each_row("nodes_bounded", { bundle = run.bundle }) do bounds[row.idx] = row.places end
  return bounds
end

--- The row of an item that has none, because nothing has happened to it; nil where there is no such
--- item.
---@param db orrery.Store
---@param run { bundle: string|nil }
---@param node table row of `nodes`, of the whole node
---@param item integer
---@return table|nil
function items.idle(db, run, node, item)
  if not node.items or item < 1 or item > node.items then return nil end
  local state = items.bounds(db, run)[node.idx] and "pending" or "ready"
  return { run = node.run, node = node.node, idx = node.idx, item = item, state = state, attempts = 0,
    iteration = 1 }
end

return items
