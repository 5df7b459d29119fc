--- Masking: values that nobody is to see are replaced by `•••` in all that is kept or shown, as
--- they stand and as node types write them: in URLs, in JSON, in XML, as base64.
local core = require "orrery.core"

local mask = {}

local SHORTEST = 4        -- bytes; a shorter value stands in too many texts by chance
local SHORTEST_LINE = 8   -- of a value of several lines, of which each may be shown alone
local SHORTEST_BASE64 = 6 -- characters that a value alone decides

local SHOWN = "•••"

--- What stands in the place of a value that is masked.
mask.SHOWN = SHOWN

local known, is_known = {}, {} -- what is masked, the longest first

-- ---- replacing ----------------------------------------------------------------------------------

--- A text without the values that are known. Takes the text's length times their number.
---@param text string
---@return string
function mask.text(text)
  for _, value in ipairs(known) do
    local from, to = text:find(value, 1, true)
    if from then
      local parts, at = {}, 1
      while from do
        parts[#parts + 1] = text:sub(at, from - 1)
        at = to + 1
        from, to = text:find(value, at, true)
      end
      parts[#parts + 1] = text:sub(at)
      text = table.concat(parts, SHOWN)
    end
  end
  return text
end

-- A table without such values is given back as it is. `made` holds what became of the tables.
local function masked(value, made)
  if type(value) == "string" then return mask.text(value) end
  if type(value) ~= "table" then return value end
  local meta = getmetatable(value)
  if type(meta) == "table" and meta.__name == "orrery.secret" then return SHOWN end
  if made[value] ~= nil then return made[value] end
  made[value] = value
  local changed
  for key, inner in next, value do
    local new_key, new = masked(key, made), masked(inner, made)
    if new_key ~= key or new ~= inner then changed = true end
  end
  if not changed then return value end
  local copy = {}
  for key, inner in next, value do copy[masked(key, made)] = masked(inner, made) end
  made[value] = setmetatable(copy, meta)
  return made[value]
end

--- A value without the values that are known, and without secrets that were not looked up. A table
--- in which there are none is given back itself, any other is copied.
---@param value any
---@return any
function mask.value(value) return masked(value, {}) end

-- ---- what is known ------------------------------------------------------------------------------

local function remember(value, least)
  if #value < least or is_known[value] then return end
  if #known == 0 then core.set_mask(mask.value) end
  is_known[value] = true
  known[#known + 1] = value
end

local DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(text)
  local out = {}
  for i = 1, #text, 3 do
    local a, b, c = text:byte(i, i + 2)
    local bits = a << 16 | (b or 0) << 8 | (c or 0)
    for k = 0, c and 3 or b and 2 or 1 do
      local digit = bits >> (18 - 6 * k) & 63
      out[#out + 1] = DIGITS:sub(digit + 1, digit + 1)
    end
  end
  return table.concat(out)
end

-- Within other text ("user:value") base64 has a value at one of three places in a group of three
-- bytes. What the value alone decides stays the same: all but the digits that it shares with its
-- neighbours. At the end of a text the last digit is the value's as well.
local function remember_base64(value)
  for before = 0, 2 do
    local digits = base64(("\0"):rep(before) .. value):sub((before * 8 + 5) // 6 + 1)
    local inner = digits:sub(1, (before + #value) * 8 // 6 - (before * 8 + 5) // 6)
    for _, form in ipairs { digits, inner } do
      remember(form, SHORTEST_BASE64)
      remember((form:gsub("[+/]", { ["+"] = "-", ["/"] = "_" })), SHORTEST_BASE64) -- RFC 4648, section 5
    end
  end
end

local function lower_hex(text)
  return (text:gsub("%%%x%x", string.lower))
end

local XML = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }

local function in_json(text)
  return utf8.len(text) and core.json.encode(text):sub(2, -2) or text
end

-- A server that tells what it was sent puts the JSON of a request into a text of its own JSON.
local function remember_forms(value)
  local escaped = require("orrery.url").escape(value)
  local xml = value:gsub("[&<>]", XML)
  local forms = { value, in_json(value), escaped, lower_hex(escaped),
    (escaped:gsub("%%20", "+")), -- as forms of HTML are sent
    xml, (xml:gsub('"', "&quot;"):gsub("'", "&#39;")),
    (value:gsub('"', '""')), (value:gsub("'", "''")), -- in CSV, in SQL
    (value:gsub("'", "'\\''")) } -- between the quotes of a shell
  for _, form in ipairs(forms) do
    remember(form, SHORTEST)
    remember(in_json(form), SHORTEST)
  end
  remember_base64(value)
end

local protected, values = {}, {}

--- What is masked, as it was given.
---@return string[]
function mask.values() return values end

--- Masks a value from now on, in all of the process. One of fewer than four bytes is not masked.
---@param value string
function mask.protect(value)
  if protected[value] then return end
  protected[value] = true
  values[#values + 1] = value
  if #value < SHORTEST then return end
  remember_forms(value)
  if value:find "[\r\n]" then
    for line in value:gmatch "[^\r\n]+" do
      local trimmed = line:match "^%s*(.-)%s*$"
      if #trimmed >= SHORTEST_LINE then remember_forms(trimmed) end
    end
  end
  table.sort(known, function(a, b) return #a > #b end)
end

return mask
