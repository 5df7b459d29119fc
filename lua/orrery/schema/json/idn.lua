--- Names of hosts with other letters than those of ASCII: IDNA 2008 (RFC 5890 to 5893) and its
--- encoding, Punycode (RFC 3492).
local data = require "orrery.schema.json.idn_data"
local property = require "orrery.schema.regex.property"
local set = require "orrery.schema.regex.set"

local idn = {}

local MOST_NAME, MOST_LABEL = 253, 63

local decoded = {}

local function is_in(name, code)
  decoded[name] = decoded[name] or property.decode(data[name])
  return set.has(decoded[name], code)
end

local function has_category(name, code) return set.has((property.ranges(name)), code) end

-- ---- Punycode -----------------------------------------------------------------------------------

local BASE, T_MIN, T_MAX, SKEW, DAMP = 36, 1, 26, 38, 700
local DIGITS = "abcdefghijklmnopqrstuvwxyz0123456789"

local function adapted(delta, points, first)
  delta = first and delta // DAMP or delta // 2
  delta = delta + delta // points
  local k = 0
  while delta > (BASE - T_MIN) * T_MAX // 2 do
    delta = delta // (BASE - T_MIN)
    k = k + BASE
  end
  return k + (BASE - T_MIN + 1) * delta // (delta + SKEW)
end

local function threshold(k, bias) return math.max(T_MIN, math.min(T_MAX, k - bias)) end

-- A number of variable length at a place: it and the place behind it; nil where there is none.
local function read_number(text, at, bias)
  local number, weight, k = 0, 1, BASE
  while true do
    local digit = DIGITS:find(text:sub(at, at):lower(), 1, true)
    if at > #text or not digit then return nil end
    at = at + 1
    number = number + (digit - 1) * weight
    local t = threshold(k, bias)
    if digit - 1 < t then return number, at end
    weight, k = weight * (BASE - t), k + BASE
    if weight > 1 << 40 then return nil end
  end
end

-- The code points that a text stands for; nil where it is none.
local function decode(text)
  local codes = {}
  local plain, rest = text:match "^(.*)%-([^-]*)$"
  for i = 1, #(plain or "") do codes[i] = plain:byte(i) end
  rest = plain and rest or text
  local code, i, bias, at = 128, 0, 72, 1
  while at <= #rest do
    local number
    number, at = read_number(rest, at, bias)
    if not number then return nil end
    local before = i
    i = i + number
    local count = #codes + 1
    bias = adapted(i - before, count, before == 0)
    code, i = code + i // count, i % count
    if code > 0x10FFFF then return nil end
    table.insert(codes, i + 1, code)
    i = i + 1
  end
  return codes
end

