--- The files of rows beside a store: `FOLDER/RUN-….jsonl`, to which outputs in its journal refer.
--- They are removed once neither their run nor anything that refers to them is in the store, and go
--- with its copies.
local references = require "orrery.store.references"
local uv = require "luv"

local spools = {}

local MARK = '{"$rows":'
local NAME = '"file":"([^"/]+%.jsonl)"'
local ID = 36    -- characters of a run's id
local YOUNG = 60 -- seconds; a run whose first record is not in the tables yet may have made it

-- ---- what there is ------------------------------------------------------------------------------

local function each_file(folder)
  local scan = folder and uv.fs_scandir(folder)
  return function()
    local name = scan and uv.fs_scandir_next(scan)
    return name
  end
end

--- The names of the files by the id of their run.
---@param db orrery.Store
---@return table<string, string[]>
function spools.by_run(db)
  local runs = {}
  for name in each_file(db.rows_folder) do
    local id = name:sub(1, ID)
    runs[id] = runs[id] or {}
    table.insert(runs[id], name)
  end
  return runs
end

-- ---- removing -----------------------------------------------------------------------------------

-- The names that the journal, the cache and large values refer to, and the last row of the journal
-- that was looked at.
local function referred(db)
  local names, last = references.find(db, MARK, NAME)
  for row in db:each_row("blobs_with", { text = MARK }) do references.collect(row.data, NAME, names) end
  return names, last
end

-- Those whose run is gone: it has just been removed, or nobody knows it.
local function without_run(db, files, removed)
  local names = {}
  for id, list in pairs(files) do
    local gone = removed[id]
    if gone or not db:row("run", { id = id }) then
      for _, name in ipairs(list) do
        local stat = uv.fs_stat(db.rows_folder .. "/" .. name)
        if stat and (gone or stat.mtime.sec < os.time() - YOUNG) then
          names[#names + 1] = { name = name, size = stat.size }
        end
      end
    end
  end
  return names
end

--- Removes the files that nothing needs any more, or only counts them.
---@param db orrery.Store
---@param files table<string, string[]> of `spools.by_run`, from before runs were removed
---@param removed table<string, true> ids of runs that were, or would be
---@param dry boolean|nil
---@return integer files
---@return integer bytes
function spools.prune(db, files, removed, dry)
  local names = without_run(db, files, removed)
  if #names == 0 then return 0, 0 end
  local used, last = {}, 0
  if not dry then used, last = referred(db) end
  local n, bytes = 0, 0
  for _, file in ipairs(names) do
    local free = not used[file.name]
      and (dry or db:row("referring", { text = file.name, after = last }).n == 0)
    if free and (dry or uv.fs_unlink(db.rows_folder .. "/" .. file.name)) then
      n, bytes = n + 1, bytes + file.size
    end
  end
  return n, bytes
end

-- ---- copies -------------------------------------------------------------------------------------

local function flush(path)
  local fd, message = uv.fs_open(path, "r", 0)
  if not fd then return nil, message end
  local ok, why = uv.fs_fsync(fd)
  uv.fs_close(fd)
  return ok, why
end

-- Beside its place first: a copy that was cut off has another name.
local function copy_file(from, to)
  local part = to .. ".part.tmp"
  local ok, message = uv.fs_copyfile(from, part, { ficlone = true })
  if ok then ok, message = flush(part) end
  if ok then ok, message = uv.fs_rename(part, to) end
  if not ok then uv.fs_unlink(part) end
  return ok, message
end

local function copy_missing(from, to, all)
  for name in each_file(from) do
    if name:find "%.jsonl$" and (all or not uv.fs_stat(to .. "/" .. name)) then
      local ok, message = copy_file(from .. "/" .. name, to .. "/" .. name)
      if not ok and not tostring(message):find "^ENOENT" then return nil, message end -- pruned meanwhile
    end
  end
  return true
end

--- Copies the files of one folder to another, which is made where there are any. Raises a message
--- where that fails.
---@param from string
---@param to string
---@param all boolean|nil those that are there already, too
function spools.copy(from, to, all)
  local any = each_file(from)()
  if not any then return end
  local ok, message = uv.fs_mkdir(to, 448) -- 0700
  if not ok and not tostring(message):find "^EEXIST" then error(message, 0) end
  ok, message = copy_missing(from, to, all)
  if ok then ok, message = flush(to) end
  if not ok then error(("cannot copy the rows in %s to %s: %s"):format(from, to, message), 0) end
end

--- The folder of the store in a file.
---@param path string
---@return string
function spools.folder(path) return path .. "-rows" end

return spools
