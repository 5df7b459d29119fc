--- `orrery run FILE`: runs a workflow, shows how it goes on, prints its output.
local files = require "orrery.cli.files"

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
  if getmetatable(problem) == require("orrery.core").error_mt then problem = problem.message end -- its code is for programs
  for line in tostring(problem):gmatch "[^\n]+" do io.stderr:write("orrery ", word, ": ", line, "\n") end
  return 2
end

local function fail(text) return complain("run", text) end

local function say(text) io.stderr:write(text) end

-- What to type for a run to go on.
local function resume_command(id, args)
  local history = require "orrery.cli.history"
  history.advise_for(args)
  return history.typed("resume " .. id)
end

-- The signals that the run waits for, as its journal has them; none where that cannot be read, which the store has said by then.
local function awaited(runtime, id)
  local ok, waits = pcall(function()
    local store = runtime:store()
    store:project()
    local row = store:query("SELECT number FROM runs WHERE id = ?", id)[1]
    return row and require("orrery.cli.reasons").awaited(store, row.number)
  end)
  return ok and waits or {}
end

local MOST_SIGNALS = 5

-- What to type for a run that was left to go on: the signals that it waits for, then the command that resumes it.
local function say_left(runtime, id, args)
  local go_on, history = resume_command(id, args), require "orrery.cli.history"
  for i, wait in ipairs(awaited(runtime, id)) do
    if i > MOST_SIGNALS then break end
    say(("it waits for signal '%s': %s\n"):format(wait.name, history.typed(require("orrery.cli.reasons").to_send(id, wait))))
  end
  say(("the run is left as it is; go on with: %s\n"):format(go_on))
end

-- How the run left, in a word: one that was let go in good order is not one that this process lost.
local function state_of(the_run)
  local err = the_run.error
  return the_run.state == "interrupted" and err and err.code == "suspended" and "suspended" or the_run.state
end

-- What handlers print goes above the live region, where the terminal is shared with it.
local function divert(region)
  local uv = require "luv"
  if uv.guess_handle(1) ~= "tty" then return function() end end
  local print_before, write_before = print, io.write
  -- luacheck: globals print io.write
  function print(...)
    local words = table.pack(...)
    for i = 1, words.n do words[i] = tostring(words[i]) end
    region:print(table.concat(words, "\t") .. "\n")
  end
  function io.write(...)
    region:print(table.concat { ... })
    return io.stdout
  end
  return function() print, io.write = print_before, write_before end
end

-- The live region, on a terminal that can move its cursor.
local function live_watcher(board, look)
  local watch, live = require "orrery.cli.watch", require "orrery.cli.live"
  local size, close = live.size_of(2)
  local region = live.new { board = board, now = look.now, write = say, size = size, paint = look.paint, sample = look.sample }
  local restore = divert(region)
  region:start()
  local watcher = watch.live(board, region)
  local finish = watcher.finish
  function watcher.finish(...)
    restore()
    finish(...)
    close()
  end
  return watcher
end

-- Calls fn before the loop next waits. An idle handle, because a check handle would be called after the wait.
local function later(fn)
  local idle = require("luv").new_idle()
  idle:unref()
  idle:start(function()
    idle:stop()
    idle:close()
    fn()
  end)
end

local lost -- why a line could not be written, once that has happened: the next are not tried
local on_lost = function() end

local function to_stdout(text)
  if lost then return end
  local ok, why = io.stdout:write(text)
  if ok then ok, why = io.stdout:flush() end
  if ok then return end
  lost = why or "it cannot be written"
  on_lost()
end

local function watcher_for(args, board, look)
  local watch = require "orrery.cli.watch"
  if args.json then return watch.json(board, require("orrery.core").json.encode, to_stdout, later) end
  if args.quiet then return look.large and { stop = function() end, finish = function() end } or watch.quiet(board, say) end
  local name = os.getenv "TERM"
  if look.tty and name and name ~= "dumb" then
    local watcher = live_watcher(board, look)
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


-- Ctrl-C cancels, SIGTERM suspends a durable run, which can be resumed, and cancels any other; a second one of either ends the
-- process at once, with the terminal as it was, and so does the first where nothing of ours runs yet.
local function catch_signals(the_run, watcher, durable, hint)
  local signals, asked = require "orrery.cli.signals", false
  return signals.catch(function(name)
    local started = the_run()
    if asked or not started then
      watcher.stop()
      signals.kill_children()
      if started then io.stderr:write("orrery run: ended without cleaning up", durable and hint(started) or "", "\n") end
      io.stderr:flush()
      os.exit(CODES.cancelled)
    end
    asked = true
    if durable and name == "sigterm" then
      signals.kill_children()
      started:suspend()
    else
      started:cancel()
    end
  end)
