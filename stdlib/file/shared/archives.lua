--- Waits for an archive to be written or extracted.
local flow = require "orrery"

local NOT_AGAIN = { archive_error = true, archive_unsafe = true, archive_too_large = true,
  archive_unavailable = true }

local archives = {}

--- Does what flow.archive does, in a thread that is cancelled with the handler. *Waits.*
---@param name string "write" or "extract"
---@param options table
---@param words string for errors, "cannot extract x.tar.gz"
---@return { bytes: integer, entries: integer, skipped: integer }
function archives.perform(name, options, words)
  local err, result = flow.await(function(resume)
    local handle = flow.archive(name, options, resume)
    return function()
      handle:cancel()
      handle:unref()
      return true
    end
  end)
  if not err then return result end
  return flow.error { code = err.code, message = ("%s: %s"):format(words, err.message),
    retryable = not NOT_AGAIN[err.code] and nil or false, details = { errno = err.errno } }
end

return archives
