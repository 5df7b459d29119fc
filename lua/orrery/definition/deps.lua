--- The dependencies of a node: what stands in its `after`, edges of a JSON file, and what its
--- expressions mention.
local errors = require "orrery.errors"
local groups = require "orrery.definition.groups"
local Builder = require "orrery.definition.node"
local types = require "orrery.definition.type"
local workflow = require "orrery.definition.workflow"

local deps = {}

local MAX_NESTING = 50 -- of lists in `after`; groups nest them, a list within itself does not end

---@class orrery.Dependencies
---@field b orrery.NodeBuilder
---@field plain table[] by node: the dependency on it without port or condition, shared by all that have it
---@field outcomes table<integer, string[]|false> by node
local Dependencies = {}
Dependencies.__index = Dependencies

--- Starts the dependencies of one workflow.
---@param builder orrery.NodeBuilder
---@return orrery.Dependencies
function deps.new(builder)
  return setmetatable({ b = builder, plain = {}, outcomes = {} }, Dependencies)
end

local function plain(self, j)
  local dep = self.plain[j]
  if not dep then
    dep = { node = j }
    self.plain[j] = dep
  end
  return dep
end

local function outcomes_of(self, j)
  local names = self.outcomes[j]
  if names == nil then
    names = Builder.outcomes_of(self.b.flat.specs[j]) or false
    self.outcomes[j] = names
  end
  return names
end

-- A port that the node does not have is a mistake; the edge is left out then.
local function has_port(self, j, port, field)
  local b, names = self.b, outcomes_of(self, j)
  local target = b.flat.names[j]
  if not names then
    b:bad(field, "no_outcomes",
      ('%s: "%s" has no outcomes, only nodes like switch and condition have; write "%s"'):format(
      field, target, target))
    return false
  end
  for _, name in ipairs(names) do
    if name == port then return true end
  end
  b:bad(field, "unknown_outcome", ('%s: "%s" has no outcome "%s"%s'):format(field, target, port,
    errors.suggest(port, names)))
  return false
end

--- Finds what a name means: "fetch", or "route:gold".
---@param name string
---@param field string for the mistake
---@return integer|nil node, string|nil port
function Dependencies:find(name, field)
  local index = self.b.flat.index
  local j = index[name]
  if j then return j end
  local target, port = name:match "^([^:]*):(.*)$"
  j = target and index[target]
  if j then
    if has_port(self, j, port, field) then return j, port end
    return nil
  end
  self.b:bad(field, "unknown_node", ('%s: there is no node "%s"%s'):format(field, target or name,
    self.b:nearest_node(target or name)))
end

local function is_node(spec)
  return types.of(spec) ~= nil or groups.kind(spec) ~= nil or rawget(spec, "run") ~= nil
    or rawget(spec, "type") ~= nil
end

-- A group stands for its closing node. A dependent that waits for a failure, or for any end, needs
-- the members themselves: when a member fails, the closing node is skipped.
local function add_group_members(self, list, j, join)
  local members = (join == "failed" or join == "done") and self.b.flat.groups[self.b.flat.names[j]]
  for _, name in ipairs(members or {}) do list[#list + 1] = plain(self, self.b.flat.index[name]) end
end

local function add_named(self, list, name, join)
  local j, port = self:find(name, "after")
  if not j then return end
  list[#list + 1] = port and { node = j, port = port } or plain(self, j)
  if not port then add_group_members(self, list, j, join) end
end

local function add_after(self, list, after, join, depth)
  if type(after) == "string" then return add_named(self, list, after, join) end
  if type(after) ~= "table" then
    return self.b:bad("after", "wrong_type", "after: expected a node, its name, or a list of these, got "
      .. errors.show(after))
  end
  local name = self.b.flat.name_of[after]
  if name then return add_named(self, list, name, join) end
  if is_node(after) then
    return self.b:bad("after", "unknown_node",
      ("after: the node made at %s is not part of this workflow; assign it first")
      :format(types.made_at(after) or "another place"))
  end
  if workflow.state(after) then
    return self.b:bad("after", "wrong_type",
      "after: a workflow is no node; name the node of this workflow that runs it")
  end
  if depth > MAX_NESTING then
    return self.b:bad("after", "bad_value", "after: lists are nested too deep; write the names in one list")
  end
  for key in next, after do
    if math.type(key) ~= "integer" then
      return self.b:bad("after", "wrong_type",
        ('after: a list of nodes has no field %q; write { "%s" }'):format(
        tostring(key), tostring(key)))
    end
  end
  for _, entry in ipairs(after) do add_after(self, list, entry, join, depth + 1) end
end

-- What an expression mentions must have settled before it is evaluated.
local function add_mentions(self, list, out, i)
  local b = self.b
  local seen, known = {}, {}
  for _, dep in ipairs(list) do known[dep.node] = true end
  for _, mention in ipairs(b.mentions) do
    local name = mention.name
    local j = b.flat.index[name]
    if not j then
      b:bad(mention.field, "unknown_node",
        ("%s mentions nodes.%s, but there is no such node%s"):format(mention.field, name,
        b:nearest_node(name)))
    elseif not seen[name] and not (j == i and mention.field == "loop.until") and not known[j] then
      seen[name] = true
      if out.join then
        b:bad(mention.field, "mention_outside_after",
          ('%s mentions nodes.%s; under join = "%s" only what stands in `after`'
          .. ' is waited for, so add "%s" to it'):format(mention.field, name, out.join, name))
      else
        list[#list + 1] = plain(self, j)
        known[j] = true
      end
    end
  end
end

--- Resolves the dependencies of node i, which the builder has just built and which has an `after`,
--- edges or mentions.
---@param i integer
---@param out table node of the definition; gets `deps` where there are any
---@param edges? table[] further dependencies {node, port, when} of this node
function Dependencies:resolve(i, out, edges)
  local b = self.b
  local after = rawget(b.flat.specs[i], "after")
  local list = {}
  local j = after ~= nil and b.flat.index[after]
  if j then
    list[1] = plain(self, j)
    if out.join then add_group_members(self, list, j, out.join) end
  elseif after ~= nil then
    add_after(self, list, after, out.join, 1)
  end
  for _, edge in ipairs(edges or {}) do list[#list + 1] = edge end
  if b.mentions then add_mentions(self, list, out, i) end
  if #list > 0 then out.deps = list end
end

return deps
