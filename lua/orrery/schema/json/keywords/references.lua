--- `$ref` and `$dynamicRef`. Where a schema refers to itself, the depth is bounded; where many
--- references are followed, what is known of a value is not asked again, so that a validation takes
--- time in proportion to the value times the schema.
local compile = require "orrery.schema.json.compile"
local errors = require "orrery.errors"

local references = {}

local MOST_DEPTH = 8000    -- references under way: a value of 1,000 levels with some each
local MEMO_FROM = 5000     -- references that are followed before answers are kept
local ENOUGH = 100000      -- and problems are not looked for any more
local MOST_ASKED = 10000000 -- references, where no answer can be kept

-- The answer for a value that was asked before; nil where there is none.
local function known(c, node, value)
  if c.seen or #c.scope > 0 then
    if c.refs > MOST_ASKED then c.deep = true end
    return nil
  end
  if value ~= value then return nil end
  if c.refs > ENOUGH then c.all = false end
  local answers = c.memo and c.memo[node]
  local answer = answers and answers[value]
  if answer == false and c.all then return nil end -- its problems are asked for
  return answer
end

local function keep(c, node, value, fits)
  if c.seen or value ~= value or #c.scope > 0 then return end
  c.memo = c.memo or {}
  c.memo[node] = c.memo[node] or {}
  c.memo[node][value] = fits
end

local function follow(node, value, c)
  local refs, depth = c.refs + 1, c.depth + 1
  c.refs = refs
  if refs > MEMO_FROM then
    local answer = known(c, node, value)
    if answer ~= nil then return answer end
  end
  if depth > MOST_DEPTH then c.deep = true end
  if c.deep then return false end
  c.depth = depth
  local fits = node.check(value, c)
  c.depth = depth - 1
  if refs > MEMO_FROM then keep(c, node, value, fits) end
  return fits
end

--- The check of what a reference leads to, which may not be made yet.
---@param node orrery.json_schema.Node
---@param from orrery.json_schema.Resource where the reference stands
---@return orrery.json_schema.Check
function references.following(node, from)
  local target = node.place.resource
  local function check(value, c) return follow(node, value, c) end
  local enters = target ~= from and target.dynamic and target.root ~= node.schema
  return enters and compile.entering(target, check) or check
end

local function resolve(site, word, text)
  if type(text) ~= "string" then
    site:mistake(word, "expected the address of a schema, got %s", errors.show(text))
    return nil
  end
  local documents = site.world.documents
  return documents:resolve(site.resource, text, site:place(word), word)
end

local function leading(site, target, place)
  if target == nil then return nil end
  if type(target) ~= "table" or not site.world.documents.places[target] then
    return compile.schema(site.world, target, place.at, site.resource)
  end
  return references.following(compile.node(site.world, target), site.resource)
end

local function check_ref(site, text)
  local target, place = resolve(site, "$ref", text)
  return leading(site, target, place)
end

-- A reference to a dynamic anchor leads to the outermost resource that was entered and has it.
local function check_dynamic(site, text)
  local target, place, anchor = resolve(site, "$dynamicRef", text)
  local fixed = leading(site, target, place)
  if not anchor then return fixed end
  local world = site.world
  world.dynamic[anchor] = true
  return function(value, c)
    for i = 1, #c.scope do
      local found = c.scope[i].dynamic[anchor]
      if found then
        local node = world.nodes[found]
        return follow(node, value, c)
      end
    end
    return fixed(value, c)
  end
end

references[1] = { word = "$ref", group = "any", make = check_ref }
references[2] = { word = "$dynamicRef", group = "any", make = check_dynamic }

return references
