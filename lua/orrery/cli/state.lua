--- `orrery state`: values that workflows keep between runs.
local core = require "orrery.core"
local entries = require "orrery.store.state_entries"
local out = require "orrery.cli.shared.out"
local session = require "orrery.cli.shared.session"
local shown = require "orrery.cli.display.shown"

local state = {}

local TITLES = { "WORKFLOW", "KEY", "WRITTEN", "EXPIRES", ">SIZE", "VALUE" }

local LONGEST = 60 -- characters of a value in the list

local function short(text)
  local stop = utf8.offset(text, LONGEST + 1)
  return stop and stop <= #text and text:sub(1, stop - 1) .. "…" or text
end

local function line_of(row, now, term)
  local whose = row.workflow == "" and { "shared", style = "dim" } or term.clean(row.workflow)
  return { whose, term.clean(row.key), shown.time(row.written), shown.expiry(row.expires, now),
    shown.size(row.size),
    term.clean(short(row.value)) }
end

local function as_json(row)
  row.value = core.json.decode(row.value)
  if row.value == nil then row.value = core.json.null end
  row.shared = row.workflow == ""
  if row.shared then row.workflow = nil end
  row.run, row.run_id = row.run_id, nil
  return session.json(row)
end

local function list(db, chosen, args)
  local term, now, rows = require "orrery.cli.display.term", session.now(), {}
  for row in entries.each(db, chosen) do
    if not args.json then rows[#rows + 1] = line_of(row, now, term)
    elseif not as_json(row) then return end
  end
  if args.json then return end
  if #rows == 0 then
    session.note "nothing is kept: state.set, state.update and ctx:state() put their values here"
    return
  end
  session.table(TITLES, rows)
end

local function remove(db, chosen, args)
  if not chosen.key and not chosen.workflow then
    session.stop(2, "which values? Name a key, or --workflow, or --shared; `orrery state` lists them")
  end
  local n = entries.remove(db, chosen)
  if args.json then session.json { removed = n }
  else out.line("removed " .. require("orrery.cli.display.term").plural(n, "value")) end
end

local function choice(args)
  if args.shared and args.workflow then
    session.stop(2, "a value is of a workflow or shared: give --workflow or --shared")
  end
  return { workflow = args.shared and "" or args.workflow, key = args.key }
end

state.main = session.command("state", function(db, args)
  local chosen = choice(args)
  if args.action == "remove" then remove(db, chosen, args) else list(db, chosen, args) end
end, function(args) return args.action ~= "remove" end)

return state
