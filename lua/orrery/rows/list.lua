--- The list of rows that a node takes.
local core = require "orrery.core"
local errors = require "orrery.errors"

local json = core.json

local function refuse(name, message)
  errors.error { code = "config_error", retryable = false, message = ("%s: %s"):format(name, message) }
end

--- The list that config gives as `rows`, or the output of the only node before it; the `rows` of an
--- object that has them. Raises `config_error`.
---@param name string the node type's, for messages
---@param config table
---@param inputs? table<string, any>
---@return any[] list not to be changed
return function(name, config, inputs)
  local list, from = config.rows, "rows"
  if list == nil then
    local node, value = next(inputs or {})
    if node == nil or next(inputs, node) ~= nil then
      refuse(name, 'rows is missing; give it a list, rows = "${nodes.x}", or exactly one node in `after`')
    end
    list, from = value, ("the output of %s"):format(node)
  end
  local holds = type(list) == "table" and not json.is_array(list) and type(list.rows) == "table"
  if holds then list = list.rows end
  if type(list) ~= "table" or not json.is_array(list) and next(list) ~= nil then
    refuse(name, ("%s: expected a list of rows, got %s"):format(from, errors.show(list)))
  end
  return list
end
