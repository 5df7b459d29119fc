--- `orrery run FILE`: runs a workflow, shows how it goes on, prints its output.
local out = require "orrery.cli.shared.out"
local printable = require "orrery.cli.display.printable"
local files = require "orrery.cli.shared.files"

local run = {}

local CODES = { completed = 0, cancelled = 3, waiting = 5, paused = 5, suspended = 5 }

--- The exit code for the way a run ended.
---@param state string
---@param err { code: string }|nil
---@return integer
function run.exit_code(state, err)
  if state == "failed" and err and err.code == "run_timeout" then return 4 end
  return CODES[state] or 1
end

local function complain(word, problem)
  -- its code is for programs
  if getmetatable(problem) == require("orrery.core").error_mt then problem = problem.message end
  for line in tostring(problem):gmatch "[^\n]+" do out.err("orrery ", word, ": ", line, "\n") end
  return 2
end

local function fail(text) return complain("run", text) end

local function say(text) out.show(text) end

-- What is said of a run that was left as it is.
local function left() return require "orrery.cli.shared.left" end

-- How the run left this process, in a word: suspended in good order, or lost.
local function state_of(the_run)
  local err = the_run.error
  return the_run.state == "interrupted" and err and err.code == "suspended" and "suspended" or the_run.state
end

-- Calls fn before the loop next waits.
local function later(fn) require("orrery.host").later(fn) end

local lost -- why a line could not be written; after that no other is tried
local on_lost = function() end

local function to_stdout(text)
  if lost then return end
  local ok, why = out.lines_of_json(text)
  if ok then ok, why = out.flush() end
  if ok then return end
  lost = why or "it cannot be written"
  on_lost()
end

local function watcher_for(args, board, look)
  if args.debug then
    local explain, traced = require "orrery.cli.display.explain", require("orrery.core").traced
    return explain.new(board, { def = look.def, run = look.run, now = look.now, write = say, later = later,
      traced = traced })
  end
  if args.json then
    local encode = require("orrery.core").json.encode
    return require "orrery.cli.display.json_lines"(board, encode, to_stdout, later)
  end
  local watch = require "orrery.cli.display.watch"
  if args.quiet then
    return look.large and { stop = function() end, finish = function() end } or watch.quiet(board, say)
  end
  local name = os.getenv "TERM"
  if look.tty and name and name ~= "dumb" then
    local watcher = require "orrery.cli.display.live_watcher"(board, look)
    if look.large then watcher.take = nil end
    return watcher
  end
  if look.large then
    local watcher = watch.counts(board, { write = say, now = look.now, sample = look.sample })
    watcher.start()
    return watcher
  end
  return watch.lines(board, say, later)
end


-- Ctrl-C cancels, SIGTERM and SIGHUP suspend a durable run, which can be resumed, and cancel any
-- other; commands are ended in good order by each of them. A second one ends the process at once,
-- with the terminal as it was, and so does the first before the run has begun.
local function catch_signals(the_run, watcher, durable, hint)
  local signals, asked = require "orrery.cli.shared.interrupts", false
  return signals.catch(function(name)
    local started = the_run()
    if asked or not started then
      watcher.stop()
      signals.kill_children()
      if started then
        out.err("orrery run: ended without cleaning up", durable and hint(started) or "", "\n")
      end
      io.stderr:flush()
      os.exit(CODES.cancelled)
    end
    asked = true
    if durable and name ~= "sigint" then
      signals.end_children()
      started:suspend()
    else
      started:cancel()
    end
  end)
end

-- The output as text, or nil and why JSON cannot hold it. Both are nil where there is nothing to
-- print.
local function output_text(the_run)
  if the_run.state ~= "completed" or the_run.output == nil then return nil, nil end
  return printable.exact(require("orrery.core").json.encode, the_run.output,
    "output",
    { indent = 2, sort = true })
end

-- Paints text for the standard error; what it takes is loaded with the first text, and JSON lines
-- have none.
local function later_painter(tty)
  local paint
  return function(...)
    if not paint then
      local term = require "orrery.cli.display.term"
      paint = term.painter(term.wants_colour(tty))
    end
    return paint(...)
  end
end

