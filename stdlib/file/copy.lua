--- `file.copy`: a copy of a file or a folder.
local flow = require "orrery"
local copying = require "orrery.stdlib.file.shared.copying"
local requests = require "orrery.stdlib.file.shared.requests"

-- A file that a link leads to is replaced, and the link stays, as with file.write.
local function end_of_link(path)
  local err, real = requests.fs("realpath", path)
  return not err and real or path
end

return flow.type {
  name = "file.copy",
  errors = { "file_error", "file_exists" },
  doc = [[Copies a file, or a folder with all that is in it, at once: it has its name when all of it is
there, and a copy that fails or is cancelled leaves nothing. Modes and times are kept, owners are
not; a link is copied as what it leads to, and inside a folder as a link. A file that is there is
replaced, a folder only with overwrite = true; with overwrite = false the node fails with code
"file_exists" where anything is there. mkdirs = true makes missing folders. Outputs { path, bytes,
entries }.]],
  config = flow.schema {
    from = "string", to = "string",
    overwrite = { type = "boolean", optional = true,
      doc = "true: also a folder is replaced; false: nothing is" },
    mkdirs = { type = "boolean", default = false },
  },
  output = { path = "string", bytes = "integer", entries = "integer" },
  examples = { [[flow.file.copy { from = "app.conf", to = "backup/app.conf", mkdirs = true }]],
    [[flow.file.copy { from = "site", to = "site-${input.version}" }]] },
  run = function(_, config)
    local from = config.from
    local stat = requests.perform("copy", from, "stat", from)
    local is_folder = stat.type == "directory"
    local place = copying.place("copy", config, is_folder, not is_folder and end_of_link(config.to) or nil)
    local bytes, entries = (is_folder and copying.folder or copying.file)(from, place, stat)
    return { path = config.to, bytes = bytes, entries = entries or 1 }
  end,
}
