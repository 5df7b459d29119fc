--- A compiled schema as a JSON Schema (draft 2020-12), for those who ask for one: a model that is
--- to answer by it, a service that describes its requests.
local json = require "orrery.core".json

local array, object = json.array, json.object

local of_shape

-- What `min` and `max` bound, by the type: a value, or a length.
local BOUNDS = { string = { "minLength", "maxLength" }, array = { "minItems", "maxItems" } }

local function of_field(field)
  local made = of_shape(field.shape)
  local least, most = table.unpack(BOUNDS[made.type] or { "minimum", "maximum" })
  made[least], made[most] = field.min or made[least], field.max or made[most]
  made.description, made.default = field.doc or made.description, field.default
  return made
end

local function of_object(shape)
  local properties, required = {}, {}
  for _, field in ipairs(shape.order) do
    properties[field.name] = of_field(field)
    if field.required then required[#required + 1] = field.name end
  end
  return { type = "object", properties = object(properties), required = array(required),
    additionalProperties = shape.rest and of_shape(shape.rest) or false }
end

local function of_union(shape)
  local parts = {}
  for i, part in ipairs(shape.shapes) do parts[i] = of_shape(part) end
  return { anyOf = array(parts) }
end

local OF_TYPE = {
  duration = function() return { type = array { "string", "number" } } end,
  any = function() return object {} end,
  ["function"] = function() return { ["not"] = object {} } end, -- JSON has none
}

local OF_KIND = {
  json = function(shape) return shape.source end,
  array = function(shape) return { type = "array", items = of_shape(shape.items) } end,
  enum = function(shape) return { enum = array { table.unpack(shape.list) } } end,
  union = of_union,
  object = of_object,
  type = function(shape)
    local made = OF_TYPE[shape.text]
    return made and made() or { type = shape.text }
  end,
}

function of_shape(shape) return OF_KIND[shape.kind](shape) end

return of_shape
