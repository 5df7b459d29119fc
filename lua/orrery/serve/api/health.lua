--- Whether the server lives, and whether it takes runs.
local health = {}

function health.live() return { status = "ok" } end

--- 503 while it starts, drains, or its store cannot be written.
function health.ready(call)
  local host = call.host
  local served, broken = host.workflows:count()
  local status = host.draining and "draining" or not host.ready and "starting"
    or (host.store:figures() or {}).failing and "store_failing" or "ok"
  return { status = status, draining = host.draining or false, workflows = served, broken = broken },
    { status = status == "ok" and 200 or 503 }
end

return health
