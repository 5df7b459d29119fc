--- `orrery cancel`: asks whoever runs them to cancel runs.
local history = require "orrery.cli.history"

local cancel = {}

cancel.main = history.command("cancel", function(db, args)
  return require("orrery.cli.message").command(db, args, "cancel", { done = "asked to cancel",
    one = "it is cancelled when", several = "they are cancelled when" })
end)

return cancel
