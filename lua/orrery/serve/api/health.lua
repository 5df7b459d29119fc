--- Whether the server lives, and whether it takes runs.
local health = {}

function health.live() return { status = "ok" } end

--- 503 while it starts, drains, or its store cannot be written.
function health.ready(call)
  local host = call.host
  local served, broken = host.workflows:count()
  local ready = host.ready and not host.draining
  return { status = ready and "ok" or host.draining and "draining" or "starting", draining = host.draining
    or false,
    workflows = served, broken = broken }, { status = ready and 200 or 503 }
end

return health
