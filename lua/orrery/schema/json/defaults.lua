--- Defaults of a JSON Schema: JSON Schema itself takes `default` for a remark; a schema of ours
--- fills it in, as far as it is plain where it belongs: through `properties`, `items`, `allOf` and
--- `$ref`, and not through alternatives.
local values = require "orrery.schema.json.value"

local defaults = {}

-- Whether any schema of the documents has one.
local function there_are(documents)
  for schema in next, documents.places do
    if rawget(schema, "default") ~= nil then return true end
  end
  return false
end

local function copy(value)
  local made = setmetatable({}, getmetatable(value))
  for key, inner in next, value do made[key] = inner end
  return made
end

local fill

local function fill_fields(documents, properties, value, depth)
  local made = value
  for name, schema in next, properties do
    if type(schema) == "table" then
      local inner = value[name]
      if inner == nil then inner = schema.default end
      local filled = inner ~= nil and fill(documents, schema, inner, depth + 1) or inner
      if filled ~= value[name] then
        if made == value then made = copy(value) end
        made[name] = filled
      end
    end
  end
  return made
end

local function fill_items(documents, schema, value, depth)
  local made = value
  for i, inner in ipairs(value) do
    local filled = fill(documents, schema, inner, depth + 1)
    if filled ~= inner then
      if made == value then made = copy(value) end
      made[i] = filled
    end
  end
  return made
end

local function follow(documents, schema)
  local text = schema["$ref"]
  local place = type(text) == "string" and documents.places[schema]
  return place and documents:resolve(place.resource, text, place.at, "$ref")
end

local MOST_DEPTH = 1000 -- of values, and of references that lead nowhere new

function fill(documents, schema, value, depth)
  if type(value) ~= "table" or depth > MOST_DEPTH or values.is_secret(value) then return value end
  local target = follow(documents, schema)
  if type(target) == "table" then value = fill(documents, target, value, depth + 1) end
  for _, each in ipairs(type(schema.allOf) == "table" and schema.allOf or {}) do
    if type(each) == "table" then value = fill(documents, each, value, depth + 1) end
  end
  if values.is_array(value) then
    local items = schema.items
    if type(items) ~= "table" or values.is_array(items) or schema.prefixItems then return value end
    return fill_items(documents, items, value, depth)
  end
  if type(schema.properties) ~= "table" then return value end
  return fill_fields(documents, schema.properties, value, depth)
end

--- What fills in a validator's defaults: a function from a value to one with them, the same where
--- nothing is missing; nil where the schema has none.
---@param validator orrery.json_schema.Validator
---@return (fun(value: any): any)|nil
function defaults.of(validator)
  local documents, schema = validator.world.documents, validator.schema
  if type(schema) ~= "table" or not there_are(documents) then return nil end
  return function(value) return fill(documents, schema, value, 1) end
end

return defaults
