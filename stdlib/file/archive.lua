--- `file.archive`: a folder or files as a tar or zip archive.
local flow = require "orrery"
local archives = require "orrery.stdlib.file.shared.archives"
local beside = require "orrery.stdlib.file.shared.beside"
local copying = require "orrery.stdlib.file.shared.copying"
local find = require "orrery.stdlib.file.shared.find"
local requests = require "orrery.stdlib.file.shared.requests"

-- How an archive is made, by the end of its name.
local ENDINGS = {
  tar = { "tar", "" }, ["tar.gz"] = { "tar", "gzip" }, tgz = { "tar", "gzip" }, ["tar.xz"] = { "tar", "xz" },
  txz = { "tar", "xz" }, ["tar.zst"] = { "tar", "zstd" }, tzst = { "tar", "zstd" }, zip = { "zip", "" },
}

local function config_error(message)
  flow.error { code = "config_error", message = "file.archive: " .. message, retryable = false }
end

local function format_of(config)
  local ending = config.format or config.to:match "%.(tar%.%w+)$" or config.to:match "%.(%w+)$"
  local format = ENDINGS[ending]
  if format then return format[1], format[2] end
  return config_error(('the end of "%s" names no format; end it with .tar, .tar.gz, .tar.xz, .tar.zst or '
    .. '.zip, or write format = "tar.gz"'):format(config.to))
end

-- Names that come from data stay in the folder.
local function check_name(what, name)
  if name == "" or name:sub(1, 1) == "/" or ("/" .. name .. "/"):find("/../", 1, true) then
    config_error(('%s: "%s" is no path inside the folder'):format(what, name))
  end
end

local function names_of(config)
  if config.files then
    for _, name in ipairs(config.files) do check_name("files", name) end
    return config.files
  end
  local items = find.items { what = "archive", path = config.from, exclude = config.exclude, kind = "any" }
  local names = {}
  for i, item in ipairs(items) do names[i] = find.relative(item) end
  return names
end

-- The folder, and the names in it.
local function source_of(config)
  local stat = requests.perform("archive", config.from, "stat", config.from)
  if stat.type == "directory" then return config.from, names_of(config) end
  local folder, name = config.from:match "^(.*)/([^/]+)$"
  return folder == "" and "/" or folder or ".", { name or config.from }
end

return flow.type {
  name = "file.archive",
  errors = { "file_error", "file_exists", "archive_error", "archive_unavailable" },
  doc = [[Writes a folder, or one file, into an archive, in a thread, and at once: it has its name when all
of it is there. The end of its name says how: .tar, .tar.gz (.tgz), .tar.xz (.txz), .tar.zst
(.tzst) or .zip, or `format` does. `files` are the paths in the folder that are taken, in place of
all; `exclude` leaves out what it finds; `prefix` is a folder that all of it stands in. Owners are
left out, and equal files give an equal archive. Links are kept as links; FIFOs, sockets and
devices fail the node unless they are left out. A file that is there is replaced, unless overwrite
= false. Outputs { path, bytes, entries, size }.]],
  config = flow.schema {
    from = "string", to = "string",
    format = { enum = { "tar", "tar.gz", "tgz", "tar.xz", "txz", "tar.zst", "tzst", "zip" },
      optional = true },
    files = { type = "string[]", optional = true,
      doc = "paths in the folder; a folder's does not bring what is in it" },
    exclude = { type = "string[]", optional = true, doc = "patterns, as of file.find" },
    prefix = { type = "string", default = "" },
    level = { type = "integer", optional = true, min = 1, max = 22, doc = "how hard to compress" },
    overwrite = { type = "boolean", optional = true },
    mkdirs = { type = "boolean", default = false },
  },
  output = { path = "string", bytes = "integer", entries = "integer", size = "integer" },
  examples = { [[flow.file.archive { from = "site", to = "backup/site-${input.day}.tar.zst", mkdirs = true }]],
    [[flow.file.archive { from = "src", to = "src.zip", exclude = { "**/*.o" }, prefix = "src-1.0" }]] },
  run = function(_, config)
    local format, filter = format_of(config)
    if config.prefix ~= "" then check_name("prefix", config.prefix) end
    local folder, names = source_of(config)
    local place = copying.place("archive to", config, false)
    local result, size
    beside.make(place, function(name)
      result = archives.perform("write", { file = name, folder = folder, names = names, format = format,
        filter = filter, level = config.level, prefix = config.prefix }, "cannot archive " .. config.from)
      size = requests.perform("read", config.to, "stat", name).size
    end)
    return { path = config.to, bytes = result.bytes, entries = result.entries, size = size }
  end,
}
