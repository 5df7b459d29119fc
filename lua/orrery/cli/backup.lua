--- `orrery backup FILE`: a copy of the store, taken while runs go on.
local out = require "orrery.cli.shared.out"
local session = require "orrery.cli.shared.session"

local backup = {}

backup.main = session.command("backup", function(db, args)
  local uv = require "luv"
  if args.file == "" then session.stop(2, "name the file of the copy: orrery backup FILE") end
  if uv.fs_stat(args.file) then
    session.stop(2, ("%s exists; name a file that does not"):format(args.file))
  end
  local folder = args.file:match "^(.*)/[^/]*$" or "."
  if folder ~= "" and not uv.fs_stat(folder) then
    session.stop(2, ("the folder %s does not exist; make it first"):format(folder))
  end
  local spools = require "orrery.store.spools"
  local rows = spools.folder(args.file)
  if uv.fs_stat(rows) then
    session.stop(2, ("%s exists; move it away, or name another file: rows of outputs go there")
      :format(rows))
  end
  if db.rows_folder then spools.copy(db.rows_folder, rows) end -- now: a run may be pruned meanwhile
  db:backup(args.file)
  if db.rows_folder then spools.copy(db.rows_folder, rows) end -- what was made meanwhile
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
