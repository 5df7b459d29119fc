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
  return args.data and decoded(args.data) or nil
end

-- The names of signals that nodes of the run wait for now: as their owner last said, or in a step that is open.
local function awaited(db, run)
  local names = {}
  for row in db:each([[SELECT json_extract(why, '$.name') AS name FROM nodes WHERE run = ?1 AND state = 'waiting'
    AND json_extract(why, '$.kind') = 'signal' AND json_extract(why, '$.name') IS NOT NULL
    UNION SELECT s.name FROM steps AS s JOIN nodes AS n ON n.run = s.run AND n.node = s.node AND n.item = s.item
    WHERE s.run = ?1 AND s.kind = 'wait' AND s.value IS NULL AND s.error IS NULL AND n.state = 'waiting' ORDER BY 1]], run.number) do
    names[#names + 1] = row.name
  end
  return names
end

local function told(db, run, args)
  print(("signal %s was left for run %s (%s)"):format(args.name, run.id, require("orrery.cli.term").clean(run.workflow)))
  local owner = history.owner(db, run)
  if not (owner and owner.alive) then
    history.note(("nobody runs it now: it is taken when `orrery resume %s` lets the run go on"):format(run.short))
  end
  local names = awaited(db, run)
  for _, name in ipairs(names) do
    if name == args.name then return end
  end
  if #names == 0 then return end
  local near = require "orrery.nearest"(args.name, names)
  history.note(("no node waits for '%s' now, so it is kept; %s"):format(args.name,
    near and ("did you mean '%s'?"):format(near) or "waited for: " .. table.concat(names, ", ")))
end

signal.main = history.command("signal", function(db, args)
  local data = data_of(args)
  local run = filter.run(db, args.run)
  if run.ended then history.stop(1, ("run %s has ended: it is %s, and takes no signal"):format(run.id, run.state)) end
  local text = require("orrery.core").json.encode { name = args.name, data = data, sent = history.now() }
  db:send(run.id, "signal", text, args.id)
  if args.json then
    history.json { run = run.id, signal = args.name, data = data, id = args.id }
  else
    told(db, run, args)
  end
end)

return signal
