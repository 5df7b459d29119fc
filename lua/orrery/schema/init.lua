--- Schemas: what an input or a config looks like, in a shorthand.
---
---   city = "string"                     required
---   limit = "integer?"                  may be missing
---   tags = "string[]"                   an array
---   id = "string|integer"               either
---   mode = { "fast", "slow" }           one of these values
---   address = { street = "string" }     an object with fields
---   ["..."] = "any"                     other fields are allowed
---   size = { type = "integer", default = 3, min = 1, doc = "…" }
---
--- Types: string integer number boolean array object any function duration. A table with a `type`
--- that is a string is the long form, with the options type, enum, items, fields, default,
--- optional, min, max (of the length for strings and arrays) and doc. A whole float is an integer;
--- a duration becomes a number of seconds; null counts as missing.
---
--- A table that is a JSON Schema (it has `$schema` or another key with a $, `properties` of an
--- object, or `anyOf` and the like) is checked as such, alone or as a field: `orrery.schema.json`.
local compiler = require "orrery.schema.shorthand"
local duration = require "orrery.duration"
local json = require "orrery.core".json
local nearest = require "orrery.nearest"
local site = require "orrery.expr.site"

local schema = {}

local MOST_PROBLEMS = 100

---@class orrery.Schema
local Schema = { __name = "orrery.schema" }
Schema.__index = Schema

---@class orrery.schema.Problem
---@field path string where: "input.city", "tags[2]"
---@field field string the path without its root
---@field message string one sentence that begins with the path
---@field kind "missing"|"unknown"|"type"|"range"|"enum"|"more"

-- ---- checking -----------------------------------------------------------------------------------

local function at_field(path, name)
  if path == "" then return name end
  return #name <= 40 and name:find "^[%a_][%w_]*$" and path .. "." .. name
    or ('%s["%s"]'):format(path, site.short(name, 40))
end

