--- The row of a run in the table `runs`, and the values it holds.
local column = require "orrery.history.column"
local core = require "orrery.core"

local run_row = {}

--- The states in which a run is over.
run_row.ENDED = { completed = true, failed = true, cancelled = true, compensated = true,
  compensation_failed = true }

--- The row of a run by its id, or nil.
---@param store orrery.Store
---@param id string
---@return table|nil
function run_row.find(store, id)
  return store:row("run", { id = id })
end

--- A value as a column of the store has it; one that is kept among the blobs comes from there.
--- Raises where it is there no more.
---@param store orrery.Store
---@param text string|nil
---@return any
function run_row.value(store, text)
  local value, missing = column.value(store, text)
  if missing then
    local message = ("a value of %d bytes is missing in the store: it has no blob %s"):format(missing.size,
      missing["$blob"])
    error(setmetatable({ code = "store_error", message = message, retryable = false }, core.error_mt), 0)
  end
  return value
end

--- The run of a workflow that has a key, or nil.
---@param store orrery.Store
---@param workflow string
---@param key string
---@return table|nil
function run_row.of_key(store, workflow, key)
  return store:row("run_by_key", { workflow = workflow, key = key })
end

return run_row
