--- `condition`: one of two outcomes, by an expression.
local flow = require "orrery"

return flow.type {
  name = "condition",
  doc = 'Evaluates an expression. Its outcomes are "true" and "false" (after = "check:true"), its output is '
    .. 'the boolean.',
  config = flow.schema { test = "any" },
  expressions = { "test" },
  positional = "test",
  outcomes = { "true", "false" },
  examples = { [[flow.condition { "nodes.parse.wind > 100" }]] },
  run = function(ctx, config)
    local test = config.test
    if type(test) == "function" then test = test(ctx) end
    local holds = test and true or false
    return flow.outcome(tostring(holds), holds)
  end,
}
