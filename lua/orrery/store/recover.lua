--- At the start of a long-lived host: the unfinished runs of its store whose process is gone go on,
--- oldest first, one between two turns of the loop and only so many under way at a time. Nothing
--- waits for all of them, and what waits for a time or a signal does not count as under way. What
--- is paused stays so.
local errors = require "orrery.errors"
local pools = require "orrery.runtime.pools"
local resume = require "orrery.store.resume"

local recover = {}

--- Runs under way at a time where nothing else is said.
recover.LIMIT = 64

---@class orrery.RecoverOptions
---@field limit? integer runs under way at a time
---@field on_run? fun(run: orrery.Run) called for each that goes on
---@field on_refused? fun(id: string, workflow: string, problem: any) called for each that cannot;
---  else a warning of Lua's says so
---@field on_elsewhere? fun(id: string) called for each that another process runs

local NAMES = { "limit", "on_run", "on_refused", "on_elsewhere" }
local FIELDS = {}
for _, name in ipairs(NAMES) do FIELDS[name] = true end

local function check(options)
  if options == true then return {} end
  if type(options) ~= "table" then
    error("resume: expected true or a table of options, got " .. errors.show(options), 3)
  end
  for key in pairs(options) do
    if not FIELDS[key] then
      error(("resume: unknown option %q%s"):format(tostring(key), errors.suggest(key, NAMES)), 3)
    end
  end
  if options.limit ~= nil and (math.type(options.limit) ~= "integer" or options.limit < 1) then
    error("resume: limit: expected a whole number from 1, got " .. errors.show(options.limit), 3)
  end
  return options
end

local function complain(id, workflow, problem)
  warn(("orrery: run %s of %s cannot go on: %s"):format(id, workflow, tostring(problem)))
end

-- The states of a run in which it does nothing.
local IDLE = { waiting = true, paused = true, interrupted = true }

-- How many of these runs still do something; those that do not are dropped from the list.
local function under_way(going)
  local n = 0
  for run in pairs(going) do
    local state = run.state
    if run.ended or IDLE[state] or run.holder then going[run] = nil else n = n + 1 end
  end
  return n
end

--- Begins it. Returns at once; the work is done while the loop runs.
---@param rt orrery.Runtime
---@param options? orrery.RecoverOptions|true
function recover.begin(rt, options)
  options = check(options or true)
  if not rt:durable() then
    error("resume: this runtime has no store; open it with flow.runtime { store = … }", 2)
  end
  local store, limit, refused = rt:store(), options.limit or recover.LIMIT, options.on_refused or complain
  require("orrery.store.retention").apply(store) -- before code of this process is put there
  pools.pause(rt, store)
  local rows, going = resume.unfinished(store), {}
  -- what begins from now on is this process's own, or another's
  local newest = store:row "run_newest"
  local last = newest and newest.number or 0
  rt:refill(function()
    if under_way(going) >= limit then return false end
    local row = rows()
    if not row or row.number > last then return nil end
    local ok, run = pcall(resume.resume, row.id, { runtime = rt, keep_pauses = true })
    if ok then
      going[run] = true
      if options.on_run then options.on_run(run) end
    elseif type(run) ~= "table" or run.code ~= "run_owned" then
      refused(row.id, row.workflow, run)
    elseif options.on_elsewhere then
      options.on_elsewhere(row.id)
    end
    return true
  end)
end

return recover
