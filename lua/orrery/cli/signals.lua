--- Ctrl-C and SIGTERM, as a command that has runs under way takes them: the first asks, the second ends the process at once.
local signals = {}

--- Kills the commands of exec nodes with all they started: each has a process group of its own, which a terminal's Ctrl-C
--- does not reach. proc(5), /proc/pid/task/tid/children.
function signals.kill_children()
  local uv = require "luv"
  local pid = uv.os_getpid()
  local file = io.open(("/proc/%d/task/%d/children"):format(pid, pid))
  if not file then return end
  for child in (file:read("a") or ""):gmatch("%d+") do uv.kill(-tonumber(child), "sigkill") end
  file:close()
end

--- Calls `caught(name)` for each of both signals. One that comes while the loop does not turn ends the process at its second time.
---@param caught fun(name: "sigint"|"sigterm")
---@return fun() release
function signals.catch(caught)
  local uv, host = require "luv", require "orrery.host"
  local handles = {}
  for _, name in ipairs { "sigint", "sigterm" } do
    local handle = uv.new_signal()
    handle:start(name, function()
      host.seen()
      caught(name)
    end)
    handle:unref()
    host.guard(uv.constants[name:upper()])
    handles[#handles + 1] = handle
  end
  return function()
    for _, handle in ipairs(handles) do
      handle:stop()
      handle:close()
    end
  end
end

return signals
