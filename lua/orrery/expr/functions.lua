--- The functions that expressions may call. They are pure, count what they look at as cost, and
--- never change a value.
---
--- A function gets the call (a site with `name` and `texts`, the arguments as written) and its
--- arguments. Null counts as nothing, as nil does.
local json = require "orrery.core".json
local site = require "orrery.expr.site"
local trim = require "orrery.text".trim

local null = json.null
local fits, spend, spend_text = site.fits, site.spend, site.spend_text

local functions = {}

---@param takes string the parameters, for messages
---@param least integer arguments
---@param most number
local function define(name, takes, least, most, fn)
  functions[name] = { takes = takes, least = least, most = most, fn = fn }
end

-- ---- arguments ----------------------------------------------------------------------------------

local function refuse(call, i, expected, value)
  site.fail(call, ("%s: %s() takes %s")
    :format(site.operand(call.texts[i] or "a missing argument", value), call.name,
    expected))
end

local function want_text(call, i, value)
  if type(value) == "string" then return value end
  if type(value) == "number" then return tostring(value) end
  return refuse(call, i, "a string", value)
end

local function want_number(call, i, value)
  local number = type(value) == "number" and value or type(value) == "string" and tonumber(value)
  return number or refuse(call, i, "a number", value)
end

local function want_integer(call, i, value)
  return math.tointeger(want_number(call, i, value)) or refuse(call, i, "a whole number", value)
end

-- An empty object may be an array whose kind was lost.
local function want_array(call, i, value)
  if type(value) == "table" and (json.is_array(value) or next(value) == nil) then return value end
  return refuse(call, i, "an array", value)
end

local function want_table(call, i, value)
  if type(value) == "table" then return value end
  return refuse(call, i, "an array or an object", value)
end

-- ---- text ---------------------------------------------------------------------------------------

