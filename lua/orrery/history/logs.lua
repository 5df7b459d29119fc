--- What nodes have logged.
local column = require "orrery.history.column"
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
