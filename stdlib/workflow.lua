--- `workflow`: another workflow as a node.
local flow = require "orrery"

return flow.type {
  name = "workflow",
  errors = { "child_failed", "conflict" },
  doc = "Runs another workflow (a value, or the path of a Lua or JSON file) as a child and outputs its "
    .. "output. In Lua it is "
    .. "called flow.call. The child is cancelled with its parent; its failure fails the node.",
  config = flow.schema { workflow = "any", input = "any?" },
  check = function(config)
    local kind = type(config.workflow)
    if kind ~= "table" and kind ~= "string" then
      return ("workflow: expected a workflow or the path of one, got a %s"):format(kind), "workflow"
    end
  end,
  examples = { [[flow.call { workflow = "child.lua", input = { city = "${input.city}" } }]] },
  run = function(ctx, config) return ctx:call(config.workflow, config.input) end,
}
