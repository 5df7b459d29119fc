-- The rooms of lua/orrery: what the files require, against the table in docs/architecture.md.
local DOCS, TABLE = "docs/architecture.md", "<!-- rooms of Lua -->"

-- Files beside lua/orrery/init.lua that all rooms share; the others there are the module `orrery`
-- itself.
local BASICS = {
  defer = true, difference = true, duration = true, errors = true, events = true, fileset = true,
  glob = true, mask = true, nearest = true, secret = true, signature = true, simulated = true, state = true,
  text = true, url = true, version = true, where = true, wording = true,
}
-- Modules in C. What only the command has is for the command.
local IN_C = { ["orrery.core"] = true, ["orrery.host"] = "cli" }

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

local function files(folders, ending)
  local list = {}
  local pipe <close> = assert(io.popen(("find %s -name '*%s' | LC_ALL=C sort"):format(folders, ending)))
  for path in pipe:lines() do
    if not path:find "^lua/orrery/library/" then list[#list + 1] = path end
  end
  return list
end

local function module_of(path)
  local stdlib = path:match "^stdlib/(.*)%.lua$"
  if stdlib then return "orrery.stdlib." .. stdlib:gsub("/", ".") end
  return (path:match("^lua/(.*)%.lua$"):gsub("/init$", ""):gsub("/", "."))
end

-- Rows such as: | `store` | `basics` `history` | what it is |. The order of the rows is the order
-- of the floors.
local function table_of_rooms()
  local order, may, text = {}, {}, read(DOCS)
  local from = assert(text:find(TABLE, 1, true), DOCS .. ": there is no line " .. TABLE)
  for line in text:sub(from):gmatch "[^\n]*" do
    local room, others = line:match "^| `(%w+)` |([^|]*)|"
    if room then
      order[#order + 1], may[room] = room, {}
      for other in others:gmatch "`(%w+)`" do may[room][other] = true end
    elseif #order > 0 then
      break
    end
  end
  return order, may
end

-- The table's rooms are the folders; a folder inside one is part of it.
local function room_of(name, may)
  local first, rest = name:match "^orrery%.(%w+)(.*)$"
  if not first or name == "orrery" then return "orrery" end
  if BASICS[first] and rest == "" then return "basics" end
  if may[first] and (rest ~= "" or io.open("lua/orrery/" .. first .. "/init.lua")) then return first end
  return rest == "" and "orrery" or first
end

-- Calls `fn(path, line, name)` for each module of ours that a file requires by a name that stands
-- there.
local function each_require(path, fn)
  local n = 0
  for line in (read(path) .. "\n"):gmatch "(.-)\n" do
    n = n + 1
    local code = line:gsub("^%s*%-%-.*", "")
    for name in code:gmatch 'require%s*%(?%s*"(orrery[%w_.]*)"' do fn(path, n, name) end
  end
end

describe("the rooms of lua/orrery", function()
  local order, may = table_of_rooms()
  local paths, exists = files("lua/orrery stdlib", ".lua"), {}
  for _, path in ipairs(paths) do exists[module_of(path)] = path end

  -- room -> room -> the first place. A name that ends with a dot is made while a program runs.
  local function arrows()
    local found = {}
    for _, path in ipairs(paths) do
      local room = room_of(module_of(path), may)
      found[room] = found[room] or {}
      each_require(path, function(_, line, name)
        local other = room_of(name, may)
        if not IN_C[name] and other ~= room and name:sub(-1) ~= "." then
          found[room][other] = found[room][other] or ("%s:%d requires %s"):format(path, line, name)
        end
      end)
    end
    return found
  end

  it("are those of the table", function()
    local rooms = {}
    for _, room in ipairs(order) do rooms[room] = true end
    local found = {}
    for _, path in ipairs(paths) do found[room_of(module_of(path), may)] = true end
    assert.same(rooms, found)
  end)

  it("know only what the table says, and all that it says", function()
    local wrong, found = {}, arrows()
    for room, others in pairs(found) do
      for other, place in pairs(others) do
        if not may[room][other] then
          wrong[#wrong + 1] = ("%s: %s may not know %s"):format(place, room, other)
        end
      end
      for other in pairs(may[room]) do
        if not others[other] then
          wrong[#wrong + 1] = ("%s needs nothing of %s any more"):format(room, other)
        end
      end
    end
    table.sort(wrong)
    assert.equal("", table.concat(wrong, "\n"))
  end)

  it("know only what stands above them in the table, which is below them in the house", function()
    local floor = {}
    for i, room in ipairs(order) do floor[room] = i end
    for room, others in pairs(may) do
      for other in pairs(others) do
        assert.is_true(floor[other] ~= nil and floor[other] < floor[room], room .. " knows " .. other)
      end
    end
  end)

  it("require modules that are there", function()
    for _, path in ipairs(paths) do
      local room = room_of(module_of(path), may)
      each_require(path, function(_, line, name)
        local place = ("%s:%d: %s"):format(path, line, name)
        local by_prefix = name:sub(-1) == "." -- "orrery.cli." .. name
        assert.is_true(by_prefix or exists[name] ~= nil or IN_C[name] == true or IN_C[name] == room, place)
      end)
    end
  end)

  it("give C what it asks for, and nothing of the command but to the command", function()
    local asked = 0
    for _, path in ipairs(files("runtime", ".c")) do
      for name in read(path):gmatch '"(orrery%.[%w_.]+)"' do
        if exists[name] then
          asked = asked + 1
          local is_host = path:find "^runtime/host/" ~= nil
          assert.is_true(is_host or room_of(name, may) ~= "cli", path .. " asks for " .. name)
        end
      end
    end
    assert.is_true(asked >= 5, asked .. " modules")
  end)
end)

describe("the files of stdlib", function()
  it("require what a user may, orrery and luv, and what they share", function()
    for _, path in ipairs(files("stdlib", ".lua")) do
      local shared = (module_of(path):match "^(orrery%.stdlib%.%w+)%." or "-") .. ".shared."
      for name in read(path):gmatch 'require%s*%(?%s*"([^"]*)"' do
        local common = name:find "^orrery%.stdlib%.shared%." ~= nil
        assert.is_true(name == "orrery" or name == "luv" or common or name:sub(1, #shared) == shared,
          path .. " requires " .. name)
      end
    end
  end)
end)
