--- The parts of a run a page at a time, however many it has: nodes, items, attempts, steps,
--- signals. Pages go by the keys of the tables, so that each costs what it holds.
local column = require "orrery.history.column"
local items = require "orrery.history.items"
local mistake = require "orrery.history.mistake"
local nodes = require "orrery.history.nodes"
local core = require "orrery.core"
local digits = require "orrery.text"

local parts = {}

local json = core.json

local LIMIT = 100 -- of a page, where nothing is said

-- ---- cursors ------------------------------------------------------------------------------------

local function place_of(text, usual)
  if not text then return usual end
  return text:match "^%d+$" and #text < 19 and math.tointeger(tonumber(text)) or mistake.cursor(text)
end

-- A key of several columns; it goes to the store as it came, as a value.
local function key_of(text)
  if not text then return json.array { "" } end
  local plain = text:find "^%x+$" and #text % 2 == 0
    and digits.unhex(text)
  local ok, key = pcall(json.decode, plain or "")
  if not ok or not json.is_array(key) then mistake.cursor(text) end
  return key
end

---@class orrery.PageOf
---@field name string what the page calls its rows
---@field query string
---@field plain fun(row: table, db: orrery.Store): table
---@field behind fun(row: table): string the cursor of a page behind it

-- Asks for a page.
local function page(db, kind, asked, args)
  asked.limit = args.limit or LIMIT
  local rows, made = db:rows(kind.query, asked), {}
  for i, row in ipairs(rows) do made[i] = kind.plain(row, args) end
  return { [kind.name] = json.array(made),
    next = #rows == asked.limit and kind.behind(rows[#rows]) or nil }
end

-- ---- nodes --------------------------------------------------------------------------------------

local function above_one(n) return n > 1 and n or nil end
local function above_none(n) return n > 0 and n or nil end

--- A node or item as plain data, without its output.
---@param row table of `nodes`
---@return table
function parts.node_of(row)
  return {
    name = row.node, item = above_none(row.item), item_name = row.item_name, state = row.state,
    attempts = row.attempts, iteration = above_one(row.iteration), started = row.started, ended = row.ended,
    due = row.due, error = column.plain(row.error), source = row.source, outcome = row.outcome,
    why = column.plain(row.why), items = row.item == 0 and row.items or nil,
  }
end

-- With the output where it is small enough for a page; otherwise with its size.
local function node_row(row, args)
  local made = parts.node_of(row)
  made.index = row.idx + 1
  made.output = column.plain(row.output)
  if row.output_bytes and row.output == nil then made.output_bytes = row.output_bytes end
  if args.names then made.item_name = args.names[row.item] end
  return made
end

local NODES = { name = "nodes", query = "nodes_page", plain = node_row,
  behind = function(row) return tostring(row.idx) end }
local ITEMS = { name = "items", query = "items_page", plain = node_row,
  behind = function(row) return tostring(row.item) end }

--- A page of the nodes of a run, in the order of the definition, without their items.
---@param db orrery.Store
---@param run { number: integer }
---@param args { limit: integer|nil, cursor: string|nil, state: string|nil }
---@return { nodes: table[], next: string|nil } an output above 16 KiB is left out, and
---  `output_bytes` is there in its place
function parts.nodes(db, run, args)
  return page(db, NODES, { run = run.number, after = place_of(args.cursor, -1), state = args.state }, args)
end

local function none(db, run, word)
  local near = require "orrery.nearest"((items.parts(word)), nodes.names(db, run))
  error(setmetatable({ code = "node_not_found", retryable = false,
    message = ("run %s has no node '%s'%s"):format(run.id, word,
    near and ("; did you mean '%s'?"):format(near) or "") }, core.error_mt), 0)
end

--- The row of a node or item by its name, such as "fetch", "fetch[3]" or "fetch[Oslo]". Raises
--- `node_not_found` where there is none.
---@param db orrery.Store
---@param run table
---@param word string
---@return table row of `nodes`
function parts.find(db, run, word)
  local name, item = items.parts(word)
  return nodes.find(db, run, name, item) or none(db, run, word)
end

--- A page of the items of a node that have begun.
---@param db orrery.Store
---@param run table
---@param args { node: string, limit: integer|nil, cursor: string|nil, state: string|nil }
---@return { items: table[], next: string|nil, total: integer } `total`: also those that have not
function parts.items(db, run, args)
  local whole = parts.find(db, run, (items.parts(args.node)))
  local made = page(db, ITEMS, { run = run.number, idx = whole.idx, after = place_of(args.cursor, 0),
    state = args.state },
    { limit = args.limit, names = items.names_of(db, whole) })
  made.total = whole.items or 0
  return made
end

--- One node or item, with its output.
---@param db orrery.Store
---@param run table
---@param word string
---@return table
function parts.node(db, run, word)
  local row = parts.find(db, run, word)
  local made = parts.node_of(row)
  made.index, made.output = row.idx + 1, column.value(db, row.output)
  if row.item == 0 and row.items then
    local known = db:row("node_items", { run = run.number, node = row.node })
    made.begun, made.live, made.settled, made.failed = known.begun, known.live, known.ended, known.failed
  end
  return made
end

-- ---- attempts, steps, signals -------------------------------------------------------------------

local ATTEMPTS = { name = "attempts", query = "attempts_page",
  plain = function(row)
    return { node = row.node, item = above_none(row.item), iteration = above_one(row.iteration),
      attempt = row.attempt, phase = row.phase, state = row.state, started = row.started, ended = row.ended,
      error = column.plain(row.error), interrupted = above_none(row.interrupted) }
  end,
  behind = function(row)
    return digits.hex(json.encode { row.node, row.item, row.iteration, row.attempt, row.phase })
  end }

local STEPS = { name = "steps", query = "steps_page",
  plain = function(row)
    return { node = row.node, item = above_none(row.item), iteration = above_one(row.iteration),
      path = row.path ~= "" and row.path or nil, ordinal = row.ordinal, name = row.name, kind = row.kind,
      attempt = row.attempt, value = column.plain(row.value),
      value_bytes = row.value == nil and row.value_bytes or nil, error = column.plain(row.error),
      time = row.time }
  end,
  behind = function(row)
    return digits.hex(json.encode { row.node, row.item, row.iteration, row.path, row.ordinal, row.name })
  end }

local SIGNALS = { name = "signals", query = "signals_page",
  plain = function(row)
    return { seq = row.seq, name = row.name, data = column.plain(row.data), sent = row.sent,
      received = row.received, taken = row.taken }
  end,
  behind = function(row) return tostring(row.seq) end }

local function of_a_node(db, run, args, kind)
  local asked = { run = run.number, after = key_of(args.cursor) }
  if args.node then
    local row = parts.find(db, run, args.node)
    asked.node, asked.item = row.node, select(2, items.parts(args.node)) and row.item or nil
  end
  return page(db, kind, asked, args)
end

--- A page of the attempts of a run, by node, item, iteration and number.
---@param db orrery.Store
---@param run table
---@param args { node: string|nil, limit: integer|nil, cursor: string|nil }
---@return { attempts: table[], next: string|nil }
function parts.attempts(db, run, args) return of_a_node(db, run, args, ATTEMPTS) end

--- A page of its steps, by node, item, iteration and place.
---@param db orrery.Store
---@param run table
---@param args { node: string|nil, limit: integer|nil, cursor: string|nil }
---@return { steps: table[], next: string|nil } a value above 16 KiB is left out, and `value_bytes` is
---  there in its place
function parts.steps(db, run, args) return of_a_node(db, run, args, STEPS) end

--- A page of the signals it has received, in that order.
---@param db orrery.Store
---@param run table
---@param args { limit: integer|nil, cursor: string|nil }
---@return { signals: table[], next: string|nil }
function parts.signals(db, run, args)
  return page(db, SIGNALS, { run = run.number, after = place_of(args.cursor, 0) }, args)
end

return parts
