--- Many runs at once, for `orrery resume` and `orrery retry`: they are resumed one after another, a
--- limited number at a time, with a line for each when it begins and when it ends.
local out = require "orrery.cli.shared.out"
local many = {}

local WINDOW = 64 -- runs that go on at a time; those that wait for a time or a signal do not count

-- looks that find a run waiting before it is left: its messages are read by then
local IDLE, LOOKS = { waiting = true, paused = true }, 5

local function is_idle(run) return IDLE[run.state] or run.holder ~= nil end

local LEFT = 5 -- exit code where runs were left

---@class orrery.cli.Batch
---@field word string the command
---@field args table
---@field going table<orrery.Run, table> runs that are under way, with their rows
---@field n { started: integer, failed: integer, left: integer, skipped: integer }
---@field idle table<orrery.Run, integer> how many looks have found it waiting
---@field stopping boolean|nil a signal asked to leave them all
local Batch = {}
Batch.__index = Batch

--- The message of an error for people; its code is for programs.
---@param problem any
---@return string
function many.sentence(problem)
  return getmetatable(problem) == require("orrery.core").error_mt and problem.message or tostring(problem)
end

-- A line of one run; with --quiet only what went wrong.
function Batch:line(event)
  local args = self.args
  if args.json then
    require("orrery.cli.shared.session").json(event)
  elseif event.error or not args.quiet then
    out.err(("%s  %-20s  %s\n")
      :format(event.run, require("orrery.cli.display.term").clean(event.workflow),
        event.error and event.state .. ": " .. event.error or event.state))
  end
end

-- Reports the runs that have ended since the last look.
function Batch:report_ended()
  for run, row in pairs(self.going) do
    local state = run.state
    if run.ended or state == "interrupted" then
      self.going[run] = nil
      local failed = state ~= "completed"
      if failed then self.n.failed = self.n.failed + 1 end
      local event = { event = "run_" .. state, run = row.id, workflow = row.workflow, state = state,
        error = failed and run.error and run.error.message or nil }
      if self.args.json and not failed then event.output = run.output end
      self:line(event)
    end
  end
end

function Batch:busy()
  local n = 0
  for run in pairs(self.going) do n = n + ((run.state == "waiting" or run.holder) and 0 or 1) end
  return n
end

local function is_elsewhere(word, problem)
  return type(problem) == "table"
    and (problem.code == "run_owned" or word == "resume" and problem.code == "run_ended")
end

local PAUSED = { workflow_paused = true, run_paused = true }

-- Resumes one. A run that another process runs, or that has ended since it was listed, is skipped.
function Batch:take(row, start)
  local ok, run = pcall(start, row, next(self.going) == nil)
  if ok then
    self.going[run], self.n.started = row, self.n.started + 1
    self:line { event = "run_recovered", run = row.id, workflow = row.workflow, state = run.state }
  elseif is_elsewhere(self.word, run) then
    self.n.skipped = self.n.skipped + 1
  elseif type(run) == "table" and PAUSED[run.code] then
    self.n.left = self.n.left + 1
    self:line { event = "run_suspended", run = row.id, workflow = row.workflow, state = "paused",
      error = run.message }
  else
    self.n.failed = self.n.failed + 1
    self:line { event = "run_refused", run = row.id, workflow = row.workflow, state = row.state,
      error = many.sentence(run) }
  end
end

function Batch:leave(run)
  local row = self.going[run]
  run:suspend()
  self.going[run], self.n.left = nil, self.n.left + 1
  self:line { event = "run_suspended", run = row.id, workflow = row.workflow, state = "suspended" }
end

-- Leaves the runs that only wait, unless one is about to go on after a short backoff.
function Batch:leave_idle(rt)
  local waits_out = require("orrery.cli.run").waits_out
  for run in pairs(self.going) do
    local idle = is_idle(run) and not waits_out(rt, run)
    local looks = idle and (self.idle[run] or 0) + 1 or 0
    self.idle[run] = looks
    if looks > LOOKS then self:leave(run) end
  end
end

-- The first signal suspends all runs; the second ends the process. Their commands are ended first,
-- and what comes of that is not recorded.
function Batch:catch()
  local signals = require "orrery.cli.shared.interrupts"
  return signals.catch(function()
    if self.stopping then
      signals.kill_children()
      os.exit(LEFT)
    end
    signals.end_children()
    self.stopping = true
    self:report_ended()
    for run in pairs(self.going) do self:leave(run) end
  end)
end

local DONE = { resume = "resumed", retry = "retried" }

-- "3 runs resumed, 1 did not complete, 2 are run by other processes".
function Batch:counts()
  local n, done = self.n, DONE[self.word]
  local parts = { n.started == 1 and "1 run " .. done or ("%d runs %s"):format(n.started, done) }
  if n.started + n.failed + n.skipped + n.left == 0 then return "nothing to " .. self.word end
  if n.failed > 0 then parts[#parts + 1] = ("%d did not complete"):format(n.failed) end
  if n.left > 0 then parts[#parts + 1] = ("%d left, to be resumed"):format(n.left) end
  if n.skipped > 0 then
    parts[#parts + 1] = ("%d %s run by other processes"):format(n.skipped, n.skipped == 1 and "is" or "are")
  end
  return table.concat(parts, ", ")
end

function Batch:run(rt, rows, start)
  local flow, release = require "orrery", self:catch()
  for row in rows do
    if self.stopping then break end
    self:take(row, start)
    while not self.stopping and self:busy() >= (self.args.jobs or WINDOW) do
      flow.sleep(0.01)
      self:report_ended()
    end
  end
  while next(self.going) do
    flow.sleep(0.02)
    self:report_ended()
    if self.args.no_wait then self:leave_idle(rt) end
  end
  require("orrery.cli.shared.interrupts").await_children()
  release()
  rt:close()
  if not self.args.json and not self.args.quiet then out.err(self:counts(), "\n") end
  return self.n.failed > 0 and 1 or self.n.left > 0 and LEFT or 0
end

--- Runs the command over several runs at once.
---@param word "resume"|"retry"
---@param args table
---@param rt orrery.Runtime
---@param rows fun(): table|nil
---@param start fun(row: table, alone: boolean): orrery.Run `alone`: no other run is under way
---@return integer exit code
function many.run(word, args, rt, rows, start)
  local crowd = setmetatable({ word = word, args = args, going = {}, idle = {},
    n = { started = 0, failed = 0, left = 0, skipped = 0 } },
    Batch)
  local code
  -- waits need a fiber, and `gather` of one function makes one
  local in_a_fiber = require("orrery.core").gather
  in_a_fiber { function() code = crowd:run(rt, rows, start) end }
  return code
end

return many
