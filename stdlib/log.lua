--- `log`: a line in the run's log.
local flow = require "orrery"

return flow.type {
  name = "log",
  doc = "Writes a message to the run's log and outputs it.",
  config = flow.schema {
    message = "any",
    level = { enum = { "debug", "info", "warn", "error" }, default = "info" },
    fields = "object?",
  },
  positional = "message",
  examples = { [[flow.log { message = "Storm in ${input.city}", level = "warn" }]] },
  run = function(ctx, config)
    local message = config.message
    if type(message) ~= "string" then message = flow.json.encode(message) end
    ctx:log(config.level, message, config.fields)
    return config.message
  end,
}
