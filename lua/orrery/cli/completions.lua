--- `orrery completions SHELL`: a script for the shell to read, by which it completes what is typed.
local out = require "orrery.cli.shared.out"

local completions = {}

function completions.main(args)
  out.write(require("orrery.cli.completions." .. args.shell)(require("orrery.cli.shared.words").all()))
  return 0
end

return completions
