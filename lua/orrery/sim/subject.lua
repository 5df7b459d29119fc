--- A compiled workflow whose handlers are played: each attempt goes through the world, which knows
--- what is to happen to it.
local core = require "orrery.core"
local simulated = require "orrery.simulated"

local subject = {}

---@class orrery.sim.Subject
---@field compiled orrery.Compiled
---@field name string
---@field plan orrery.Plan with the handlers that are played
---@field nodes table[] the definition's, in their order
---@field by_name table<string, table>

local made = setmetatable({}, { __mode = "k" }) -- compiled -> subject

local function played(s, node, phase, fn)
  local model = simulated.models[node.name]
  local run = phase == "run" and model and model.run
  if run then
    fn = function(ctx, inputs) return run(ctx, inputs, simulated.world.kept) end
  end
  return function(ctx, inputs) return simulated.world:attempt(s, node, phase, fn, ctx, inputs) end
end

local function copy(t)
  local c = {}
  for key, value in next, t do c[key] = value end
  return c
end

-- The node with handlers that are played.
local function replace(s, node)
  local out = copy(node)
  out.run = played(s, node, "run", node.run)
  if node.compensate then
    out.compensate = copy(node.compensate)
    out.compensate.fn = played(s, node, "undo", node.compensate.fn)
  end
  return out
end

-- Pools that the nodes name -> how many places they have.
local function places(list)
  local pools, found = require "orrery.definition.pools", {}
  for _, node in ipairs(list) do
    local declared = type(node.pool) == "string" and pools.declared(node.pool)
    if declared then found[node.pool] = declared.max end
  end
  return found
end

--- The subject that a compiled workflow is; the same for the same one.
---@param compiled orrery.Compiled
---@return orrery.sim.Subject
function subject.of(compiled)
  local s = made[compiled]
  if s then return s end
  s = { compiled = compiled, name = compiled.name, nodes = {}, by_name = {} }
  local def = copy(compiled.def)
  def.nodes = {}
  for i = 1, #compiled.def.nodes do
    local node = compiled.def.nodes[i]
    s.nodes[i], s.by_name[node.name] = node, node
    def.nodes[i] = replace(s, node)
  end
  s.plan, s.pools = core.plan(def), places(s.nodes)
  made[compiled] = s
  return s
end

--- Names of the nodes of all workflows that are played, those that they call included, as far as
--- they were called.
---@return string[]
function subject.nodes_known()
  local names = {}
  for _, s in pairs(made) do
    for name in pairs(s.by_name) do names[#names + 1] = name end
  end
  return names
end

--- Calls `fn` while the types of nodes have the handlers of their models.
---@param fn fun(): any
---@return any
function subject.with_types(fn)
  local types = require "orrery.definition.type"
  local back = {}
  local _ <close> = setmetatable({}, { __close = function()
    for T, run in pairs(back) do T.run = run end
  end })
  for what, model in pairs(simulated.models) do
    local T = model.run and types.find(what)
    if T then
      back[T] = T.run
      T.run = function(ctx, config, inputs) return model.run(ctx, config, inputs, simulated.world.kept) end
    end
  end
  return fn()
end

return subject