end

-- The output as text, or nil and why JSON cannot hold it. Both nil: there is nothing to print.
local function output_text(the_run)
  if the_run.state ~= "completed" or the_run.output == nil then return nil, nil end
  return require("orrery.cli.printable").exact(require("orrery.core").json.encode, the_run.output, "output",
    { indent = 2, sort = true })
end

-- How the run is looked at: on what, by which clock, and for a very large one by its statistics.
local function look_at(board, runtime, the_run)
  local term, uv = require "orrery.cli.term", require "luv"
  local tty = uv.guess_handle(2) == "tty"
  local look = { tty = tty, now = function() return runtime:now() end, paint = term.painter(term.wants_colour(tty)),
    large = board.total > board.LARGE }
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
    if #board.failures < 20 then board.failures[#board.failures + 1] = { node = name, error = err } end
  end
  table.sort(board.failures, function(a, b) return a.node < b.node end)
end

-- A run that somebody cancelled has failed at nothing, be it that what it did was undone.
local function was_cancelled(the_run)
  local err = the_run.error
  return the_run.state == "cancelled" or err ~= nil and err.code == "cancelled" and err.node == nil
end

local function signal_names(waits)
  local names = {}
  for i, wait in ipairs(waits) do names[i] = wait.name end
  return require("orrery.core").json.array(names)
end

local function report(args, runtime, compiled, board, look, the_run, watcher)
  local state = state_of(the_run)
  local code = run.exit_code(state, the_run.error)
  if look.large and not args.json then collect_failures(board, the_run) end
  local text, unprintable = output_text(the_run)
  watcher.finish(the_run, { name = board.name, now = look.now, paint = look.paint, unprintable = unprintable,
    null = require("orrery.core").json.null, state = state, resume = state == "suspended" and resume_command(the_run.id, args) or nil,
    signals = state == "suspended" and args.json and signal_names(awaited(runtime, the_run.id)) or nil })
  if code ~= 0 and state ~= "suspended" then
    require("orrery.cli.watch").failures(board, { def = compiled.def, write = say, paint = look.paint,
      error = not was_cancelled(the_run) and the_run.error or nil,
      compensations = require("orrery.cli.summary").UNDONE[the_run.state] and the_run:compensations() or nil })
  end
  if text and not args.json then to_stdout(text .. "\n") end
  if lost then
    io.stderr:write("orrery run: the output could not be written: ", lost, "\n")
    return code ~= 0 and code or 1
  end
  if unprintable then
    io.stderr:write("orrery run: the output cannot be printed: ", unprintable, "\n")
    return 1
  end
  return code
end

local IDLE, LOOK = { waiting = true, paused = true }, 20 -- milliseconds

local function has_messages(runtime, id)
  return #runtime:store():query("SELECT 1 FROM inbox WHERE run = (SELECT number FROM runs WHERE id = ?) AND taken IS NULL LIMIT 1", id) > 0
end

-- Leaves when all that is left of the run waits, once the messages that were left for it have been read. Any event may be the
-- last before that, such as the end of what ran beside it.
local function leave_when_waiting(runtime, the_run, take)
  local timer
  local function look()
    local started = the_run()
    local idle = not started.ended and IDLE[started.state]
    if idle and has_messages(runtime, started.id) then return end
    timer:close()
    timer = nil
    if idle then started:suspend() end
  end
  return function(event)
    if take then take(event) end
    local started = the_run()
    if timer or not started or started.ended or not IDLE[started.state] then return end
    timer = require("luv").new_timer()
    timer:unref()
    timer:start(0, LOOK, look)
  end
end

-- Another run turned out to have the key or the id, when this one was to be committed.
local function taken(args, options, the_run)
  local err = the_run.error
  local other = err.code == "duplicate_key" and err.details and err.details.run
  if not other then return complain(options.word, err.message) end
  return run.known(args, require("orrery.resume").finished(options.runtime, other))
end

local TAKEN = { duplicate_key = true, duplicate_id = true }

