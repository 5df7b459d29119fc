--- Which store is meant, and a look into it. One place decides: `--store`, else ORRERY_STORE, else runs.db below this folder.
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

--- Opens a store that exists, to read and tend it.
---@param url string
---@return orrery.Store|nil
---@return orrery.NoStore|nil
function store.look(url)
  if url == "memory:" then
    return nil, { message = "memory: keeps nothing once its process has ended; name a file, such as --store sqlite:PATH" }
  end
  local path = store.path(url)
  if path and not require("luv").fs_stat(path) then
    return nil, { message = ("no runs yet: %s does not exist; `orrery run FILE` makes it"):format(path), absent = true }
  end
  local ok, opened = pcall(require("orrery.core").store, url, "look")
  if ok then return opened end
  return nil, { message = tostring(opened) }
end

return store
