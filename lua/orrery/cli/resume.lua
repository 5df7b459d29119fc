--- `orrery resume`, and what `retry` and `fork` share with it: letting runs of a store go on, one watched, or many with a line each.
local history = require "orrery.cli.history"
local many = require "orrery.cli.many"
local resume_runs = require "orrery.resume"

local resume = {}

local function fail(word, problem)
  for line in many.sentence(problem):gmatch "[^\n]+" do io.stderr:write("orrery ", word, ": ", line, "\n") end
  return 2
end

--- The runtime and the store to look at that the options name; nil and an exit code where they cannot be opened.
---@param word string the command
---@param args table
---@return orrery.Runtime|nil
---@return orrery.Store|integer
function resume.open(word, args)
  local url, named = require("orrery.store").url(args)
  history.advise_for(args)
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

local function each_of(rows)
  local i = 0
  return function()
    i = i + 1
    return rows[i]
  end
end

--- The runs that the arguments mean: those of the ids, or of the filter; none where there is neither. Ends the command for a mistake.
---@param word string
---@param args table
---@param store orrery.Store
---@return table[]
function resume.chosen(word, args, store)
  local filter = require "orrery.cli.filter"
  if #(args.run or {}) == 0 and not filter.given(args) then return {} end
  return filter.meant(store, args, word, word == "resume" and "runs.ended IS NULL" or "runs.state IN ('failed', 'cancelled')")
end

local function options_of(args, rt, on_event, compiled)
  return { runtime = rt, force = args.force, code = args.code or args.with_current_code, on_event = on_event, compiled = compiled }
end

-- A run that a process runs already may be paused there; it is asked to go on.
local function ask_owner(args, store, row)
  store:send(row.id, "resume", "{}")
  if args.json then
    require("orrery.cli.message").json("resume", { row }, {})
  elseif not args.quiet then
    local owner = history.owner(store, row)
    io.stderr:write(("%s runs %s and was asked to go on with it, where it is paused; wait for it or end it, or take the run with force: "
      .. "%s\n"):format(owner and ("process %d"):format(owner.pid) or "another process", row.id,
        history.typed(("resume %s --force"):format(row.short))))
  end
  return 0
end

local function one(args, rt, store, row)
  if row.owned and not args.force then return ask_owner(args, store, row) end
  local made, problem_or_store, _, compiled = pcall(resume_runs.code_of, rt, row.id, options_of(args, rt))
  if not made then return fail("resume", problem_or_store) end
  return resume.follow("resume", args, rt, compiled, function(on_event)
    return (resume_runs.resume(row.id, options_of(args, rt, on_event, compiled)))
  end)
end

-- `--pool P`, and `--workflow W` alone, take back what `orrery pause` did.
local function unpause(args, store)
  local pause = require "orrery.cli.pause"
  if args.pool and (#(args.run or {}) > 0 or require("orrery.cli.filter").given(args)) then
    history.stop(2, "--pool lets a pool go on, and runs go on by themselves: give one of them")
  end
  if args.pool then pause.tell(args, "pool", args.pool, false, pause.pool(store, args.pool, false)) end
  if pause.whole_workflow(args) then
    pause.tell(args, "workflow", args.workflow, false, pause.workflow(store, args.workflow, false))
  end
end

-- A workflow that is paused holds all its runs, but those that are asked for by their ids.
local function raise_paused(workflow)
  error(setmetatable({ code = "workflow_paused", message = ("its workflow is; `%s` lets it go on"):format(
    history.typed("resume --workflow " .. history.word(workflow))) }, require("orrery.core").error_mt), 0)
end

-- A run that somebody paused, and that nobody asks for by its id or a filter, stays so; a process that runs it is left alone.
local function raise_held(store, row)
  if not resume_runs.is_held(store, row) then return end
  local owner = history.owner(store, row)
  if owner and owner.alive then return end
  error(setmetatable({ code = "run_paused", message = ("the run itself is; `%s` lets it go on"):format(
    history.typed("resume " .. row.id)) }, require("orrery.core").error_mt), 0)
end

local function main(args)
  local rt, store = resume.open("resume", args)
  if not rt then return store end
  unpause(args, store)
  if args.pool then return 0 end
  local rows = resume.chosen("resume", args, store)
  if #rows == 1 and #(args.run or {}) == 1 then return one(args, rt, store, rows[1]) end
  local given = #rows > 0 or require("orrery.cli.filter").given(args)
  require("orrery.retention").apply(store)
  local named = #(args.run or {}) > 0
  return many.run("resume", args, rt, given and each_of(rows) or resume_runs.unfinished(store), function(row)
    if not named and resume_runs.is_paused(rt, row.workflow) then raise_paused(row.workflow) end
    if not given then raise_held(store, row) end
    return (resume_runs.resume(row.id, options_of(args, rt)))
  end)
end

function resume.main(args) return history.guard("resume", main, args) end

resume.each_of, resume.options_of, resume.fail = each_of, options_of, fail

return resume
