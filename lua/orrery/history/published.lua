--- What handlers have published of a run (`ctx:publish`), as a store has it.
local core = require "orrery.core"

local published = {}

local function value_of(row) return core.json.decode(row.value, { binary = true }) end

--- The value of a name, or all by name.
---@param db orrery.Store
---@param id string of the run
---@param name string|nil
---@return any
function published.of(db, id, name)
  local all = {}
  for _, row in ipairs(db:rows("published_of_run", { id = id })) do
    if row.name == name then return value_of(row) end
    all[row.name] = value_of(row)
  end
  if name == nil then return all end
end

--- All of them, by name, with who published each and when, as `orrery show --json` has it.
---@param db orrery.Store
---@param id string of the run
---@return { name: string, value: any, node: string|nil, item: integer|nil, attempt: integer|nil, time: number|nil }[]
function published.list(db, id)
  local list = {}
  for i, row in ipairs(db:rows("published_of_run", { id = id })) do
    list[i] = { name = row.name, value = value_of(row), node = row.node,
      item = row.item and row.item > 0 and row.item or nil, attempt = row.attempt, time = row.time }
  end
  return core.json.array(list)
end

return published
