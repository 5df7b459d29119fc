--- `orrery version`.
local out = require "orrery.cli.shared.out"
local version = {}

function version.main(args)
  local flow = require "orrery"
  local uv = require "luv"
  if args.json then
    require("orrery.cli.shared.files").json { orrery = flow.version, lua = _VERSION,
      libuv = uv.version_string() }
  else
    out.write(("orrery %s (%s, libuv %s)\n"):format(flow.version, _VERSION, uv.version_string()))
  end
  return 0
end

return version
