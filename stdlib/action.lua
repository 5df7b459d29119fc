--- `action`: calls a function that the script, or a module of a definition, has given a name.
---
--- `flow.action("NAME", fn)` declares a node type `action.NAME`; a node of the type `action` is one
--- of that type.
local flow = require "orrery"

local function node_of(config)
  return { type = "action." .. config.name, with = config.input or {} }
end

return flow.type {
  name = "action",
  doc = "Calls a function that has a name, by flow.action(\"NAME\", function(ctx, input) … end), and outputs "
    .. "what it returns. In JSON the loader has to allow the type action.NAME.",
  config = flow.schema {
    name = { type = "string", min = 1, doc = "fixed when the workflow is loaded" },
    input = { type = "object", optional = true, doc = "what the function gets" },
  },
  positional = "name",
  becomes = node_of,
  check = function(config)
    if not config.name:find "^[%a_][%w_.]*$" then
      return "name: expected the name that flow.action has declared, got " .. config.name, "name"
    end
  end,
  examples = {
    [[flow.action { name = "resize", input = { path = "${nodes.fetch.path}", width = 640 } }]],
  },
  run = function(_, config) return flow.now(node_of(config)) end,
}
