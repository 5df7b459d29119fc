--- Values as JSON Schema sees them: what is an array, what is equal, what messages call them.
local json = require "orrery.core".json
local site = require "orrery.expr.site"

local value = {}

local ARRAY, OBJECT = json.array_mt, json.object_mt
local DEPTH = 1000

--- Whether a table is an array: one that JSON was read from, `flow.json.array {}`, or 1..n.
---@param t table
---@return boolean
function value.is_array(t)
  local meta = getmetatable(t)
  if meta == nil then return rawget(t, 1) ~= nil end
  return meta == ARRAY
end

--- Whether a table is an object. A secret is neither.
---@param t table
---@return boolean
function value.is_object(t)
  local meta = getmetatable(t)
  if meta == nil then return rawget(t, 1) == nil end
  return meta ~= ARRAY and (meta == OBJECT or not value.is_secret(t))
end

--- Whether a value stands for a text that is known later.
---@param t any
---@return boolean
function value.is_secret(t)
  local meta = type(t) == "table" and getmetatable(t)
  return type(meta) == "table" and meta.__name == "orrery.secret"
end

--- A value in the words of messages: `integer 3`, `the string "x"`.
---@param v any
---@return string
function value.shown(v)
  if math.type(v) == "integer" then return "integer " .. v end
  if type(v) == "number" then return "number " .. v end
  if type(v) == "table" and next(v) == nil then
    return getmetatable(v) and value.is_array(v) and "an empty array" or "an empty object"
  end
  return site.describe(v)
end

-- ---- equality -----------------------------------------------------------------------------------

local canonical

local function of_table(v, depth)
  if depth > DEPTH then return "?" end
  local parts = {}
  if value.is_array(v) then
    for i = 1, #v do parts[i] = canonical(v[i], depth + 1) end
    return "[" .. table.concat(parts, ",") .. "]"
  end
  local keys = {}
  for key in next, v do keys[#keys + 1] = tostring(key) end
  table.sort(keys)
  for i, key in ipairs(keys) do
    parts[i] = ("%d:%s=%s"):format(#key, key, canonical(v[key], depth + 1))
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

function canonical(v, depth)
  local kind = type(v)
  if kind == "string" then return ("%d:%s"):format(#v, v) end
  if kind == "number" then
    local whole = math.tointeger(v)
    return whole and ("%d"):format(whole) or ("%.17g"):format(v)
  end
  if kind == "table" then return of_table(v, depth) end
  if v == json.null then return "null" end
  return tostring(v)
end

--- What is the same for equal values, and only for them, as a key of a table: scalars are
--- themselves (1 and 1.0 are one key), arrays and objects become text.
---@param v any
---@return any
function value.key(v)
  return type(v) == "table" and "t" .. of_table(v, 1) or type(v) == "string" and "s" .. v or v
end

return value
