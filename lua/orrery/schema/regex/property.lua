--- What `\p{…}` names: general categories of Unicode by their short and long names, `Any` and
--- `ASCII`. Loaded when an expression has one.
local categories = require "orrery.schema.regex.categories"
local nearest = require "orrery.nearest"
local set = require "orrery.schema.regex.set"

-- PropertyValueAliases.txt
local LONG = {
  Letter = "L", Cased_Letter = "LC", Uppercase_Letter = "Lu", Lowercase_Letter = "Ll",
  Titlecase_Letter = "Lt", Modifier_Letter = "Lm", Other_Letter = "Lo", Mark = "M",
  Combining_Mark = "M", Nonspacing_Mark = "Mn", Spacing_Mark = "Mc", Enclosing_Mark = "Me",
  Number = "N", Decimal_Number = "Nd", digit = "Nd", Letter_Number = "Nl", Other_Number = "No",
  Punctuation = "P", punct = "P", Connector_Punctuation = "Pc", Dash_Punctuation = "Pd",
  Open_Punctuation = "Ps", Close_Punctuation = "Pe", Initial_Punctuation = "Pi",
  Final_Punctuation = "Pf", Other_Punctuation = "Po", Symbol = "S", Math_Symbol = "Sm",
  Currency_Symbol = "Sc", Modifier_Symbol = "Sk", Other_Symbol = "So", Separator = "Z",
  Space_Separator = "Zs", Line_Separator = "Zl", Paragraph_Separator = "Zp", Other = "C",
  Control = "Cc", cntrl = "Cc", Format = "Cf", Surrogate = "Cs", Private_Use = "Co", Unassigned = "Cn",
}

local property = {}

local decoded = {}

--- The ranges of a set as the tables of Unicode here have it.
---@param text string
---@return integer[]
function property.decode(text)
  local ranges, last = {}, 0
  for from, length in text:gmatch "(%w+)%-?(%w*)" do
    local start = last + tonumber(from, 36)
    last = length == "" and start or start + tonumber(length, 36)
    ranges[#ranges + 1], ranges[#ranges + 2] = start, last
  end
  return ranges
end

local function joined(fits)
  local ranges = {}
  for name, text in next, categories do
    if fits(name) then
      local more = property.decode(text)
      table.move(more, 1, #more, #ranges + 1, ranges)
    end
  end
  return set.of(ranges)
end

local function unassigned() return set.complement(joined(function() return true end)) end

local SPECIAL = {
  Any = function() return set.ANY end,
  ASCII = function() return { 0, 0x7F } end,
  LC = function() return joined(function(name) return name == "Lu" or name == "Ll" or name == "Lt" end) end,
  Cn = unassigned,
  C = function()
    local ranges, more = joined(function(name) return name:sub(1, 1) == "C" end), unassigned()
    return set.of(table.move(more, 1, #more, #ranges + 1, ranges))
  end,
}

local function ranges_of(name)
  if SPECIAL[name] then return SPECIAL[name]() end
  if categories[name] then return property.decode(categories[name]) end
  if #name ~= 1 then return nil end
  local ranges = joined(function(each) return each:sub(1, 1) == name end)
  return #ranges > 0 and ranges or nil
end

local function names()
  local list = { "Any", "ASCII" }
  for name in pairs(LONG) do list[#list + 1] = name end
  table.sort(list)
  return list
end

--- The code points that have a property.
---@param written string what stands between the braces: "L", "Letter", "gc=Lu", "General_Category=Letter"
---@return integer[]|nil ranges
---@return string|nil message
function property.ranges(written)
  local name = written:match "^gc=(.*)$" or written:match "^General_Category=(.*)$" or written
  name = LONG[name] or name
  if decoded[name] == nil then decoded[name] = ranges_of(name) end
  if decoded[name] then return decoded[name] end
  local near = nearest(written, names())
  return nil, ("the property \\p{%s} is not known: there are the general categories, ASCII and Any%s")
    :format(written, near and ('; did you mean "%s"?'):format(near) or "")
end

return property
