--- `orrery resume`, and what `retry` and `fork` share with it: letting runs of a store go on, one watched, or many with a line each.
local resume_runs = require "orrery.resume"

local resume = {}

-- What a person is told of an error; its code is for programs.
local function sentence(problem)
  return getmetatable(problem) == require("orrery.core").error_mt and problem.message or tostring(problem)
end

local function fail(word, problem)
  for line in sentence(problem):gmatch "[^\n]+" do io.stderr:write("orrery ", word, ": ", line, "\n") end
  return 2
end

--- The runtime and the store to look at that the options name; nil and an exit code where they cannot be opened.
---@param word string the command
---@param args table
---@return orrery.Runtime|nil
---@return orrery.Store|integer
function resume.open(word, args)
  local url, named = require("orrery.store").url(args)
  local store, problem = require("orrery.store").look(url)
  if not store then
    local code = fail(word, problem.message)
    return nil, problem.absent and not named and word == "resume" and #args.run == 0 and 0 or code
  end
  local opened, rt = pcall(require("orrery.run").runtime_of_store, url, nil, args.output_limit, args.crash_limit)
  if not opened then return nil, fail(word, rt) end
  return rt, store
end

--- One run, shown as `orrery run` shows it.
---@param word string the command
---@param args table
---@param rt orrery.Runtime
---@param compiled orrery.Compiled
---@param go fun(on_event: function|nil): orrery.Run
---@return integer exit code
function resume.follow(word, args, rt, compiled, go)
  return require("orrery.cli.run").follow(args, compiled, { word = word, runtime = rt, go = go })
end

-- ---- many -------------------------------------------------------------------------------------------------

local WINDOW = 64 -- runs that are under way at a time; those that wait for a time or a signal do not count

local IDLE, LOOKS = { waiting = true, paused = true }, 5

local function line(args, event)
  if args.json then
    io.stdout:write(require("orrery.core").json.encode(event, { sort = true }), "\n")
    return
  end
  if args.quiet then return end
  io.stderr:write(("%s  %-20s  %s\n"):format(event.run, event.workflow, event.error and event.state .. ": " .. event.error
    or event.state))
end

local function say(text) io.stderr:write(text, "\n") end

local DONE = { resume = "resumed", retry = "retried" }

