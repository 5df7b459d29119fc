--- Snapshots: texts that are written when a test is run at first, and that it is compared with
--- later. That of a run is what happened in it, one line an event.
---
--- Each stands in a file of its own, snapshots/TESTFILE/NAME.txt beside the test's file, to be kept
--- and read with it.
local Run = require "orrery.testing.run"
local core = require "orrery.core"
local errors = require "orrery.errors"
local show = require "orrery.testing.show"
local uv = require "luv"

local snapshot = {}

--- What a runner of tests says of them: `file`, the test's file; `name`, that of the test that
--- runs; `update`, whether those that differ are written anew. It reads `written`, `updated` and
--- `used`.
---@type table
snapshot.now = { used = {}, written = {}, updated = {}, counts = {} }

--- Begins anew for a file, or, where there is no runner, for each of them.
---@param file string|nil
---@param update boolean
function snapshot.begin(file, update)
  snapshot.now = { file = file, update = update, used = {}, written = {}, updated = {}, counts = {} }
end

-- ---- where they are -----------------------------------------------------------------------------

-- The file whose code asks, where no runner says.
local function callers_file()
  for level = 3, 20 do
    local info = debug.getinfo(level, "S")
    if not info then return nil end
    local path = info.what ~= "C" and info.source:match "^@(.*)$"
    local ours = path and (path:find("orrery/testing/", 1, true) or path:find("luassert", 1, true))
    if path and not ours then return path end
  end
end

--- The folder of a test file's snapshots.
---@param file string
---@return string
function snapshot.folder(file)
  local folder, name = file:match "^(.*)/([^/]*)$"
  return ("%ssnapshots/%s"):format(folder and folder .. "/" or "", ((name or file):gsub("%.lua$", "")))
end

local LONGEST = 100 -- bytes of a file's name

-- Words of ASCII with a space between them are told apart by the name alone; what else a name has
-- is told apart by a hash.
local function file_name(name)
  local text = name:gsub("[^%w_]+", "-"):gsub("^%-+", ""):gsub("%-+$", ""):sub(1, LONGEST)
  if text:gsub("%-", " ") == name then return text .. ".txt" end
  return ("%s.%s.txt"):format(text == "" and "test" or text, core.sha256(name):sub(1, 8))
end

local function make_folders(path)
  local parent = path:match "^(.*)/[^/]*$"
  if parent and parent ~= "" and not uv.fs_stat(parent) then make_folders(parent) end
  uv.fs_mkdir(path, tonumber("755", 8))
end

local function read(path)
  local file <close> = io.open(path, "rb")
  return file and file:read "a"
end

local function write(path, text)
  make_folders(path:match "^(.*)/[^/]*$")
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
end

-- ---- comparing ----------------------------------------------------------------------------------

local function text_of(value)
  if Run.is(value) then return value:trace() end
  local text = type(value) == "string" and value or show.text(value)
  return text:sub(-1) == "\n" and text or text .. "\n"
end

-- A test may have several without a name: they are counted.
local function name_of(now, name)
  if name ~= nil then return name end
  if not now.name then error("assert.snapshot: give it a name, assert.snapshot(run, \"name\")", 0) end
  now.counts[now.name] = (now.counts[now.name] or 0) + 1
  local n = now.counts[now.name]
  return n == 1 and now.name or ("%s #%d"):format(now.name, n)
end

local function is_set(variable)
  local value = os.getenv(variable)
  return value ~= nil and value ~= ""
end

--- assert.snapshot(value, name?): a run, a text or any value is what it was when the snapshot was
--- written. There is none yet: it is written, but not where the variable CI is set, where it would
--- prove nothing. Without a runner UPDATE_SNAPSHOTS=1 has those written anew that differ.
---@param value any
---@param name? string that of the test without it
---@return boolean ok
---@return string message
---@return any[]|nil values
function snapshot.assertion(value, name)
  if name ~= nil and type(name) ~= "string" then
    error("assert.snapshot: its name is a text, got " .. errors.show(name), 0)
  end
  local now = snapshot.now
  local file = now.file or callers_file() or "test.lua"
  local path = snapshot.folder(file) .. "/" .. file_name(name_of(now, name))
  local text, kept = text_of(value), read(path)
  now.used[path] = true
  if kept == text then return true, "expected another snapshot than " .. path end
  if kept == nil then
    if is_set "CI" and not now.update then
      return false,
        ("there is no snapshot %s; run the test where CI is not set, and keep the file"):format(path)
    end
    write(path, text)
    now.written[#now.written + 1] = path
    return true, "a new snapshot, " .. path
  end
  if now.update or not now.file and is_set "UPDATE_SNAPSHOTS" then
    write(path, text)
    now.updated[#now.updated + 1] = path
    return true, "an updated snapshot, " .. path
  end
  return false, ("it differs from the snapshot %s, which %s writes anew"):format(path,
    now.file and "--update" or "UPDATE_SNAPSHOTS=1"), { kept, text }
end

--- Snapshots of a file that none of its tests has asked for.
---@param file string
---@return string[] paths
function snapshot.unused(file)
  local folder, list = snapshot.folder(file), {}
  local entries = uv.fs_scandir(folder)
  while entries do
    local name = uv.fs_scandir_next(entries)
    if not name then break end
    local path = folder .. "/" .. name
    if name:find "%.txt$" and not snapshot.now.used[path] then list[#list + 1] = path end
  end
  table.sort(list)
  return list
end

return snapshot
