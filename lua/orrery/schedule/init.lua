--- Schedules of a program of one's own: `require "orrery.schedule"`.
---
---   require("orrery.schedule").run { workflows = { w, "etl.lua" }, store = "sqlite:runs.db" }
local core = require "orrery.core"
local errors = require "orrery.errors"
local flow = require "orrery"
local ticker = require "orrery.schedule.ticker"

local schedule = { start = ticker.start }

---@class orrery.ScheduleRunOptions
---@field workflows (orrery.Workflow|string)[] values or paths
---@field store? string
---@field runtime? orrery.Runtime in place of one for the store
---@field on_start? fun(ticker: orrery.Ticker)

local OPTIONS = { workflows = true, store = true, runtime = true, on_start = true }

local function check(options)
  if type(options) ~= "table" or type(options.workflows) ~= "table" then
    error("schedule.run: expected { workflows = { w, \"etl.lua\" }, store = … }, got "
      .. errors.show(options), 3)
  end
  for key in pairs(options) do
    if not OPTIONS[key] then
      error(("schedule.run: unknown option %s%s"):format(errors.show(key), errors.suggest(key, OPTIONS)), 3)
    end
  end
end

local function runtime_of(options)
  if options.runtime then return options.runtime end
  local url = options.store or os.getenv "ORRERY_STORE" or require("orrery.store.open").DEFAULT
  return flow.runtime { store = url, resume = true }
end

--- Runs the schedules and other triggers of these workflows, and those that commands made for them
--- in the store. *Waits* until they are stopped.
---@param options orrery.ScheduleRunOptions
--- store: else ORRERY_STORE, or ./.orrery/runs.db; its unfinished runs go on. on_start is given
--- what stops them
function schedule.run(options)
  check(options)
  local rt = runtime_of(options)
  local going = ticker.start(rt, nil, options.workflows)
  if options.on_start then options.on_start(going) end
  core.await(function(resume)
    going.on_stop = resume
    if going.stopped then resume() end
  end)
end

return schedule
