--- Locks of runs in a store: what becomes of a run whose lock another has.
local core = require "orrery.core"
local launch = require "orrery.runtime.launch"
local resume = require "orrery.store.resume"
local run_row = require "orrery.history.run_row"
local values = require "orrery.definition.singleton"

local singleton = {}

-- A run that was not made, because another has its lock: `id` is that of the other.
local Skipped = {}
Skipped.__index = Skipped
Skipped.__name = "orrery.skipped_run"

function Skipped:wait() return self end

local function skipped(compiled, problem)
  return setmetatable({ id = problem.details.run, lock = problem.details.lock, workflow = compiled.name,
    state = "skipped", ended = true, skipped = true }, Skipped)
end

local REFUSES = { skip = true, fail = true }

-- Raises `conflict`; of a workflow that skips its runs then a record of the one that was skipped.
---@param rt orrery.Runtime
---@param compiled orrery.Compiled
---@param problem table the error `conflict`
---@return table record
function singleton.refused(_, compiled, problem)
  if compiled.def.on_conflict ~= "skip" then error(problem, 0) end
  return skipped(compiled, problem)
end

-- The run that has the lock or is before all others in line for it, nil where it is free. One that
-- no process runs and that has not had its turn keeps nobody waiting.
local function holder(rt, workflow, value)
  if not rt:durable() then return nil end
  local store = rt:store()
  local row = store:row("lock_holder", { workflow = workflow, value = value })
  if not row or row.begun == 0 and (not row.owner or store:owner(row.owner) == "gone") then return nil end
  if not run_row.ENDED[row.state] then return row end
  store:project() -- it may have been tried again
  row = store:row("lock_holder", { workflow = workflow, value = value })
  return row and not run_row.ENDED[row.state] and row or nil
end

local function conflict(workflow, value, mode, id)
  error(setmetatable({ code = "conflict", retryable = false, details = { run = id, lock = value },
    message = ("run %s has the lock '%s' of workflow %s: wait for its end, or cancel it"
      .. " (on_conflict = \"%s\")"):format(id, value, workflow, mode) }, core.error_mt), 0)
end

--- Begins a run of a workflow with a lock. Where another run has it and the workflow does not wait,
--- raises `conflict`, or gives a record of the skipped run.
---@param rt orrery.Runtime
---@param compiled orrery.Compiled
---@param input any
---@param options orrery.RunOptions
---@return orrery.Run|table
function singleton.begin(rt, compiled, input, options)
  local value, mode = values.of(compiled, input, options.context)
  local ok, started = pcall(function()
    local other = value and REFUSES[mode] and holder(rt, compiled.name, value)
    if other then conflict(compiled.name, value, mode, other.id) end
    return launch.begin(rt, compiled, input, options)
  end)
  if ok then return started end
  if mode == "skip" and type(started) == "table" and started.code == "conflict" then
    return skipped(compiled, started)
  end
  error(started, 0)
end

-- Cancels a run that no process runs: it goes on here, to be cancelled and undone.
local function take_over(rt, run, row)
  local ok, problem = pcall(resume.resume, row.id, { runtime = rt, cancel = true })
  local code = not ok and type(problem) == "table" and problem.code
  if ok or code == "run_owned" or code == "run_ended" then return end
  warn(("orrery: run %s waits for run %s, which cannot be cancelled here: %s"):format(run.id, row.id,
    tostring(problem)))
end

local asked = setmetatable({}, { __mode = "k" }) -- runs of this process that were cancelled so: a second
-- cancel would leave out what cleans up

--- Cancels the runs that stand before this one in line for its lock: one that has begun is undone
--- first, and one that still waits ends at once.
---@param rt orrery.Runtime
---@param run orrery.Run
function singleton.supersede(rt, run)
  local store = rt:store()
  local own = store:row("run_number", { id = run.id })
  for _, row in ipairs(own and store:rows("lock_before", { run = own.number }) or {}) do
    local state = row.owner and store:owner(row.owner) or "gone"
    local live = launch.live(row.id)
    if live then
      if not asked[live] then live:cancel() end
      asked[live] = true
    elseif state == "lives" then
      store:send(row.id, "cancel", "{}", "superseded " .. row.place)
    elseif row.begun == 1 then
      take_over(rt, run, row)
    end
  end
end

return singleton
