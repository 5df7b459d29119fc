--- Which store is meant, and a look into it. One place decides: `--store`, else ORRERY_STORE, else
--- runs.db below this folder.
local store = {}

--- The store of a command that was told nothing.
store.DEFAULT = "sqlite:./.orrery/runs.db"

--- The store that is meant.
---@param args? { store?: string } what the command line says
---@param getenv? fun(name: string): string|nil
---@return string url "sqlite:PATH", "memory:" or a path
---@return boolean named whether somebody named it: then it has to be there
function store.url(args, getenv)
  local url = args and args.store
  if url then return url, true end
  url = (getenv or os.getenv) "ORRERY_STORE"
  if url and url ~= "" then return url, true end
  return store.DEFAULT, false
end

--- The store that a command means which only works with runs that are there: without a name the one
--- of this folder or of the nearest folder above it, as far as a project's root (it has a `.git`)
--- or the home folder.
---@param args? { store?: string }
---@param at? { cwd: string, home: string|nil, exists: fun(path: string): boolean, getenv: function? } where to look from, for tests
---@return string url
---@return boolean named
function store.nearest(args, at)
  local url, named = store.url(args, at and at.getenv)
  if named then return url, true end
  local uv = require "luv"
  at = at or { cwd = uv.cwd(), home = uv.os_homedir(), exists = function(path)
    return uv.fs_stat(path) ~= nil end }
  local folder = at.cwd
  while folder and folder ~= "/" do
    if at.exists(folder .. "/.orrery/runs.db") then
      return folder == at.cwd and url or "sqlite:" .. folder .. "/.orrery/runs.db", false
    end
    if folder == at.home or at.exists(folder .. "/.git") then break end
    folder = folder:match "^(/.*)/[^/]+$"
  end
  return url, false
end

--- The file of a store.
---@param url string
---@return string|nil path nil where it has none
function store.path(url)
  local scheme, rest = url:match "^(%l[%l+]+):(.*)$"
  if not scheme then return url end
  return scheme == "sqlite" and rest or nil
end

---@class orrery.NoStore why a store cannot be looked at
---@field message string
---@field absent boolean|nil it is simply not there yet
---@field usage boolean|nil another one has to be named

--- Opens a store that exists, to read and tend it.
---@param url string
---@return orrery.Store|nil
---@return orrery.NoStore|nil
function store.look(url)
  if url == "memory:" then
    return nil, { usage = true,
      message = "memory: keeps nothing once its process has ended; name a file, such as --store sqlite:PATH" }
  end
  local path = store.path(url)
  if path == "" then
    return nil, { usage = true,
      message = ("the store '%s' names no file; write --store sqlite:PATH, or a path"):format(url) }
  end
  local stat = path and require("luv").fs_stat(path)
  if path and not stat then
    return nil, { message = ("no runs yet: %s does not exist; `orrery run FILE` makes it"):format(path),
      absent = true, usage = true }
  end
  local ok, opened = pcall(require("orrery.core").store, url, "look")
  if ok then return opened end
  return nil, { message = tostring(opened), usage = not path or stat.type ~= "file" }
end

return store
