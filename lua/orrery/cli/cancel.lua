--- `orrery cancel`: asks the owners of runs to cancel them.
local session = require "orrery.cli.shared.session"

local cancel = {}

cancel.main = session.command("cancel", function(db, args)
  return require("orrery.cli.shared.message").command(db, args, "cancel", { done = "asked to cancel",
    one = "it is cancelled when", several = "they are cancelled when" }, args.why and { reason = args.why })
end)

return cancel