--- Brings a run about, shows how it goes on, and reports its end.
---@param args table the options of `run`
---@param compiled orrery.Compiled
---@param options { word: string, runtime: orrery.Runtime, go: fun(on_event: function|nil): orrery.Run, integer|nil } `go` says as well
--- how many nodes were taken over from another run
---@return integer exit code
function run.follow(args, compiled, options)
  local runtime = options.runtime
  local board = require("orrery.cli.board").new { nodes = #compiled.plan, name = compiled.name }
  local the_run
  local function current() return the_run end
  -- Whoever read the events has gone: like Ctrl-C, so that commands are ended and cleanup nodes run.
  function on_lost()
    if the_run then the_run:cancel() end
  end
  local look = look_at(board, runtime, current)
  local watcher = watcher_for(args, board, look)
  local durable = runtime:durable() and args.durability ~= "none"
  local release = catch_signals(current, watcher, durable, function(started)
    return "; the run is kept as it is, go on with: " .. resume_command(started.id, args)
  end)
  local take = args.no_wait and leave_when_waiting(runtime, current, watcher.take) or watcher.take
  local ok, started, taken_over = pcall(options.go, take)
  if not ok then
    release()
    watcher.stop()
    runtime:close() -- what was taken over is let go
    return complain(options.word, started)
  end
  if type(started) == "table" then -- another run has this key, and is over or another process runs it
    watcher.stop()
    if not started.ended and not args.json and not args.quiet then
      say(("run %s has this key and another process runs it: waiting for its end\n"):format(started.id))
    end
    local known = require("orrery.resume").finished(runtime, started.id)
    release()
    runtime:close()
    return run.known(args, known)
  end
  the_run = started
  board:adopt(taken_over or 0)
  local waited, problem = pcall(runtime.wait, runtime, the_run)
  release()
  if not waited then
    watcher.stop()
    error(problem, 0)
  end
  if the_run.error and TAKEN[the_run.error.code] then
    watcher.stop()
    local code = taken(args, options, the_run)
    runtime:close()
    return code
  end
  local code = report(args, runtime, compiled, board, look, the_run, watcher)
  if state_of(the_run) == "suspended" and not args.json then say_left(runtime, the_run.id, args) end
  runtime:close()
  return code
end

--- Reports a run that is over already.
---@param args table
---@param known table a record of the run
---@return integer exit code
function run.known(args, known)
  local json = require("orrery.core").json
  if args.json then
    to_stdout(json.encode({ event = "run_" .. known.state, run = known.id, workflow = known.workflow, state = known.state,
      output = known.output, error = known.error, existing = true }, { sort = true }) .. "\n")
  else
    if not args.quiet then io.stderr:write(("run %s has this key and is %s\n"):format(known.id, known.state)) end
    if known.error then
      local lines = require("orrery.cli.summary").failure({ node = known.error.node, error = known.error },
        { paint = function(_, text) return text end })
      io.stderr:write(table.concat(lines, "\n"), "\n")
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

-- Says at the start what a person may want to type later.
local function announce(args, runtime, compiled, started)
  if args.json or args.quiet or type(started) ~= "userdata" or not runtime:durable() or args.durability == "none" then return end
  local _, reason = require("orrery.bundle").of(compiled)
  say(("run %s%s\n"):format(started.id, reason and " (cannot be resumed: " .. reason .. ")" or ""))
end

local function execute(args, compiled, input)
  local flow = require "orrery"
  local json = require("orrery.core").json
  local url = require("orrery.store").url(args)
  local labels, wrong = labels_of(args.label)
  if wrong then return fail(wrong) end
  local context, mistake = context_of(args.context, json)
  if mistake then return fail(mistake) end
  local opened, runtime = pcall(require("orrery.run").runtime_of_store, url, args.durability, args.output_limit)
  if not opened then return fail(require("orrery.cli.many").sentence(runtime)) end
  if args.no_wait and (not runtime:durable() or args.durability == "none") then
    return fail "--no-wait leaves a run to be resumed, but this one is kept nowhere; name a store, --store sqlite:PATH"
  end
  return run.follow(args, compiled, { word = "run", runtime = runtime, go = function(on_event)
    local started = flow.start(compiled, { runtime = runtime, input = input, only = args.only, from = args.from,
      concurrency = args.concurrency, seed = args.seed, id = args.id, key = args.key, labels = labels, context = context,
      on_event = on_event })
    announce(args, runtime, compiled, started)
    return started
  end })
end

function run.main(args)
  local compiled = files.compile(args.file)
  if not compiled then return 2 end
  local ok, input = require("orrery.cli.input").parse(args.input, require("orrery.core").json, compiled.input)
  if not ok then return fail(input) end
  if args.dry then return require("orrery.cli.dry").main(args, compiled, input) end
  return execute(args, compiled, input)
end

return run
