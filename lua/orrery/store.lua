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
---@field usage boolean|nil another one has to be named

--- Opens a store that exists, to read and tend it.
---@param url string
---@return orrery.Store|nil
---@return orrery.NoStore|nil
function store.look(url)
  if url == "memory:" then
    return nil, { usage = true, message = "memory: keeps nothing once its process has ended; name a file, such as --store sqlite:PATH" }
  end
  local path = store.path(url)
  if path == "" then
    return nil, { usage = true, message = ("the store '%s' names no file; write --store sqlite:PATH, or a path"):format(url) }
  end
  local stat = path and require("luv").fs_stat(path)
  if path and not stat then
    return nil, { message = ("no runs yet: %s does not exist; `orrery run FILE` makes it"):format(path), absent = true, usage = true }
  end
  local ok, opened = pcall(require("orrery.core").store, url, "look")
  if ok then return opened end
  return nil, { message = tostring(opened), usage = not path or stat.type ~= "file" }
end

-- ---- columns that hold JSON -------------------------------------------------------------------------------------------

-- A value above 1 MiB stands among the blobs, and its column says where. A value of the user's never begins so: one that has a key
-- with a $ is written as {"$object": itself}.
local MARK = '^{"%$blob":"'

local function decode(text) return require("orrery.core").json.decode(text, { binary = true }) end

---@class orrery.Place where a large value stands
---@field ["$blob"] string hash of the row of `blobs`
---@field size integer bytes
---@field member? string it is this member of the object that stands there

--- Where the value of a column stands, if it is not in the column itself.
---@param text string|nil
---@return orrery.Place|nil
function store.place(text)
  return text and text:find(MARK) and decode(text) or nil
end

--- The value of a column of JSON, a large one included.
---@param db orrery.Store
---@param text string|nil
---@return any value the place itself where nothing stands there any more
---@return orrery.Place|nil missing that place
function store.value(db, text)
  if text == nil then return nil end
  local place = store.place(text)
  if not place then return decode(text) end
  local kept = db:get("blob", place["$blob"])
  if not kept then return place, place end
  local value = decode(kept.data)
  if not place.member then return value end
  return type(value) == "table" and value[place.member] or nil
end

--- The same as JSON text.
---@param db orrery.Store
---@param text string|nil
---@return string|nil
function store.text(db, text)
  local place = store.place(text)
  if not place then return text end
  if place.member then return require("orrery.core").json.encode(store.value(db, text), { binary = true }) end
  local kept = db:get("blob", place["$blob"])
  return kept and kept.data or text
end

return store
