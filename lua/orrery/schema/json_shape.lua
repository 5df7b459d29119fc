--- A JSON Schema as a shape of ours, so that it stands wherever the shorthand does. What is only to
--- be shown, or read from words, goes by its outline: the fields and types that it names plainly.
local defaults = require "orrery.schema.json.defaults"
local json = require "orrery.core".json
local json_schema = require "orrery.schema.json"
local types = require "orrery.schema.types"

local json_shape = {}

local DEPTH = 20 -- of an outline

local ANY = { kind = "type", type = types.any, text = "any" }

local outline

local function literal_list(list)
  for _, each in ipairs(list) do
    local kind = type(each)
    if kind ~= "string" and kind ~= "number" and kind ~= "boolean" then return nil end
  end
  return #list > 0 and list or nil
end

local function of_enum(list)
  local is, words = {}, {}
  for i, each in ipairs(list) do
    is[each] = true
    words[i] = type(each) == "string" and ('"%s"'):format(each) or tostring(each)
  end
  return { kind = "enum", values = is, list = list, text = table.concat(words, "|") }
end

local function of_object(schema, depth)
  local shape = { kind = "object", fields = {}, order = {}, text = "object" }
  local required, names = {}, {}
  for _, name in ipairs(type(schema.required) == "table" and schema.required or {}) do
    required[name] = true
  end
  for name in next, schema.properties do names[#names + 1] = tostring(name) end
  table.sort(names)
  for i, name in ipairs(names) do
    local inner = schema.properties[name]
    local said = type(inner) == "table" and inner or {}
    local within = outline(inner, depth + 1)
    local field = { name = name, shape = within, text = within.text, default = said.default,
      doc = type(said.description) == "string" and said.description or nil,
      min = said.minimum, max = said.maximum, required = required[name] and said.default == nil or false }
    shape.fields[name], shape.order[i] = field, field
  end
  if schema.additionalProperties ~= false or schema.patternProperties then shape.rest = ANY end
  return shape
end

local function of_union(list, schema, depth)
  local shapes, words = {}, {}
  for _, name in ipairs(list) do
    if name ~= "null" then
      local shape = outline({ type = name, properties = schema.properties, items = schema.items }, depth + 1)
      shapes[#shapes + 1], words[#words + 1] = shape, shape.text
    end
  end
  if #shapes == 1 then return shapes[1] end
  return #shapes > 0 and { kind = "union", shapes = shapes, text = table.concat(words, "|") } or ANY
end

local PLAIN = { string = true, integer = true, number = true, boolean = true }

function outline(schema, depth)
  if type(schema) ~= "table" or depth > DEPTH or schema["$ref"] then return ANY end
  local enum = type(schema.enum) == "table" and literal_list(schema.enum)
  if enum then return of_enum(enum) end
  local name = schema.type
  if type(name) == "table" then return of_union(name, schema, depth) end
  if PLAIN[name] then return { kind = "type", type = types[name], text = name } end
  if name == "array" then
    local items = outline(schema.items, depth + 1)
    return { kind = "array", items = items, text = items.text:find "[|%[]" and "array" or items.text .. "[]" }
  end
  if type(schema.properties) == "table" then return of_object(schema, depth) end
  if name == "object" then return { kind = "type", type = types.object, text = "object" } end
  return ANY
end

--- Compiles a JSON Schema to a shape.
---@param schema table|boolean
---@param options? orrery.json_schema.Options
---@return table|nil shape { kind = "json", source, validator, fill?, outline, text } and the fields of its outline
---@return orrery.schema.Problem[]|nil mistakes
function json_shape.compile(schema, options)
  local validator, mistakes = json_schema.compile(schema, options)
  if not validator then return nil, mistakes end
  local seen = outline(schema, 1)
  local is_object = seen.kind == "object"
  return { kind = "json", source = schema, validator = validator, fill = defaults.of(validator),
    outline = seen, text = seen.text, fields = seen.fields or {}, order = seen.order or {},
    rest = is_object and seen.rest or not is_object and ANY or nil }
end

local function shallow(value)
  if type(value) ~= "table" or getmetatable(value) and getmetatable(value) ~= json.array_mt
    and getmetatable(value) ~= json.object_mt then return value end
  local made = setmetatable({}, getmetatable(value))
  for key, inner in next, value do made[key] = inner end
  return made
end

--- Checks a value: a copy with defaults, or nil and what is wrong.
---@param shape table
---@param value any
---@param path string
---@param templates? boolean whether strings with `${` pass
---@return any
---@return orrery.schema.Problem[]|nil
function json_shape.check(shape, value, path, templates)
  local filled = value
  if shape.fill and value ~= nil then filled = shape.fill(value) end
  local ask = templates and shape.validator.problems_of_template or shape.validator.problems
  local problems = ask(shape.validator, filled, path)
  if problems then return nil, problems end
  if filled == value then filled = shallow(value) end
  return filled
end

return json_shape
