--- `orrery schedule`: what starts runs by itself, in a store: listing, making, pausing it, asking
--- for runs, and looking at what would be.
local session = require "orrery.cli.shared.session"

local schedule = {}

-- action -> the module that does it, and its function. `lists`: without a store there is nothing;
-- `alone`: it needs none.
local ACTIONS = {
  list = { "show", "list", lists = true }, show = { "show", "one" }, next = { "times", "next", alone = true },
  simulate = { "times", "simulate", alone = true }, add = { "change", "add", makes = true },
  remove = { "change", "remove" }, pause = { "change", "pause" }, resume = { "change", "resume" },
  trigger = { "change", "trigger" }, backfill = { "change", "backfill" },
}

-- Opens the store for actions that do without one, or make it.
local function look(args, makes)
  local stores = require "orrery.store.open"
  local url = stores.nearest(args)
  session.advise_for(args)
  local db, problem = stores.look(url)
  if db or not makes or not problem.absent then return db, problem end
  require("orrery.core").store(url, "own"):close()
  return stores.look(url)
end

local function with_own_store(action, fn, args)
  return session.guard("schedule", function()
    local db, problem = look(args, action.makes)
    if not db and action.makes then session.stop(problem.usage and 2 or 1, problem.message) end
    local code = fn(db, args)
    if db then db:close() end
    return code
  end)
end

--- Runs the command.
---@param args table
---@return integer exit code
function schedule.main(args)
  local action = ACTIONS[args.action or "list"]
  local fn = require("orrery.cli.schedule." .. action[1])[action[2]]
  if action.alone or action.makes then return with_own_store(action, fn, args) end
  return session.command("schedule", fn, function() return action.lists end)(args)
end

return schedule
