--- `orrery backup FILE`: a copy of the store, taken while runs go on.
local out = require "orrery.cli.shared.out"
local session = require "orrery.cli.shared.session"

local backup = {}

backup.main = session.command("backup", function(db, args)
  local uv = require "luv"
  if args.file == "" then session.stop(2, "name the file of the copy: orrery backup FILE") end
  local copy = require "orrery.store.backup"
  local refusal = copy.refusal(args.file)
  if refusal then session.stop(2, refusal) end
  copy.write(db, args.file)
  local stat = uv.fs_stat(args.file)
  local bytes = stat and stat.size or 0
  if args.json then
    session.json { file = args.file, bytes = bytes, store = db.url }
  else
    out.line(("%s holds a copy of %s, %.1f MiB; look at it with --store %s")
      :format(args.file, db.url, bytes / 1024 / 1024, args.file))
  end
end)

return backup
