-- The smallest workflow: one node, one output.
--   orrery run examples/hello.lua
--   orrery run examples/hello.lua --input name=Ada
local flow = require "orrery"

local w = flow.workflow {
  name = "hello",
  input = flow.schema { name = "string?" },
  output = "${nodes.greet}",
}

w.greet = { run = function(ctx)
  return "Hello, " .. (ctx.input.name or "world") .. "!"
end }

return w