-- How the run is watched: on which output, by which clock, and whether by its statistics, as very
-- large ones are.
local function look_at(board, runtime, compiled, the_run)
  local tty = require("orrery.host").isatty(2)
  local look = { tty = tty, now = function() return runtime:now() end, paint = later_painter(tty),
    large = board.total > board.LARGE, def = compiled.def, run = the_run }
  if look.large then
    board.started = runtime:now()
    function look.sample()
      if the_run() then board:sample(the_run():stats()) end
    end
  end
  return look
end

-- The failures of a run that was not watched node by node.
local function collect_failures(board, the_run)
  board:sample(the_run:stats())
  if board.counts.failed == 0 then return end
  for name, err in pairs(the_run:errors()) do
    if #board.failures < 20 and err.code ~= "items_failed" then
      board.failures[#board.failures + 1] = { node = name, error = err }
    end
  end
  table.sort(board.failures, function(a, b) return a.node < b.node end)
end

-- A cancelled run has no failures to print, even where it was undone.
local function was_cancelled(the_run)
  local err = the_run.error
  return the_run.state == "cancelled" or err ~= nil and err.code == "cancelled" and err.node == nil
end

local function report(args, runtime, compiled, board, look, the_run, watcher)
  local state = state_of(the_run)
  local code = run.exit_code(state, the_run.error)
  if look.large and not args.json and not args.debug then collect_failures(board, the_run) end
  local text, unprintable = output_text(the_run)
  watcher.finish(the_run, { name = board.name, now = look.now, paint = look.paint, unprintable = unprintable,
    null = require("orrery.core").json.null, state = state,
    resume = state == "suspended" and left().resume_command(the_run.id, args) or nil,
    signals = state == "suspended" and args.json and left().signal_names(runtime, the_run.id) or nil })
  if code ~= 0 and state ~= "suspended" then
    require("orrery.cli.display.watch").failures(board, { def = compiled.def, write = say, paint = look.paint,
      error = not was_cancelled(the_run) and the_run.error or nil,
      compensations = require("orrery.events").UNDONE[the_run.state] and the_run:compensations()
        or nil })
  end
  if text and not args.json then to_stdout(text .. "\n") end
  if lost then
    out.err("orrery run: the output could not be written: ", lost, "\n")
    return code ~= 0 and code or 1
  end
  if unprintable then
    out.err("orrery run: the output cannot be printed: ", unprintable, "\n")
    return 1
  end
  return code
end

local IDLE, LOOK = { waiting = true, paused = true }, 20 -- milliseconds

-- Whether nothing can happen in it before something comes from elsewhere.
local function is_idle(started)
  return not started.ended and (IDLE[started.state] or started.holder ~= nil)
end

local SHORT = 60 -- seconds of backoff that are no reason to leave

--- Whether a run that waits is not left under `--no-wait`, because a run here does something, or
--- tries again within a minute: itself, or a child that it waits for.
---@param runtime orrery.Runtime
---@param started orrery.Run
---@return boolean
function run.waits_out(runtime, started)
  return started.state == "waiting" and (runtime:idle() or SHORT) < SHORT
end

-- Leaves the run when everything in it waits, once the messages in its inbox have been read. Any
-- event may be the last before that, such as the end of an attempt that ran beside the wait. A
-- short backoff is waited out; events tell of what comes after it.
local function leave_when_waiting(runtime, the_run, take)
  local timer
  local function look()
    local started = the_run()
    local idle = is_idle(started)
    local stays = idle and run.waits_out(runtime, started)
    if idle and not stays and require("orrery.history.inbox").has_any(runtime:store(), started.id) then
      return
    end
    timer:close()
    timer = nil
    if idle and not stays then started:suspend() end
  end
  return function(event)
    if take then take(event) end
    local started = the_run()
    if timer or not started or not is_idle(started) then return end
    timer = require("orrery.core").hide(require("luv").new_timer())
    timer:unref()
    timer:start(0, LOOK, look)
  end
end

-- Another run has the lock, and this one was not made. Where the workflow skips its runs, that is
-- well.
local function refused(args, word, compiled, problem)
  if compiled.def.on_conflict ~= "skip" then
    complain(word, problem)
    return 1
  end
  local id, lock = problem.details.run, problem.details.lock
  if args.json then
    to_stdout(require("orrery.core").json.encode({ event = "run_skipped", workflow = compiled.name,
      lock = lock, holder = id }, { sort = true }) .. "\n")
  elseif not args.quiet then
    out.err(("run %s has the lock '%s': this one was skipped\n"):format(id, printable.line(lock)))
  end
  return 0
end

local function is_conflict(problem) return type(problem) == "table" and problem.code == "conflict" end

-- The commit of this run found another run with its key, its lock or its id.
local function taken(args, options, the_run, compiled)
  local err = the_run.error
  if is_conflict(err) then return refused(args, options.word, compiled, err) end
  local other = err.code == "duplicate_key" and err.details and err.details.run
  if not other then return complain(options.word, err.message) end
  return run.known(args, require("orrery.store.elsewhere").finished(options.runtime, other))
end

local TAKEN = { duplicate_key = true, duplicate_id = true, conflict = true }

-- Whether the run is in the store: what has a key, an id or a lock is, whatever its durability.
local function is_kept(args, runtime, compiled)
  return runtime:durable() and (args.durability ~= "none" or args.key ~= nil or args.id ~= nil
    or compiled.def.singleton ~= nil)
end

--- Starts or resumes a run, shows how it goes on, and reports its end.
---@param args table the options of `run`
---@param compiled orrery.Compiled
---@param options { word: string, runtime: orrery.Runtime, go: fun(on_event: function|nil): orrery.Run, integer|nil } `go` says as well
--- how many nodes were taken over from another run
---@return integer exit code
function run.follow(args, compiled, options)
  local runtime = options.runtime
  local board = require("orrery.cli.display.board").new { nodes = #compiled.plan, name = compiled.name }
  local the_run
  local function current() return the_run end
  -- The reader of the events has gone: treated like Ctrl-C, so that commands are ended and cleanup
  -- nodes run.
  function on_lost()
    if the_run then the_run:cancel() end
  end
  local look = look_at(board, runtime, compiled, current)
  local watcher = watcher_for(args, board, look)
  local durable = is_kept(args, runtime, compiled)
  local release = catch_signals(current, watcher, durable, function(started)
    return "; the run is kept as it is, go on with: " .. left().resume_command(started.id, args)
  end)
  local take = args.no_wait and leave_when_waiting(runtime, current, watcher.take) or watcher.take
  local ok, started, taken_over = pcall(options.go, take)
  if not ok then
    release()
    watcher.stop()
    runtime:close() -- gives back the run that was claimed
    if is_conflict(started) then return refused(args, options.word, compiled, started) end
    return complain(options.word, started)
  end
  if type(started) == "table" then -- another run has this key, and has ended or another process runs it
    watcher.stop()
    if started.skipped then
      release()
      runtime:close()
      return refused(args, options.word, compiled, { details = { run = started.id, lock = started.lock } })
    end
    if not started.ended and not args.json and not args.quiet then
      say(("run %s has this key and another process runs it: waiting for its end\n"):format(started.id))
    end
    local known = require("orrery.store.elsewhere").finished(runtime, started.id)
    release()
    runtime:close()
    return run.known(args, known)
  end
  the_run = started
  board:adopt(taken_over or 0)
  local waited, problem = pcall(runtime.wait, runtime, the_run)
  require("orrery.cli.shared.interrupts").await_children()
  release()
  if not waited then
    watcher.stop()
    error(problem, 0)
  end
  if the_run.error and TAKEN[the_run.error.code] then
    watcher.stop()
    local code = taken(args, options, the_run, compiled)
    runtime:close()
    return code
  end
  local code = report(args, runtime, compiled, board, look, the_run, watcher)
  if state_of(the_run) == "suspended" and not args.json then left().say(runtime, the_run.id, args) end
  runtime:close()
  if watcher.rest then watcher.rest() end
  return code
end

--- Reports a run that has ended already.
---@param args table
---@param known table a record of the run
---@return integer exit code
function run.known(args, known)
  local json = require("orrery.core").json
  if args.json then
    to_stdout(json.encode({ event = "run_" .. known.state, run = known.id, workflow = known.workflow,
      state = known.state,
      output = known.output, error = known.error, existing = true }, { sort = true }) .. "\n")
  else
    if not args.quiet then
      out.err(("run %s has this key and is %s\n"):format(known.id, known.state))
    end
    if known.error then
      local lines = require("orrery.cli.display.summary").failure({ node = known.error.node,
        error = known.error },
        { paint = function(_, text) return text end })
      out.err(table.concat(lines, "\n"), "\n")
    end
    if known.output ~= nil then to_stdout(json.encode(known.output, { indent = 2, sort = true }) .. "\n") end
  end
  return run.exit_code(known.state, known.error)
end

local function labels_of(words)
  local labels
  for _, word in ipairs(words or {}) do
    local name, value = word:match "^([^=]+)=(.*)$"
    if not name then return nil, ("--label %s: expected NAME=VALUE"):format(word) end
    labels = labels or {}
    labels[name] = value
  end
  return labels
end

local function context_of(text, json)
  if not text then return nil end
  local ok, value = pcall(json.decode, text, { name = "--context" })
  if not ok then return nil, tostring(value) end
  return value
end

-- Prints at the start what a person may want to type later.
local function announce(args, runtime, compiled, started)
  if args.json or args.quiet or type(started) ~= "userdata" or not is_kept(args, runtime, compiled) then
    return
  end
  local _, reason = require("orrery.bundle").of(compiled)
  say(("run %s%s\n"):format(started.id, reason and " (cannot be resumed: " .. reason .. ")" or ""))
end

-- The runtime of the command's run. One whose clock jumps over waits is for trying a workflow out:
-- its times are not those of the runs in a store.
local function runtime_of(args, url, named)
  if args.clock ~= "virtual" then
    return require "orrery.runtime.of_store"(url, args.durability, args)
  end
  return require "orrery".runtime { clock = "virtual", store = named and url or nil,
    durability = named and args.durability or nil, output_limit = args.output_limit,
    memory_limit = args.memory_limit, large_output = args.large_output }
end

local function execute(args, compiled, input)
  local flow = require "orrery"
  local json = require("orrery.core").json
  local url, named = require("orrery.store.open").url(args)
  if args.trust then require("orrery.store.trust").give(url) end
  local labels, wrong = labels_of(args.label)
  if wrong then return fail(wrong) end
  local context, mistake = context_of(args.context, json)
  if mistake then return fail(mistake) end
  local opened, runtime = pcall(runtime_of, args, url, named and args.store)
  if not opened then return fail(require("orrery.cli.shared.many").sentence(runtime)) end
  if args.no_wait and not is_kept(args, runtime, compiled) then
    return fail("--no-wait leaves a run to be resumed, but this one is kept nowhere; name a store, --store "
      .. "sqlite:PATH")
  end
  return run.follow(args, compiled, { word = "run", runtime = runtime, go = function(on_event)
    local started = flow.start(compiled,
      { runtime = runtime, input = input, only = args.only, from = args.from,
      concurrency = args.concurrency, seed = args.seed, id = args.id, key = args.key, labels = labels,
      context = context, trigger = { kind = "command" },
      on_event = on_event })
    announce(args, runtime, compiled, started)
    return started
  end })
end

-- What -d may name. What it shows is for people, so it does not go with what is for programs or
-- with silence.
local TOPICS = { "explain" }
local AGAINST = {
  { "json", "--json prints events for programs, and -d lines for people" },
  { "quiet", "-q asks for silence" },
  { "dry", "--dry runs nothing, and says itself what would run and why" },
}

-- A mistake in the use of -d, or nil.
local function debug_mistake(args)
  if not args.debug then return nil end
  local known
  for _, topic in ipairs(TOPICS) do known = known or topic == args.debug end
  if not known then
    return ("-d: no topic is called '%s'; expected %s"):format(args.debug, table.concat(TOPICS, ", "))
  end
  for _, other in ipairs(AGAINST) do
    if args[other[1]] then
      return ("-d %s cannot be had here: %s; leave one of them out"):format(args.debug, other[2])
    end
  end
end

-- Who asks for more nodes at a time than the machine has processors means their commands, too. What
-- the workflow or a file of the user's declares holds over it.
local function widen_exec(wanted)
  if wanted and wanted > require("luv").available_parallelism() then
    require("orrery").pool("exec", { max = wanted, default = true })
  end
end

function run.main(args)
  local mistake = debug_mistake(args)
  if mistake then return fail(mistake) end
  if args.debug then require("orrery.core").trace "store" end
  widen_exec(args.concurrency)
  local compiled = files.compile(args.file)
  if not compiled then return 2 end
  local ok, input = require("orrery.cli.shared.input").parse(args.input, require("orrery.core").json,
    compiled.input)
  if not ok then return fail(input) end
  if args.dry then return require("orrery.cli.shared.dry").main(args, compiled, input) end
  return execute(args, compiled, input)
end

return run
