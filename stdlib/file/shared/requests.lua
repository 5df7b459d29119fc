--- Requests to the file system that a handler waits for, and their failures.
local flow = require "orrery"

local requests = {}

-- One request to the file system, in a thread that nobody else waits for. A wait that is cancelled
-- stays until the callback has come, because the request is in use until then, but nothing else
-- waits for that: it may never come. A file that was opened nevertheless is closed here, since
-- nobody else will.
---@param owner table remembers the handle of the request that is under way, as `request`
---@param name string
---@return string|nil err a text like luv's
---@return any result
function requests.request(owner, name, ...)
  local args = table.pack(...)
  return flow.await(function(resume)
    local cancelled = false
    args[args.n + 1] = function(err, result)
      owner.request = nil
      local taken = resume(err, result) and not cancelled
      if not taken and name == "open" and result then flow.fs("close", result) end
    end
    local handle = flow.fs(name, table.unpack(args, 1, args.n + 1))
    owner.request = handle
    return function()
      cancelled = true
      handle:cancel()
      handle:unref()
      return true
    end
  end)
end

--- A request that nothing else waits for. *Waits.*
---@param name string of an operation of flow.fs
---@return string|nil err
---@return any result
function requests.fs(name, ...) return requests.request({}, name, ...) end

--- Raises `file_error`.
---@param what string what could not be done, "read"
---@param path string
---@param message string "ENOENT: no such file or directory: notes.txt", of which the middle is said, or the reason
function requests.fail(what, path, message)
  local errno, words = tostring(message):match "^(%u%w+): ([^:]*)"
  flow.error {
    code = "file_error", message = ("cannot %s %s: %s"):format(what, path, words or tostring(message)),
    details = { path = path, errno = errno },
  }
end

--- What comes after `err`, which is raised where there is one.
---@param what string
---@param path string
---@param err string|nil
---@return any ...
function requests.must(what, path, err, ...)
  if err then requests.fail(what, path, err) end
  return ...
end

--- A request that must succeed. *Waits.*
---@param what string
---@param path string for the error
---@param name string of an operation of flow.fs
---@return any result
function requests.perform(what, path, name, ...)
  return requests.must(what, path, requests.fs(name, ...))
end

--- Whether an error of a request says that nothing is there.
---@param err string|nil
---@return boolean
function requests.is_absent(err)
  return err ~= nil and (err:find "^ENOENT" or err:find "^ENOTDIR") ~= nil
end

return requests
