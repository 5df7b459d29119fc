--- Words that speak of any value: `type`, `enum`, `const`; and `format`, which speaks of strings.
local context = require "orrery.schema.json.context"
local errors = require "orrery.errors"
local nearest = require "orrery.nearest"
local null = require "orrery.core".json.null
local site_text = require "orrery.expr.site"
local values = require "orrery.schema.json.value"

local is_array, is_object, is_secret = values.is_array, values.is_object, values.is_secret
local key_of, shown = values.key, values.shown

local function finite(value) return type(value) == "number" and value - value == 0 end

-- A secret is a text that is known later.
local IS = {
  string = function(value) return type(value) == "string" or is_secret(value) end,
  number = finite,
  integer = function(value) return math.type(value) == "integer" or finite(value) and value % 1 == 0 end,
  boolean = function(value) return type(value) == "boolean" end,
  null = function(value) return value == null end,
  array = function(value) return type(value) == "table" and is_array(value) end,
  object = function(value) return type(value) == "table" and is_object(value) end,
}
local ARTICLE = { string = "a string", number = "a number", integer = "an integer", boolean = "a boolean",
  null = "null", array = "an array", object = "an object" }
local NAMES = { "array", "boolean", "integer", "null", "number", "object", "string" }

-- What helps where a table of Lua's is empty.
local function remedy(value, wanted)
  if wanted == "an array" and type(value) == "table" and next(value) == nil and not getmetatable(value) then
    return "; flow.json.array {} is an empty array"
  end
  return ""
end

local function of_type(is, expected, at)
  return function(value, c)
    if is(value) then return true end
    return c.all and context.problem(c, "type", at, ("is wrong, expected %s, got %s%s")
      :format(expected, shown(value), remedy(value, expected)), expected)
  end
end

local function check_type(site, word)
  local names = type(word) == "table" and word or { word }
  local tests, articles = {}, {}
  for i, name in ipairs(names) do
    tests[i] = IS[name]
    if not tests[i] then
      local near = type(name) == "string" and nearest(name, NAMES)
      site:mistake("type", "there is no type %s%s", type(name) == "string" and ('"%s"'):format(name)
        or errors.show(name), near and ('; did you mean "%s"?'):format(near)
        or "; there are " .. table.concat(NAMES, ", "))
      return nil
    end
    articles[i] = ARTICLE[name]
  end
  if #tests == 0 then
    site:mistake("type", "expected the name of a type, or a list of names")
    return nil
  end
  local at = site:place "type"
  if #tests == 1 then return of_type(tests[1], articles[1], at) end
  local function any(value)
    for i = 1, #tests do
      if tests[i](value) then return true end
    end
    return false
  end
  return of_type(any, table.concat(articles, " or "), at)
end

-- ---- enum and const -----------------------------------------------------------------------------

local MOST_SHOWN = 12

local function literal(value)
  if type(value) == "string" then return ('"%s"'):format(site_text.short(value, 60)) end
  if type(value) == "table" or value == null then
    local good, text = pcall(require "orrery.core".json.encode, value)
    return good and #text <= 60 and text or shown(value)
  end
  return tostring(value)
end

local function near_of(value, list)
  local names = {}
  for _, each in ipairs(list) do names[#names + 1] = type(each) == "string" and each or nil end
  local near = type(value) == "string" and nearest(value, names)
  return near and ('; did you mean "%s"?'):format(near) or ""
end

local function check_enum(site, list)
  if type(list) ~= "table" or not is_array(list) and next(list) ~= nil then
    site:mistake("enum", "expected a list of values, got %s", errors.show(list))
    return nil
  end
  local is, words = {}, {}
  for i, each in ipairs(list) do
    is[key_of(each)] = true
    if i <= MOST_SHOWN then words[i] = literal(each) end
  end
  local more = #list > MOST_SHOWN and (" and %d more"):format(#list - MOST_SHOWN) or ""
  local at, expected = site:place "enum", "one of " .. table.concat(words, ", ") .. more
  return function(value, c)
    if value == value and is[key_of(value)] then return true end
    return c.all and context.problem(c, "enum", at, ("is wrong, expected %s, got %s%s")
      :format(expected, shown(value), near_of(value, list)), expected)
  end
end

local function check_const(site, wanted)
  local key, at, expected = key_of(wanted), site:place "const", literal(wanted)
  return function(value, c)
    if key_of(value) == key then return true end
    return c.all and context.problem(c, "enum", at, ("is wrong, expected %s, got %s%s")
      :format(expected, shown(value), near_of(value, { wanted })), expected)
  end
end

return {
  { word = "type", group = "type", make = check_type },
  { word = "enum", group = "any", make = check_enum },
  { word = "const", group = "any", make = check_const },
}
