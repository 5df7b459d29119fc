--- What the API says of itself, and of who asks.
local core = require "orrery.core"

local meta = {}

--- The OpenAPI document; made once.
function meta.openapi(call)
  local host = call.host
  host.openapi = host.openapi or require "orrery.serve.openapi"(require("orrery.serve.routes").ROWS)
  return host.openapi
end

function meta.me(call)
  local who = call.who
  return { name = who.name, scope = who.scope, via = who.via, read_only = call.host.read_only or false,
    workflows = who.workflows and core.json.array(who.workflows) or nil,
    server = "orrery " .. require "orrery.version" }
end

return meta
