--- `orrery cache`: stored outputs of nodes with `cache`.
local out = require "orrery.cli.shared.out"
local entries = require "orrery.store.cache_entries"
local session = require "orrery.cli.shared.session"
local shown = require "orrery.cli.display.shown"

local cache = {}

local TITLES = { "WORKFLOW", "NODE", "TYPE", "STORED", "EXPIRES", ">SIZE", "KEY" }

local function list(db, args)
  local term, now, rows = require "orrery.cli.display.term", session.now(), {}
  for row in entries.each(db, args) do
    if args.json then
      if not session.json(row) then return end
    else
      rows[#rows + 1] = { term.clean(row.workflow or ""), term.clean(row.node or ""),
        term.clean(row.type or ""),
        shown.time(row.created), shown.expiry(row.expires, now), shown.size(row.size or 0),
          term.clean(row.key) }
    end
  end
  if args.json then return end
  if #rows == 0 then
    session.note "nothing is stored: nodes with `cache`, or with `inputs`, put their outputs here"
    return
  end
  session.table(TITLES, rows)
end

local function clear(db, args)
  local n = entries.clear(db, args)
  if args.json then
    session.json { cleared = n }
  else
    out.line("cleared " .. require("orrery.cli.display.term").plural(n, "entry", "entries"))
  end
end

cache.main = session.command("cache", function(db, args)
  if args.workflow then require("orrery.history.filter").check_workflow(db, args.workflow) end
  if args.action == "clear" then clear(db, args) else list(db, args) end
end, function(args) return args.action ~= "clear" end)

return cache