-- The path without its root.
local function field_of(c, path)
  if c.root == "" or path:sub(1, #c.root) ~= c.root then return path end
  return (path:sub(#c.root + 1):gsub("^%.", ""))
end

local function add(c, kind, path, message)
  c.count = c.count + 1
  if c.count > MOST_PROBLEMS then return end
  c.problems[c.count] = { kind = kind, path = path, field = field_of(c, path),
    message = (path == "" and "the value" or path) .. " " .. message }
end

local ARTICLES = { integer = "an integer", any = "a value", array = "an array", object = "an object" }

-- A value as messages show it, in the words of schemas: `integer 3`, `the string "x"`.
local function shown(value)
  if math.type(value) == "integer" then return "integer " .. value end
  if type(value) == "number" then return "number " .. value end
  if type(value) == "table" and next(value) == nil then return "an empty table" end
  return site.describe(value)
end

local expected
function expected(shape)
  if shape.kind == "enum" then return "one of " .. shape.text:gsub("|", ", ") end
  if shape.kind == "object" then return "an object" end
  if shape.kind == "array" then return shape.text == "array" and "an array" or shape.text end
  if shape.kind == "json" then return expected(shape.outline) end
  return ARTICLES[shape.text] or shape.text
end

-- What a value becomes that stands for a text which is known later; nil for any other value.
local function later(shape, value)
  local mark = type(value) == "table" and getmetatable(value)
  if not mark or mark.__name ~= "orrery.secret" then return nil end
  return (shape.text == "string" or shape.text == "any" or shape.kind == "union") and value or nil
end

local check_shape

local function check_items(c, shape, value, path)
  local list = {}
  for i = 1, #value do
    local item = value[i]
    local made = check_shape(c, shape.items, item, ("%s[%d]"):format(path, i))
    list[i] = made == nil and item or made -- a refused item is kept, so that the others stay in their places
  end
  return json.array(list)
end

local function check_field(c, field, value, path)
  if value == nil or value == json.null and field.text ~= "any" then
    if field.required then
      add(c, "missing", path, ("is missing, expected %s"):format(expected(field.shape)))
      return nil
    end
    value = field.default
    if value == nil then return nil end
  end
  local made = check_shape(c, field.shape, value, path)
  if made == nil or (field.min == nil and field.max == nil) then return made end
  if c.templates and type(value) == "string" and value:find("${", 1, true) then return made end
  if later(field.shape, value) ~= nil then return made end
  local size = field.shape.kind == "array" and #made or field.shape.type.size(made)
  local of_length = field.shape.kind == "array" and "items" or field.shape.text == "string" and "characters"
  local bound = field.min and size < field.min and ("at least %s"):format(field.min)
    or field.max and size > field.max and ("at most %s"):format(field.max)
  if bound then
    local got = of_length and ("%d"):format(size) or field.shape.text == "duration" and duration.format(size)
      or shown(value)
    add(c, "range", path, ("is out of range, expected %s%s, got %s")
      :format(bound, of_length and " " .. of_length or
      field.shape.text == "duration" and " seconds" or "", got))
  end
  return made
end

local function check_rest(c, shape, value, made, path)
  local names, others
  for key in next, value do
    if not shape.fields[key] then
      others = others or {}
      others[#others + 1] = key
    end
  end
  if not others then return end
  table.sort(others, function(a, b) return tostring(a) < tostring(b) end)
  for _, key in ipairs(others) do
    local at = at_field(path, tostring(key))
    if shape.rest and type(key) == "string" then
      made[key] = check_shape(c, shape.rest, value[key], at)
    else
      if not names then
        names = {}
        for i, field in ipairs(shape.order) do names[i] = field.name end
      end
      local near = nearest(tostring(key), names)
      local list = #names <= 12 and #names > 0 and "; expected " .. table.concat(names, ", ") or ""
      add(c, "unknown", at, "is not known" .. (near and ('; did you mean "%s"?'):format(near) or list))
    end
  end
end

local function check_object(c, shape, value, path)
  if type(value) ~= "table" or json.is_array(value) and #value > 0 then
    add(c, "type", path, ("is wrong, expected an object, got %s"):format(shown(value)))
    return nil
  end
  local made, order, templates = {}, shape.order, c.templates
  for i = 1, #order do
    local field = order[i]
    local name, accepts = field.name, field.accepts
    local inner, taken = value[name], nil
    if accepts and inner ~= nil and not templates then taken = accepts(inner) end
    if taken == nil then taken = check_field(c, field, inner, at_field(path, name)) end
    made[name] = taken
  end
  check_rest(c, shape, value, made, path)
  return made
end

-- The first shape that takes the value without a problem.
local function check_union(c, shape, value, path)
  for _, each in ipairs(shape.shapes) do
    local trial = { problems = {}, count = 0, root = c.root, templates = c.templates }
    local made = check_shape(trial, each, value, path)
    if trial.count == 0 then return made end
  end
  local names = {}
  for i, each in ipairs(shape.shapes) do names[i] = expected(each) end
  add(c, "type", path, ("is wrong, expected %s, got %s"):format(table.concat(names, " or "), shown(value)))
  return nil
end

local function check_type(c, shape, value, path)
  local made, why = shape.type.accepts(value)
  if made ~= nil then return made end
  if shape.text == "any" then
    add(c, "type", path, "is missing, expected a value")
  else
    -- what a duration says of a text quotes it already
    add(c, "type", path, why and type(value) == "string" and "is wrong: " .. why
      or ("is wrong, expected %s, got %s"):format(expected(shape), shown(value)))
  end
  return nil
end

local function check_enum(c, shape, value, path)
  if value ~= nil and shape.values[value] then return value end
  local near = type(value) == "string" and nearest(value, shape.list)
  add(c, "enum", path, ("is wrong, expected %s, got %s%s"):format(expected(shape), shown(value),
    near and ('; did you mean "%s"?'):format(near) or ""))
  return nil
end

-- A JSON Schema says itself what is wrong.
local function check_json(c, shape, value, path)
  local made, problems = require "orrery.schema.json_shape".check(shape, value, path, c.templates)
  for _, each in ipairs(problems or {}) do
    c.count = c.count + 1
    if c.count <= MOST_PROBLEMS then
      each.field = field_of(c, each.path)
      c.problems[c.count] = each
    end
  end
  return made
end

function check_shape(c, shape, value, path)
  if shape.kind == "json" then return check_json(c, shape, value, path) end
  local kept = later(shape, value)
  if kept ~= nil then return kept end
  if c.templates and type(value) == "string" and value:find("${", 1, true) then return value end
  if shape.kind == "type" then return check_type(c, shape, value, path) end
  if shape.kind == "enum" then return check_enum(c, shape, value, path) end
  if shape.kind == "union" then return check_union(c, shape, value, path) end
  if shape.kind == "object" then return check_object(c, shape, value, path) end
  if type(value) == "table" and (json.is_array(value) or next(value) == nil) then
    return check_items(c, shape, value, path)
  end
  add(c, "type", path, ("is wrong, expected %s, got %s"):format(expected(shape), shown(value)))
  return nil
end

-- A default that its own field refuses is a mistake of the schema.
local function check_defaults(c, shape, path)
  for _, field in ipairs(shape.kind ~= "json" and shape.order or {}) do
    local at = at_field(path, field.name)
    local before = c.count
    if field.default ~= nil then check_field(c, field, field.default, at) end
    for i = before + 1, math.min(c.count, MOST_PROBLEMS) do
      c.problems[i].message = "the default of " .. c.problems[i].message
    end
    check_defaults(c, field.shape, at)
  end
end

local spare -- of a check that found nothing, for the next one: a workflow may have a million nodes

--- Checks a value and fills in defaults. The value itself is not changed.
---@param self orrery.Schema
---@param value any
---@param options? {root?: string, templates?: boolean} `root` begins the paths, such as "input" (none where it is not given);
--- `templates` lets strings with "${" through, whatever the type, for values that are not resolved
--- yet
---@return any value a copy with defaults, seconds for durations; nil where there are problems
---@return orrery.schema.Problem[]|nil problems all of them up to a hundred, then one that says how many more
function schema.check(self, value, options)
  local c = spare or { problems = {} }
  spare = nil
  c.count, c.root, c.templates = 0, options and options.root or "", options and options.templates
  local made = check_shape(c, self.shape, value, c.root)
  if c.count == 0 then
    spare = c
    return made
  end
  if c.count > MOST_PROBLEMS then
    c.problems[MOST_PROBLEMS + 1] = { kind = "more", path = c.root, field = "",
      message = ("and %d more"):format(c.count - MOST_PROBLEMS) }
  end
  return nil, c.problems
end
Schema.check = schema.check

-- ---- making -------------------------------------------------------------------------------------

--- Compiles a schema.
---@param spec table fields, a type as text, or a JSON Schema
---@param options? orrery.json_schema.Options for a JSON Schema
---@return orrery.Schema|nil
---@return {path: string, message: string, kind: string}[]|nil problems all of them
function schema.compile(spec, options)
  if schema.is(spec) then return spec end
  local shape, problems = compiler.compile(spec, Schema, options)
  if #problems > 0 then return nil, problems end
  local c = { problems = {}, count = 0, root = "" }
  check_defaults(c, shape, "")
  if c.count > 0 then return nil, c.problems end
  return setmetatable({ shape = shape }, Schema)
end

--- The same, raising the mistakes, one a line.
---@param spec table
---@param level? integer as for `error`: whose mistake it is; 1, the caller, where none is given
---@param options? orrery.json_schema.Options for a JSON Schema
---@return orrery.Schema
function schema.new(spec, level, options)
  local made, problems = schema.compile(spec, options)
  if made then return made end
  local lines = {}
  for i, problem in ipairs(problems) do lines[i] = problem.message end
  error(table.concat(lines, "\n"), (level or 1) + 1)
end

--- Whether a value is a compiled schema.
---@param value any
---@return boolean
function schema.is(value) return getmetatable(value) == Schema end

-- ---- words from a command line ------------------------------------------------------------------

-- Text last: every word is one.
local function from_text(shape, text)
  if shape.kind == "json" then shape = shape.outline end
  if shape.kind == "type" then return shape.type.from(text) end
  if shape.kind == "union" then
    for _, each in ipairs(shape.shapes) do
      local value = each.text ~= "string" and from_text(each, text)
      if value ~= nil and value ~= false then return value end
      if each.text == "boolean" and text == "false" then return false end
    end
    return nil
  end
  if shape.kind == "enum" then
    for _, value in ipairs(shape.list) do
      if tostring(value) == text then return value end
    end
    return nil
  end
  local ok, value = pcall(json.decode, text)
  return ok and type(value) == "table" and value or nil
end

--- Turns words into values of the types that the schema gives: numbers, booleans, JSON for arrays
--- and objects. A word that is none of its type stays a string, and so does one of a field that the
--- schema does not have: `check` says what is wrong.
---@param self orrery.Schema
---@param words table<string, string>
---@return table
function schema.from_strings(self, words)
  local made = {}
  for name, text in next, words do
    local shape = self.shape
    local field = shape.fields and shape.fields[name]
    local found = field and field.shape or shape.rest
    local value
    if found then value = from_text(found, text) end
    if value == nil then value = text end
    made[name] = value
  end
  return made
end
Schema.from_strings = schema.from_strings

-- ---- describing ---------------------------------------------------------------------------------

local function describe_fields(shape)
  local list = {}
  for i, field in ipairs(shape.order or {}) do
    list[i] = {
      name = field.name, type = field.text, required = field.required, default = field.default,
      doc = field.doc,
      min = field.min, max = field.max, enum = field.shape.list,
      fields = field.shape.fields and describe_fields(field.shape) or nil,
    }
  end
  return list
end

--- The fields in the order of their names: {name, type, required, default, doc, min, max, enum,
--- fields}; `fields` is the same list for an object with fields of its own.
---@param self orrery.Schema
---@return table[]
function schema.describe(self) return describe_fields(self.shape) end
Schema.describe, Schema.fields = schema.describe, schema.describe

--- The same as a JSON Schema (draft 2020-12). What was a JSON Schema is given back as it is; it is
--- not to be changed.
---@param self orrery.Schema
---@return table|boolean
function Schema.json_schema(self) return require "orrery.schema.as_json"(self.shape) end

return schema
