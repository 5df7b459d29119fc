--- Drafts of JSON Schema: which words each has, where schemas stand in it, and what it means by an
--- id. Draft 2020-12 and draft 7 are whole; 4, 6 and 2019-09 are here because schemas in the world
--- lead to them, 2019-09 without `$recursiveRef`.
local nearest = require "orrery.nearest"
local uri = require "orrery.schema.json.uri"

local dialect = {}

---@class orrery.json_schema.Dialect
---@field name string
---@field words table<string, boolean>
---@field id string the word that gives a schema its address
---@field siblings boolean whether words beside `$ref` count
---@field fragment_ids boolean whether an id may be an anchor, "#name"
---@field list_items boolean whether `items` may be a list
---@field bounds boolean whether `exclusiveMinimum` is a boolean beside `minimum`
---@field formats? boolean whether `format` is asserted; nil: as the caller wants it

local function set(text)
  local made = {}
  for word in text:gmatch "%S+" do made[word] = true end
  return made
end

local function joined(a, text)
  local made = set(text)
  for word in pairs(a) do made[word] = true end
  return made
end

local VALIDATION = set [[type enum const multipleOf maximum exclusiveMaximum minimum exclusiveMinimum maxLength
  minLength pattern maxItems minItems uniqueItems maxContains minContains maxProperties minProperties
  required dependentRequired]]

local FOUR = set [[$ref type enum multipleOf maximum exclusiveMaximum minimum exclusiveMinimum maxLength minLength
  pattern items additionalItems maxItems minItems uniqueItems maxProperties minProperties required
  properties patternProperties additionalProperties dependencies allOf anyOf oneOf not format definitions
  $defs]]
local SIX = joined(FOUR, "const contains propertyNames $id")
local SEVEN = joined(SIX, "if")
local NINETEEN = joined(SEVEN, [[$anchor dependentRequired dependentSchemas unevaluatedItems
  unevaluatedProperties minContains maxContains]])
local TWENTY = joined(NINETEEN, "prefixItems $dynamicRef $dynamicAnchor")
TWENTY.additionalItems = nil

local KNOWN = {
  ["2020-12"] = { words = TWENTY, id = "$id", siblings = true },
  ["2019-09"] = { words = NINETEEN, id = "$id", siblings = true, list_items = true },
  ["7"] = { words = SEVEN, id = "$id", fragment_ids = true, list_items = true },
  ["6"] = { words = SIX, id = "$id", fragment_ids = true, list_items = true },
  ["4"] = { words = FOUR, id = "id", fragment_ids = true, list_items = true, bounds = true },
}
for name, each in pairs(KNOWN) do each.name = name end

local ADDRESSES = {
  ["json-schema.org/draft/2020-12/schema"] = "2020-12", ["json-schema.org/draft/2019-09/schema"] = "2019-09",
  ["json-schema.org/draft-07/schema"] = "7", ["json-schema.org/draft-06/schema"] = "6",
  ["json-schema.org/draft-04/schema"] = "4", ["json-schema.org/schema"] = "2020-12",
}

--- One by its name, as options say it: 7, "7", "draft-07", "2020-12".
---@param name any
---@return orrery.json_schema.Dialect|nil
function dialect.named(name)
  local text = tostring(name):gsub("^draft[- ]?0?", "")
  return KNOWN[text]
end

dialect.NEWEST = KNOWN["2020-12"]

-- ---- vocabularies -------------------------------------------------------------------------------

local VOCABULARY = "^https://json%-schema%.org/draft/20[12][09]%-[01][92]/vocab/([%w-]+)$"
local VOCABULARIES = set [[core applicator unevaluated validation meta-data format format-annotation
  format-assertion content]]

-- The dialect that a meta-schema of the user's describes by its `$vocabulary`.
local function described(meta, base)
  local has = {}
  for address, needed in pairs(meta["$vocabulary"]) do
    local name = tostring(address):match(VOCABULARY)
    if name and VOCABULARIES[name] then
      has[name] = true
    elseif needed == true then
      return nil, ('the vocabulary "%s" is needed, and not known'):format(address)
    end
  end
  local made, words = {}, {}
  for key, value in pairs(base) do made[key] = value end
  for word in pairs(base.words) do
    if has.validation or not VALIDATION[word] then words[word] = true end
  end
  made.words = words
  if has["format-assertion"] then made.formats = true end
  return made
end

local function known_addresses()
  local list = {}
  for address, name in pairs(ADDRESSES) do
    list[#list + 1] = (name:find "^20" and "https://" or "http://") .. address
  end
  table.sort(list)
  return list
end

--- The dialect that `$schema` names.
---@param address string
---@param find fun(address: string): table|nil a document that the user gave
---@param depth? integer
---@return orrery.json_schema.Dialect|nil
---@return string|nil message
function dialect.of(address, find, depth)
  local plain = uri.parts(address)
  local name = ADDRESSES[plain:gsub("^https?://", "")]
  if name then return KNOWN[name] end
  local meta = find(plain)
  if type(meta) ~= "table" or (depth or 0) > 10 then
    local near = nearest(plain, known_addresses())
    return nil, ('"%s" is no draft that is known%s'):format(address,
      near and ('; did you mean "%s"?'):format(near)
      or "; there are 2020-12 and draft 7, and what stands in `remotes`")
  end
  local base = dialect.NEWEST
  if type(meta["$schema"]) == "string" and meta["$schema"] ~= address then
    local found, message = dialect.of(meta["$schema"], find, (depth or 0) + 1)
    if not found then return nil, message end
    base = found
  end
  if type(meta["$vocabulary"]) ~= "table" then return base end
  return described(meta, base)
end

-- ---- where schemas stand ------------------------------------------------------------------------

--- The words of which each value is a schema ("one"), a list ("list"), a table of them ("map"), one
--- or a list ("either"), or a table of schemas and lists of names ("mixed").
dialect.PLACES = {
  additionalItems = "one", additionalProperties = "one", contains = "one", ["not"] = "one", ["if"] = "one",
  ["then"] = "one", ["else"] = "one", propertyNames = "one", unevaluatedItems = "one",
  unevaluatedProperties = "one",
  allOf = "list", anyOf = "list", oneOf = "list", prefixItems = "list", items = "either",
  properties = "map", patternProperties = "map", definitions = "map", ["$defs"] = "map",
  dependentSchemas = "map", dependencies = "mixed",
}

return dialect
