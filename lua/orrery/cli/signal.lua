--- `orrery signal RUN NAME [JSON]`: leaves a signal for a run. One that comes before a wait for it
--- is kept until then; one that comes after it is told so, with exit code 1.
local out = require "orrery.cli.shared.out"
local chosen = require "orrery.cli.shared.chosen"
local session = require "orrery.cli.shared.session"

local signal = {}

-- The user's name.
local function who()
  local ok, user = pcall(require("luv").os_get_passwd)
  return ok and user and user.username or os.getenv "USER" or "unknown"
end

local function decoded(text)
  local ok, value = pcall(require("orrery.core").json.decode, text)
  if ok then return value end
  session.stop(2, ("the data is not JSON: %s%s"):format(tostring(value),
    text:find "^[%w_ .-]+$" and ("; a text is written '\"%s\"'"):format(text) or ""))
end

-- What the signal carries.
local function data_of(args)
  local verdict = args.approve or args.reject
  if args.approve and args.reject then session.stop(2, "--approve and --reject exclude each other") end
  if verdict and args.data then
    session.stop(2, "an approval has no other data: give JSON, or --approve or --reject with --why")
  end
  if verdict then return { approved = args.approve or false, by = args.by or who(), why = args.why } end
  if args.by or args.why then session.stop(2, "--by and --why belong to --approve or --reject") end
  if args.data then return decoded(args.data) end
  return nil
end

-- Why a wait for an approval does not accept what was sent; nil where it does.
local function unfit(approval, data)
  if type(data) ~= "table" or type(data.approved) ~= "boolean" then
    return "it is no decision: send one with --approve or --reject"
  end
  if not approval.by then return nil end
  for _, name in ipairs(approval.by) do
    if name == data.by then return nil end
  end
  return ("only %s may decide, and this is by %s; --by says whose decision it is"):format(
    require("orrery.cli.display.reasons").deciders(approval),
    require("orrery.cli.display.term").clean(tostring(data.by or "nobody")))
end

-- Why the signal would not help, by what the run waits for now; nil where it would.
local function say_doubts(waits, name, data)
  local names = {}
  for i, wait in ipairs(waits) do
    names[i] = wait.name
    if wait.name == name then
      local problem = wait.approval and unfit(wait.approval, data)
      if problem then session.note("it will be waited past: " .. problem) end
      return
    end
  end
  if #names == 0 then return end
  local near = require "orrery.nearest"(name, names)
  session.note(("no node waits for '%s' now, so it is kept; %s"):format(name,
    near and ("did you mean '%s'?"):format(near) or "waited for: " .. table.concat(names, ", ")))
end

-- The wait was there, and is over: what the signal was for has been decided without it.
local function say_late(passed, name)
  local node = passed.node .. (passed.item > 0 and ("[%d]"):format(passed.item) or "")
  session.note(("it comes too late: node %s waited for '%s', and %s%s; the signal is kept, in case another "
    .. "wait for it comes"):format(node, name,
    passed.code == "signal_timeout" and "the time for it has passed" or "the wait is over",
    passed.ended and " since " .. require("orrery.cli.display.shown").time(passed.ended) or ""))
end

local function print_sent(db, run, args, data, known, passed)
  if known then
    out.line(("a signal with the id %s was left for run %s before: this one counts for nothing")
      :format(args.id, run.id))
    return
  end
  out.line(("signal %s was left for run %s (%s)")
    :format(args.name, run.id, require("orrery.cli.display.term").clean(run.workflow)))
  if not run.owned then
    session.note(("nobody runs it now: it is taken when `%s` lets the run go on")
      :format(session.typed("resume " .. run.short)))
  end
  if passed then return say_late(passed, args.name) end
  say_doubts(require("orrery.history.reasons").awaited(db, run.number), args.name, data)
end

signal.main = session.command("signal", function(db, args)
  local data = data_of(args)
  if args.name == "" then session.stop(2, "a signal has a name: orrery signal RUN NAME [JSON]") end
  local run = chosen.run(db, args.run)
  if run.ended then
    session.stop(1, ("run %s has ended: it is %s, and takes no signal"):format(run.id, run.state))
  end
  local text = require("orrery.core").json.encode({ name = args.name, data = data, sent = session.now() },
    { binary = true })
  local known = require("orrery.history.inbox").is_known(db, run, args.id)
  local passed = not known and db:row("signal_passed", { run = run.number, name = args.name }) or nil
  db:send(run.id, "signal", text, args.id)
  if args.json then
    session.json { run = run.id, workflow = run.workflow, signal = args.name, data = data, id = args.id,
      duplicate = known,
      late = passed ~= nil,
      owned = run.owned }
  else
    print_sent(db, run, args, data, known, passed)
  end
  return passed and 1 or 0
end)

return signal
