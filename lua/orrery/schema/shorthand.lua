--- From the shorthand of schemas to their compiled form. A table that is a JSON Schema becomes a
--- shape as well, of the kind "json"; what that needs is loaded when the first one comes.
---
--- A shape is one of: { kind = "type", type }, { kind = "array", items = shape }, { kind = "union",
--- shapes… }, { kind = "enum", values }, { kind = "object", fields, order, rest }. A field adds
--- whether it is required, a default, bounds and a doc.
local nearest = require "orrery.nearest"
local trim = require "orrery.text".trim
local types = require "orrery.schema.types"

local compiler = {}

local DEPTH = 100
local LONGEST_TYPE = 200 -- bytes of a type that is written as text

---@class orrery.schema.Field
---@field name string
---@field shape table
---@field required boolean
---@field default any
---@field doc? string
---@field min? number
---@field max? number
---@field text string the type as it is shown

local OPTIONS = {
  type = "any", default = "any", doc = "string", min = "number", max = "number", enum = "table",
  items = "any",
  fields = "table", optional = "boolean",
}
local OPTION_NAMES = { "type", "default", "doc", "min", "max", "enum", "items", "fields", "optional" }

local function bad(c, path, message, ...)
  c.problems[#c.problems + 1] = { path = path, kind = "schema",
    message = ("%s: %s"):format(path, message:format(...)) }
  return nil
end

-- ---- types written as text ----------------------------------------------------------------------

local function unknown_type(c, path, name)
  local meant = types.ALIASES[name:lower()] or nearest(name, types.NAMES)
  if name == "nil" or name == "null" then
    return bad(c, path, 'there is no type "%s"; a field that may be missing ends in "?", as in "string?"',
      name)
  end
  return bad(c, path, 'there is no type "%s"%s', name, meant and ('; did you mean "%s"?'):format(meant)
    or "; there are " .. table.concat(types.NAMES, ", "))
end

local function compile_name(c, path, text)
  local name, suffix = trim(text):match "^([%w_]*)%s*(.*)$"
  if name == "" then
    return bad(c, path, 'expected a type such as "string", "integer?" or "string[]", got "%s"', text)
  end
  if suffix:find "%?" then
    return bad(c, path, '"?" stands at the end of the whole type, as in "string|integer?"')
  end
  if suffix:gsub("%[%]", "") ~= "" then
    return bad(c, path, 'after the type "%s" only "[]" and "?" may stand, got "%s"', name, suffix)
  end
  if not types[name] or not types[name].accepts then return unknown_type(c, path, name) end
  local shape = { kind = "type", type = types[name], text = name }
  for _ in suffix:gmatch "%[%]" do shape = { kind = "array", items = shape, text = shape.text .. "[]" } end
  return shape
end

