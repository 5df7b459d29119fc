--- The runs that a command is to act on: the options that choose them, and the ids that name them.
local filter = require "orrery.history.filter"
local find = require "orrery.history.find"
local session = require "orrery.cli.shared.session"

local chosen = {}

--- The options, as `orrery.cli.shared.options` has them.
chosen.options = {
  { "--workflow", "Only runs of this workflow.", argname = "NAME" },
  { "--state", "Only runs in this state; may be repeated, or several with commas.", many = true,
    argname = "STATE" },
  { "--since", "Only runs created since then: so long ago (1d, 2h30m), or a time (2026-03-01, "
    .. "2026-03-01T09:30).", argname = "WHEN" },
  { "--until", "Only runs created before then.", argname = "WHEN" },
  { "--label", "Only runs with this label, NAME=VALUE or NAME; may be repeated.", many = true,
    argname = "LABEL" },
  { "-n --limit", "At most so many, the newest; 0 is all.", number = true, least = 0, argname = "N" },
}

--- Whether the options choose anything at all.
---@param args table
---@return boolean
function chosen.given(args)
  return (args.workflow or args.since or args["until"] or #(args.state or {}) > 0 or #(args.label or {}) > 0)
    and true or false
end

--- The run that an id, or the beginning of one that no other has, names; the newest where there is
--- no id. Ends the command where there is none.
---@param db orrery.Store
---@param prefix string|nil
---@return table row
function chosen.run(db, prefix) return session.need(find.one(db, prefix or find.LAST)) end

--- The runs that a command is to act on: those whose ids are given, or those that the options
--- choose.
---@param db orrery.Store
---@param args { run: string[] }
---@param what string for the message, such as "cancel"
---@param also? "unfinished"|"retryable"|"lacking" of those that the options choose, only these
---@return table[]
function chosen.meant(db, args, what, also)
  local by_id = args.run and #args.run > 0
  if by_id and chosen.given(args) then
    session.stop(2, ("give the ids of runs, or options that choose them (--workflow, --state, --since, "
      .. "--label), not both; "
      .. "see `orrery %s --help`"):format(what))
  end
  if not by_id then
    if not chosen.given(args) then
      session.stop(2, ("which runs? Give their ids, or choose them: orrery %s --workflow NAME --state "
        .. "running --since 1d"):format(what))
    end
    return filter.select(db, args, also)
  end
  local rows, seen = {}, {}
  for _, prefix in ipairs(args.run) do
    local row = chosen.run(db, prefix)
    if not seen[row.number] then rows[#rows + 1] = row end
    seen[row.number] = true
  end
  return rows
end

return chosen
