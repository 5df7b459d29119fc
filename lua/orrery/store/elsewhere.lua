--- Runs that this process does not run: as records, and waiting for their end.
local core = require "orrery.core"
local resume = require "orrery.store.resume"
local run_row = require "orrery.history.run_row"

local elsewhere = {}

local runtimes = setmetatable({}, { __mode = "k" }) -- record -> where it is waited for

-- A run that this process does not run.
local Record = {}
Record.__index = Record
Record.__name = "orrery.run_record"

--- A run as it is in the store.
---@param rt orrery.Runtime
---@param row table of `run_row.find`
---@return orrery.RunRecord
function elsewhere.record(rt, row)
  local store = rt:store()
  local made = setmetatable({
    id = row.id, workflow = row.workflow, state = row.state, output = run_row.value(store, row.output),
    error = run_row.value(store, row.error), ended = run_row.ENDED[row.state] or false, existing = true,
  }, Record)
  runtimes[made] = rt
  return made
end

--- Waits for the end of the run, and goes on with it here where its process is gone.
---@return orrery.RunRecord record as it is then
function Record:wait()
  if self.ended then return self end
  return elsewhere.finished(runtimes[self], self.id)
end

--- What its handlers have published, as `run:published` of a run here.
---@param name string|nil
---@return any value of the name, nil where it has none; without a name all of them, by name
function Record:published(name)
  return require("orrery.history.published").of(runtimes[self]:store(), self.id, name)
end

local LOOK, CLAIM = 0.1, 10 -- seconds between two looks; looks between two attempts to take the run over

local ELSEWHERE = { run_owned = true, run_ended = true }

--- Whether a run does not go on here because another process runs it, or has ended it since it was
--- looked at.
---@param problem any what `resume.resume` raised
---@return boolean
function elsewhere.is(problem) return type(problem) == "table" and ELSEWHERE[problem.code] or false end

--- How a run ended that another process runs: waits for it, and goes on with the run where that
--- process is gone.
---@param rt orrery.Runtime
---@param id string
---@return orrery.RunRecord
function elsewhere.finished(rt, id)
  local store, looks = rt:store(), 0
  while true do
    local row = run_row.find(store, id)
    if not row then
      error(setmetatable({ code = "run_not_found", message = ("run %s is in the store no more"):format(id),
        retryable = false }, core.error_mt), 0)
    end
    if run_row.ENDED[row.state] then return elsewhere.record(rt, row) end
    if looks % CLAIM == CLAIM - 1 then
      local ok, run_or_error = pcall(resume.resume, id, { runtime = rt })
      if ok then rt:wait(run_or_error)
      elseif not elsewhere.is(run_or_error) then error(run_or_error, 0) end
      store:project()
    end
    looks = looks + 1
    core.sleep(LOOK)
  end
end

return elsewhere