local function text_function(name, fn)
  define(name, "text", 1, 1, function(call, value)
    local text = want_text(call, 1, value)
    fits(call, #text)
    return fn(text)
  end)
end

text_function("lower", string.lower)
text_function("upper", string.upper)
text_function("trim", trim)

-- Finding costs the product of both lengths at worst, and that much is counted.
local function spend_search(call, text, part)
  spend_text(call, #text * (1 + #part // 16))
end

define("contains", "text or array, part", 2, 2, function(call, whole, part)
  if type(whole) == "table" then
    want_array(call, 1, whole)
    spend(call, #whole)
    for i = 1, #whole do
      if whole[i] == part then return true end
    end
    return false
  end
  whole, part = want_text(call, 1, whole), want_text(call, 2, part)
  spend_search(call, whole, part)
  return whole:find(part, 1, true) ~= nil
end)

define("starts_with", "text, start", 2, 2, function(call, text, start)
  text, start = want_text(call, 1, text), want_text(call, 2, start)
  fits(call, #start)
  return text:sub(1, #start) == start
end)

define("ends_with", "text, ending", 2, 2, function(call, text, ending)
  text, ending = want_text(call, 1, text), want_text(call, 2, ending)
  fits(call, #ending)
  return ending == "" or text:sub(-#ending) == ending
end)

define("sub", "text, first, last", 2, 3, function(call, text, first, last)
  text = want_text(call, 1, text)
  text = text:sub(want_integer(call, 2, first), last == nil and -1 or want_integer(call, 3, last))
  fits(call, #text)
  return text
end)

-- Calls `each(piece)` for what stands between the separators.
local function pieces(call, text, separator, each)
  spend_search(call, text, separator)
  local at = 1
  while true do
    local from, to = text:find(separator, at, true)
    spend(call, 1)
    each(text:sub(at, from and from - 1 or -1))
    if not from then return end
    at = to + 1
  end
end

local function want_separator(call, i, value)
  local separator = want_text(call, i, value)
  return separator ~= "" and separator or refuse(call, i, "text that is not empty", value)
end

define("split", "text, separator", 2, 2, function(call, text, separator)
  local list = json.array {}
  pieces(call, want_text(call, 1, text), want_separator(call, 2, separator),
    function(piece) list[#list + 1] = piece end)
  return list
end)

define("replace", "text, part, by", 3, 3, function(call, text, part, by)
  text, part, by = want_text(call, 1, text), want_separator(call, 2, part), want_text(call, 3, by)
  local made, length = {}, -#by
  pieces(call, text, part, function(piece)
    made[#made + 1] = piece
    length = length + #piece + #by
    if length > site.LONGEST then fits(call, length) end
  end)
  fits(call, length)
  return table.concat(made, by)
end)

define("join", "array, separator", 1, 2, function(call, list, separator)
  want_array(call, 1, list)
  separator = separator == nil and "" or want_text(call, 2, separator)
  local made, length = {}, 0
  spend(call, #list)
  for i = 1, #list do
    local kind = type(list[i])
    if kind ~= "string" and kind ~= "number" and kind ~= "boolean" then
      site.fail(call, ("item %d of %s is %s: join() takes strings and numbers"):format(i, call.texts[1],
        site.describe(list[i])))
    end
    made[i] = tostring(list[i])
    length = length + #made[i] + #separator
    if length > site.LONGEST then fits(call, length) end
  end
  fits(call, length)
  return table.concat(made, separator)
end)

-- Conversions of string.format that are safe: what they take, and by which check.
local CONVERSIONS = {
  d = want_integer, i = want_integer, x = want_integer, X = want_integer, o = want_integer,
  f = want_number, g = want_number, G = want_number, e = want_number, E = want_number,
  s = function(call, i, value)
    if type(value) == "boolean" then return tostring(value) end
    return want_text(call, i, value)
  end,
}
local WIDEST = 430 -- bytes of "%99.99f" of the largest number
local LONGEST_SPEC = 12 -- bytes of a conversion: five flags, width, precision and letter

define("format", "pattern, ...", 1, math.huge, function(call, pattern, ...)
  pattern = want_text(call, 1, pattern)
  local arguments, n, given, length = { ... }, 0, select("#", ...), #pattern
  for spec in pattern:gmatch "%%([^%a%%]*.?)" do
    if spec ~= "%" then
      local width, precision, letter
      if #spec <= LONGEST_SPEC then width, precision, letter = spec:match "^[-+ #0]*(%d*)(%.?%d*)(%a)$" end
      local conversion = CONVERSIONS[letter]
      if not conversion or #width > 2 or #precision > 3 then
        site.fail(call, ('format() has no "%%%s"; it has %%d %%i %%x %%X %%o %%f %%g %%e %%s and %%%%')
          :format(site.short(spec, 20)))
      end
      n = n + 1
      if n > given then
        site.fail(call, ("format() wants %d values or more after its pattern, got %d"):format(n, given))
      end
      arguments[n] = conversion(call, n + 1, arguments[n])
      length = length + (type(arguments[n]) == "string" and #arguments[n] + 99 or WIDEST)
    end
  end
  fits(call, length)
  local ok, text = pcall(string.format, pattern, table.unpack(arguments, 1, n))
  return ok and text or site.fail(call, ('format() does not understand "%s"'):format(site.short(pattern, 40)))
end)

-- ---- times --------------------------------------------------------------------------------------

local PARTS = "YymdHMSjVGuFT%" -- of a time; none depends on the locale, and UTC on no zone
local FIRST, LAST = -30610224000, 253402300799 -- the years 1000 to 9999

define("date", "seconds, format", 1, 2, function(call, seconds, pattern)
  seconds = math.floor(want_number(call, 1, seconds))
  pattern = pattern == nil and "%F" or want_text(call, 2, pattern)
  if not (seconds >= FIRST and seconds <= LAST) then
    site.fail(call, ("%s: date() takes seconds since 1970, in the years 1000 to 9999")
      :format(site.operand(call.texts[1], seconds)))
  end
  fits(call, 5 * #pattern)
  for part in pattern:gmatch "%%(.?)" do
    if part == "" or not PARTS:find(part, 1, true) then
      site.fail(call, ('date() has no "%%%s"; it has %%Y %%m %%d %%H %%M %%S %%F %%T %%j %%V %%G %%u %%y '
        .. "and %%%%"):format(part))
    end
  end
  return os.date("!" .. pattern, seconds)
end)

-- ---- numbers ------------------------------------------------------------------------------------

local function number_function(name, fn)
  define(name, "number", 1, 1, function(call, value) return fn(want_number(call, 1, value)) end)
end

number_function("abs", math.abs)
number_function("floor", math.floor)
number_function("ceil", math.ceil)
number_function("round", function(number)
  return number >= 0 and math.floor(number + 0.5) or math.ceil(number - 0.5)
end)

-- Numbers given one by one, or one array of them. Empty arrays give nil.
local function numbers(call, first, ...)
  if type(first) ~= "table" then
    local list = { first, ... }
    for i = 1, 1 + select("#", ...) do list[i] = want_number(call, i, list[i]) end
    return list
  end
  want_array(call, 1, first)
  spend(call, #first)
  for i = 1, #first do
    if type(first[i]) ~= "number" then
      site.fail(call, ("item %d of %s is %s: %s() takes numbers")
        :format(i, call.texts[1], site.describe(first[i]),
        call.name))
    end
  end
  return first
end

local function fold_function(name, takes, most, start, fn)
  define(name, takes, 1, most, function(call, ...)
    local list = numbers(call, ...)
    local result, from = start, 1
    if start == nil then result, from = list[1], 2 end
    for i = from, #list do result = fn(result, list[i]) end
    return result
  end)
end

fold_function("min", "number, ... or array", math.huge, nil, math.min)
fold_function("max", "number, ... or array", math.huge, nil, math.max)
fold_function("sum", "array", 1, 0, function(a, b) return a + b end)

-- ---- tables -------------------------------------------------------------------------------------

define("len", "text or array", 1, 1, function(call, value)
  if type(value) == "string" then return #value end
  return #want_array(call, 1, value)
end)

define("count", "array or object", 1, 1, function(call, value)
  want_table(call, 1, value)
  if json.is_array(value) then return #value end
  local n = 0
  for _ in next, value do n = n + 1 end
  spend(call, n)
  return n
end)

define("first", "array", 1, 1, function(call, list) return want_array(call, 1, list)[1] end)
define("last", "array", 1, 1, function(call, list)
  want_array(call, 1, list)
  return list[#list]
end)

local function sorted_keys(call, object)
  want_table(call, 1, object)
  local keys = json.array {}
  if json.is_array(object) then
    spend(call, #object)
    for i = 1, #object do keys[i] = i end
    return keys
  end
  for key in next, object do
    spend(call, 1)
    if type(key) ~= "string" then refuse(call, 1, "an array or an object, whose keys are strings", object) end
    keys[#keys + 1] = key
  end
  table.sort(keys)
  return keys
end

define("keys", "object", 1, 1, sorted_keys)
define("values", "object", 1, 1, function(call, object)
  local list = sorted_keys(call, object)
  for i, key in ipairs(list) do list[i] = object[key] end
  return list
end)

-- ---- any value ----------------------------------------------------------------------------------

define("default", "value, otherwise", 2, 2, function(_, value, otherwise)
  if value == nil or value == null then return otherwise end
  return value
end)

define("type", "value", 1, 1, function(_, value)
  if value == null then return "null" end
  if type(value) == "table" then return json.is_array(value) and "array" or "object" end
  return type(value)
end)

define("tostring", "value", 1, 1, function(call, value)
  if type(value) == "table" then return refuse(call, 1, "no array or object; json() writes those", value) end
  if value == null then return "null" end
  return tostring(value)
end)

define("tonumber", "value, base", 1, 2, function(call, value, base)
  if base == nil then
    return type(value) ~= "table" and value ~= null and value ~= nil and tonumber(value) or nil
  end
  base = want_integer(call, 2, base)
  if base < 2 or base > 36 then refuse(call, 2, "a base from 2 to 36", base) end
  return tonumber(want_text(call, 1, value), base)
end)

define("json", "value", 1, 1, function(call, value)
  local ok, text = pcall(json.encode, value, { limit = site.LONGEST, root = site.short(call.texts[1], 60) })
  if not ok then site.fail(call, tostring(text)) end
  fits(call, #text)
  return text
end)

return functions
