--- `file.extract`: what is in a tar or zip archive, as a folder.
local flow = require "orrery"
local archives = require "orrery.stdlib.file.shared.archives"
local beside = require "orrery.stdlib.file.shared.beside"
local copying = require "orrery.stdlib.file.shared.copying"

return flow.type {
  name = "file.extract",
  errors = { "file_error", "file_exists", "archive_error", "archive_too_large", "archive_unavailable",
    "archive_unsafe" },
  doc = [[Extracts an archive into a folder, in a thread, and at once: the folder has its name when all is
in it, and nothing is left of what fails. It reads tar, as it is or compressed by gzip, xz or
zstd, and zip. The folder must not be there, or be empty, unless overwrite = true, which replaces
it. An entry that would leave the folder, by its name, through a link or as one, and a device, a
FIFO or a socket, fails the node with code "archive_unsafe", or is left out with on_unsafe =
"skip". Contents of more than `limit` bytes, or more than max_entries entries, fail it with
"archive_too_large". strip leaves out so many folders at the beginning of each name. Owners and
special bits of modes are not taken over. Outputs { path, bytes, entries, skipped }.]],
  config = flow.schema {
    path = { type = "string", doc = "the archive" }, to = { type = "string", doc = "the folder" },
    limit = { type = "integer", default = 1 << 30, min = 0, doc = "bytes of all contents" },
    max_entries = { type = "integer", default = 100000, min = 0 },
    strip = { type = "integer", default = 0, min = 0, max = 1000 },
    on_unsafe = { enum = { "fail", "skip" }, default = "fail" },
    overwrite = { type = "boolean", optional = true },
    mkdirs = { type = "boolean", default = false },
  },
  output = { path = "string", bytes = "integer", entries = "integer", skipped = "integer" },
  examples = { [[flow.file.extract { path = "site.tar.zst", to = "site" }]],
    [[flow.file.extract { path = "tool-1.2.tar.gz", to = "tool", strip = 1, limit = 100000000 }]] },
  run = function(_, config)
    local place = copying.place("extract to", config, true)
    local result
    beside.make(place, function(name)
      result = archives.perform("extract", { file = config.path, folder = name, limit = config.limit,
        max_entries = config.max_entries, strip = config.strip, skip_refused = config.on_unsafe == "skip" },
        "cannot extract " .. config.path)
    end)
    return { path = config.to, bytes = result.bytes, entries = result.entries, skipped = result.skipped }
  end,
}
