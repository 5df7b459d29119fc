--- `orrery audit [list] | verify`: what was changed by servers of this store and on their tokens.
local audit = require "orrery.serve.audit"
local core = require "orrery.core"
local out = require "orrery.cli.shared.out"
local session = require "orrery.cli.shared.session"

local command = {}

local TITLES = { "LINE", "TIME", "WHO", "FROM", "ACTION", "TARGET", "BEFORE", "AFTER" }
local SHOWN, LONGEST = 50, 40

local function short(value)
  if value == nil then return "" end
  local text = core.json.encode(value, { sort = true, binary = true })
  local stop = utf8.offset(text, LONGEST + 1)
  return stop and stop <= #text and text:sub(1, stop - 1) .. "…" or text
end

local function list(db, args)
  local shown, term = require "orrery.cli.display.shown", require "orrery.cli.display.term"
  local limit = args.limit or SHOWN
  local rows, lines = audit.list(db, nil, limit > 0 and limit or math.maxinteger), {}
  for i, row in ipairs(rows) do
    if args.json and not session.json(row) then return end
    lines[i] = { tostring(row.id), shown.time(row.time), term.clean(row.who), term.clean(row.origin),
      term.clean(row.action), term.clean(row.target or ""), term.clean(short(row.before)),
        term.clean(short(row.after)) }
  end
  if args.json then return end
  if #rows == 0 then return session.note "nothing was changed by a server of this store" end
  session.table(TITLES, lines)
end

local function verify(db, args)
  local report = audit.verify(db)
  if args.json then
    session.json(report)
  elseif report.wrong then
    session.note(("line %d is not what was written, or lines before it are missing: compare with a "
      .. "backup"):format(
      report.wrong))
  else
    out.line(("%d lines, each as it was written; the last has the hash %s"):format(report.lines,
      report.last or "-"))
  end
  return report.wrong and 1 or 0
end

command.main = session.command("audit", function(db, args)
  if args.action == "verify" then return verify(db, args) end
  return list(db, args)
end, function(args) return args.action ~= "verify" end)

return command
