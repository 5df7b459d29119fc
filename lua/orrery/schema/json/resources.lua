--- The documents of a schema: which addresses and anchors there are, and what a reference leads to.
--- Nothing is fetched: what is not in the schema, in the table of the user's or among the drafts'
--- own schemas is a mistake.
local dialect = require "orrery.schema.json.dialect"
local json = require "orrery.core".json
local nearest = require "orrery.nearest"
local uri = require "orrery.schema.json.uri"

local DEPTH = 500          -- schemas in schemas
local MOST_SCHEMAS = 100000

---@class orrery.json_schema.Resource a schema with an address, and what stands in it
---@field uri string
---@field root table
---@field label string what its places begin with: "#" for the schema itself
---@field dialect orrery.json_schema.Dialect
---@field anchors table<string, table>
---@field dynamic? table<string, table> those of `$dynamicAnchor`

---@class orrery.json_schema.Place where a schema stands
---@field resource orrery.json_schema.Resource
---@field at string "#/properties/a"

---@class orrery.json_schema.Resources
---@field places table<table, orrery.json_schema.Place>
---@field by_uri table<string, orrery.json_schema.Resource>
local Resources = {}
Resources.__index = Resources

local resources = {}

--- What messages of mistakes begin with.
local function mistake(self, at, message, ...)
  self.problems[#self.problems + 1] = { kind = "schema", path = at,
    message = ("%s: %s"):format(at, select("#", ...) > 0 and message:format(...) or message) }
end
Resources.mistake = mistake

-- ---- scanning -----------------------------------------------------------------------------------

local function new_resource(self, root, address, label, d)
  local made = { uri = address, root = root, label = label, dialect = d, anchors = {} }
  if self.by_uri[address] == nil then self.by_uri[address] = made end
  return made
end

local function dialect_of(self, schema, at, inherited)
  local named = rawget(schema, "$schema")
  if type(named) ~= "string" then return inherited end
  local found, message = dialect.of(named, function(address) return self.remotes[address] end)
  if not found then mistake(self, at .. "/$schema", message) end
  return found or inherited
end

-- The resource that a schema is in or begins, and its place.
local function enter(self, schema, resource, at)
  local d = dialect_of(self, schema, at, resource.dialect)
  local id = rawget(schema, d.id)
  if type(id) ~= "string" or not d.siblings and rawget(schema, "$ref") ~= nil then return resource, at end
  local address, fragment = uri.parts(id)
  if address ~= "" then
    address = uri.resolve(resource.uri, address)
    if resource.root == schema then
      resource.uri, resource.dialect = address, d
      if self.by_uri[address] == nil then self.by_uri[address] = resource end
    else
      resource = new_resource(self, schema, address, at, d)
    end
  end
  if d.fragment_ids and fragment and fragment ~= "" then resource.anchors[fragment] = schema end
  return resource, at
end

local function note_anchors(schema, resource)
  local words = resource.dialect.words
  local anchor, dynamic = rawget(schema, "$anchor"), rawget(schema, "$dynamicAnchor")
  if words["$anchor"] and type(anchor) == "string" then resource.anchors[anchor] = schema end
  if words["$dynamicAnchor"] and type(dynamic) == "string" then
    resource.anchors[dynamic] = schema
    resource.dynamic = resource.dynamic or {}
    resource.dynamic[dynamic] = schema
  end
end

local scan

local function scan_all(self, value, resource, at, depth)
  for key, inner in next, value do
    local token = math.type(key) == "integer" and key - 1 or tostring(key)
    scan(self, inner, resource, uri.below(at, token), depth)
  end
end

local SCAN = {
  one = function(...) scan(...) end,
  list = scan_all,
  map = scan_all,
  mixed = scan_all,
  either = function(self, value, ...)
    if json.is_array(value) then scan_all(self, value, ...) else scan(self, value, ...) end
  end,
}

function scan(self, schema, resource, at, depth)
  if type(schema) ~= "table" or self.places[schema] then return end
  self.count = self.count + 1
  if depth > DEPTH or self.count > MOST_SCHEMAS then
    if not self.too_much then
      mistake(self, at, depth > DEPTH and "schemas are nested deeper than %d"
        or "there are more than %d schemas",
        depth > DEPTH and DEPTH or MOST_SCHEMAS)
    end
    self.too_much = true
    return
  end
  resource, at = enter(self, schema, resource, at)
  if resource.root == schema then resource.dialect = dialect_of(self, schema, at, resource.dialect) end
  self.places[schema] = { resource = resource, at = at }
  note_anchors(schema, resource)
  for word, how in next, dialect.PLACES do
    local value = rawget(schema, word)
    if type(value) == "table" and (resource.dialect.words[word] or word ~= "prefixItems") then
      SCAN[how](self, value, resource, uri.below(at, word), depth + 1)
    end
  end
