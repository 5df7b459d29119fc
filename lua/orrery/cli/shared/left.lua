--- What is said of a run that was left as it is: how it goes on.
local core = require "orrery.core"
local out = require "orrery.cli.shared.out"
local printable = require "orrery.cli.display.printable"
local session = require "orrery.cli.shared.session"

local left = {}

--- The command that resumes a run.
---@param id string
---@param args table the options of the command
---@return string
function left.resume_command(id, args)
  session.advise_for(args)
  return session.typed("resume " .. id)
end

-- The signals that the run waits for, from its journal; none where that cannot be read, which the
-- store has reported by then.
local function awaited(runtime, id)
  local ok, waits = pcall(function()
    local store = runtime:store()
    store:project()
    return require("orrery.history.reasons").awaited_by(store, id)
  end)
  return ok and waits or {}
end

local MOST_SIGNALS = 5

-- What to type for a run that was left: the signals that it waits for, then the command that
-- resumes it.
function left.say(runtime, id, args)
  local go_on = left.resume_command(id, args)
  for i, wait in ipairs(awaited(runtime, id)) do
    if i > MOST_SIGNALS then break end
    out.show(("it waits for signal '%s': %s\n")
      :format(printable.line(wait.name),
      session.typed(require("orrery.cli.display.reasons").to_send(id, wait))))
  end
  out.show(("the run is left as it is; go on with: %s\n"):format(go_on))
end

--- The names of the signals that a run waits for.
---@param runtime orrery.Runtime
---@param id string
---@return string[] a JSON array
function left.signal_names(runtime, id)
  local names = {}
  for i, wait in ipairs(awaited(runtime, id)) do names[i] = wait.name end
  return core.json.array(names)
end

return left
