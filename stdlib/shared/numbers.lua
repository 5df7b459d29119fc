--- Numbers as people write them: 1,234.50 or 1 234,50.
local numbers = {}

local LONGEST = 60 -- bytes of a number
local SPACES = { ["\u{A0}"] = " ", ["\u{202F}"] = " ", ["\u{2009}"] = " ", ["\u{2212}"] = "-",
  ["\u{2019}"] = "'" }

-- The digits of a whole number that may be grouped by threes; nil where they are not.
local function digits_of(whole, decimal)
  if whole:find "^%d*$" then return whole end
  local mark = whole:match "^%d+([., '])"
  if not mark or mark == decimal then return nil end
  local groups = {}
  for group in (whole .. mark):gmatch("([^" .. mark .. "]*)[" .. mark .. "]") do
    if not group:find(#groups == 0 and "^%d%d?%d?$" or "^%d%d%d$") then return nil end
    groups[#groups + 1] = group
  end
  return table.concat(groups)
end

--- What is wrong with a decimal mark, or nil.
---@param decimal string|nil
---@return string|nil
function numbers.mistake(decimal)
  if decimal == nil or decimal == "." or decimal == "," then return nil end
  return ('the decimal mark is "." or ",", got %q'):format(decimal)
end

--- The number that a text writes, an integer where it is whole and fits.
---@param text string
---@param decimal string|nil "." or ","; "." unless it is given
---@return number|nil
---@return string|nil reason
function numbers.read(text, decimal)
  decimal = decimal or "."
  local trimmed = #text <= LONGEST and text:gsub(utf8.charpattern, SPACES):match "^%s*(.-)%s*$" or ""
  local sign, rest = trimmed:match "^([+-]?)%s*(.*)$"
  local mantissa, exponent = rest:match "^(.-)([eE][+-]?%d+)$"
  mantissa, exponent = mantissa or rest, exponent or ""
  local at = mantissa:find(decimal, 1, true)
  local digits = digits_of(at and mantissa:sub(1, at - 1) or mantissa, decimal)
  local fraction = at and mantissa:sub(at + 1) or ""
  if not digits or not fraction:find "^%d*$" or digits .. fraction == "" then return nil,
    "it is no number" end
  local point = at and fraction ~= "" and "." .. fraction or ""
  local number = tonumber((digits == "" and "0" or digits) .. point .. exponent)
  if not number or number == math.huge then return nil, "it is too large for a number" end
  return sign == "-" and -number or number
end

--- The same, as an integer.
---@param text string
---@param decimal string|nil
---@return integer|nil
---@return string|nil reason
function numbers.whole(text, decimal)
  local number, reason = numbers.read(text, decimal)
  if not number then return nil, reason end
  number = math.tointeger(number)
  if not number then return nil, "it is no whole number" end
  return number
end

return numbers
