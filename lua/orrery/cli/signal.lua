--- `orrery signal RUN NAME [JSON]`: leaves a signal for a run. One that comes before a wait for it is kept until then.
local filter = require "orrery.cli.filter"
local history = require "orrery.cli.history"

local signal = {}

-- Who is at the keyboard.
local function who()
  local ok, user = pcall(require("luv").os_get_passwd)
  return ok and user and user.username or os.getenv "USER" or "unknown"
end

local function decoded(text)
  local ok, value = pcall(require("orrery.core").json.decode, text)
  if ok then return value end
  history.stop(2, ("the data is not JSON: %s%s"):format(tostring(value),
    text:find "^[%w_ .-]+$" and ("; a text is written '\"%s\"'"):format(text) or ""))
end

-- What the signal carries.
local function data_of(args)
  local verdict = args.approve or args.reject
  if args.approve and args.reject then history.stop(2, "--approve and --reject exclude each other") end
  if verdict and args.data then history.stop(2, "an approval has no other data: give JSON, or --approve or --reject with --why") end
  if verdict then return { approved = args.approve or false, by = args.by or who(), why = args.why } end
  if args.by or args.why then history.stop(2, "--by and --why belong to --approve or --reject") end
  if args.data then return decoded(args.data) end
  return nil
end

-- Why a wait for an approval will not take what was sent; nil where it will.
local function unfit(approval, data)
  if type(data) ~= "table" or type(data.approved) ~= "boolean" then return "it is no decision: send one with --approve or --reject" end
  if not approval.by then return nil end
  for _, name in ipairs(approval.by) do
    if name == data.by then return nil end
  end
  return ("only %s may decide, and this is by %s; --by says whose decision it is"):format(
    require("orrery.cli.reasons").deciders(approval), require("orrery.cli.term").clean(tostring(data.by or "nobody")))
end

-- What speaks against the signal, by what the run waits for now.
local function say_doubts(waits, name, data)
  local names = {}
  for i, wait in ipairs(waits) do
    names[i] = wait.name
    if wait.name == name then
      local problem = wait.approval and unfit(wait.approval, data)
      if problem then history.note("it will be waited past: " .. problem) end
      return
    end
  end
  if #names == 0 then return end
  local near = require "orrery.nearest"(name, names)
  history.note(("no node waits for '%s' now, so it is kept; %s"):format(name,
    near and ("did you mean '%s'?"):format(near) or "waited for: " .. table.concat(names, ", ")))
end

-- One with this id was sent to the run before.
local function is_known(db, run, id)
  return id ~= nil and #db:query("SELECT 1 FROM inbox WHERE run = ? AND dedup = ? LIMIT 1", run.number, id) > 0
end

local function told(db, run, args, data, known)
  if known then
    print(("a signal with the id %s was left for run %s before: this one counts for nothing"):format(args.id, run.id))
    return
  end
  print(("signal %s was left for run %s (%s)"):format(args.name, run.id, require("orrery.cli.term").clean(run.workflow)))
  if not run.owned then
    history.note(("nobody runs it now: it is taken when `%s` lets the run go on"):format(history.typed("resume " .. run.short)))
  end
  say_doubts(require("orrery.cli.reasons").awaited(db, run.number), args.name, data)
end

signal.main = history.command("signal", function(db, args)
  local data = data_of(args)
  if args.name == "" then history.stop(2, "a signal has a name: orrery signal RUN NAME [JSON]") end
  local run = filter.run(db, args.run)
  if run.ended then history.stop(1, ("run %s has ended: it is %s, and takes no signal"):format(run.id, run.state)) end
  local text = require("orrery.core").json.encode({ name = args.name, data = data, sent = history.now() }, { binary = true })
  local known = is_known(db, run, args.id)
  db:send(run.id, "signal", text, args.id)
  if args.json then
    history.json { run = run.id, workflow = run.workflow, signal = args.name, data = data, id = args.id, duplicate = known,
      owned = run.owned }
  else
    told(db, run, args, data, known)
  end
end)

return signal
