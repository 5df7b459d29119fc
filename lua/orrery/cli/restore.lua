--- `orrery restore FILE`: a backup in the place of the store.
local out = require "orrery.cli.shared.out"
local session = require "orrery.cli.shared.session"

local restore = {}

local function plural(n, word) return ("%d %s%s"):format(n, word, n == 1 and "" or "s") end

-- What the store holds now, and what to do next.
local function tell(args, url, path)
  local db = session.need(require("orrery.store.open").look(url))
  local counts = db:row "store_runs"
  db:close()
  if args.json then
    session.json { store = url, backup = args.file, runs = counts.runs, unfinished = counts.unfinished }
    return
  end
  out.line(("%s holds what %s did: %s"):format(path, args.file, plural(counts.runs, "run"))
    .. (counts.unfinished > 0
      and (", %d of them unfinished: `%s` goes on with them"):format(counts.unfinished,
        session.typed "resume")
      or ""))
end

local function body(args, url)
  if args.file == "" then session.stop(2, "name the backup: orrery restore FILE") end
  if not require("luv").fs_stat(args.file) then
    session.stop(2, ("there is no file %s; name a copy that `orrery backup` has made"):format(args.file))
  end
  local path = require("orrery.store.open").path(url)
  if not path or path == "" then
    session.stop(2, ("the store '%s' is no file; name one with --store PATH"):format(url))
  end
  require("orrery.core").restore(args.file, path, args.overwrite or false)
  local spools = require "orrery.store.spools"
  spools.copy(spools.folder(args.file), spools.folder(path), true)
  tell(args, url, path)
end

--- Returns the exit code.
---@param args { file: string, store?: string, overwrite?: boolean, json?: boolean }
---@return integer
function restore.main(args)
  session.advise_for(args)
  return session.guard("restore", body, args, (require("orrery.store.open").nearest(args)))
end

return restore