--- Reads "string", "integer?", "string[]", "x|y".
local function compile_text(c, path, text)
  if #text > LONGEST_TYPE then
    return bad(c, path, "a type has at most %d bytes, got %d", LONGEST_TYPE, #text)
  end
  local inner = trim(text)
  local optional = inner:sub(-1) == "?"
  if optional then inner = trim(inner:sub(1, -2)) end
  local shapes = {}
  for part in (inner .. "|"):gmatch "([^|]*)|" do
    local shape = compile_name(c, path, part)
    if not shape then return nil end
    shapes[#shapes + 1] = shape
  end
  local shape = shapes[1]
  if #shapes > 1 then
    local names = {}
    for i, each in ipairs(shapes) do names[i] = each.text end
    shape = { kind = "union", shapes = shapes, text = table.concat(names, "|") }
  end
  return shape, optional
end

-- ---- tables -------------------------------------------------------------------------------------

local compile_fields, compile_shape

local function compile_enum(c, path, list)
  local values, words, count = {}, {}, 0
  for _ in next, list do count = count + 1 end
  if count == 0 or count ~= #list then
    return bad(c, path, "expected a list of at least one value to choose from")
  end
  for i, value in ipairs(list) do
    local kind = type(value)
    if kind ~= "string" and kind ~= "number" and kind ~= "boolean" then
      return bad(c, path, "a value to choose from is a string, a number or a boolean, got a %s", kind)
    end
    if values[value] then return bad(c, path, "the value %s stands twice", tostring(value)) end
    values[value] = true
    words[i] = kind == "string" and ('"%s"'):format(value) or tostring(value)
  end
  return { kind = "enum", values = values, list = list, text = table.concat(words, "|") }
end

local function check_options(c, path, spec)
  for key, value in next, spec do
    local expected = OPTIONS[key]
    if not expected then
      local near = nearest(tostring(key), OPTION_NAMES)
      return bad(c, path, '"%s" is no option of a field%s', tostring(key),
        near and ('; did you mean "%s"?'):format(near)
        or '; for an object with a field named "type" write { type = "object", fields = { … } }')
    end
    if expected ~= "any" and type(value) ~= expected then
      return bad(c, path, '"%s" is a %s, got a %s', key, expected, type(value))
    end
  end
  return true
end

-- ---- JSON Schema --------------------------------------------------------------------------------

-- Keys that only a JSON Schema has.
local OWN = { "$schema", "$id", "$ref", "$anchor", "$comment", "$dynamicRef", "$dynamicAnchor" }
local WAYS = { "allOf", "anyOf", "oneOf" }

local function all_tables(list, or_booleans)
  if type(list) ~= "table" then return false end
  for _, each in next, list do
    if type(each) ~= "table" and not (or_booleans and type(each) == "boolean") then return false end
  end
  return true
end

-- Whether a table is meant as a JSON Schema: by a key of its own, by an object's `properties` that
-- are schemas, or by a list of schemas to choose from.
local function is_json_schema(spec)
  for i = 1, #OWN do
    if type(rawget(spec, OWN[i])) == "string" then return true end
  end
  if type(rawget(spec, "$defs")) == "table" then return true end
  if rawget(spec, "type") == "object" and all_tables(rawget(spec, "properties"), true) then return true end
  for _, word in ipairs(WAYS) do
    local list = rawget(spec, word)
    if list ~= nil and #list > 0 and all_tables(list) then return true end
  end
  return false
end

local function compile_json(c, path, spec)
  local shape, mistakes = require "orrery.schema.json_shape".compile(spec, c.options)
  for _, mistake in ipairs(mistakes or {}) do bad(c, path, "%s", mistake.message) end
  return shape
end

-- ---- long forms ---------------------------------------------------------------------------------

-- { type = …, default = …, … }: a shape and whether it is optional.
local function compile_options(c, path, spec, depth)
  if not check_options(c, path, spec) then return nil end
  if spec.enum then
    local shape = compile_enum(c, path, spec.enum)
    return shape, spec.optional
  end
  local shape, optional = compile_shape(c, path, spec.type, depth)
  if not shape then return nil end
  if spec.fields then
    if shape.text ~= "object" then return bad(c, path, '"fields" goes with type = "object"') end
    shape = compile_fields(c, path, spec.fields, depth + 1)
  elseif spec.items ~= nil then
    if shape.text ~= "array" then return bad(c, path, '"items" goes with type = "array"') end
    local items = compile_shape(c, path .. "[]", spec.items, depth + 1)
    shape = items and { kind = "array", items = items,
      text = items.text:find "|" and "array" or items.text .. "[]" }
  end
  return shape, optional or spec.optional
end

--- A shape and whether it is optional, or nil after a mistake.
function compile_shape(c, path, spec, depth)
  if depth > DEPTH then return bad(c, path, "nested deeper than %d levels; make it flatter", DEPTH) end
  if type(spec) == "string" then return compile_text(c, path, spec) end
  if type(spec) ~= "table" then
    return bad(c, path, 'expected a type such as "string", a list of values or a table of fields, got a %s',
      type(spec))
  end
  if getmetatable(spec) == c.schema_mt then return spec.shape, false end
  if is_json_schema(spec) then return compile_json(c, path, spec), false end
  if type(rawget(spec, "type")) == "string" or rawget(spec, "enum") then
    return compile_options(c, path, spec, depth)
  end
  if spec[1] ~= nil then return compile_enum(c, path, spec), false end
  return compile_fields(c, path, spec, depth + 1), false
end

local function check_bounds(c, path, field, spec)
  if spec.min == nil and spec.max == nil then return end
  local shape = field.shape
  if shape.kind ~= "array" and not (shape.kind == "type" and shape.type.size) then
    bad(c, path, '"min" and "max" go with integer, number, duration, string and array, not with %s',
      shape.text)
  elseif spec.min and spec.max and spec.min > spec.max then
    bad(c, path, '"min" is greater than "max"')
  end
  field.min, field.max = spec.min, spec.max
end

local function compile_field(c, path, name, spec, depth)
  local shape, optional = compile_shape(c, path, spec, depth)
  if not shape then return nil end
  local field = { name = name, shape = shape, required = not optional, text = shape.text }
  local has_options = type(spec) == "table" and getmetatable(spec) == nil and shape.kind ~= "json"
    and (type(rawget(spec, "type")) == "string" or rawget(spec, "enum"))
  if has_options then
    field.doc, field.default = spec.doc, spec.default
    if spec.default ~= nil then field.required = false end
    check_bounds(c, path, field, spec)
  end
  if shape.kind == "type" and not field.min and not field.max then field.accepts = shape.type.accepts end
  return field
end

--- A table of fields. `["..."] = type` lets other fields through, of that type.
function compile_fields(c, path, spec, depth)
  local shape = { kind = "object", fields = {}, order = {}, text = "object" }
  local names = {}
  for name in next, spec do
    if type(name) == "string" then
      names[#names + 1] = name
    else
      bad(c, path, "fields have names, got the key %s", tostring(name))
    end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local at = path == "schema" and name or path .. "." .. name
    if name == "..." then
      shape.rest = compile_shape(c, at, spec[name], depth)
    else
      local field = compile_field(c, at, name, spec[name], depth)
      if field then
        shape.fields[name] = field
        shape.order[#shape.order + 1] = field
      end
    end
  end
  return shape
end

--- Compiles what was given to flow.schema.
---@param spec any
---@param schema_mt table metatable of compiled schemas, which may be used inside others
---@param options? orrery.json_schema.Options for a JSON Schema
---@return table|nil shape
---@return {path: string, message: string, kind: string}[] problems empty where there are none
function compiler.compile(spec, schema_mt, options)
  local c = { problems = {}, schema_mt = schema_mt, options = options }
  local shape
  if type(spec) == "table" and getmetatable(spec) == nil and not is_json_schema(spec) then
    shape = compile_fields(c, "schema", spec, 1)
  else
    shape = compile_shape(c, "schema", spec, 1)
  end
  return shape, c.problems
end

return compiler