-- "3 runs resumed, 1 did not complete, 2 are run by other processes".
local function counts(done, n)
  local parts = { n.started == 1 and "1 run " .. done or ("%d runs %s"):format(n.started, done) }
  if n.started + n.failed + n.skipped == 0 then return "nothing to " .. (done == "retried" and "retry" or "resume") end
  if n.failed > 0 then parts[#parts + 1] = ("%d did not complete"):format(n.failed) end
  if n.left > 0 then parts[#parts + 1] = ("%d left waiting"):format(n.left) end
  if n.skipped > 0 then parts[#parts + 1] = ("%d %s run by other processes"):format(n.skipped, n.skipped == 1 and "is" or "are") end
  return table.concat(parts, ", ")
end

-- Takes runs up one after another, and tells of each how it ended.
local function all(word, args, rt, rows, start)
  local flow = require "orrery"
  local going, failed, started, skipped, left = {}, 0, 0, 0, 0
  local function settle()
    for run, row in pairs(going) do
      if run.ended or run.state == "interrupted" then
        going[run] = nil
        local state = run.state
        if state ~= "completed" then failed = failed + 1 end
        line(args, { event = "run_" .. state, run = row.id, workflow = row.workflow, state = state,
          error = state ~= "completed" and run.error and run.error.message or nil })
      end
    end
  end
  local function busy()
    local n = 0
    for run in pairs(going) do n = n + (run.state ~= "waiting" and 1 or 0) end
    return n
  end
  for row in rows do
    local ok, run = pcall(start, row)
    if ok then
      going[run], started = row, started + 1
      line(args, { event = "run_recovered", run = row.id, workflow = row.workflow, state = run.state })
    elseif type(run) == "table" and (run.code == "run_owned" or (word == "resume" and run.code == "run_ended")) then
      skipped = skipped + 1 -- or another process has ended it since it was listed
    else
      failed = failed + 1
      line(args, { event = "run_refused", run = row.id, workflow = row.workflow, state = row.state, error = sentence(run) })
    end
    while busy() >= (args.jobs or WINDOW) do
      flow.sleep(0.01)
      settle()
    end
  end
  local idle = {} -- run -> for how many looks it has waited, so that its messages have been read before it is left
  local function leave()
    for run, row in pairs(going) do
      idle[run] = IDLE[run.state] and (idle[run] or 0) + 1 or 0
      if idle[run] > LOOKS then
        run:suspend()
        going[run], left = nil, left + 1
        line(args, { event = "run_suspended", run = row.id, workflow = row.workflow, state = "suspended" })
      end
    end
  end
  while next(going) do
    flow.sleep(0.02)
    settle()
    if args.no_wait then leave() end
  end
  rt:close()
  if not args.json and not args.quiet then
    say(counts(DONE[word], { started = started, failed = failed, skipped = skipped, left = left }))
  end
  return failed > 0 and 1 or left > 0 and 5 or 0
end

--- Runs the command over several runs at once.
---@param word string
---@param args table
---@param rt orrery.Runtime
---@param rows fun(): table|nil
---@param start fun(row: table): orrery.Run
---@return integer exit code
function resume.many(word, args, rt, rows, start)
  local code
  local co = require("orrery.core").gather -- waits need a fiber; gather of one gives it
  co { function() code = all(word, args, rt, rows, start) end }
  return code
end

local function each_of(rows)
  local i = 0
  return function()
    i = i + 1
    return rows[i]
  end
end

--- The runs that the arguments mean: those of the ids, or of the filter. Nil and an exit code for a mistake.
---@param word string
---@param args table
---@param store orrery.Store
---@return table[]|nil
---@return integer|nil
function resume.chosen(word, args, store)
  local filter = require "orrery.cli.filter"
  local rows = {}
  for _, id in ipairs(args.run or {}) do
    local row, problem = filter.one(store, id)
    if not row then return nil, fail(word, problem) end
    rows[#rows + 1] = row
  end
  if #rows > 0 or not filter.given(args) then return rows end
  return filter.select(store, args, word == "resume" and "runs.ended IS NULL" or "runs.state IN ('failed', 'cancelled')")
end

local function options_of(args, rt, on_event, compiled)
  return { runtime = rt, force = args.force, code = args.code or args.with_current_code, on_event = on_event, compiled = compiled }
end

-- A run that a process runs already may be paused there; it is asked to go on.
local function ask_owner(args, store, row, problem)
  if type(problem) ~= "table" or problem.code ~= "run_owned" then return fail("resume", problem) end
  store:send(row.id, "resume", "{}")
  if not args.quiet then io.stderr:write(("run %s: %s; it was asked to go on, where it is paused\n"):format(row.id, problem.message)) end
  return 0
end

local function one(args, rt, store, row)
  local made, problem_or_store, _, compiled = pcall(resume_runs.code_of, rt, row.id, options_of(args, rt))
  if not made then return fail("resume", problem_or_store) end
  local refused
  local code = resume.follow("resume", args, rt, compiled, function(on_event)
    local ok, run = pcall(resume_runs.resume, row.id, options_of(args, rt, on_event, compiled))
    if ok then return run end
    refused = run
    error(run, 0)
  end)
  if refused and refused.code == "run_owned" then return ask_owner(args, store, row, refused) end
  return code
end

-- `--pool P`, and `--workflow W` alone, take back what `orrery pause` did.
local function unpause(args, store)
  local pause = require "orrery.cli.pause"
  if args.pool then pause.pool(store, args.pool, false) end
  if pause.whole_workflow(args) then pause.workflow(store, args.workflow, false) end
end

local function main(args)
  local rt, store = resume.open("resume", args)
  if not rt then return store end
  unpause(args, store)
  if args.pool then return 0 end
  local rows, code = resume.chosen("resume", args, store)
  if not rows then return code end
  if #rows == 1 and #(args.run or {}) == 1 then return one(args, rt, store, rows[1]) end
  local given = #rows > 0 or require("orrery.cli.filter").given(args)
  require("orrery.retention").apply(store)
  return resume.many("resume", args, rt, given and each_of(rows) or resume_runs.unfinished(store), function(row)
    local run = resume_runs.resume(row.id, options_of(args, rt))
    return run
  end)
end

function resume.main(args) return require("orrery.cli.history").guard("resume", main, args) end

resume.each_of, resume.options_of, resume.fail = each_of, options_of, fail

return resume
