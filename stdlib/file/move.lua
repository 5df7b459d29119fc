--- `file.move`: another name for a file or a folder.
local flow = require "orrery"
local beside = require "orrery.stdlib.file.shared.beside"
local copying = require "orrery.stdlib.file.shared.copying"
local open_files = require "orrery.stdlib.file.shared.open_files"
local requests = require "orrery.stdlib.file.shared.requests"

local function mark_of(stat)
  return { type = stat.type, size = stat.size, modified = stat.mtime.sec + stat.mtime.nsec / 1e9 }
end

-- A copy's time is kept to a millionth of a second or so.
local function is_same(a, b)
  return a.type == b.type and (a.type == "directory" or a.size == b.size)
    and math.abs(a.modified - b.modified) < 1e-5
end

-- What was there to be moved when the node first ran. Where it has gone since and is found at the
-- target, an attempt before this one has moved it, and was cut off before that was recorded.
local function is_moved(ctx, config, stat)
  local before = ctx:step("source", function() return stat and mark_of(stat) or { type = "none" } end)
  if stat or before.type == "none" then return false end
  local err, there = requests.fs("lstat", config.to)
  return not err and is_same(before, mark_of(there))
end

-- Between file systems: a copy, and then the source is removed.
local function carry(config, stat, place)
  if stat.type == "directory" then copying.folder(config.from, place, stat)
  elseif stat.type == "link" then copying.link(config.from, place)
  elseif stat.type == "file" then copying.file(config.from, place)
  else open_files.refuse_special("move", config.from, stat.type) end
  requests.perform("move", config.from, "remove", config.from)
end

local function move(config, stat)
  local place = copying.place("move", config, stat.type == "directory")
  if beside.rename(place, config.from) then carry(config, stat, place) end
end

return flow.type {
  name = "file.move",
  errors = { "file_error", "file_exists" },
  doc = [[Gives a file, a link or a folder another name, at once; between file systems it is copied, and
then removed where it was. What bears the name already is replaced where it is a file, or an empty
folder, a folder with something in it only with overwrite = true; with overwrite = false the node
fails with code "file_exists" where anything is there. mkdirs = true makes missing folders.
Outputs { path }.]],
  config = flow.schema {
    from = "string", to = "string",
    overwrite = { type = "boolean", optional = true,
      doc = "true: also a folder is replaced; false: nothing is" },
    mkdirs = { type = "boolean", default = false },
  },
  output = { path = "string" },
  examples = { [[flow.file.move { from = "out/report.tmp", to = "archive/${input.day}.txt", mkdirs = true }]] },
  run = function(ctx, config)
    local err, stat = requests.fs("lstat", config.from)
    if not requests.is_absent(err) then requests.must("move", config.from, err) end
    if not is_moved(ctx, config, stat) then
      requests.must("move", config.from, err)
      move(config, stat)
    end
    return { path = config.to }
  end,
}
