--- `file.remove`: a file, a link or a folder.
local flow = require "orrery"
local requests = require "orrery.stdlib.file.shared.requests"

-- A template that gave nothing must not remove a folder that nobody meant.
local function refuse_bare(path)
  local last = path:gsub("/+$", ""):match "[^/]*$"
  if last ~= "" and last ~= "." and last ~= ".." then return end
  flow.error { code = "config_error", retryable = false,
    message = ('file.remove: path: "%s" names no file in a folder, and is not removed'):format(path) }
end

local function operation_of(config, stat)
  if config.recursive then return "remove" end
  return stat.type == "directory" and "rmdir" or "unlink"
end

return flow.type {
  name = "file.remove",
  errors = { "file_error" },
  doc = [[Removes a file, a link (not what it leads to) or an empty folder; with recursive = true also a
folder with all that is in it, through which no link is followed. Where nothing is there it is
done already, unless missing = "fail". Outputs { path, removed }.]],
  config = flow.schema {
    path = "string", recursive = { type = "boolean", default = false },
    missing = { enum = { "ok", "fail" }, default = "ok" },
  },
  output = { path = "string", removed = "boolean" },
  positional = "path",
  examples = { [[flow.file.remove { "out/report.json" }]], [[flow.file.remove { path = "build", recursive = true }]] },
  run = function(_, config)
    local path = config.path
    refuse_bare(path)
    local err, stat = requests.fs("lstat", path)
    if not err then err = requests.fs(operation_of(config, stat), path) end
    if config.missing == "ok" and requests.is_absent(err) then return { path = path, removed = false } end
    requests.must("remove", path, err)
    return { path = path, removed = true }
  end,
}
