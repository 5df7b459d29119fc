--- What nodes have logged.
local column = require "orrery.history.column"
local core = require "orrery.core"
local mistake = require "orrery.history.mistake"
local items = require "orrery.history.items"
local nodes = require "orrery.history.nodes"

local logs = {}

local LEVELS = { "debug", "info", "warn", "error" }
local RANK = { debug = 1, info = 2, warn = 3, warning = 3, error = 4 }

local PAGE = 1000

local function rank_of(level)
  if not level then return nil end
  if RANK[level] then return RANK[level] end
  local near = require "orrery.nearest"(level, LEVELS)
  mistake.raise(("'%s' is no level%s"):format(level, near and ("; did you mean '%s'?"):format(near)
    or ": they are " .. table.concat(LEVELS, ", ")))
end

-- Of an item without a row there is no line: it has the number of none.
local function number_of(db, run, word)
  local name, item = items.parts(word)
  if not item then return name, nil end
  local node = nodes.find(db, run, name, item)
  return name, node and node.item or -1
end

--- The lines of a run after one of them, in order. Raises a mistake for a level that there is not.
---@param db orrery.Store
---@param run { number: integer }
---@param chosen { node: string|nil, level: string|nil } of this node or item; from this level on
---@param last integer `id` of the line before; 0 for all
---@return fun(): table|nil rows of `logs`
function logs.each(db, run, chosen, last)
  local asked = { run = run.number, rank = rank_of(chosen.level), limit = PAGE }
  if chosen.node then asked.node, asked.item = number_of(db, run, chosen.node) end
  local page, at = nil, 0
  return function()
    at = at + 1
    if not page or (not page[at] and #page == PAGE) then
      asked.after = last
      page, at = db:rows("logs_of_run", asked), 1
    end
    local row = page[at]
    if row then last = row.id end
    return row
  end
end

local LIMIT, SCAN, BYTES = 100, 20000, 1 << 20 -- of a page: lines, lines that are looked at, and bytes

-- The line that a page begins behind: the one before the last `tail` of those that are wanted.
local function behind_tail(db, asked, tail)
  local rows = db:rows("log_tail", { run = asked.run, node = asked.node, item = asked.item,
    rank = asked.rank, before = math.maxinteger, scan = SCAN, limit = tail })
  return rows[1] and rows[#rows].id - 1 or 0
end

---@class orrery.LogsAsked
---@field after integer|nil `id` of the line that the page begins behind
---@field tail integer|nil in its place: from so many lines before the end on
---@field limit integer|nil
---@field node string|nil
---@field level string|nil from this level on
---@field search string|nil text that the message or the fields hold, in upper or lower case

--- A page of the lines of a run, in order. It looks at so many lines and no more, so that it takes
--- a bounded time and memory however long the log is: a page of a search may have few lines, or
--- none, and not be the last.
---@param db orrery.Store
---@param run table
---@param args orrery.LogsAsked
---@return { lines: table[], last: integer, more: boolean } last: go on after it; more: there are
--- others already; of a message above 64 KiB the beginning is there, and `message_bytes`
function logs.page(db, run, args)
  local asked = { run = run.number, rank = rank_of(args.level), search = args.search,
    limit = args.limit or LIMIT, bytes = BYTES }
  if args.node then asked.node, asked.item = number_of(db, run, args.node) end
  asked.after = args.after or args.tail and behind_tail(db, asked, args.tail) or 0
  local scanned = db:row("log_scanned", { run = run.number, after = asked.after, scan = SCAN })
  if not scanned.id then return { lines = core.json.array {}, last = asked.after, more = false } end
  asked.last = scanned.id
  local rows, names, lines, size = db:rows("log_page", asked), items.names(db, run), {}, 0
  for i, row in ipairs(rows) do
    lines[i] = logs.plain(row, run, names)
    lines[i].id, lines[i].run = row.id, nil
    lines[i].message_bytes = row.bytes > #row.message and row.bytes or nil
    size = size + #row.message + #(row.fields or "")
  end
  local cut = #rows == asked.limit or size > BYTES
  local last = cut and rows[#rows].id or scanned.id
  return { lines = core.json.array(lines), last = last, more = cut or scanned.n == SCAN }
end

--- What the item of a line is called.
---@param row table of `logs`
---@param names table<string, string[]> of `items.names`
---@return string|nil
function logs.item_name(row, names)
  return row.node and (row.item or 0) > 0 and names[row.node][row.item] or nil
end

--- A line as plain data.
---@param row table of `logs`
---@param run { id: string }
---@param names table<string, string[]> of `items.names`
---@return table
function logs.plain(row, run, names)
  return { run = run.id, node = row.node, item = (row.item or 0) > 0 and row.item or nil,
    item_name = logs.item_name(row, names),
    iteration = row.iteration, attempt = row.attempt, time = row.time, level = row.level,
    message = row.message,
    fields = column.plain(row.fields) }
end

--- Whether a run has not ended, and may log more.
---@param db orrery.Store
---@param run { number: integer }
---@return boolean
function logs.may_grow(db, run)
  return db:row("run_is_live", { run = run.number }) ~= nil
end

return logs
