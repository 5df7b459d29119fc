--- What is written beside its place and then renamed into it: whoever reads sees the old or the
--- new, never a part, and what failed or was cancelled leaves nothing.
local flow = require "orrery"
local open_files = require "orrery.stdlib.file.shared.open_files"
local paths = require "orrery.stdlib.file.shared.paths"
local requests = require "orrery.stdlib.file.shared.requests"
local uv = require "luv"

local beside = {}

local O = uv.constants

local busy = {} -- names that attempts of this process write to

-- The same name for each attempt of a node: what one has left whose process was killed, the next
-- removes.
local function name_for(path)
  local ctx = flow.running()
  if not ctx then return paths.beside(path) end
  local base = ("%s.%s-"):format(path:gsub("(.)/+$", "%1"), ctx.idempotency_key:gsub("-", ""):sub(1, 16))
  local n = 1
  while busy[base .. n .. ".tmp"] do n = n + 1 end
  local name = base .. n .. ".tmp"
  busy[name] = true
  return name
end

-- Removes what was not renamed, unless `done` is set. What is given up may not wait.
local function remover(path)
  return setmetatable({}, { __close = function(guard)
    if guard.done or pcall(requests.fs, "remove", path) then
      busy[path] = nil
      return
    end
    flow.fs("remove", path, function() busy[path] = nil end)
  end })
end

local function exists(what, path)
  flow.error { code = "file_exists", retryable = false, details = { path = path },
    message = ("cannot %s %s: it is there already; overwrite = true replaces it"):format(what, path) }
end

-- Some file systems know no rename that keeps or exchanges what is there.
local function is_unknown(err) return err:find "^EINVAL" or err:find "^ENOSYS" or err:find "^ENOTSUP" end

local function rename_over(place, from) return (requests.fs("rename", from, place.target)) end

-- To a name that nothing bears.
local function rename_new(place, from)
  local err = requests.fs("rename", from, place.target, "new")
  if not err or not is_unknown(err) then return err end
  if not requests.fs("lstat", place.target) then exists(place.what, place.path) end
  return rename_over(place, from)
end

-- Two renames, where the system cannot exchange: what was there comes back if the second fails.
local function step_aside(place, from)
  local old = paths.beside(place.target)
  local absent = requests.fs("rename", place.target, old)
  if absent and not requests.is_absent(absent) then return absent end
  local err = rename_over(place, from)
  if absent then return err end
  if err then requests.fs("rename", old, place.target)
  else requests.perform(place.what, place.path, "remove", old) end
  return err
end

-- What is there gets the other name, and is removed.
local function exchange(place, from)
  local err = requests.fs("rename", from, place.target, "exchange")
  if not err then requests.perform(place.what, place.path, "remove", from)
  elseif is_unknown(err) or requests.is_absent(err) then err = step_aside(place, from) end
  return err
end

local RENAMES = { new = rename_new, exchange = exchange }

---@class stdlib.file.Place where something is to stand
---@field path string as it was written, for errors
---@field target string
---@field what? string for errors, "copy"; "write"
---@field mode? integer of a file; 0644 less the umask
---@field times? { [1]: number, [2]: number } when it was read and changed last
---@field how? "new"|"exchange" nothing may be there, or what is there is a folder; else it is replaced

--- Renames to its place what is of the same file system. *Waits.*
---@param place stdlib.file.Place
---@param from string
---@return string|nil err "EXDEV: …" where it is of another
function beside.rename(place, from)
  local rename = RENAMES[place.how] or rename_over
  local err = rename(place, from)
  if not err then return nil end
  if err:find "^EXDEV" then return err end
  if err:find "^EEXIST" or err:find "^ENOTEMPTY" then exists(place.what, place.path) end
  requests.fail(place.what, place.path, err)
end

--- Calls `make(name)` with a name beside the place, which makes what is renamed then. *Waits.*
---@param place stdlib.file.Place
---@param make fun(name: string)
function beside.make(place, make)
  place.what = place.what or "write"
  local name = name_for(place.target)
  local guard <close> = remover(name)
  requests.fs("remove", name)
  make(name)
  local err = beside.rename(place, name)
  if err then requests.fail(place.what, place.path, err) end
  guard.done = true
end

--- Makes a file: `fill(file)` writes it, and then it is on the disk before it has its name.
--- *Waits.*
---@param place stdlib.file.Place
---@param fill fun(file: stdlib.file.Open)
function beside.write(place, fill)
  beside.make(place, function(name)
    local file <close> = open_files.open(place.what, name, O.O_WRONLY | O.O_CREAT | O.O_EXCL,
      place.mode and place.mode | 128 or nil) -- 0200
    fill(file)
    if place.mode then file:perform(place.what, place.path, "fchmod", place.mode) end
    if place.times then file:perform(place.what, place.path, "futime", place.times[1], place.times[2]) end
    file:perform("flush", place.path, "fsync")
  end)
end

return beside
