--- Which fields of an object take a scalar as it is, so that a million nodes of one type need not
--- be checked each by its schema.

-- By a field's type: what it takes and keeps as it is, as `core.alike` has it: 1 a string, 2 an
-- integer, 4 a float, 8 a boolean.
local KEPT = { any = 15, string = 1, integer = 2, number = 6, boolean = 8 }

--- The fields of a schema of an object that take scalars as they are, if they have no template and
--- no NaN or infinite number in them.
---@param schema orrery.Schema
---@return table<string, integer> kinds by the field's name
---@return string[] needed fields without which a value gets others or is refused
return function(schema)
  local kinds, needed = {}, {}
  for _, field in ipairs(schema.shape.order or {}) do
    local shape = field.shape
    local bound = field.min ~= nil or field.max ~= nil
    if shape.kind == "type" and not bound then kinds[field.name] = KEPT[shape.text] end
    if field.required or field.default ~= nil then needed[#needed + 1] = field.name end
  end
  return kinds, needed
end
