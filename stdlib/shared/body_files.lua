--- Files that bodies come from and go to.
local flow = require "orrery"
local uv = require "luv"

local body_files = {}

local O = uv.constants

-- One request to the file system. A wait that is cancelled stays until the callback has come; what
-- was opened nevertheless is closed here, since nobody else will.
local function fs(name, ...)
  local args = table.pack(...)
  return flow.await(function(resume)
    local cancelled = false
    args[args.n + 1] = function(err, result)
      local taken = resume(err, result) and not cancelled
      if not taken and name == "open" and result then flow.fs("close", result) end
    end
    local handle = flow.fs(name, table.unpack(args, 1, args.n + 1))
    return function()
      cancelled = true
      handle:unref()
      return true
    end
  end)
end

local function fail(what, path, message)
  local errno, words = tostring(message):match "^(%u+): ([^:]*)"
  flow.error { code = "file_error", message = ("cannot %s %s: %s"):format(what, path, words
    or tostring(message)),
    details = { path = path, errno = errno } }
end

local function must(what, path, err, ...)
  if err then fail(what, path, err) end
  return ...
end

local closing = { __close = function(file) flow.fs("close", file.fd) end }

--- Opens a regular file to be sent.
---@param path string
---@return {fd: integer, size: integer, name: string} source to be closed
function body_files.source(path)
  local fd = must("open", path, fs("open", path, O.O_RDONLY | O.O_NONBLOCK | O.O_NOCTTY, 0))
  local file = setmetatable({ fd = fd, name = path:match "[^/]*$" }, closing)
  local ok, stat = pcall(function() return must("read", path, fs("fstat", fd)) end)
  if not ok or stat.type ~= "file" then
    flow.fs("close", fd)
    if not ok then error(stat, 0) end
    fail("send", path, "EINVAL: it is no regular file")
  end
  file.size = stat.size
  return file
end

local made = 0 -- temporary files

local function beside(path)
  made = made + 1
  return ("%s.%d-%d.tmp"):format(path, uv.os_getpid(), made)
end

---@class stdlib.body.Target a file that a body is written to, under another name until it is whole
local Target = {}
Target.__index = Target

function Target:__close()
  -- what is given up may not wait
  if not self.kept and not pcall(fs, "unlink", self.temporary) then flow.fs("unlink", self.temporary) end
  flow.fs("close", self.fd)
end

--- Flushes the body and gives it its name.
function Target:keep()
  must("flush", self.path, fs("fsync", self.fd))
  if self.mode then must("write", self.path, fs("fchmod", self.fd, self.mode)) end
  must("write", self.path, fs("rename", self.temporary, self.path))
  self.kept = true
end

--- Makes the file beside the one that it is to replace. A symbolic link keeps pointing where it
--- did,
--- and the file keeps its mode.
---@param path string
---@return stdlib.body.Target target to be closed
function body_files.target(path)
  local err, real = fs("realpath", path)
  local target = err and path or real
  local stat_err, stat = fs("stat", target)
  if not stat_err and stat.type ~= "file" then fail("write", path, "EINVAL: it is no regular file") end
  local temporary = beside(target)
  local mode = not stat_err and stat.mode & 4095 or nil -- 07777
  local fd = must("write", path, fs("open", temporary, O.O_WRONLY | O.O_CREAT | O.O_EXCL, mode
    or 420)) -- 0644
  return setmetatable({ fd = fd, path = target, temporary = temporary, mode = mode }, Target)
end

return body_files
