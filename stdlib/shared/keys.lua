--- Keys of rows: what the fields that a config names by `by` have in them.
local flow = require "orrery"

local null = flow.json.null

local keys = {}

--- The names of the fields, which may be given as one.
---@param by string|string[]
---@return string[]
function keys.names(by) return type(by) == "table" and by or { by } end

--- A text that is equal for rows whose fields are; nil where one of them is missing, for what is
--- missing equals nothing. Raises for a field that is a list or an object.
---@param row table
---@param names string[]
---@return string|nil
function keys.of(row, names)
  for i = 1, #names do
    local value = row[names[i]]
    if value == nil or value == null then return nil end
  end
  return flow.rows.sort_key(row, names)
end

return keys
