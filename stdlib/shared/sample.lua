--- A small value that fits a JSON Schema, where its plain words say enough: types, enums, bounds,
--- required properties.
local flow = require "orrery"

local sample = {}

local DEPTH = 20

local of

local function of_object(schema, depth)
  local made = {}
  for _, name in ipairs(type(schema.required) == "table" and schema.required or {}) do
    made[name] = of((schema.properties or {})[name] or {}, depth + 1)
  end
  return flow.json.object(made)
end

local function of_array(schema, depth)
  local made = {}
  for i = 1, math.min(tonumber(schema.minItems) or 0, 100) do made[i] = of(schema.items or {}, depth + 1) end
  return flow.json.array(made)
end

local function number(schema, default)
  local least, most = tonumber(schema.minimum), tonumber(schema.maximum)
  if least and default < least then return least end
  if most and default > most then return most end
  return default
end

local OF_TYPE = {
  object = of_object, array = of_array,
  string = function(schema) return ("x"):rep(math.min(tonumber(schema.minLength) or 0, 1000)) end,
  integer = function(schema) return math.tointeger(number(schema, 0)) or 0 end,
  number = function(schema) return number(schema, 0) end,
  boolean = function() return false end,
  null = function() return flow.json.null end,
}

function of(schema, depth)
  if type(schema) ~= "table" or depth > DEPTH then return nil end
  if schema.const ~= nil then return schema.const end
  if type(schema.enum) == "table" then return schema.enum[1] end
  if schema.default ~= nil then return schema.default end
  local choices = schema.anyOf or schema.oneOf
  if type(choices) == "table" then return of(choices[1], depth + 1) end
  local kind = type(schema.type) == "table" and schema.type[1] or schema.type
  local make = OF_TYPE[kind or (schema.properties and "object")]
  return make and make(schema, depth)
end

--- The value; it may fit only in part where the schema says more.
---@param schema table|boolean
---@return any
function sample.of(schema) return of(schema, 1) end

return sample
