--- `orrery prune`: removes old runs, and sets how long runs are kept.
local out = require "orrery.cli.shared.out"
local retention = require "orrery.store.retention"
local session = require "orrery.cli.shared.session"

local prune = {}

local function age(text, option)
  local seconds, message = require("orrery.duration").parse(text)
  if not seconds then session.stop(2, ("--%s: %s"):format(option, message)) end
  return seconds
end

local function states_of(args)
  local states = {}
  for _, word in ipairs(args.state or {}) do
    for state in word:gmatch "[^,%s]+" do
      local ended = false
      for _, known in ipairs(retention.ENDED) do ended = ended or known == state end
      if not ended then
        local near = require "orrery.nearest"(state, retention.ENDED)
        session.stop(2, ("'%s' is no state of a run that has ended%s")
          :format(state, near and ("; did you mean '%s'?"):format(near)
          or ": they are " .. table.concat(retention.ENDED, ", ")))
      end
      states[#states + 1] = state
    end
  end
  if #states == 0 and args.state and #args.state > 0 then -- it must not mean all
    session.stop(2, "--state names no state; runs end as " .. table.concat(retention.ENDED, ", "))
  end
  return #states > 0 and states or nil
end

local function size_text(bytes)
  if bytes < 1024 * 1024 then return ("%.0f KiB"):format(bytes / 1024) end
  return ("%.1f MiB"):format(bytes / 1024 / 1024)
end

--- What was removed, in words.
---@param made orrery.Pruned
---@param dry boolean|nil
---@return string
function prune.sentence(made, dry)
  local term = require "orrery.cli.display.term"
  local parts = { term.plural(made.runs, "run") }
  if made.blobs > 0 then
    parts[#parts + 1] = ("%s (%s)"):format(term.plural(made.blobs, "large value"), size_text(made.bytes))
  end
  if made.spools > 0 then
    parts[#parts + 1] = ("%s (%s)"):format(term.plural(made.spools, "file of rows", "files of rows"),
      size_text(made.spool_bytes))
  end
  if made.bundles > 0 then parts[#parts + 1] = term.plural(made.bundles, "bundle") end
  if made.modules > 0 then parts[#parts + 1] = term.plural(made.modules, "module") end
  if made.cache > 0 then
    parts[#parts + 1] = term.plural(made.cache, "expired cache entry", "expired cache entries")
  end
  if made.state > 0 then
    parts[#parts + 1] = term.plural(made.state, "expired value", "expired values") .. " of state"
  end
  if made.owners > 0 then
    parts[#parts + 1] = term.plural(made.owners, "process that has gone", "processes that have gone")
  end
  return (dry and "would remove " or "removed ") .. table.concat(parts, ", ")
end

local DAY = 86400

local function age_text(seconds)
  if seconds >= DAY and seconds % DAY == 0 then
    return require("orrery.cli.display.term").plural(seconds // DAY | 0, "day")
  end
  return require("orrery.duration").format(seconds)
end

--- The setting in words: "failed runs of etl are kept for 90 days".
---@param setting orrery.Retention|nil
---@return string
function prune.rule(setting)
  if not setting then return "runs are kept for ever" end
  return ("%sruns%s are kept for %s")
    :format(setting.states and table.concat(setting.states, " and ") .. " " or "",
    setting.workflow and " of " .. setting.workflow or "", age_text(setting.older))
end

local function keep(db, args)
  if args.older then
    session.stop(2, "--keep sets what hosts prune from now on, --older prunes now: give one of them")
  end
  local setting
  if args.keep ~= "forever" then
    setting = { older = age(args.keep, "keep"), states = states_of(args), workflow = args.workflow }
  elseif args.workflow or #(args.state or {}) > 0 then
    session.stop(2, "--keep forever ends the one setting there is; leave --state and --workflow out")
  end
  local before, null = retention.setting(db), require("orrery.core").json.null
  if not args.dry then retention.keep(db, setting) end
  if args.json then
    session.json { keep = setting or null, before = before or null, dry = args.dry or false }
    return
  end
  out.line((args.dry and "would set: " or "") .. prune.rule(setting))
  if before and prune.rule(before) ~= prune.rule(setting) then
    session.note("that takes the place of: " .. prune.rule(before))
  end
end

local function chosen(db, args)
  if args.older then
    return { older = age(args.older, "older"), states = states_of(args), workflow = args.workflow }
  end
  if args.workflow or #(args.state or {}) > 0 then
    session.stop(2, "how old? Say it with --older, such as --older 30d")
  end
  return session.need(retention.setting(db),
    "how old? Say it with --older, such as --older 30d; or set it for ever with --keep 30d")
end

prune.main = session.command("prune", function(db, args)
  if args.workflow then require("orrery.history.filter").check_workflow(db, args.workflow) end
  if args.keep then return keep(db, args) end
  local options = chosen(db, args)
  options.dry = args.dry
  local made = retention.prune(db, options)
  if args.json then
    made.dry = args.dry or false
    session.json(made)
  else
    out.line(prune.sentence(made, args.dry))
  end
end, function(args) return not args.keep end)

return prune
