--- Schemas of ours as JSON Schema: the config of a node type, and what the shorthand of schemas may
--- look like.
local core = require "orrery.core"
local schema_types = require "orrery.schema.types"

local config_schema = {}

local array = core.json.array

-- ---- words of JSON Schema -----------------------------------------------------------------------

--- A part that stands among the definitions.
function config_schema.ref(name) return { ["$ref"] = "#/definitions/" .. name } end

--- What fits one of these.
function config_schema.any_of(...) return { anyOf = array { ... } } end

--- One of these values.
function config_schema.enum(list) return { enum = array { table.unpack(list) } } end

--- An object with these fields and no others.
---@param properties table<string, table>
---@param required? string[]
function config_schema.object(properties, required)
  return { type = "object", properties = core.json.object(properties), additionalProperties = false,
    required = required and array(required) or nil }
end

local ref, any_of = config_schema.ref, config_schema.any_of

-- ---- config -------------------------------------------------------------------------------------

--- What fits the shape, or null, which counts as absent.
---@param shape table is changed
---@return table
function config_schema.or_null(shape)
  if next(shape) == nil then return shape end
  if type(shape.type) == "string" and not shape.enum then
    shape.type = array { shape.type, "null" }
    return shape
  end
  local parts = shape.anyOf and { table.unpack(shape.anyOf) } or { shape }
  parts[#parts + 1] = { type = "null" }
  return { anyOf = array(parts) }
end

local PLAIN = {
  string = function() return { type = "string" } end,
  integer = function() return { type = "integer" } end,
  number = function() return { type = "number" } end,
  boolean = function() return { type = "boolean" } end,
  array = function() return { type = "array" } end,
  object = function() return { type = "object" } end,
  duration = function() return ref "duration" end,
  any = function() return core.json.object {} end,
  ["function"] = function() return { ["not"] = core.json.object {} } end, -- JSON has none
}

-- A text with ${…} passes whatever type is wanted.
local function or_template(made)
  if made.type == "string" or next(made) == nil then return made end
  return any_of(made, ref "template")
end

local of_shape

local function of_object(shape)
  local properties, required = {}, {}
  for _, field in ipairs(shape.order) do
    properties[field.name] = config_schema.field(field)
    if field.required then required[#required + 1] = field.name end
  end
  return { type = "object", properties = core.json.object(properties),
    additionalProperties = shape.rest and of_shape(shape.rest) or false,
    required = #required > 0 and array(required) or nil }
end

function of_shape(shape)
  local made
  if shape.kind == "json" then shape = shape.outline end
  if shape.kind == "type" then
    made = PLAIN[shape.text]()
  elseif shape.kind == "array" then
    made = { type = "array", items = of_shape(shape.items) }
  elseif shape.kind == "enum" then
    made = config_schema.enum(shape.list)
  elseif shape.kind == "union" then
    local parts = {}
    for i, part in ipairs(shape.shapes) do parts[i] = of_shape(part) end
    made = { anyOf = array(parts) }
  else
    made = of_object(shape)
  end
  return or_template(made)
end

--- One field of a schema of ours.
---@param field orrery.schema.Field
---@return table
function config_schema.field(field)
  local made = of_shape(field.shape)
  if not field.required then made = config_schema.or_null(made) end
  made.description, made.default = field.doc, field.default
  return made
end

--- The fields of a config.
---@param schema orrery.Schema
---@return { properties: table<string, table>, required: string[], rest: table|false }
function config_schema.fields(schema)
  local made = of_object(schema.shape.outline or schema.shape)
  return { properties = made.properties, required = made.required or {}, rest = made.additionalProperties }
end

-- ---- definitions that others refer to -----------------------------------------------------------

local SHORT = "([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?"
local LONGEST, MOST_BYTES = 9223372036, 64

local function type_pattern()
  local one = ("[ \t]*(%s)[ \t]*(\\[\\])*[ \t]*"):format(table.concat(schema_types.NAMES, "|"))
  return ("^%s(\\|%s)*\\??[ \t]*$"):format(one, one)
end

-- What is meant as a JSON Schema, as `orrery.schema.shorthand` tells it.
local function json_schema()
  local ways = {}
  for word in ("$schema $id $ref $defs $anchor $comment $dynamicRef $dynamicAnchor allOf anyOf oneOf")
    :gmatch "%S+" do
    ways[#ways + 1] = { required = array { word } }
  end
  ways[#ways + 1] = { required = array { "type", "properties" }, properties = { type = { const = "object" },
    properties = { type = "object", additionalProperties = { type = array { "object", "boolean" } } } } }
  return { type = "object", anyOf = array(ways) }
end

--- Durations, templates, and the shorthand of schemas.
---@return table<string, table>
function config_schema.definitions()
  local scalar = { type = array { "string", "number", "boolean" } }
  local number = { type = "number" }
  return {
    duration = any_of({ type = "number", minimum = 0, maximum = LONGEST },
      { type = "string", minLength = 1, maxLength = MOST_BYTES,
        pattern = "^(0|P[0-9TYMWDHS.,]+|" .. SHORT .. ")$" }),
    template = { type = "string", pattern = "\\$\\{" },
    type = { type = "string", pattern = type_pattern(), maxLength = 200 },
    fields = { type = "object", additionalProperties = ref "field" },
    json_schema = json_schema(),
    field = any_of(ref "type", { type = "array", items = scalar, minItems = 1 }, ref "long_field",
      ref "json_schema",
      { type = "object", properties = { type = { ["not"] = { type = "string" } },
        enum = { ["not"] = core.json.object {} } }, additionalProperties = ref "field" }),
    long_field = { type = "object", additionalProperties = false,
      anyOf = array { { required = array { "type" } }, { required = array { "enum" } } },
      properties = { type = ref "type", enum = { type = "array", items = scalar, minItems = 1 },
        items = ref "field", fields = ref "fields", default = core.json.object {},
        optional = { type = "boolean" }, min = number, max = number, doc = { type = "string" } } },
  }
end

return config_schema
