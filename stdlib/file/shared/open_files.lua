--- Open files: read and written in pieces, without a thread that waits for a FIFO or a terminal.
local flow = require "orrery"
local requests = require "orrery.stdlib.file.shared.requests"
local uv = require "luv"

local fs, must, request = requests.fs, requests.must, requests.request
local O = uv.constants
local CHUNK = 1024 * 1024

---@class stdlib.file.Open an open file
---@field fd integer
---@field path string for errors
---@field stat table|nil what it is, as flow.fs says
---@field poll table|nil tells when it can be read or written, where a thread could wait for ever
---@field request table|nil the request that is under way
local Open = {}
Open.__index = Open

local open_files = { CHUNK = CHUNK }

-- Closes without a wait, because it must also happen when the handler is being cancelled: once a
-- request that does not come back is over.
function Open:__close()
  if self.poll and not self.poll:is_closing() then self.poll:close() end
  if self.request then self.request:close_after(self.fd)
  else flow.fs("close", self.fd) end
end

local MEMORY = 1 -- the major number on Linux of /dev/null, /dev/zero, /dev/full, …

-- What epoll refuses. A handle of luv's that cannot be made for it would leak.
local function always_ready(fd, stat)
  local kind = stat.type
  if kind ~= "char" then return kind == "file" or kind == "directory" or kind == "block" end
  local device = uv.fs_fstat(fd)
  return device ~= nil and device.rdev >> 8 & 0xfff == MEMORY
end

--- Opens a file. *Waits.*
-- O_NONBLOCK: neither this nor a read or write of a FIFO or a terminal waits in a thread, where
-- nothing could cancel it. Regular files do not care.
---@param what string for the error, "read"
---@param path string
---@param flags integer
---@param mode? integer of a file that is made; 0644 less the umask
---@return stdlib.file.Open file to be closed
function open_files.open(what, path, flags, mode)
  local err, fd = fs("open", path, flags | O.O_NONBLOCK | O.O_NOCTTY, mode or 420)
  if err and err:find "^ENXIO" then err = "ENXIO: nobody reads it, or there is no such device" end
  local file = setmetatable({ fd = must(what, path, err, fd), path = path }, Open)
  local ok, stat_err, stat = pcall(fs, "fstat", fd)
  if not ok then
    file:__close()
    error(stat_err, 0)
  end
  file.stat = stat
  if stat and not always_ready(fd, stat) then file.poll = uv.new_poll(fd) end -- nil where that cannot be
  return file
end

-- Waits until the file is ready for `events`, and does the operation; until then again.
local function when_ready(file, events, name, ...)
  while true do
    local err = flow.await(function(resume)
      file.poll:start(events, function(failure)
        file.poll:stop()
        resume(failure)
      end)
      return function() file.poll:stop() end
    end)
    if err then return err end
    local result, message, code = uv["fs_" .. name](file.fd, ...)
    if result then return nil, result end
    if code ~= "EAGAIN" then return message end
  end
end

--- A request about the file that must succeed: "fsync", "fstat", "fchmod", … *Waits.*
---@param what string
---@param path string for the error
---@param name string of an operation of flow.fs that takes a descriptor
---@return any result
function Open:perform(what, path, name, ...)
  return must(what, path, request(self, name, self.fd, ...))
end

--- Lets the system copy from another open file to where this one stands. *Waits.*
---@param what string
---@param from stdlib.file.Open
---@param at integer where to begin
---@param bytes integer at most
---@return integer bytes that were copied; 0 at the end
function Open:take(what, from, at, bytes)
  local both = setmetatable({}, { __newindex = function(_, key, handle) -- neither may be closed meanwhile
    self[key], from[key] = handle, handle
  end })
  return must(what, from.path, request(both, "sendfile", self.fd, from.fd, at, bytes))
end

--- The next bytes; "" at the end. *Waits.*
---@return string
function Open:read()
  if self.poll then return must("read", self.path, when_ready(self, "r", "read", CHUNK, -1)) end
  return must("read", self.path, request(self, "read", self.fd, CHUNK, -1))
end

--- Writes all of it. *Waits.*
---@param data string
function Open:write(data)
  local at = 1
  while at <= #data do
    local part = data:sub(at, at + CHUNK - 1)
    local err, written
    if self.poll then err, written = when_ready(self, "w", "write", part, -1)
    else err, written = request(self, "write", self.fd, part, -1) end
    at = at + must("write", self.path, err, written)
  end
end

local NAMES = { fifo = "a FIFO", socket = "a socket", char = "a device", block = "a device",
  directory = "a folder", link = "a link" }

--- Raises `file_error` for what is no file.
---@param what string
---@param path string
---@param kind string as flow.fs says
function open_files.refuse_special(what, path, kind)
  flow.error { code = "file_error", retryable = false, details = { path = path },
    message = ("cannot %s %s: it is %s, and no file"):format(what, path, NAMES[kind] or "of type " .. kind) }
end

--- Raises `file_error` where an open file is a folder, a FIFO or a device.
---@param what string
---@param file stdlib.file.Open
function open_files.must_be_regular(what, file)
  local kind = file.stat and file.stat.type or "unknown"
  if kind ~= "file" then open_files.refuse_special(what, file.path, kind) end
end

--- What this process has open already; closing the result leaves it open.
---@param path string for errors
---@param fd integer
---@return table file
function open_files.standing(path, fd) return setmetatable({ fd = fd, path = path }, { __index = Open }) end

return open_files
