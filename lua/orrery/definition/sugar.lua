--- Nodes of types that stand for other nodes: a type's `becomes` says for which, and `place`
--- whether it stands before or after all others. Loaded with the first such type.
local core = require "orrery.core"
local groups = require "orrery.definition.groups"
local Builder = require "orrery.definition.node"
local types = require "orrery.definition.type"
local workflow = require "orrery.definition.workflow"

local sugar = {}

local MOST = 10 -- nodes that stand for each other

local function type_of(spec)
  if type(spec) ~= "table" or rawget(spec, "orrery_bad") then return nil end
  return types.of(spec) or types.named(spec)
end

-- Whether config has no mistake. One that has some is left to whoever reports them.
local function is_right(T, config)
  local checked, problems = T.config:check(config, { templates = true })
  return not problems and not (T.check and T.check(checked))
end

-- Without null, which means the same as an absent key in JSON.
local function copy(t)
  local made = {}
  for key, value in next, t do
    if value ~= core.json.null then made[key] = value end
  end
  return made
end

-- The node that it stands for, with the keys that the type gives it and those of both; what is
-- written outside counts.
local function merged(inner, keys, T, spec)
  local made = copy(inner)
  for key, value in next, keys or {} do
    if made[key] == nil then made[key] = value end
  end
  for key, value in next, spec do
    if types.is_reserved(T, key) and key ~= "with" then made[key] = value end
  end
  return setmetatable(made, getmetatable(inner))
end

-- What the node is in the end, and its place among the others; the node itself where it stands for
-- none.
local function opened(name, spec, say)
  local place
  for _ = 1, MOST do
    local T = type_of(spec)
    if not T or not T.becomes then return spec, place end
    local config = Builder.config_of(spec)
    types.place_positional(T, config)
    if not is_right(T, config) then return spec end
    local inner, keys = T.becomes(config)
    local message = workflow.spec_problem(name, inner)
      or groups.kind(inner) and ('node "%s": %s takes one node, not a group'):format(name, T.name)
    if message then
      say(message)
      return spec
    end
    spec, place = merged(inner, keys, T, spec), place or T.place
  end
  say(('node "%s": nodes stand for each other here more than %d deep'):format(name, MOST))
  return spec
end

-- A copy in which specs can be replaced.
local function open_copy(flat)
  local made = {}
  for key, value in next, flat do made[key] = value end
  made.specs = table.move(flat.specs, 1, flat.count, 1, {})
  made.problems = table.move(flat.problems, 1, #flat.problems, 1, {})
  made.ends = {}
  return made
end

local function set_of(names)
  local set = {}
  for _, name in ipairs(names) do set[name] = true end
  return set
end

-- Where edges of a JSON definition lead to.
local function reached(state)
  local names = {}
  for i, edge in ipairs(state.edges or {}) do names[i] = edge.to end
  return set_of(names)
end

local function with_after(spec, names)
  local made = {}
  for key, value in next, spec do made[key] = value end
  made.after = table.move(names, 1, #names, 1, {})
  return setmetatable(made, getmetatable(spec))
end

-- Which nodes are first, and after which the last ones come. One that says itself what it comes
-- after, or is a member of a group, has its place.
local function ends_of(flat, comes_after)
  local outside, first, others = groups.outermost(flat), {}, {}
  local is_outside = set_of(outside)
  for name, place in next, flat.ends do
    local free = is_outside[name] and not comes_after(name)
    if not free then flat.ends[name] = place == "last" and "placed" or false end
  end
  for _, name in ipairs(outside) do
    if flat.ends[name] == "first" then first[#first + 1] = name end
    if flat.ends[name] ~= "last" then others[#others + 1] = name end
  end
  return first, others
end

-- What has no `after` comes after those that are first, and those that are last after all others.
local function put_in_place(flat, state)
  local edges = reached(state)
  local function comes_after(name)
    return edges[name] or rawget(flat.specs[flat.index[name]], "after") ~= nil
  end
  local first, others = ends_of(flat, comes_after)
  for i = 1, flat.count do
    local name = flat.names[i]
    local place = flat.ends[name]
    if not comes_after(name) and place ~= "first" then
      local before = place == "last" and others or first
      if #before > 0 then flat.specs[i] = with_after(flat.specs[i], before) end
    end
  end
end

--- The nodes of a workflow, those that stand for others replaced by them.
---@param flat orrery.Flat
---@param state orrery.WorkflowState
---@return orrery.Flat the same where no node stands for another; else with `ends`: by name "first", "last", or
--- "placed" of one that would be last and says what it comes after
function sugar.open(flat, state)
  local made
  for i = 1, flat.count do
    local T = type_of(flat.specs[i])
    if T and T.becomes then
      made = made or open_copy(flat)
      local name = flat.names[i]
      local spec, place = opened(name, flat.specs[i], function(message)
        table.insert(made.problems,
          { kind = "not_a_node", node = name, where = flat.place(i), message = message })
      end)
      made.specs[i], made.ends[name] = spec, place
    end
  end
  if made and next(made.ends) then put_in_place(made, state) end
  return made or flat
end

return sugar
