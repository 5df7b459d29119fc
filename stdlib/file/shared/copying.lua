--- Copies of files, links and folders.
local flow = require "orrery"
local beside = require "orrery.stdlib.file.shared.beside"
local open_files = require "orrery.stdlib.file.shared.open_files"
local paths = require "orrery.stdlib.file.shared.paths"
local requests = require "orrery.stdlib.file.shared.requests"
local walk = require "orrery.stdlib.file.shared.walk"
local uv = require "luv"

local copying = {}

local O = uv.constants

-- Bytes that the system copies at a time: a copy that is cancelled ends soon.
local STRIDE = 16 * 1024 * 1024

local function seconds(time) return time.sec + time.nsec / 1e9 end
local function times_of(stat) return { seconds(stat.mtime), seconds(stat.mtime) } end
local function mode_of(stat) return stat.mode & 511 end -- 0777

-- The system copies, sharing the blocks where the file system can. It takes files of /proc for
-- empty, so the end is looked for by reading.
local function transfer(what, from, to)
  local at = 0
  repeat
    local n = to:take(what, from, at, STRIDE)
    at = at + n
  until n == 0
  while true do
    local data = from:perform(what, from.path, "read", open_files.CHUNK, at)
    if data == "" then return at end
    to:write(data)
    at = at + #data
  end
end

--- Copies a regular file to a place. *Waits.*
---@param from string
---@param place stdlib.file.Place gets mode and times
---@return integer bytes
function copying.file(from, place)
  local source <close> = open_files.open(place.what, from, O.O_RDONLY)
  open_files.must_be_regular(place.what, source)
  place.mode, place.times = mode_of(source.stat), times_of(source.stat)
  local bytes
  beside.write(place, function(file) bytes = transfer(place.what, source, file) end)
  return bytes
end

-- ---- folders ------------------------------------------------------------------------------------

-- Files are made where they belong: the folder is new, and gets its name when all is in it.
local COPY = {
  file = function(what, item, to)
    local source <close> = open_files.open(what, item.path, O.O_RDONLY)
    open_files.must_be_regular(what, source)
    local file <close> = open_files.open(what, to, O.O_WRONLY | O.O_CREAT | O.O_EXCL, 384) -- 0600
    local bytes, times = transfer(what, source, file), times_of(source.stat)
    file:perform(what, to, "fchmod", mode_of(source.stat))
    file:perform(what, to, "futime", times[1], times[2])
    return bytes
  end,
  link = function(what, item, to)
    local target = requests.perform(what, item.path, "readlink", item.path)
    requests.perform(what, to, "symlink", target, to)
    return 0
  end,
  directory = function(what, _, to)
    requests.perform(what, to, "mkdir", to, 448) -- 0700
    return 0
  end,
  other = function(what, item) open_files.refuse_special(what, item.path, item.stat.type) end,
}

-- When all is in it: what is made in a folder changes its time.
local function finish_folder(what, stat, to)
  local file <close> = open_files.open(what, to, O.O_RDONLY)
  local times = times_of(stat)
  file:perform(what, to, "fchmod", mode_of(stat))
  file:perform(what, to, "futime", times[1], times[2])
end

local ALL = function() return true end

local function copy_into(what, from, name, stat)
  local items = walk.items(from, { what = what, skips_denied = false, takes = ALL, wants = ALL,
    enters = ALL })
  local bytes = 0
  requests.perform(what, name, "mkdir", name, 448)
  for _, item in ipairs(items) do
    bytes = bytes + COPY[item.type](what, item, paths.join(name, item.path:sub(#from + 2)))
  end
  for i = #items, 1, -1 do
    local item = items[i]
    if item.type == "directory" then
      finish_folder(what, item.stat, paths.join(name, item.path:sub(#from + 2)))
    end
  end
  finish_folder(what, stat, name)
  return bytes, #items
end

--- Copies a folder, links and all that is in it, to a place. *Waits.*
---@param from string
---@param place stdlib.file.Place
---@param stat table of the folder
---@return integer bytes of files
---@return integer entries
function copying.folder(from, place, stat)
  local bytes, entries
  from = from:gsub("(.)/+$", "%1")
  beside.make(place, function(name) bytes, entries = copy_into(place.what, from, name, stat) end)
  return bytes, entries
end

--- Copies a link itself to a place. *Waits.*
---@param from string
---@param place stdlib.file.Place
function copying.link(from, place)
  beside.make(place, function(name) COPY.link(place.what, { path = from }, name) end)
end

-- ---- places -------------------------------------------------------------------------------------

--- The place that something is copied or moved to. *Waits.*
---@param what string
---@param config { to: string, overwrite: boolean?, mkdirs: boolean }
---@param is_folder boolean whether a folder comes there
---@param target? string where `to` leads; `to`
---@return stdlib.file.Place
function copying.place(what, config, is_folder, target)
  local place = { what = what, path = config.to, target = target or config.to }
  if config.mkdirs then paths.make_folders(paths.parent(config.to)) end
  local err, stat = requests.fs("lstat", place.target)
  local there = not err and stat.type or nil
  if config.overwrite == false then
    place.how = "new"
  elseif there == "directory" and config.overwrite then
    place.how = "exchange"
  elseif there == "directory" and not is_folder then
    flow.error { code = "file_error", details = { path = config.to, errno = "EISDIR" },
      message = ("cannot %s to %s: it is a folder; name the file in it"):format(what, config.to) }
  elseif there and there ~= "file" and there ~= "link" and there ~= "directory" then
    open_files.refuse_special(what .. " to", config.to, there)
  end
  return place
end

return copying
