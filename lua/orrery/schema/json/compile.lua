--- From schemas to closures: each schema becomes one function that says whether a value fits.
---
--- The words of a schema are sorted by what they speak of (any value, strings, numbers, arrays,
--- objects), so that a value is asked only what concerns it. References are followed by way of the
--- node that they lead to, which may be under way itself.
local context = require "orrery.schema.json.context"
local errors = require "orrery.errors"
local uri = require "orrery.schema.json.uri"
local values = require "orrery.schema.json.value"

local compile = {}

local is_array, is_object = values.is_array, values.is_object

---@alias orrery.json_schema.Check fun(value: any, c: orrery.json_schema.Context): boolean

---@class orrery.json_schema.Node
---@field schema table
---@field place orrery.json_schema.Place
---@field check? orrery.json_schema.Check nil while it is being made

---@class orrery.json_schema.Site a schema while it is compiled, as words see it
---@field world orrery.json_schema.World
---@field schema table
---@field resource orrery.json_schema.Resource
---@field dialect orrery.json_schema.Dialect
---@field at string
local Site = {}
Site.__index = Site

-- The modules with words, in the order in which they are asked.
local WORDS = { "general", "strings", "numbers", "arrays", "objects", "ways", "references" }

local words, order

local function load_words()
  words, order = {}, {}
  for _, name in ipairs(WORDS) do
    for _, each in ipairs(require("orrery.schema.json.keywords." .. name)) do
      words[each.word] = each
      order[#order + 1] = each
    end
  end
end

-- ---- joining checks -----------------------------------------------------------------------------

local function all_of(list)
  if #list <= 1 then return list[1] end
  if #list == 2 then
    local first, second = list[1], list[2]
    return function(value, c)
      if first(value, c) then return second(value, c) end
      if c.all then second(value, c) end
      return false
    end
  end
  return function(value, c)
    local fits = true
    for i = 1, #list do
      if not list[i](value, c) then
        if not c.all then return false end
        fits = false
      end
    end
    return fits
  end
end

-- What concerns tables, by what they are.
local function of_tables(arrays, objects)
  if not arrays and not objects then return nil end
  return function(value, c)
    if is_object(value) then return not objects or objects(value, c) end
    return not arrays or not is_array(value) or arrays(value, c)
  end
end

local function anything() return true end

-- One function of the checks by group.
local function joined(groups)
  local any, strings, numbers = all_of(groups.any), all_of(groups.string), all_of(groups.number)
  local tables = of_tables(all_of(groups.array), all_of(groups.object))
  local by_type = { string = strings, number = numbers, table = tables }
  if next(by_type) == nil then return any or anything end
  if not any then
    return function(value, c)
      local check = by_type[type(value)]
      return not check or check(value, c)
    end
  end
  return function(value, c)
    local fits = any(value, c)
    if not fits and not c.all then return false end
    local check = by_type[type(value)]
    if check and not check(value, c) then return false end
    return fits
  end
end

-- The type comes first: where it is wrong, nothing else is said.
local function after_type(is_type, rest)
  if not is_type then return rest end
  if rest == anything then return is_type end
  return function(value, c) return is_type(value, c) and rest(value, c) end
end

-- ---- sites --------------------------------------------------------------------------------------

--- The place of a word, or of what stands in it.
function Site:place(word, token)
  local at = uri.below(self.at, word)
  return token ~= nil and uri.below(at, token) or at
end

--- Notes a mistake of the schema.
function Site:mistake(word, message, ...)
  self.world.documents:mistake(self:place(word), message, ...)
end

--- The check of a schema within this one.
---@param self orrery.json_schema.Site
---@param schema any
---@param word string
---@param token? string|integer its place in the word's value
---@return orrery.json_schema.Check
function Site:sub(schema, word, token)
  return compile.schema(self.world, schema, self:place(word, token), self.resource)
end

--- The value of a word as a list of schemas; nil after a mistake.
function Site:list(word)
  local value = self.schema[word]
  if type(value) ~= "table" or not is_array(value) then
    self:mistake(word, "expected a list of schemas, got %s", errors.show(value))
    return nil
  end
  local checks = {}
  for i, each in ipairs(value) do checks[i] = self:sub(each, word, i - 1) end
  return checks
end

--- The names in the value of a word, sorted; nil after a mistake.
function Site:names(word)
  local value = self.schema[word]
  if type(value) ~= "table" or not is_object(value) then
    self:mistake(word, "expected an object, got %s", errors.show(value))
    return nil
  end
  local names = {}
  for name in next, value do names[#names + 1] = tostring(name) end
  table.sort(names)
  return names
end

--- The value of a word as a count; nil after a mistake.
function Site:count(word)
  local value = self.schema[word]
  local count = type(value) == "number" and math.tointeger(value)
  if count and count >= 0 then return count end
  self:mistake(word, "expected a whole number that is not negative, got %s", errors.show(value))
end

-- ---- nodes --------------------------------------------------------------------------------------

local function read_words(site)
  local groups = { any = {}, string = {}, number = {}, array = {}, object = {}, last = {}, type = {} }
  local alone = not site.dialect.siblings and site.schema["$ref"] ~= nil
  for _, each in ipairs(order) do
    local word = each.word
    if site.schema[word] ~= nil and site.dialect.words[word] and (not alone or word == "$ref") then
      local check = each.make(site, site.schema[word])
      if check then table.insert(groups[each.group], check) end
    end
  end
  return groups
end

-- What was looked at by the words of one schema, for those that ask.
local function with_seen(rest, last)
  return function(value, c)
    local outer = c.seen
    local own = context.nothing()
    c.seen = own
    local fits = rest(value, c) and last(value, c)
    c.seen = outer
    if outer and fits then context.merge(outer, own) end
    return fits
  end
end

--- Enters a resource for the time of a check, so that `$dynamicRef` finds its anchors.
---@param resource orrery.json_schema.Resource
---@param check orrery.json_schema.Check
---@return orrery.json_schema.Check
function compile.entering(resource, check)
  return function(value, c)
    local scope = c.scope
    local n = #scope + 1
    scope[n] = resource
    local fits = check(value, c)
    scope[n] = nil
    return fits
  end
end

local function make(world, node)
  local place = node.place
  local site = setmetatable({ world = world, schema = node.schema, resource = place.resource,
    dialect = place.resource.dialect, at = place.at }, Site)
  local groups = read_words(site)
  local check = after_type(groups.type[1], joined(groups))
  local last = all_of(groups.last)
  if last then check = with_seen(check, last) end
  if world.wrap then check = world.wrap(check) end
  if place.resource.root == node.schema and place.resource.dynamic then
    check = compile.entering(place.resource, check)
  end
  node.check = check
end

--- The node of a schema that has a place. It is made later, by `compile.finish`.
---@param world orrery.json_schema.World
---@param schema table
---@return orrery.json_schema.Node
function compile.node(world, schema)
  local node = world.nodes[schema]
  if not node then
    node = { schema = schema, place = world.documents.places[schema] }
    world.nodes[schema] = node
    world.queue[#world.queue + 1] = node
  end
  return node
end

local function refuse(at)
  return function(_, c) return c.all and context.problem(c, "unknown", at, "is not allowed") end
end

--- The check of a schema or boolean.
---@param world orrery.json_schema.World
---@param schema any
---@param at string
---@param resource orrery.json_schema.Resource
---@return orrery.json_schema.Check
function compile.schema(world, schema, at, resource)
  if schema == true then return anything end
  if schema == false then return refuse(at) end
  if type(schema) ~= "table" or not world.documents.places[schema] then
    if not world.documents.too_much then
      world.documents:mistake(at, "expected a schema, an object or a boolean, got %s", errors.show(schema))
    end
    return anything
  end
  local node = compile.node(world, schema)
  if node.check then return node.check end
  if node.under_way then return require "orrery.schema.json.keywords.references".following(node, resource) end
  node.under_way = true
  make(world, node)
  return node.check
end

--- Makes all nodes that references lead to.
---@param world orrery.json_schema.World
function compile.finish(world)
  local i = 1
  while i <= #world.queue do
    local node = world.queue[i]
    if not node.under_way then
      node.under_way = true
      make(world, node)
    end
    i = i + 1
  end
  world.queue = {}
end

compile.anything, compile.refuse, compile.all_of = anything, refuse, all_of

--- Makes the words ready.
function compile.begin()
  if not words then load_words() end
end

return compile
