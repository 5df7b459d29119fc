--- A copy of a store and of the files of rows beside it, taken while runs go on: what
--- `orrery backup` and the C API's `orr_backup` do.
local spools = require "orrery.store.spools"
local uv = require "luv"

local backup = {}

--- Why no copy can have this name; nil where one can.
---@param path string
---@return string|nil
function backup.refusal(path)
  if path == "" then return "the name of the copy is empty; name a file that does not exist" end
  if uv.fs_stat(path) then return ("%s exists; name a file that does not"):format(path) end
  local folder = path:match "^(.*)/[^/]*$" or "."
  if folder ~= "" and not uv.fs_stat(folder) then
    return ("the folder %s does not exist; make it first"):format(folder)
  end
  local rows = spools.folder(path)
  if uv.fs_stat(rows) then
    return ("%s exists; move it away, or name another file: rows of outputs go there"):format(rows)
  end
end

--- Writes the copy. Raises a message where that fails.
---@param db orrery.Store
---@param path string for which `backup.refusal` has none
function backup.write(db, path)
  local rows = spools.folder(path)
  if db.rows_folder then spools.copy(db.rows_folder, rows) end -- now: a run may be pruned meanwhile
  db:backup(path)
  if db.rows_folder then spools.copy(db.rows_folder, rows) end -- what was made meanwhile
end

return backup
