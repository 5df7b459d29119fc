--- `file.mkdir`: a folder.
local flow = require "orrery"
local paths = require "orrery.stdlib.file.shared.paths"
local requests = require "orrery.stdlib.file.shared.requests"

-- Whether it was missing. What is there already is well where it is a folder.
local function make(config)
  if config.parents then paths.make_folders(paths.parent(config.path)) end
  local err = requests.fs("mkdir", config.path, 493) -- 0755
  if not err then return true end
  local stat_err, stat = requests.fs("stat", config.path)
  if err:find "^EEXIST" and not stat_err and stat.type == "directory" then return false end
  requests.fail("create the folder", config.path, err)
end

return flow.type {
  name = "file.mkdir",
  errors = { "file_error" },
  doc = [[Makes a folder, and those before it that are missing unless parents = false. One that is there
already is well. Outputs { path, created }.]],
  config = flow.schema {
    path = "string", parents = { type = "boolean", default = true },
  },
  output = { path = "string", created = "boolean" },
  positional = "path",
  examples = { [[flow.file.mkdir { "out/${input.day}" }]] },
  run = function(_, config)
    return { path = config.path, created = make(config) }
  end,
}
