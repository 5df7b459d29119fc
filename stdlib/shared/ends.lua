--- What `setup` and `cleanup` have in common: each wraps a node.
local flow = require "orrery"

local ends = {}

ends.NODE = { type = "any", doc = "what it does: a node, or function(ctx, inputs)" }

--- What is wrong with the config; nil where nothing is.
---@param config { node: any }
---@return string|nil message
---@return string|nil field
function ends.check(config)
  local kind = type(config.node)
  if kind == "table" or kind == "function" then return nil end
  return ("node: expected a node, such as flow.exec { … }, or a function(ctx), got a %s"):format(kind), "node"
end

--- The node that stands in the config.
---@param config { node: table|function }
---@return table
function ends.node_of(config)
  if type(config.node) == "function" then return { run = config.node } end
  return config.node
end

--- The handler of a type whose nodes have a place among others, and that no handler can call.
---@param name string
---@return fun()
function ends.refuse(name)
  return function()
    flow.error { code = "config_error", retryable = false,
      message = ("%s has its place among the nodes of a workflow; write it as one, w.x = flow.%s { … }")
        :format(name, name) }
  end
end

return ends
