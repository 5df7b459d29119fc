--- Telephone numbers in the form of E.164: "+", calling code, national number; at most 15 digits.
local calling = require "orrery.stdlib.shared.calling_codes"

local phones = {}

local MOST = 15     -- digits, ITU-T E.164
local LONGEST = 60  -- bytes of a number as it is written
-- What may stand between digits: ASCII, and dashes and spaces of Unicode.
local BETWEEN = { ["\u{A0}"] = "", ["\u{202F}"] = "", ["\u{2010}"] = "", ["\u{2011}"] = "", ["\u{2012}"] = "",
  ["\u{2013}"] = "", ["\u{2014}"] = "", ["\u{2212}"] = "" }

--- What is wrong with a region, or nil.
---@param region string|nil
---@return string|nil
function phones.mistake(region)
  if region == nil or calling.by_region[region] then return nil end
  return ("there is no region %q; give two capital letters of ISO 3166, such as DE"):format(region)
end

-- Digits alone; nil where something else is among them.
local function digits_of(text)
  text = text:gsub(utf8.charpattern, BETWEEN):gsub("[%s().%-/]", "")
  return text:match "^%d+$"
end

local function split(digits)
  for length = 1, 3 do
    local known = calling.by_code[digits:sub(1, length)]
    if known then return known, digits:sub(length + 1) end
  end
end

local function without(prefix, digits)
  return prefix and digits:sub(1, #prefix) == prefix and digits:sub(#prefix + 1) or nil
end

-- A national number without what is dialled before it inside the country. Where that is no 0,
-- numbers may begin with it, and their length tells.
local function without_trunk(country, digits)
  local rest = without(country.trunk, digits)
  if rest and (country.trunk:find "^0" or #digits > country.most) then return rest end
  return digits
end

-- All digits of a number as it is written, from its calling code on.
local function international(text, region)
  local home = calling.by_region[region]
  local plus, rest = text:match "^%s*(%+?)(.*)$"
  local abroad = digits_of((rest:gsub("%(0%)", ""))) -- +49 (0)30: inside the country only
  if not abroad then return nil, "it is no phone number" end
  if plus == "+" then return abroad end
  abroad = without(home and home.foreign or "00", abroad)
  if abroad then return abroad end
  if not home then return nil, 'it has no calling code; write "phone DE" for numbers of a country' end
  return home.code .. without_trunk(home, digits_of(rest))
end

--- A number in the form of E.164.
---@param text string
---@param region string|nil whose numbers have no calling code
---@return string|nil number
---@return string|nil reason
function phones.normal(text, region)
  if #text > LONGEST then return nil, "it is no phone number" end
  local digits, reason = international(text:gsub("^%s*[Tt][Ee][Ll]:", ""), region)
  if not digits then return nil, reason end
  local country, national = split(digits)
  if not country then return nil, ("+%s begins with no calling code"):format(digits) end
  national = without_trunk(country, national)
  if #national >= country.least and #national <= country.most and #country.code + #national <= MOST then
    return "+" .. country.code .. national
  end
  local range = ("%d to %d"):format(country.least, country.most)
  return nil, ("%d digits follow the calling code +%s, expected %s"):format(#national, country.code,
    country.least == country.most and tostring(country.least) or range)
end

return phones
