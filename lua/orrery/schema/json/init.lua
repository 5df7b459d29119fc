--- JSON Schema, draft 2020-12 and draft 7, compiled to closures.
local compile = require "orrery.schema.json.compile"
local context = require "orrery.schema.json.context"
local dialect = require "orrery.schema.json.dialect"
local resources = require "orrery.schema.json.resources"

local json_schema = {}

---@class orrery.json_schema.Options
---@field draft? string|integer of a schema that has no `$schema`: "2020-12", unless 7 is said
---@field formats? boolean whether `format` is asserted; it is a remark otherwise
---@field remotes? table<string, table> documents by their addresses; nothing is fetched

---@class orrery.json_schema.World
---@field documents orrery.json_schema.Resources
---@field nodes table<table, orrery.json_schema.Node>
---@field queue orrery.json_schema.Node[] those that are not made yet
---@field dynamic table<string, boolean> anchors that a `$dynamicRef` leads to
---@field formats boolean
---@field wrap? fun(check: orrery.json_schema.Check): orrery.json_schema.Check around each schema

---@class orrery.json_schema.Validator
---@field schema table|boolean
---@field world orrery.json_schema.World
---@field check orrery.json_schema.Check
local Validator = {}
Validator.__index = Validator

-- All schemas to which a dynamic reference may lead are made before a value comes.
local function finish(world)
  repeat
    compile.finish(world)
    for _, resource in pairs(world.documents.by_uri) do
      for anchor in pairs(world.dynamic) do
        local schema = resource.dynamic and resource.dynamic[anchor]
        if schema then compile.node(world, schema) end
      end
    end
  until #world.queue == 0
end

local function world_of(schema, options)
  local d = dialect.named(options.draft or "2020-12")
  if not d then
    error(('draft: there is no draft "%s"; there are 2020-12 and 7'):format(tostring(options.draft)), 0)
  end
  local documents = resources.new(options.remotes or {}, d)
  if type(schema) == "table" then documents:add(schema, "", "#", d) end
  local formats = options.formats or false
  return { documents = documents, nodes = {}, queue = {}, dynamic = {}, formats = formats }, d
end

-- Strings with ${ are not known yet.
local function templates_pass(check)
  return function(value, c)
    if type(value) == "string" and value:find("${", 1, true) then return true end
    return check(value, c)
  end
end

local function built(schema, options, wrap)
  local world, d = world_of(schema, options)
  world.wrap = wrap
  local root = world.documents.by_uri[""] or { uri = "", label = "#", dialect = d, anchors = {} }
  local check = compile.schema(world, schema, "#", root)
  finish(world)
  return world, check
end

--- Compiles a schema.
---@param schema table|boolean as it was read from JSON, or written in Lua; must not change any more
---@param options? orrery.json_schema.Options
---@return orrery.json_schema.Validator|nil
---@return orrery.schema.Problem[]|nil mistakes of the schema, each with its place in it
function json_schema.compile(schema, options)
  compile.begin()
  options = options or {}
  local world, check = built(schema, options)
  if #world.documents.problems > 0 then return nil, world.documents.problems end
  return setmetatable({ schema = schema, options = options, world = world, check = check }, Validator)
end

local spare -- a context that is used again

--- Whether a value fits.
---@param self orrery.json_schema.Validator
---@param value any
---@return boolean
function Validator:fits(value)
  local c = spare or context.new("", false)
  spare = nil
  local fits = self.check(value, c) and not c.deep
  if c.refs < 5000 and not c.deep then
    c.refs, c.depth, c.memo, c.seen = 0, 0, nil, nil
    spare = c
  end
  return fits
end

local function problems_of(check, value, root)
  local c = context.new(root, true)
  check(value, c)
  if c.deep then
    return { { kind = "deep", path = root, schema = "#", message = (root == "" and "the value" or root)
      .. " is nested too deeply for this schema, or the schema refers to itself without end (#)" } }
  end
  if c.count > #c.problems then
    c.problems[#c.problems + 1] = { kind = "more", path = root,
      message = ("and %d more"):format(c.count - #c.problems) }
  end
  return c.problems
end

--- What is wrong with a value: at most a hundred problems and one that says how many more; nil
--- where it fits.
---@param self orrery.json_schema.Validator
---@param value any nil is no value
---@param root? string what the paths begin with, such as "input"
---@return orrery.schema.Problem[]|nil
function Validator:problems(value, root)
  root = root or ""
  if value == nil then
    return { { kind = "missing", path = root, schema = "#",
      message = (root == "" and "the value" or root) .. " is missing, expected a value" } }
  end
  if self:fits(value) then return nil end
  return problems_of(self.check, value, root)
end

--- The same for a value in which strings with `${` are not known yet.
---@param self orrery.json_schema.Validator
---@param value any
---@param root string
---@return orrery.schema.Problem[]|nil
function Validator:problems_of_template(value, root)
  if not self.lenient then
    local _
    _, self.lenient = built(self.schema, self.options, templates_pass)
  end
  if self.lenient(value, context.new("", false)) then return nil end
  return problems_of(self.lenient, value, root)
end

return json_schema