end

--- Reads a document.
---@param self orrery.json_schema.Resources
---@param document table
---@param address string
---@param label string what places in it begin with
---@param d orrery.json_schema.Dialect
---@return orrery.json_schema.Resource
function Resources:add(document, address, label, d)
  local resource = new_resource(self, document, address, label, d)
  scan(self, document, resource, label, 1)
  return resource
end

-- ---- references ---------------------------------------------------------------------------------

local function find(self, address)
  local found = self.by_uri[address]
  if found then return found end
  local document = self.remotes[address]
  if document == nil then document = require "orrery.schema.json.drafts".find(address) end
  if type(document) ~= "table" then return nil end
  return self:add(document, address, address .. "#", self.dialect)
end

local function no_document(self, at, word, text, address)
  local names = {}
  for name in pairs(self.by_uri) do names[#names + 1] = name end
  for name in pairs(self.remotes) do names[#names + 1] = name end
  table.sort(names)
  local near = nearest(address, names)
  mistake(self, at, '"%s" leads to "%s", which is not here%s', word, text,
    near and ('; did you mean "%s"?'):format(near) or "; give it in `remotes`, as nothing is fetched")
end

-- What a table has at a token of a pointer.
local function step(value, token)
  if not json.is_array(value) then return rawget(value, token) end
  local n = token:find "^%d+$" and math.tointeger(tonumber(token))
  return n and rawget(value, n + 1)
end

-- Names that stand where a pointer ends, for a message.
local function near_token(value, token)
  local names = {}
  for key in next, value do names[#names + 1] = type(key) == "string" and key or nil end
  table.sort(names)
  local near = nearest(token, names)
  return near and ('; did you mean "%s"?'):format(near) or ""
end

local function by_pointer(self, resource, pointer, at, text)
  local value, place, reached = resource.root, { resource = resource, at = resource.label }, resource.label
  for _, token in ipairs(uri.tokens(uri.decode(pointer))) do
    local inner = type(value) == "table" and step(value, token)
    if inner == nil or type(value) ~= "table" then
      mistake(self, at, '"%s" leads to nothing: %s has no "%s"%s', text, reached, token,
        type(value) == "table" and near_token(value, token) or "")
      return nil
    end
    value, reached = inner, uri.below(reached, token)
    if self.places[value] then place = self.places[value] end
  end
  if type(value) == "table" and not self.places[value] then scan(self, value, place.resource, reached, 1) end
  return value, type(value) == "table" and self.places[value] or { resource = place.resource, at = reached }
end

--- What a reference leads to; nil after a mistake, which is noted.
---@param self orrery.json_schema.Resources
---@param from orrery.json_schema.Resource
---@param text string
---@param at string where it stands
---@param word string "$ref"
---@return table|boolean|nil schema
---@return orrery.json_schema.Place|nil
---@return string|nil anchor the name of the `$dynamicAnchor` that it leads to
function Resources:resolve(from, text, at, word)
  local address, fragment = uri.parts(text)
  address = uri.resolve(from.uri, address)
  local resource = find(self, address)
  if not resource then
    no_document(self, at, word, text, address)
    return nil
  end
  if not fragment or fragment == "" then return resource.root, self.places[resource.root] end
  if fragment:sub(1, 1) == "/" then return by_pointer(self, resource, fragment, at, text) end
  fragment = uri.decode(fragment)
  local found = resource.anchors[fragment]
  if not found then
    local near = nearest(fragment, resource.anchors)
    mistake(self, at, '"%s" leads to nothing: there is no anchor "%s"%s', text, fragment,
      near and ('; did you mean "%s"?'):format(near) or "")
    return nil
  end
  return found, self.places[found], resource.dynamic and resource.dynamic[fragment] and fragment or nil
end

--- New ones, without documents.
---@param remotes table<string, table> documents by address
---@param d orrery.json_schema.Dialect of documents that do not say theirs
---@return orrery.json_schema.Resources
function resources.new(remotes, d)
  local plain = {}
  for address, document in pairs(remotes) do plain[(uri.parts(address))] = document end
  local made = { remotes = plain, dialect = d, places = {}, by_uri = {}, problems = {}, count = 0 }
  return setmetatable(made, Resources)
end

return resources
