-- What the code can report, from its source files: the codes of errors and the kinds of mistakes,
-- each with the rooms that report it, and for mistakes with the patterns of their messages.
local in_c = require "spec.errors.in_c"
local in_lua = require "spec.errors.in_lua"

local found = {}

-- Not part of what users meet: annotations for editors.
local LEFT_OUT = "/library/"

--- @param folders string
--- @param names string such as "*.lua"
--- @return {path: string, text: string}[]
function found.files(folders, names)
  local files = {}
  local pipe <close> = assert(io.popen(("find %s -name '%s' | LC_ALL=C sort"):format(folders, names)))
  for path in pipe:lines() do
    if not path:find(LEFT_OUT, 1, true) then
      local file <close> = assert(io.open(path, "rb"))
      files[#files + 1] = { path = path, text = file:read "a" }
    end
  end
  return files
end

-- "runtime/store/tables/x.c" -> "store", "lua/orrery/definition/node.lua" -> "definition",
-- "stdlib/http.lua" -> "flow.http"
local function room_of(path)
  if path:find "^stdlib/shared/" then return "flow.http" end -- what its bodies and transfers are made of
  local stdlib = path:match "^stdlib/(%w+)"
  if stdlib then return "flow." .. stdlib end
  return path:match "^runtime/(%w+)/" or path:match "^lua/orrery/(%w+)/" or path:match "^lua/(orrery)/"
end

local function add(into, name)
  into[name] = into[name] or { rooms = {}, texts = {}, places = {} }
  return into[name]
end

local function note(entry, text, path, line)
  entry.rooms[room_of(path) or path] = true
  entry.places[#entry.places + 1] = ("%s:%d"):format(path, line)
  if text then entry.texts[text] = true end
end

--- @param c {path: string, text: string}[]
--- @param lua {path: string, text: string}[]
--- @return table<string, table> codes name -> { rooms, texts, places }
--- @return table<string, table> mistakes kind -> the same
function found.of(c, lua)
  local codes, mistakes = {}, {}
  in_c.scan(c, function(code, path, line) note(add(codes, code), nil, path, line) end)
  in_lua.scan(lua, function(what, name, text, path, line)
    if what == "code" then text = nil end
    note(add(what == "code" and codes or mistakes, name), text, path, line)
  end)
  return codes, mistakes
end

--- The same for the files of this repository.
function found.here()
  return found.of(found.files("runtime", "*.[ch]"), found.files("lua/orrery stdlib", "*.lua"))
end

return found
