--- Ctrl-C, SIGTERM and SIGHUP while a command runs workflows: the first asks to stop, the second
--- ends the process at once.
local core = require "orrery.core"

local signals = {}

--- Kills the commands of exec nodes with all they started, at once.
function signals.kill_children() core.commands "kill" end

--- Ends them in good order: TERM, then KILL after their grace. `signals.await_children` waits for
--- that.
function signals.end_children() core.commands "terminate" end

--- Waits until no command is left, by letting the loop turn.
function signals.await_children()
  local flow = require "orrery"
  if core.commands() == 0 then return end
  local function wait() while core.commands() > 0 do flow.sleep(0.01) end end
  core.gather { wait }
end

--- Calls `caught(name)` for each of these signals; SIGHUP not where it is ignored, as by nohup.
--- Where the loop is blocked, the second signal ends the process.
---@param caught fun(name: "sigint"|"sigterm"|"sighup")
---@return fun() release
function signals.catch(caught) return require("orrery.host").catch(caught) end

return signals
