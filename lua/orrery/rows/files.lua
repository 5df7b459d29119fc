--- Files of streams: read piece by piece, and written beside their place until all is there.
local core = require "orrery.core"
local errors = require "orrery.errors"
local uv = require "luv"

local files = {}

local O = uv.constants
local PIECE = 64 * 1024    -- of a file that is read
local BUFFER = 256 * 1024  -- of one that is written

local function fail(what, path, message)
  local errno, words = tostring(message):match "^(%u+): ([^:]*)"
  errors.error { code = "file_error", details = { path = path, errno = errno },
    message = ("cannot %s %s: %s"):format(what, path, words or tostring(message)) }
end

-- One request in a thread. What was opened by one that is cancelled is closed.
local function request(name, ...)
  local args = table.pack(...)
  return core.await(function(resume)
    local cancelled = false
    args[args.n + 1] = function(err, result)
      local taken = resume(err, result) and not cancelled
      if not taken and name == "open" and result then core.fs("close", result) end
    end
    local handle = core.fs(name, table.unpack(args, 1, args.n + 1))
    return function()
      cancelled = true
      handle:unref()
      return true
    end
  end)
end

local function must(what, path, name, ...)
  local err, result = request(name, ...)
  if err then fail(what, path, err) end
  return result
end

-- ---- reading ------------------------------------------------------------------------------------

---@class orrery.rows.Input
---@field path string
---@field fd integer
---@field size integer bytes of the file, 0 where it is none
---@field at integer bytes that were read
local Input = {}
Input.__index = Input

--- Opens a file to be read from its beginning. Waits. Raises `file_error`.
---@param path string
---@return orrery.rows.Input
function files.input(path)
  local fd = must("open", path, "open", path, O.O_RDONLY | O.O_NOCTTY, 0)
  local input = setmetatable({ path = path, fd = fd, size = 0, at = 0 }, Input)
  local err, stat = request("fstat", fd)
  if not err and stat.type == "file" then input.size = stat.size end
  return input
end

--- The next piece, or nil at the end. Waits. Raises `file_error`.
---@return string|nil
function Input:read()
  local piece = must("read", self.path, "read", self.fd, PIECE, -1)
  self.at = self.at + #piece
  return piece ~= "" and piece or nil
end

--- Closes it, without a wait; a second time does nothing.
function Input:close()
  if self.fd then core.fs("close", self.fd) end
  self.fd = nil
end

-- ---- writing ------------------------------------------------------------------------------------

---@class orrery.rows.Output
---@field path string
---@field bytes integer
---@field beside string|nil where it is until it is committed; nil where it is no file
local Output = {}
Output.__index = Output

-- Makes the folder of a file, and those above it. What is there is no failure here: to open the
-- file says what is wrong.
local function make_folder_of(path)
  local folder = path:match "^(.+)/[^/]*$"
  if not folder then return end
  local err = request("mkdir", folder, 511) -- 0777, and the process's mask
  if not tostring(err):find "^ENOENT" then return end
  make_folder_of(folder)
  request("mkdir", folder, 511)
end

--- Opens a file that replaces the one at `path` when it is committed: until then that stays as it
--- is. Folders that are missing are made. What is no file (a device, a FIFO) is written
--- to. Waits. Raises `file_error`.
---@param path string
---@param mark string makes the name of what is not committed yet: one that is left over of an attempt that was cut off
---  is written anew by the next
---@param mode? integer of a new file; 0644
---@return orrery.rows.Output
function files.output(path, mark, mode)
  local err, target = request("realpath", path)
  if err then target = path end
  local stat_err, stat = request("stat", target)
  local output = setmetatable({ path = path, target = target, bytes = 0, parts = {}, pending = 0 }, Output)
  if not stat_err and stat.type == "directory" then fail("write", path, "EISDIR: it is a folder") end
  if not stat_err and stat.type ~= "file" then
    output.fd = must("write", path, "open", path, O.O_WRONLY | O.O_NOCTTY, 0)
    return output
  end
  mode = not stat_err and stat.mode & 4095 or mode or 420 -- 07777; 0644
  output.beside, output.mode = ("%s.%s.tmp"):format(target, mark), not stat_err and mode or nil
  if stat_err then make_folder_of(target) end
  output.fd = must("write", path, "open", output.beside, O.O_WRONLY | O.O_CREAT | O.O_TRUNC, mode)
  return output
end

--- An output to an open file that has no place: it is committed by `give`.
---@param fd integer closed with it
---@param path string for errors
---@return orrery.rows.Output
function files.unnamed(fd, path)
  return setmetatable({ path = path, bytes = 0, parts = {}, pending = 0, fd = fd }, Output)
end

--- Makes a folder that nobody else may look into, where it is not there. What is created in it
--- stands there after a power cut as well, once `keep` was called. Waits. Raises `file_error`.
---@param path string
function files.folder(path)
  local err = request("mkdir", path, 448) -- 0700
  if not err then return files.keep(path:match "^(.*)/[^/]+$" or ".") end
  if not tostring(err):find "^EEXIST" then fail("make the folder", path, err) end
end

--- Makes durable which files are in a folder. Waits. Raises `file_error`.
---@param path string
function files.keep(path)
  local fd = must("open", path, "open", path ~= "" and path or "/", O.O_RDONLY, 0)
  local err = request("fsync", fd)
  core.fs("close", fd)
  if err then fail("flush", path, err) end
end

function Output:flush()
  local text = table.concat(self.parts)
  self.parts, self.pending = {}, 0
  local at = 1
  while at <= #text do
    at = at + must("write", self.path, "write", self.fd, at == 1 and text or text:sub(at), -1)
  end
end

--- Adds text at the end. May wait. Raises `file_error`.
---@param text string
function Output:write(text)
  self.parts[#self.parts + 1] = text
  self.bytes, self.pending = self.bytes + #text, self.pending + #text
  if self.pending >= BUFFER then self:flush() end
end

--- Puts it in its place, flushed to the disk. Waits. Raises `file_error`.
function Output:commit()
  self:flush()
  if self.beside then
    if self.mode then must("write", self.path, "fchmod", self.fd, self.mode) end
    must("flush", self.path, "fsync", self.fd)
    must("write", self.path, "rename", self.beside, self.target)
    self.beside = nil
  end
  self:close()
end

--- All that was written is in the file, whose descriptor is the caller's from now on. Waits. Raises
--- `file_error`.
---@return integer fd
function Output:give()
  self:flush()
  local fd = self.fd
  self.fd = nil
  return fd
end

--- Closes it; what is not committed is removed. Never waits; a second time does nothing.
function Output:close()
  if self.fd then core.fs("close", self.fd) end
  if self.beside then core.fs("unlink", self.beside) end
  self.fd, self.beside = nil, nil
end

return files
