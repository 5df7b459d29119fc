--- Many runs at once, as `orrery resume` and `orrery retry` take them up: one after another, only so many under way at a time, with a
--- line for each when it begins and when it ends.
local many = {}

local WINDOW = 64 -- runs that are under way at a time; those that wait for a time or a signal do not count

local IDLE, LOOKS = { waiting = true, paused = true }, 5 -- looks that find a run waiting before it is left: its messages are read by then

local LEFT = 5 -- exit code where runs were left

---@class orrery.cli.Crowd
---@field word string the command
---@field args table
---@field going table<orrery.Run, table> runs that are under way, with their rows
---@field n { started: integer, failed: integer, left: integer, skipped: integer }
---@field idle table<orrery.Run, integer> how many looks have found it waiting
---@field stopping boolean|nil a signal asked to leave them all
local Crowd = {}
Crowd.__index = Crowd

--- What a person is told of an error; its code is for programs.
---@param problem any
---@return string
function many.sentence(problem)
  return getmetatable(problem) == require("orrery.core").error_mt and problem.message or tostring(problem)
end

-- A line of one run; with --quiet only what went wrong.
function Crowd:line(event)
  local args = self.args
  if args.json then
    require("orrery.cli.history").json(event)
  elseif event.error or not args.quiet then
    io.stderr:write(("%s  %-20s  %s\n"):format(event.run, event.workflow, event.error and event.state .. ": " .. event.error
      or event.state))
  end
end

-- Tells of the runs that have ended since the last look.
function Crowd:settle()
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

function Crowd:busy()
  local n = 0
  for run in pairs(self.going) do n = n + (run.state ~= "waiting" and 1 or 0) end
  return n
end

local function is_elsewhere(word, problem)
  return type(problem) == "table" and (problem.code == "run_owned" or word == "resume" and problem.code == "run_ended")
end

local PAUSED = { workflow_paused = true, run_paused = true }

-- Takes one up. Where another process runs it, or has ended it since it was listed, it is passed over.
function Crowd:take(row, start)
  local ok, run = pcall(start, row)
  if ok then
    self.going[run], self.n.started = row, self.n.started + 1
    self:line { event = "run_recovered", run = row.id, workflow = row.workflow, state = run.state }
  elseif is_elsewhere(self.word, run) then
    self.n.skipped = self.n.skipped + 1
  elseif type(run) == "table" and PAUSED[run.code] then
    self.n.left = self.n.left + 1
    self:line { event = "run_suspended", run = row.id, workflow = row.workflow, state = "paused", error = run.message }
  else
    self.n.failed = self.n.failed + 1
    self:line { event = "run_refused", run = row.id, workflow = row.workflow, state = row.state, error = many.sentence(run) }
  end
end

function Crowd:leave(run)
  local row = self.going[run]
  run:suspend()
  self.going[run], self.n.left = nil, self.n.left + 1
  self:line { event = "run_suspended", run = row.id, workflow = row.workflow, state = "suspended" }
end

-- Leaves the runs that only wait.
function Crowd:leave_idle()
  for run in pairs(self.going) do
    local looks = IDLE[run.state] and (self.idle[run] or 0) + 1 or 0
    self.idle[run] = looks
    if looks > LOOKS then self:leave(run) end
  end
end

-- The first signal leaves all runs in good order, to be resumed; the second ends the process. Their commands are killed before, and
-- nothing that comes of it is recorded any more.
function Crowd:catch()
  local signals = require "orrery.cli.signals"
  return signals.catch(function()
    signals.kill_children()
    if self.stopping then os.exit(LEFT) end
    self.stopping = true
    self:settle()
    for run in pairs(self.going) do self:leave(run) end
  end)
end

local DONE = { resume = "resumed", retry = "retried" }

-- "3 runs resumed, 1 did not complete, 2 are run by other processes".
function Crowd:counts()
  local n, done = self.n, DONE[self.word]
  local parts = { n.started == 1 and "1 run " .. done or ("%d runs %s"):format(n.started, done) }
  if n.started + n.failed + n.skipped + n.left == 0 then return "nothing to " .. self.word end
  if n.failed > 0 then parts[#parts + 1] = ("%d did not complete"):format(n.failed) end
  if n.left > 0 then parts[#parts + 1] = ("%d left, to be resumed"):format(n.left) end
  if n.skipped > 0 then parts[#parts + 1] = ("%d %s run by other processes"):format(n.skipped, n.skipped == 1 and "is" or "are") end
  return table.concat(parts, ", ")
end

function Crowd:run(rt, rows, start)
  local flow, release = require "orrery", self:catch()
  for row in rows do
    if self.stopping then break end
    self:take(row, start)
    while not self.stopping and self:busy() >= (self.args.jobs or WINDOW) do
      flow.sleep(0.01)
      self:settle()
    end
  end
  while next(self.going) do
    flow.sleep(0.02)
    self:settle()
    if self.args.no_wait then self:leave_idle() end
  end
  release()
  rt:close()
  if not self.args.json and not self.args.quiet then io.stderr:write(self:counts(), "\n") end
  return self.n.failed > 0 and 1 or self.n.left > 0 and LEFT or 0
end

--- Runs the command over several runs at once.
---@param word "resume"|"retry"
---@param args table
---@param rt orrery.Runtime
---@param rows fun(): table|nil
---@param start fun(row: table): orrery.Run
---@return integer exit code
function many.run(word, args, rt, rows, start)
  local crowd = setmetatable({ word = word, args = args, going = {}, idle = {}, n = { started = 0, failed = 0, left = 0, skipped = 0 } },
    Crowd)
  local code
  local in_a_fiber = require("orrery.core").gather -- which waits need; gather of one gives it
  in_a_fiber { function() code = crowd:run(rt, rows, start) end }
  return code
end

return many
