--- `file.find`: files by patterns.
local flow = require "orrery"
local find = require "orrery.stdlib.file.shared.find"
local walk = require "orrery.stdlib.file.shared.walk"

return flow.type {
  name = "file.find",
  errors = { "file_error" },
  doc = [[Finds files by patterns in a folder and those inside it. * and ? stand for a part of one name, **
for any number of folders; a name that begins with a dot is found only by one that is written so,
and links to folders are not followed. What `exclude` finds is left out, a folder with all that is
in it. Outputs an array of { path, name, type, size, modified } in the order of the names, as
file.list does. kind chooses what is found; what may not be read fails the node, or is left out
with on_denied = "skip".]],
  config = flow.schema {
    patterns = { type = "string[]", doc = "such as src/**/*.c; paths inside the folder" },
    path = { type = "string", default = "." },
    exclude = "string[]?",
    kind = { enum = { "file", "directory", "link", "any" }, default = "file" },
    on_denied = { enum = { "fail", "skip" }, default = "fail" },
  },
  positional = "patterns[]",
  examples = { [[flow.file.find { "src/**/*.c", "include/*.h" }]],
    [[flow.file.find { "**", path = "${input.folder}", exclude = { "**/node_modules", "**/*.tmp" } }]] },
  run = function(_, config)
    local items = find.items { what = "list", path = config.path, patterns = config.patterns,
      exclude = config.exclude, kind = config.kind, skips_denied = config.on_denied == "skip" }
    for i, item in ipairs(items) do items[i] = walk.entry(item) end
    return flow.json.array(items)
  end,
}
