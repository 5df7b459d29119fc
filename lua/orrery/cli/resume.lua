--- `orrery resume`, and what `retry` and `fork` share with it: resuming runs of a store, one
--- watched, or many with a line each.
local out = require "orrery.cli.shared.out"
local many = require "orrery.cli.shared.many"
local owners = require "orrery.history.owners"
local resume_runs = require "orrery.store.resume"
local session = require "orrery.cli.shared.session"

local resume = {}

local function fail(word, problem)
  for line in many.sentence(problem):gmatch "[^\n]+" do out.err("orrery ", word, ": ", line, "\n") end
  return 2
end

--- The runtime and the store that the options name; nil and an exit code where they cannot be
--- opened.
---@param word string the command
---@param args table
---@return orrery.Runtime|nil
---@return orrery.Store|integer
function resume.open(word, args)
  local url, named = require("orrery.store.open").nearest(args)
  session.advise_for(args)
  local trust = require "orrery.store.trust"
  local named_runs = type(args.run) == "table" and table.concat(args.run, " ") or args.run or ""
  trust.advise(session.typed(("%s %s --trust"):format(word, named_runs):gsub("  ", " ")))
  if args.trust then trust.give(url) end
  local store, problem = require("orrery.store.open").look(url)
  if not store then
    local code = fail(word, problem.message)
    return nil, problem.absent and not named and word == "resume" and #args.run == 0 and 0 or code
  end
  if args.force and word == "resume" then
    for _, row in ipairs(resume.chosen(word, args, store)) do
      if row.owned then store:unblock(row.id) end
    end
  end
  local opened, rt = pcall(require "orrery.runtime.of_store", url, nil, args)
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

--- The runs that the arguments choose, by ids or by the filter; nil where there is neither. Ends
--- the command for a mistake.
---@param word string
---@param args table
---@param store orrery.Store
---@return table[]
function resume.chosen(word, args, store)
  local chosen = require "orrery.cli.shared.chosen"
  if #(args.run or {}) == 0 and not chosen.given(args) then return {} end
  local retryable = args.items and "lacking" or "retryable"
  return chosen.meant(store, args, word, word == "resume" and "unfinished" or retryable)
end

local function options_of(args, rt, on_event, compiled)
  return { runtime = rt, force = args.force, code = args.code or args.with_current_code, items = args.items,
    on_event = on_event,
    compiled = compiled }
end

-- A run that another process runs may be paused there: it is sent a message to go on.
local function ask_owner(args, store, row)
  store:send(row.id, "resume", "{}")
  if args.json then
    require("orrery.cli.shared.message").json("resume", { row }, {})
  elseif not args.quiet then
    local owner = owners.of(store, row)
    out.err(("%s runs %s and was asked to go on with it, where it is paused; wait for it or end it, "
      .. "or take the run with force: "
      .. "%s\n"):format(owner and ("process %d"):format(owner.pid) or "another process", row.id,
        session.typed(("resume %s --force"):format(row.short))))
  end
  return 0
end

--- Goes to the folder that the run was begun in, before its code is loaded, and says so.
---@param args table
---@param rt orrery.Runtime
---@param id string
function resume.go_there(args, rt, id)
  local there, problem = require("orrery.store.folder").go(rt, id)
  if problem then
    session.note(problem)
  elseif there and not args.json and not args.quiet then
    session.note(("goes on in %s, where it was begun"):format(there))
  end
end

local function one(args, rt, store, row)
  if row.owned and not args.force then return ask_owner(args, store, row) end
  resume.go_there(args, rt, row.id)
  local made, problem_or_store, _,
    compiled = pcall(require("orrery.store.run_code").of, rt, row.id, options_of(args, rt))
  if not made then return fail("resume", problem_or_store) end
  return resume.follow("resume", args, rt, compiled, function(on_event)
    return (resume_runs.resume(row.id, options_of(args, rt, on_event, compiled)))
  end)
end

-- `--pool P`, and `--workflow W` alone, undo `orrery pause`.
local function unpause(args, store)
  local pause = require "orrery.cli.pause"
  if args.pool and (#(args.run or {}) > 0 or require("orrery.cli.shared.chosen").given(args)) then
    session.stop(2, "--pool lets a pool go on, and runs go on by themselves: give one of them")
  end
  if args.pool then
    pause.report(args, "pool", args.pool, false, require("orrery.store.pause").pool(store, args.pool, false))
  end
  if pause.whole_workflow(args) then
    pause.report(args, "workflow", args.workflow, false, pause.workflow(store, args.workflow, false))
  end
end

-- A paused workflow keeps its runs from being resumed, but for those whose ids are given.
local function raise_paused(workflow)
  error(setmetatable({ code = "workflow_paused", message = ("its workflow is; `%s` lets it go on"):format(
    session.typed("resume --workflow " .. session.word(workflow))) }, require("orrery.core").error_mt), 0)
end

-- A paused run stays paused unless its id is given or a filter chooses it, and so does the process
-- that runs it.
local function raise_held(store, row)
  if not resume_runs.is_held(store, row) then return end
  local owner = owners.of(store, row)
  if owner and owner.alive then return end
  error(setmetatable({ code = "run_paused", message = ("the run itself is; `%s` lets it go on"):format(
    session.typed("resume " .. row.id)) }, require("orrery.core").error_mt), 0)
end

local function main(args)
  local rt, store = resume.open("resume", args)
  if not rt then return store end
  unpause(args, store)
  if args.pool then return 0 end
  local rows = resume.chosen("resume", args, store)
  if #rows == 1 and #(args.run or {}) == 1 then return one(args, rt, store, rows[1]) end
  local given = #rows > 0 or require("orrery.cli.shared.chosen").given(args)
  require("orrery.store.retention").apply(store)
  local named = #(args.run or {}) > 0
  local all = given and each_of(rows) or resume_runs.unfinished(store)
  return many.run("resume", args, rt, all, function(row, alone)
    if alone then resume.go_there(args, rt, row.id) end
    if not named and require("orrery.history.pauses").holds(rt, row.workflow) then
      raise_paused(row.workflow)
    end
    if not given then raise_held(store, row) end
    return (resume_runs.resume(row.id, options_of(args, rt)))
  end)
end

function resume.main(args) return session.guard("resume", main, args) end

resume.each_of, resume.options_of, resume.fail = each_of, options_of, fail

return resume
