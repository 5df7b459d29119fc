-- Draws the rooms of runtime/ and the arrows between them, and compares them with the table in
-- docs/architecture.md.
--
--   lua5.4 spec/rooms/rooms.lua BUILD [--write] [ROOT]
--
-- A room is a folder with C files; a folder inside another counts as part of it where the table
-- does not name it. An arrow from A to B is an #include of a header of B in a file of A, or a
-- symbol that an object of A needs and an object of B defines (nm). The table says which arrows may
-- be: all others, and those that no code needs any more, are mistakes. So is a header that only its
-- own room, and rooms in its folder, may include, which is every one that the room's own header,
-- named after the room, does not include itself; and a picture in the docs that is not the present
-- one, unless --write makes it so. Calls through tables of functions make no arrow: that is how a
-- room below calls one above.

local DOCS = "docs/architecture.md"
local TABLE, PICTURE, PICTURE_END = "<!-- rooms -->", "<!-- picture of the rooms -->",
  "<!-- end of the picture -->"
-- The one public header of the project: its words (status, states) are everybody's.
local PUBLIC = "runtime/include/orrery.h"

local mistakes = {}
local function mistake(format, ...) mistakes[#mistakes + 1] = format:format(...) end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "a"
  file:close()
  return text
end

local function lines_of(command)
  local pipe = assert(io.popen(command))
  local list = {}
  for line in pipe:lines() do list[#list + 1] = line end
  pipe:close()
  return list
end

local function sorted(set)
  local list = {}
  for key in pairs(set) do list[#list + 1] = key end
  table.sort(list)
  return list
end

-- ---- the table ----------------------------------------------------------------------------------

-- {order = {room, …}, may = {room = {room = true, …}}} from rows such as: | `fiber` | `core` `lua`
-- | what it is |
local function read_table(text)
  local order, may = {}, {}
  local from = assert(text:find(TABLE, 1, true), DOCS .. ": there is no line " .. TABLE)
  for line in text:sub(from):gmatch "[^\n]*" do
    local room, others = line:match "^| `([%w/]+)` |([^|]*)|"
    if room then
      order[#order + 1] = room
      may[room] = {}
      for other in others:gmatch "`([%w/]+)`" do may[room][other] = true end
    elseif #order > 0 then
      break
    end
  end
  return { order = order, may = may }
end

-- ---- what the code has --------------------------------------------------------------------------

-- The room of a file under runtime/: the longest prefix of its folder that the table names.
local function room_of(rooms, path)
  local folder = path:match "^runtime/(.*)/[^/]+$"
  while folder do
    if rooms.may[folder] then return folder end
    folder = folder:match "^(.*)/[^/]+$"
  end
  return nil
end

local function note(arrows, from, to, why)
  if from == to then return end
  arrows[from] = arrows[from] or {}
  arrows[from][to] = arrows[from][to] or why
end

-- The headers that others may include: the one named after the room, and those that it includes of
-- its own.
local function public_headers(rooms)
  local public = {}
  for _, room in ipairs(rooms.order) do
    local name = room:match "[^/]+$"
    local path = ("runtime/%s/%s.h"):format(room, name)
    local file = io.open(path)
    if file then
      public[path] = true
      for included in file:read("a"):gmatch '#include "([^"]+)"' do
        included = "runtime/" .. included
        if room_of(rooms, included) == room then public[included] = true end
      end
      file:close()
    end
  end
  return public
end

local function look_at_includes(rooms, files, arrows)
  local public = public_headers(rooms)
  for _, path in ipairs(files) do
    local room = room_of(rooms, path)
    if not room and path ~= PUBLIC then
      mistake("%s stands in no room of the table in %s; add one, or move the file", path, DOCS)
    end
    local n = 0
    for line in read(path):gmatch "[^\n]*" do
      n = n + 1
      local included = line:match '^%s*#%s*include%s+"([^"]+)"'
      local target = included and "runtime/" .. included
      local other = target and room_of(rooms, target)
      if room and other then
        local place = path .. ":" .. n
        note(arrows, room, other, ("%s includes %s"):format(place, included))
        local inside = room:sub(1, #other + 1) == other .. "/"
        if room ~= other and not public[target] and not inside then
          mistake("%s includes %s, which is the room's own; what others may use stands in its header %s.h",
            place,
            included, other .. "/" .. other:match "[^/]+$")
        end
      end
    end
  end
end

-- Symbols: nm's letters for what an object defines (text, data, read-only, bss, weak) and U for
-- what it needs.
local function look_at_symbols(rooms, build, files, arrows)
  local defined, needed = {}, {}
  for _, path in ipairs(files) do
    local object = path:match "%.c$" and ("%s/obj/%s"):format(build, path:gsub("%.c$", ".o"))
    if object then
      for _, line in ipairs(lines_of(("nm -P %s 2>&1"):format(object))) do
        local name, kind = line:match "^(%S+) (%a)"
        if not name then
          error(("%s cannot be read: %s; build the objects first: make objects"):format(object, line), 0)
        end
        if kind == "U" then needed[#needed + 1] = { name, path }
        elseif kind:match "[TDBRVW]" then defined[name] = path end
      end
    end
  end
  for _, need in ipairs(needed) do
    local name, path = need[1], need[2]
    local room, other = room_of(rooms, path), defined[name] and room_of(rooms, defined[name])
    if room and other then
      note(arrows, room, other, ("%s needs %s of %s"):format(path, name, defined[name]))
    end
  end
end

-- ---- comparing ----------------------------------------------------------------------------------

local function compare(rooms, arrows)
  for _, from in ipairs(sorted(arrows)) do
    for _, to in ipairs(sorted(arrows[from])) do
      if not rooms.may[from][to] then
        mistake("%s may not know %s, but %s; hand it a table of functions from above, or move what both need "
          .. "below both",
          from, to, arrows[from][to])
      end
    end
  end
  for _, from in ipairs(rooms.order) do
    for _, to in ipairs(sorted(rooms.may[from])) do
      if not rooms.may[to] then mistake("the table names %s in the row of %s, and has no row for it", to,
        from)
      elseif not (arrows[from] and arrows[from][to]) then
        mistake("the table lets %s know %s, but no code does any more; take it out of the row", from, to)
      end
    end
  end
end

-- The level of each room: one above the highest that it may know. A circle is a mistake.
local function levels(rooms)
  local level, visiting = {}, {}
  local function visit(room, path)
    if level[room] then return level[room] end
    if visiting[room] then
      mistake("the table has a circle: %s -> %s", path, room)
      return 0
    end
    visiting[room] = true
    local highest = 0
    for _, other in ipairs(sorted(rooms.may[room] or {})) do
      highest = math.max(highest, visit(other, path .. " -> " .. other))
    end
    visiting[room] = nil
    level[room] = highest + 1
    return highest + 1
  end
  for _, room in ipairs(rooms.order) do visit(room, room) end
  return level
end

-- ---- the picture --------------------------------------------------------------------------------

-- Rooms from the highest to the lowest, each with those that it knows.
local function picture(rooms, level)
  local highest, width, out = 0, 0, { "```text" }
  for _, room in ipairs(rooms.order) do
    highest, width = math.max(highest, level[room]), math.max(width, #room)
  end
  for n = highest, 1, -1 do
    out[#out + 1] = ("%2d  %s"):format(n, ("-"):rep(84))
    for _, room in ipairs(rooms.order) do
      if level[room] == n then
        local others = table.concat(sorted(rooms.may[room]), "  ")
        out[#out + 1] = ("    [ %-" .. width .. "s ]%s")
          :format(room, others == "" and "" or " --> " .. others)
      end
    end
  end
  out[#out + 1] = "```"
  return table.concat(out, "\n")
end

local function put_picture(text, drawn, write)
  local _, from = text:find(PICTURE .. "\n", 1, true)
  local to = from and text:find("\n" .. PICTURE_END, from, true)
  if not to then
    mistake("%s: the lines %s and %s are missing", DOCS, PICTURE, PICTURE_END)
  elseif text:sub(from + 1, to - 1) ~= drawn then
    if not write then
      mistake("the picture in %s is not the present one; draw it anew: make rooms-picture", DOCS)
      return
    end
    local file = assert(io.open(DOCS, "wb"))
    file:write(text:sub(1, from), drawn, text:sub(to))
    file:close()
    print("drawn anew: " .. DOCS)
  end
end

-- ---- all ----------------------------------------------------------------------------------------

local build, write = assert(arg[1], "usage: rooms.lua BUILD [--write]"), arg[2] == "--write"
local text = read(DOCS)
local rooms = read_table(text)
local files = lines_of "find runtime -name '*.[ch]' | LC_ALL=C sort"
local arrows = {}
look_at_includes(rooms, files, arrows)
look_at_symbols(rooms, build, files, arrows)
compare(rooms, arrows)
local drawn = picture(rooms, levels(rooms))
put_picture(text, drawn, write)
print((drawn:gsub("```%a*\n?", "")))
for _, line in ipairs(mistakes) do io.stderr:write("rooms: ", line, "\n") end
os.exit(#mistakes == 0)