local function put_number(out, number, bias)
  local k = BASE
  while true do
    local t = threshold(k, bias)
    if number < t then break end
    local digit = t + (number - t) % (BASE - t)
    out[#out + 1] = DIGITS:sub(digit + 1, digit + 1)
    number, k = (number - t) // (BASE - t), k + BASE
  end
  out[#out + 1] = DIGITS:sub(number + 1, number + 1)
end

local function next_least(codes, from)
  local least = math.huge
  for _, code in ipairs(codes) do
    if code >= from and code < least then least = code end
  end
  return least
end

local function encode(codes)
  local out = {}
  for _, code in ipairs(codes) do
    if code < 128 then out[#out + 1] = string.char(code) end
  end
  local plain = #out
  local done, from, delta, bias = plain, 128, 0, 72
  if plain > 0 then out[#out + 1] = "-" end
  while done < #codes do
    local least = next_least(codes, from)
    delta = delta + (least - from) * (done + 1)
    for _, code in ipairs(codes) do
      if code < least then delta = delta + 1 end
      if code == least then
        put_number(out, delta, bias)
        bias = adapted(delta, done + 1, done == plain)
        delta, done = 0, done + 1
      end
    end
    delta, from = delta + 1, least + 1
  end
  return table.concat(out)
end

-- ---- code points: RFC 5892 ----------------------------------------------------------------------

local TAKEN = { [0x2D] = true, [0xDF] = true, [0x3C2] = true, [0x6FD] = true, [0x6FE] = true, [0xF0B] = true,
  [0x3007] = true }
local REFUSED = { [0x640] = true, [0x7FA] = true, [0x302E] = true, [0x302F] = true, [0x3031] = true,
  [0x3032] = true, [0x3033] = true, [0x3034] = true, [0x3035] = true, [0x303B] = true }
local CATEGORIES = { "Ll", "Lo", "Lm", "Mn", "Mc", "Nd" }

local function follows_virama(codes, i) return codes[i - 1] ~= nil and is_in("virama", codes[i - 1]) end

-- The regular expression of appendix A.1: (L|D) T* ZWNJ T* (R|D).
local function joins(codes, i)
  local left, right = i - 1, i + 1
  while codes[left] and is_in("transparent", codes[left]) do left = left - 1 end
  while codes[right] and is_in("transparent", codes[right]) do right = right + 1 end
  return codes[left] ~= nil and codes[right] ~= nil and is_in("joins_left", codes[left])
    and is_in("joins_right", codes[right])
end

local function all_but(low, high)
  return function(codes)
    for _, code in ipairs(codes) do
      if code >= low and code <= high then return false end
    end
    return true
  end
end

local function behind(name)
  return function(codes, i) return codes[i - 1] ~= nil and is_in(name, codes[i - 1]) end
end

-- Where characters may stand that need a context (appendix A).
local CONTEXT = {
  [0x200C] = function(codes, i) return follows_virama(codes, i) or joins(codes, i) end,
  [0x200D] = follows_virama,
  [0xB7] = function(codes, i) return codes[i - 1] == 0x6C and codes[i + 1] == 0x6C end,
  [0x375] = function(codes, i) return codes[i + 1] ~= nil and is_in("greek", codes[i + 1]) end,
  [0x5F3] = behind "hebrew", [0x5F4] = behind "hebrew",
  [0x30FB] = function(codes)
    for _, code in ipairs(codes) do
      if code ~= 0x30FB and is_in("kana_han", code) then return true end
    end
    return false
  end,
}
for digit = 0, 9 do
  CONTEXT[0x660 + digit], CONTEXT[0x6F0 + digit] = all_but(0x6F0, 0x6F9), all_but(0x660, 0x669)
end

local function may_stand(codes, i)
  local code = codes[i]
  if CONTEXT[code] then return CONTEXT[code](codes, i) end
  if TAKEN[code] then return true end
  if REFUSED[code] or is_in("refused", code) then return false end
  for _, name in ipairs(CATEGORIES) do
    if has_category(name, code) then return true end
  end
  return false
end

-- ---- direction: RFC 5893 ------------------------------------------------------------------------

local function direction(code)
  for _, name in ipairs { "right", "arabic_number", "number", "mark" } do
    if is_in(name, code) then return name end
  end
  return (code == 0x2D or CONTEXT[code]) and "sign" or "left"
end

-- Section 2, for a label of a name in which something goes from right to left.
local function directed(codes)
  local has, first, last = {}, direction(codes[1]), nil
  for _, code in ipairs(codes) do
    local each = direction(code)
    has[each] = true
    if each ~= "mark" then last = each end
  end
  if first == "right" then
    return not has.left and (last == "right" or last == "number" or last == "arabic_number")
      and not (has.number and has.arabic_number)
  end
  return first == "left" and not has.right and not has.arabic_number and (last == "left" or last == "number")
end

local function goes_right(codes)
  for _, code in ipairs(codes) do
    local each = direction(code)
    if each == "right" or each == "arabic_number" then return true end
  end
  return false
end

-- ---- labels and names ---------------------------------------------------------------------------

local function is_mark(code)
  return has_category("Mn", code) or has_category("Mc", code) or has_category("Me", code)
end

local function label_fits(codes)
  if #codes == 0 or codes[1] == 0x2D or codes[#codes] == 0x2D or is_mark(codes[1]) then return false end
  if codes[3] == 0x2D and codes[4] == 0x2D then return false end
  for i = 1, #codes do
    if not may_stand(codes, i) then return false end
  end
  return true
end

-- The code points of a label; nil where it is none.
local function read_label(text)
  local encoded = text:lower():match "^xn%-%-(.*)$"
  local codes
  if encoded then
    codes = decode(encoded)
    if not codes or #text > MOST_LABEL or encode(codes) ~= encoded then return nil end
    if not text:find "^[%w-]+$" or #codes == 0 then return nil end
    local ascii = true
    for _, code in ipairs(codes) do ascii = ascii and code < 128 end
    return not ascii and label_fits(codes) and codes or nil
  end
  codes = {}
  local ascii = true
  for _, code in utf8.codes(text) do
    if code >= 0x41 and code <= 0x5A then code = code + 0x20 end
    codes[#codes + 1] = code
    ascii = ascii and code < 128
  end
  local length = ascii and #text or 4 + #encode(codes)
  return length <= MOST_LABEL and label_fits(codes) and codes or nil
end

local DOTS = { "\u{3002}", "\u{FF0E}", "\u{FF61}" }

--- Whether a text is the name of a host, with letters of any script.
---@param text string
---@return boolean
function idn.is_name(text)
  if not utf8.len(text) then return false end
  for _, dot in ipairs(DOTS) do text = text:gsub(dot, ".") end
  local labels, length, right = {}, -1, false
  for part in (text .. "."):gmatch "([^.]*)%." do
    local codes = read_label(part)
    if not codes then return false end
    labels[#labels + 1] = codes
    length = length + 1 + (part:find "[\x80-\xff]" and 4 + #encode(codes) or #part)
    right = right or goes_right(codes)
  end
  if length > MOST_NAME then return false end
  for _, codes in ipairs(right and labels or {}) do
    if not directed(codes) then return false end
  end
  return true
end

--- Whether a label that begins with "xn--" stands for one.
---@param text string
---@return boolean
function idn.is_encoded_label(text) return read_label(text) ~= nil end

return idn
