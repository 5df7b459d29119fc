--- Models of what there is not: a name that is mistyped would leave the real handler in place.
local errors = require "orrery.errors"
local simulated = require "orrery.simulated"
local subject = require "orrery.sim.subject"
local types = require "orrery.definition.type"

local models = {}

-- All names that a model may have, as far as they are known.
local function names_of(signals)
  local names = subject.nodes_known()
  table.move(types.names(), 1, #types.names(), #names + 1, names)
  for _, name in ipairs(signals) do names[#names + 1] = "signal:" .. name end
  return names
end

--- Raises where a model is of a name that no node, node type or signal has. Nodes of workflows that
--- are called, and signals that are waited for after a fault, are not known before histories have
--- been played: until then only what is near to another name is taken for a mistake.
---@param signals string[] names of those that the workflow waits for
---@param played boolean histories have been played
function models.check(signals, played)
  local names, known = names_of(signals), {}
  for _, name in ipairs(names) do known[name] = true end
  for what, model in pairs(simulated.models) do
    if not known[what] and not types.find(what) and not model.used then
      local near = errors.did_you_mean(what, names)
      if near ~= "" or played then
        error(("flow.model %q: there is no node, node type or signal of this name%s"):format(what, near), 0)
      end
    end
  end
end

return models
