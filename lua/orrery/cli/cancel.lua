--- `orrery cancel`: asks whoever runs them to cancel runs.
local history = require "orrery.cli.history"

local cancel = {}

cancel.main = history.command("cancel", function(db, args)
  return require("orrery.cli.message").command(db, args, "cancel", { done = "asked to cancel", later = "is cancelled" })
end)

return cancel
