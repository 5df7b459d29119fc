--- The files behind the modules that workflows load: what was required by whom, and the text that
--- was run.
---
--- Loading this module installs two things for the rest of the process. Neither changes what a
--- program sees of `require`:
---
---  * the global `require` notes who asks for which module, then does what the real one does;
---  * a searcher stands just before the one that looks for Lua files. It does what that one does,
---    but keeps the text that it compiles: read again later, the file could be another.
---
--- "Who asks" is the file that the call stands in, and every file whose main chunk is being run at
--- that time. What a module had asked for before this one was loaded is looked for in its text, as
--- `require "name"`.
local core = require "orrery.core"

local sources = {}

---@class orrery.Source
---@field name string as `require` was given it
---@field path string the file, as package.path led to it
---@field text string|nil nil where a searcher of the program's own gave it, and what it compiled is not known
---@field code string|nil a mark of it then, see orrery.definition.given
---@field scanned boolean|nil what it requires was not seen; it is looked for in the text

local getinfo, real = debug.getinfo, require

---@type table<string, orrery.Source|false> by module; false: it has no file of its own that counts
local records = {}
local asked = {}   -- chunk name -> { names in order, name -> true }
local first = {}   -- modules that the command was told to load before a workflow
local on_ask, on_load = nil, nil

-- ---- what counts --------------------------------------------------------------------------------

local SYSTEM_PATHS = { "^/usr/share/lua/", "^/usr/lib/", "^/usr/local/share/lua/", "^/usr/local/lib/" }

-- What our own modules ask for again and again has no file that is kept with a workflow.
local LIBRARIES = { luv = true, lpeg = true }

local function is_ours(name) return name == "orrery" or name:find("^orrery%.") ~= nil end

--- Whether a module belongs to the machine and not to a workflow: ours, or installed for everybody.
---@param name string
---@param path string|nil its file
---@return boolean
function sources.is_system(name, path)
  if is_ours(name) or not path then return true end
  for _, pattern in ipairs(SYSTEM_PATHS) do
    if path:find(pattern) then return true end
  end
  return false
end

-- The text of a module is not one of the files that a workflow reads.
local noting = package.loaded["orrery.definition.files_read"]
local open = noting and noting.open or io.open

local function read(path)
  local file <close> = open(path, "rb")
  return file and file:read "a"
end

--- A text as `load` wants it, without what `loadfile` skips: a byte order mark and a first line for
--- the system.
---@param text string
---@return string
function sources.code(text)
  return (text:gsub("^\xEF\xBB\xBF", "", 1):gsub("^#[^\n]*", "", 1))
end

-- ---- searching ----------------------------------------------------------------------------------

-- The path at which a module's file is found now; nil for none and for one that does not count.
local function file_of(name)
  if type(package.path) ~= "string" then return nil end
  local path = package.searchpath(name, package.path)
  return not sources.is_system(name, path) and path or nil
end

local function search(name)
  if is_ours(name) then return nil end
  local path = file_of(name)
  local text = path and read(path)
  if not text then return nil end
  local chunk, message = load(sources.code(text), "@" .. path)
  if not chunk then
    error(("error loading module '%s' from file '%s':\n\t%s"):format(name, path, message), 0)
  end
  asked["@" .. path] = nil
  records[name] = { name = name, path = path, text = text }
  if on_load then on_load(records[name]) end
  return chunk, path
end

-- Which of package.searchers looks for Lua files. It is recognised by its message when it finds
-- nothing; a program may have added others anywhere.
local function place_of_file_searcher()
  local path = package.path
  local _ <close> = setmetatable({}, { __close = function() package.path = path end })
  package.path = "./?.orrery-probe"
  for i, searcher in ipairs(package.searchers) do
    if type(searcher) == "function" and getinfo(searcher, "S").what == "C" then
      local ok, words = pcall(searcher, "none")
      if ok and type(words) == "string" and words:find("none.orrery-probe", 1, true) then return i end
    end
  end
end

--- Whether no searcher before the one for Lua files knows the module.
---@param name string
---@return boolean
function sources.is_found_by_path(name)
  if package.preload[name] ~= nil then return false end
  for _, searcher in ipairs(package.searchers) do
    if searcher == search then return true end
    local ok, loader = pcall(searcher, name)
    if ok and type(loader) == "function" then return false end
  end
  return false
end

-- The file of a module that was loaded before this one, or by a searcher of the program's own.
local function look_up(name)
  local path = file_of(name)
  local text = path and sources.is_found_by_path(name) and read(path)
  if text then return { name = name, path = path, text = text, scanned = true } end
  if is_ours(name) then return false end
  local found = sources.from_searcher(name)
  return found and not sources.is_system(name, found.path) and found or false
