--- The types of schemas: how each tells its values, what it makes of them, and what it makes of a
--- word from a command line.
local duration = require "orrery.duration"
local json = require "orrery.core".json

local types = {}

---@class orrery.schema.Type
---@field accepts fun(value: any): any, string|nil the value as the type has it, or nil and what is wrong where more is to be
--- said than "expected …"
---@field from fun(text: string): any the value of a word, or nil where it is none
---@field size? fun(value: any): number|nil what `min` and `max` bound

local function plain(kind)
  return function(value)
    if type(value) == kind then return value end
    return nil
  end
end

local function decoded(text)
  local ok, value = pcall(json.decode, text)
  if ok then return value end
  return nil
end

local function decoded_as(accepts)
  return function(text)
    local value = decoded(text)
    return value ~= nil and accepts(value) or nil
  end
end

local function finite(value)
  return type(value) == "number" and value == value and value ~= math.huge and value ~= -math.huge
end

local function number_of(text)
  local number = text:find "^%s*[-+]?[%d.]" and tonumber(text)
  return number and finite(number) and number or nil
end

local function accept_array(value)
  if type(value) ~= "table" then return nil end
  if json.is_array(value) then return value end
  return next(value) == nil and json.array {} or nil
end

local function accept_object(value)
  if type(value) ~= "table" or json.is_array(value) and #value > 0 then return nil end
  return value
end

local function itself(value) return value end

types.string = { accepts = plain "string", from = itself,
  size = function(value) return utf8.len(value) or #value end }
types.integer = {
  accepts = function(value) return type(value) == "number" and math.tointeger(value) or nil end,
  from = function(text)
    local number = number_of(text)
    return number and math.tointeger(number)
  end,
  size = itself,
}
types.number = { accepts = function(value) return finite(value) and value or nil end, from = number_of,
  size = itself }
types.boolean = {
  accepts = plain "boolean",
  from = function(text)
    if text == "true" then return true end
    if text == "false" then return false end
    return nil
  end,
}
types.array = { accepts = accept_array, from = decoded_as(accept_array),
  size = function(value) return #value end }
types.object = { accepts = accept_object, from = decoded_as(accept_object) }
types.duration = {
  -- A number of seconds, however it was written.
  accepts = function(value)
    local seconds, message = duration.parse(value)
    return seconds, message
  end,
  from = function(text) return (duration.parse(text)) and text or number_of(text) end,
  size = itself,
}
types["function"] = {
  accepts = function(value)
    local meta = type(value) == "table" and getmetatable(value)
    if type(value) == "function" or meta and type(meta) == "table" and meta.__call then return value end
    return nil
  end,
  from = function() return nil end,
}
types.any = {
  accepts = itself,
  from = function(text)
    local value = decoded(text)
    if value == nil then return text end
    return value
  end,
}

--- What people write instead.
types.ALIASES = {
  int = "integer", long = "integer", float = "number", double = "number", num = "number", bool = "boolean",
  str = "string",
  text = "string", list = "array", table = "object", map = "object", dict = "object", func = "function",
  fn = "function",
  time = "duration", seconds = "duration",
}

--- The names, in alphabetical order.
types.NAMES = { "any", "array", "boolean", "duration", "function", "integer", "number", "object", "string" }

return types
