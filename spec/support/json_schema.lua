-- Checks a value against a JSON Schema, as far as the schema of definitions uses the language
-- (draft 7), and matches the patterns in it. A word that it does not know is an error, so that no
-- part of a schema is passed over.
local json = require "orrery.core".json

local json_schema = {}

-- ---- patterns -----------------------------------------------------------------------------------

-- Each part is a matcher `m(text, at, go_on)` that calls go_on(next) for each way to match.
local function sequence(parts)
  return function(text, at, go_on)
    local function from(i, place)
      if i > #parts then return go_on(place) end
      return parts[i](text, place, function(next_place) return from(i + 1, next_place) end)
    end
    return from(1, at)
  end
end

local function choice(ways)
  return function(text, at, go_on)
    for _, way in ipairs(ways) do
      if way(text, at, go_on) then return true end
    end
    return false
  end
end

local function repeated(part, least, most)
  local function from(text, at, n, go_on)
    if n < most and part(text, at, function(place)
      return place > at and from(text, place, n + 1, go_on)
    end) then return true end
    return n >= least and go_on(at)
  end
  return function(text, at, go_on) return from(text, at, 0, go_on) end
end

local function one(class) -- a character class of Lua's
  return function(text, at, go_on) return text:find("^" .. class, at) ~= nil and go_on(at + 1) end
end

local TIMES = { ["*"] = { 0, math.huge }, ["+"] = { 1, math.huge }, ["?"] = { 0, 1 } }

local function parse(pattern)
  local at = 1
  local alternatives
  local function atom()
    local c = pattern:sub(at, at)
    at = at + 1
    if c == "(" then
      local inner = alternatives()
      assert(pattern:sub(at, at) == ")", "a group is not closed")
      at = at + 1
      return inner
    elseif c == "[" then
      local close = assert(pattern:find("]", at, true), "a class is not closed")
      local class = "[" .. pattern:sub(at, close)
      assert(not class:find "[\\%%]", "no escapes in a class")
      at = close + 1
      return one(class)
    elseif c == "\\" then
      at = at + 1
      return one("%" .. assert(pattern:sub(at - 1, at - 1):match "%p"))
    elseif c == "^" then
      return function(_, place, go_on) return place == 1 and go_on(place) end
    elseif c == "$" then
      return function(text, place, go_on) return place == #text + 1 and go_on(place) end
    end
    assert(not c:find "[.{}]", "this matcher does not know " .. c)
    return one(c:find "%w" and c or "%" .. c)
  end
  function alternatives()
    local ways, parts = {}, {}
    while at <= #pattern and pattern:sub(at, at) ~= ")" do
      if pattern:sub(at, at) == "|" then
        ways[#ways + 1], parts, at = sequence(parts), {}, at + 1
      else
        local part, times = atom(), TIMES[pattern:sub(at, at)]
        if times then part, at = repeated(part, times[1], times[2]), at + 1 end
        parts[#parts + 1] = part
      end
    end
    ways[#ways + 1] = sequence(parts)
    return choice(ways)
  end
  local made = alternatives()
  assert(at > #pattern, "there is more behind the pattern")
  return made
end

--- Whether a text has what a pattern of JavaScript's finds.
---@param pattern string without escapes in classes, counted repeats and the dot
---@param text string
---@return boolean
function json_schema.matches(pattern, text)
  local match = parse(pattern)
  for at = 1, #text + 1 do
    if match(text, at, function() return true end) then return true end
  end
  return false
end

-- ---- values -------------------------------------------------------------------------------------

local IS = {
  null = function(v) return v == json.null end,
  string = function(v) return type(v) == "string" end,
  boolean = function(v) return type(v) == "boolean" end,
  number = function(v) return type(v) == "number" end,
  integer = function(v) return type(v) == "number" and math.tointeger(v) ~= nil end,
  array = function(v) return type(v) == "table" and json.is_array(v) end,
  object = function(v) return type(v) == "table" and not json.is_array(v) end,
}

local check

local function all(root, list, value)
  for _, schema in ipairs(list) do
    if not check(root, schema, value) then return false end
  end
  return true
end

local function any(root, list, value)
  for _, schema in ipairs(list) do
    if check(root, schema, value) then return true end
  end
  return false
end

local function contains(list, value)
  for _, each in ipairs(list) do
    if each == value then return true end
  end
  return false
end

local function of_object(fn) return function(root, word, value, schema)
  return not IS.object(value) or fn(root, word, value, schema)
end end

local function size(kind, fn) return function(_, word, value)
  return not IS[kind](value) or fn(value, word)
end end

local function said() return true end

local WORDS = {
  ["$schema"] = said, title = said, description = said, default = said, definitions = said,
  ["then"] = said, ["else"] = said,
  ["$ref"] = function(root, word, value)
    return check(root, assert(root.definitions[word:match "^#/definitions/(.*)$"], word), value)
  end,
  type = function(_, word, value)
    for _, kind in ipairs(type(word) == "table" and word or { word }) do
      if IS[kind](value) then return true end
    end
    return false
  end,
  enum = function(_, word, value) return contains(word, value) end,
  const = function(_, word, value) return word == value end,
  anyOf = any, allOf = all,
  ["not"] = function(root, word, value) return not check(root, word, value) end,
  ["if"] = function(root, word, value, schema)
    local next_schema = schema[check(root, word, value) and "then" or "else"]
    return next_schema == nil or check(root, next_schema, value)
  end,
  properties = of_object(function(root, word, value)
    for name, schema in pairs(word) do
      if value[name] ~= nil and not check(root, schema, value[name]) then return false end
    end
    return true
  end),
  additionalProperties = of_object(function(root, word, value, schema)
    for name, each in pairs(value) do
      if (schema.properties or {})[name] == nil and not check(root, word, each) then return false end
    end
    return true
  end),
  required = of_object(function(_, word, value)
    for _, name in ipairs(word) do
      if value[name] == nil then return false end
    end
    return true
  end),
  items = function(root, word, value)
    for _, each in ipairs(IS.array(value) and value or {}) do
      if not check(root, word, each) then return false end
    end
    return true
  end,
  pattern = size("string", function(value, word) return json_schema.matches(word, value) end),
  minLength = size("string", function(value, word) return #value >= word end),
  maxLength = size("string", function(value, word) return #value <= word end),
  minItems = size("array", function(value, word) return #value >= word end),
  maxItems = size("array", function(value, word) return #value <= word end),
  minimum = size("number", function(value, word) return value >= word end),
  maximum = size("number", function(value, word) return value <= word end),
}

function check(root, schema, value)
  if type(schema) == "boolean" then return schema end
  for word, said_there in pairs(schema) do
    local ask = WORDS[word] or error("this checker does not know the word " .. tostring(word))
    if not ask(root, said_there, value, schema) then return false end
  end
  return true
end

--- Whether a value, as it was read from JSON, fits the schema.
---@param schema table
---@param value any
---@return boolean
function json_schema.fits(schema, value) return check(schema, schema, value) end

return json_schema
