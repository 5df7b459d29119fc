--- `orrery logs RUN`: what nodes have logged, in order; with --follow as it comes, until the run
--- has ended.
local out = require "orrery.cli.shared.out"
local chosen = require "orrery.cli.shared.chosen"
local column = require "orrery.history.column"
local items = require "orrery.history.items"
local lines = require "orrery.history.logs"
local nodes = require "orrery.history.nodes"
local session = require "orrery.cli.shared.session"
local shown = require "orrery.cli.display.shown"
local term = require "orrery.cli.display.term"

local logs = {}

local STYLES = { error = "red", warn = "yellow", warning = "yellow", debug = "dim" }

local PAUSE = 200 -- ms between two looks

local function check_node(db, run, word)
  local name = word and items.parts(word)
  if not name or nodes.has(db, run, name) then return end
  local near = require "orrery.nearest"(name, nodes.names(db, run))
  session.stop(2, ("run %s has no node '%s'%s")
    :format(run.id, name, near and ("; did you mean '%s'?"):format(near) or ""))
end

--- One line for people.
---@param row table of `logs`
---@param paint function
---@param names table<string, string[]> of `items.names`
---@return string
function logs.line(row, paint, names)
  local fields = column.plain(row.fields)
  local text = math.type(fields) and (" %.14g"):format(fields) -- a cost
    or require("orrery.cli.display.progress").fields(fields)
  local level = row.level or "info"
  local who = term.task(row.node or "run", row.item, lines.item_name(row, names))
  return ("%s  %s  %s: %s%s")
    :format(paint("dim", shown.clock(row.time)), who, paint(STYLES[level] or "bold", term.clean(level)),
    term.clean(row.message or ""), text)
end

-- Prints what came after line `last`. Returns the last line now, or nil where the reader of the
-- output has gone.
local function print_from(db, run, args, last, paint)
  local names = items.names(db, run)
  for row in lines.each(db, run, args, last) do
    local ok
    if args.json then
      ok = session.json(lines.plain(row, run, names))
    else
      ok = out.write(logs.line(row, paint, names), "\n")
    end
    if not ok then return nil end
    last = row.id
  end
  return last
end

-- Whether the run has ended is asked before the lines are read, so that no line is missed.
local function follow(db, run, args, last, paint)
  local uv = require "luv"
  repeat
    if not out.flush() then return end
    uv.sleep(PAUSE)
    local ended = not lines.may_grow(db, run)
    last = print_from(db, run, args, last, paint)
  until ended or not last
end

logs.main = session.command("logs", function(db, args)
  local run = chosen.run(db, args.run)
  check_node(db, run, args.node)
  local _, paint = session.screen()
  local last = print_from(db, run, args, 0, paint)
  if not last then return end
  if args.follow then
    if run.owned == false then
      session.note(("nobody runs it now: more comes when `%s` lets the run go on")
        :format(session.typed("resume " .. run.short)))
    end
    return follow(db, run, args, last, paint)
  end
  if last == 0 and not args.json then
    session.note(("run %s has logged nothing%s")
      :format(run.id, (args.node or args.level) and " like that" or ""))
  end
end)

return logs
