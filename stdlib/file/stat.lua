--- `file.stat`: what is known of a file, a folder or a link.
local flow = require "orrery"
local requests = require "orrery.stdlib.file.shared.requests"

local function seconds(time) return time.sec + time.nsec / 1e9 end

local function link_target(path)
  local err, target = requests.fs("readlink", path)
  return not err and target or nil
end

return flow.type {
  name = "file.stat",
  errors = { "file_error" },
  doc = [[Tells of a file, a folder or a link: outputs { path, exists, type, size, modified, mode, uid, gid
}. type is "file", "directory", "link", "fifo", "socket", "char" or "block", modified is in
seconds since 1970, mode a text such as "0644". A link is followed unless follow = false, and then
target is where it leads. missing = "ok": where nothing is there, the output is { path, exists =
false }, and no failure.]],
  config = flow.schema {
    path = "string", follow = { type = "boolean", default = true },
    missing = { enum = { "fail", "ok" }, default = "fail" },
  },
  output = { path = "string", exists = "boolean", type = "string?", size = "integer?", modified = "number?",
    mode = "string?", uid = "integer?", gid = "integer?", target = "string?" },
  positional = "path",
  examples = { [[flow.file.stat { "/etc/hostname" }]],
    [[flow.file.stat { path = "${input.lock}", missing = "ok" }]] },
  run = function(_, config)
    local path = config.path
    local err, stat = requests.fs(config.follow and "stat" or "lstat", path)
    if config.missing == "ok" and requests.is_absent(err) then return { path = path, exists = false } end
    requests.must("look at", path, err)
    return { path = path, exists = true, type = stat.type, size = stat.size, modified = seconds(stat.mtime),
      mode = ("%04o"):format(stat.mode & 4095), uid = stat.uid, gid = stat.gid,
      target = stat.type == "link" and link_target(path) or nil }
  end,
}
