--- Templates that are the output of one node and nothing else, "${nodes.fetch}". They mean what the
--- expression language makes of them; known here, they do not need it to be loaded, which is a
--- seventh of what it takes to start.
local null = require "orrery.core".json.null

local WORDS = { ["and"] = true, ["or"] = true, ["not"] = true, ["nil"] = true, ["true"] = true,
  ["false"] = true }
local LONGEST = 256 -- bytes

local function reader(name)
  return function(ctx)
    local outputs = ctx.nodes
    local kind = type(outputs)
    if kind == "table" or kind == "userdata" and outputs ~= null then return outputs[name] end
    return nil
  end
end

--- Compiles such a template as `orrery.expr.template` would; nil for any other value.
---@param value any
---@return orrery.template.Compiled|nil
return function(value)
  if type(value) ~= "string" or #value > LONGEST then return nil end
  local name = value:match "^%${nodes%.([%a_][%w_]*)}$"
  if not name or WORDS[name] then return nil end
  return { fn = reader(name), static = false, secrets = false, roots = { nodes = true }, dashed = {},
    paths = {},
    mentions = { nodes = { [name] = true }, states = {}, errors = {}, env = {}, list = { name },
      env_list = {} } }
end
