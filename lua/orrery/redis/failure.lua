--- Errors of Redis as errors of nodes: tables, for they are made in callbacks, too.
local failure = {}

-- The first words of the server's errors.
local DENIED = { DENIED = true, NOAUTH = true, WRONGPASS = true, NOPERM = true }
local BUSY = { LOADING = true, BUSY = true, TRYAGAIN = true, MASTERDOWN = true, CLUSTERDOWN = true,
  READONLY = true, OOM = true, NOREPLICAS = true, MISCONF = true }
local HELP = {
  MOVED = "; the server is one of a cluster, give the one that has this key",
  NOAUTH = "; give password, a secret",
  DENIED = "; the server wants a password, or another address than one from outside",
}

local function make(settings, code, retryable, message, details)
  return { code = code, retryable = retryable, message = ("%s: %s"):format(settings.shown, message),
    details = details }
end

--- What a connection has failed with: refused, lost, or too late.
---@param settings orrery.redis.Settings
---@param message string
---@return table error
function failure.connection(settings, message) return make(settings, "redis_connection", true, message) end

--- An answer has not come in time.
---@param settings orrery.redis.Settings
---@param seconds number
---@return table error
function failure.timeout(settings, seconds)
  return make(settings, "redis_timeout", true, ("it does not answer within %g s, max_time"):format(seconds))
end

--- What a reply was that is none, or has no end.
---@param settings orrery.redis.Settings
---@param message string
---@param too_large boolean
---@return table error
function failure.reply(settings, message, too_large)
  if too_large then
    return make(settings, "redis_too_large", false, message .. "; raise max_size, or ask for less")
  end
  return make(settings, "redis_connection", true, "what it says is no reply of Redis: " .. message)
end

--- There is no hiredis.
---@param settings orrery.redis.Settings
---@param message string
---@return table error
function failure.unavailable(settings, message) return make(settings, "redis_unavailable", false, message) end

--- What a server has answered in place of a value.
---@param settings orrery.redis.Settings
---@param text string such as "WRONGTYPE Operation against a key …"
---@return table error
function failure.answer(settings, text)
  local word = text:match "^%-?(%u+)" or ""
  local message, details = text .. (HELP[word] or ""), { error = word }
  if BUSY[word] then return make(settings, "redis_busy", true, message, details) end
  if DENIED[word] then return make(settings, "redis_denied", false, message, details) end
  return make(settings, "redis_error", false, message, details)
end

return failure
