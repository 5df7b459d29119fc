--- `orrery resume`, and what `retry` and `fork` share with it: letting runs of a store go on, one watched, or many with a line each.
local resume_runs = require "orrery.resume"

local resume = {}

local function fail(word, text)
  for line in tostring(text):gmatch "[^\n]+" do io.stderr:write("orrery ", word, ": ", line, "\n") end
  return 2
end

--- The runtime and the store to look at that the options name; nil and an exit code where they cannot be opened.
---@param word string the command
---@param args table
---@return orrery.Runtime|nil
---@return orrery.Store|integer
function resume.open(word, args)
  local url = require("orrery.store").url(args)
  local store, problem = require("orrery.store").look(url)
  if not store then return nil, fail(word, problem.message) end
  local opened, rt = pcall(require("orrery.run").runtime_of_store, url)
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

local function line(args, event)
  if args.json then
    io.stdout:write(require("orrery.core").json.encode(event, { sort = true }), "\n")
    return
  end
  if args.quiet then return end
  io.stderr:write(("%s  %-20s  %s\n"):format(event.run, event.workflow, event.error and event.state .. ": " .. event.error
    or event.state))
end

-- Takes runs up one after another, and tells of each how it ended.
local function all(word, args, rt, rows, start)
  local flow, core = require "orrery", require "orrery.core"
  local going, failed, started, skipped = {}, 0, 0, 0
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
    elseif type(run) == "table" and run.code == "run_owned" then
      skipped = skipped + 1
    else
      failed = failed + 1
      line(args, { event = "run_refused", run = row.id, workflow = row.workflow, state = row.state, error = tostring(run) })
    end
    while busy() >= (args.jobs or WINDOW) do
      flow.sleep(0.01)
      settle()
    end
  end
  while next(going) do
    flow.sleep(0.02)
    settle()
  end
  rt:close()
  if not args.json and not args.quiet then
    io.stderr:write(("%d %s %s, %d of them %s not complete%s\n"):format(started, started == 1 and "run" or "runs",
      word == "retry" and "retried" or "resumed", failed, failed == 1 and "did" or "did",
      skipped > 0 and (", %d left to the processes that run them"):format(skipped) or ""))
  end
  return failed > 0 and 1 or 0, core
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
  local ok, chosen = pcall(filter.select, store, args)
  if not ok then return nil, fail(word, chosen) end
  return chosen
end

local function options_of(args, rt, on_event)
  return { runtime = rt, force = args.force, code = args.with_current_code and (args.code or true) or nil, on_event = on_event }
end

-- A run that a process runs already may be paused there; it is asked to go on.
local function ask_owner(args, store, row, problem)
  if type(problem) ~= "table" or problem.code ~= "run_owned" then return fail("resume", problem) end
  store:send(row.id, "resume", "{}")
  if not args.quiet then io.stderr:write(("run %s: %s; it was asked to go on, where it is paused\n"):format(row.id, problem.message)) end
  return 0
end

local function one(args, rt, store, row)
  local made, _, compiled = pcall(resume_runs.code_of, rt, row.id, options_of(args, rt))
  if not made then return fail("resume", _) end
  local claimed, problem = true, nil
  local code = resume.follow("resume", args, rt, compiled, function(on_event)
    local ok, run = pcall(resume_runs.resume, row.id, options_of(args, rt, on_event))
    if ok then return run end
    claimed, problem = false, run
    error(run, 0)
  end)
  if claimed then return code end
  return type(problem) == "table" and problem.code == "run_owned" and ask_owner(args, store, row, problem) or code
end

-- `--pool P`, and `--workflow W` alone, take back what `orrery pause` did.
local function unpause(args, store)
  local pause = require "orrery.cli.pause"
  if args.pool then pause.pool(store, args.pool, false) end
  if pause.whole_workflow(args) then pause.workflow(store, args.workflow, false) end
end

function resume.main(args)
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

resume.each_of, resume.options_of, resume.fail = each_of, options_of, fail

return resume
