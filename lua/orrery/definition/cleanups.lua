--- Nodes that clean up after others: where a node's type has a `cleanup`, the workflow gets a
--- cleanup node of its own, NAME.cleanup, which runs when all other nodes have ended, however they
--- did. Loaded with the first such type.
local groups = require "orrery.definition.groups"
local types = require "orrery.definition.type"

local cleanups = {}

local ENDING = ".cleanup" -- no name that a user gives has a dot

local function type_of(spec)
  if type(spec) ~= "table" or rawget(spec, "orrery_bad") then return nil end
  return types.of(spec) or types.named(spec)
end

-- The config of the node, with none of its policies.
local function config_of(T, spec)
  local config = {}
  for key, value in next, spec do
    if key ~= "type" and (key == "with" or not types.is_reserved(T, key)) then config[key] = value end
  end
  return config
end

-- The node's type, but for what it does.
local function cleaning(T, name)
  local made = setmetatable({ run = function(ctx, config) return T.cleanup(ctx, config, name) end },
    { __index = T })
  made.node_meta = { __name = "orrery.node", orrery_type = made }
  return made
end

local function spec_of(T, spec, name, after)
  local made = config_of(T, spec)
  made.after, made.join, made.priority = after, "done", "background"
  made.when = function(ctx)
    local state = ctx.states[name]
    return state ~= nil and state ~= "skipped" -- nil where only a part of the workflow runs
  end
  return setmetatable(made, cleaning(T, name).node_meta)
end

local function copy(t)
  local made = {}
  for key, value in next, t do made[key] = value end
  return made
end

-- A copy to which nodes can be added. Those that are stand where the nodes do that they clean up
-- after.
local function open_copy(flat)
  local made, of = copy(flat), {}
  made.names, made.specs, made.index, made.lines = copy(flat.names), copy(flat.specs), copy(flat.index), nil
  made.place = function(i) return flat.place(of[i] or i) end
  return made, of
end

--- The nodes of a workflow and those that clean up after them: the first of these waits for all
--- others, and the rest for it.
---@param flat orrery.Flat
---@return orrery.Flat the same where there is nothing to clean up
function cleanups.add(flat)
  local made, of
  for i = 1, flat.count do
    local T = type_of(flat.specs[i])
    if T and T.cleanup then
      if not made then made, of = open_copy(flat) end
      local name, n = flat.names[i] .. ENDING, made.count + 1
      made.count, made.names[n], made.index[name], of[n] = n, name, n, i
      made.specs[n] = spec_of(T, flat.specs[i], flat.names[i],
        n == flat.count + 1 and groups.outermost(flat) or { flat.names[i], made.names[flat.count + 1] })
    end
  end
  return made or flat
end

--- The name of the node after which one cleans up, or nil.
---@param name string
---@return string|nil
function cleanups.cleaned(name)
  return name:sub(-#ENDING) == ENDING and name:sub(1, -#ENDING - 1) or nil
end

return cleanups