end

--- What a searcher of the program's own gives for a module now, see orrery.definition.given.
---@param name string
---@return orrery.Source|nil
function sources.from_searcher(name) return require("orrery.definition.given").find(name, search) end

--- The file of a module that has been loaded; nil where it has none that counts, or was not loaded.
---@param name string
---@return orrery.Source|nil
function sources.find(name)
  local record = records[name]
  if record == nil and package.loaded[name] ~= nil then
    record = look_up(name)
    records[name] = record
  end
  return record or nil
end

--- Whether a place, "file:line", lies in the file. Lua shortens a long path in a place to its end,
--- after "...".
---@param path string
---@param place string
---@return boolean
function sources.holds(path, place)
  local file = place:match "^(.*):%d+$" or place
  if file:sub(1, 3) == "..." then return #path >= #file - 3 and path:sub(3 - #file) == file:sub(4) end
  return path == file
end

--- The loaded module in whose file a place lies; nil where no module is known to be that file.
---@param place string
---@return orrery.Source|nil
function sources.at(place)
  local names = {}
  for name in pairs(package.loaded) do
    if type(name) == "string" then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local record = sources.find(name)
    if record and sources.holds(record.path, place) then return record end
  end
end

-- ---- who asks -----------------------------------------------------------------------------------

local function add(chunk, name)
  local list = asked[chunk]
  if not list then
    list = {}
    asked[chunk] = list
  end
  if list[name] then return end
  list[name] = true
  list[#list + 1] = name
end

-- Called by the replacement of `require`, so the caller of `require` is at level 3.
local function note(name)
  if type(name) ~= "string" or is_ours(name) or LIBRARIES[name] and package.loaded[name] then return end
  if not package.loaded[name] then records[name] = nil end -- it will be searched for again
  local level, nearest = 3, true
  local info = getinfo(level, "S")
  while info do
    local is_file = info.source:byte() == 64 -- "@"
    if is_file and (nearest or info.what == "main") then add(info.source, name) end
    nearest = nearest and info.what == "C"
    level = level + 1
    info = getinfo(level, "S")
  end
  if on_ask then on_ask(name) end
end

-- Wraps a `require` that is no C function: a program has replaced it.
local function noting_require(...)
  note(...)
  return real(...)
end

-- What a text says it requires: names in quotes, of which those count that were loaded.
local function names_in(text)
  local names = {}
  for _, name in text:gmatch "%f[%w_]require%s*%(?%s*([\"'])([%w_./-]+)%1" do
    if package.loaded[name] ~= nil then names[#names + 1] = name end
  end
  return names
end

local function collect(into, names)
  for _, name in ipairs(names) do
    if not into.seen[name] then
      into.seen[name] = true
      local record = sources.find(name)
      if record then
        table.insert(into.modules, record)
        collect(into, asked["@" .. record.path] or {})
        if record.scanned and record.text then collect(into, names_in(record.text)) end
      elseif package.loaded[name] == nil and package.preload[name] == nil then
        table.insert(into.missing, name)
      end
    end
  end
  return into
end

--- Modules and all that they require, as far as they have files that count.
---@param names string[]
---@return {modules: orrery.Source[], missing: string[]}
function sources.closure(names)
  return collect({ modules = {}, missing = {}, seen = {} }, names)
end

--- A text that is no Lua asks for a module.
---@param name string of the text
---@param module string
function sources.asked_by(name, module)
  if is_ours(module) then return end
  if not package.loaded[module] then records[module] = nil end
  add("@" .. name, module)
end

-- ---- for those who load -------------------------------------------------------------------------

--- A text is about to be run under a name: what was noted of an earlier one of that name is
--- forgotten.
---@param name string
function sources.begin(name) asked["@" .. name] = nil end

--- Everything that the text of a name has required since, and what was loaded before it.
---@param name string
---@return {modules: orrery.Source[], missing: string[], first: string[]}
function sources.used_by(name)
  local found = collect({ modules = {}, missing = {}, seen = {}, first = {} }, first)
  for _, given in ipairs(first) do
    if sources.find(given) then table.insert(found.first, given) end
  end
  return collect(found, asked["@" .. name] or {})
end

--- Modules that are loaded before every workflow from here on.
---@param names string[]
function sources.given(names) first = table.move(names, 1, #names, 1, {}) end

--- Calls `ask` with the name of every module that is asked for, and `load` with every file that is
--- loaded for one.
---@param ask fun(name: string)
---@param load fun(record: orrery.Source)
function sources.watch(ask, load) on_ask, on_load = ask, load end

local place = place_of_file_searcher()
if place then table.insert(package.searchers, place, search) end
rawset(_G, "require", core.noting(real, note) or noting_require)

return sources
