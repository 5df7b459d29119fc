--- Where a Redis server is and who connects: by a URL, by fields, or by both.
local errors = require "orrery.errors"
local unescape = require("orrery.text").unescape

local settings = {}

---@class orrery.redis.Given docs/bus.md says what they are
---@field url string|nil redis://USER:PASSWORD@HOST:PORT/DATABASE, unix:///PATH?db=DATABASE
---@field host string|nil a name, an address, or the path of a socket
---@field port integer|nil
---@field database integer|nil
---@field user string|nil
---@field password string|nil
---@field connect_timeout number|nil seconds
---@field max_time number|nil seconds
---@field max_size integer|nil bytes
---@field keep number|nil seconds

---@class orrery.redis.Settings
---@field host string|nil a name or an address
---@field path string|nil of a socket, in place of host and port
---@field port integer
---@field database integer
---@field user string|nil
---@field password string|nil
---@field connect_timeout number seconds until it is ready
---@field max_time number seconds that an answer may take
---@field max_size integer bytes that a reply may have
---@field keep number seconds that a connection is kept which nobody uses
---@field shown string where it is, without user and password, for messages

local function wrong(message, ...)
  errors.error { code = "config_error", retryable = false, message = "redis: " .. message:format(...) }
end

local NO_TLS = "rediss:// is not spoken: hiredis, as Debian 12 has it, knows no TLS. Run a tunnel beside it, "
  .. "such as stunnel or ssh -L, and give redis://127.0.0.1:PORT, or the path of a socket"
local EXPECTED = 'url: expected "redis://USER:PASSWORD@HOST:PORT/DATABASE" or "unix:///PATH?db=DATABASE"'

local function read_database(text, into)
  if text == nil or text == "" then return end
  into.database = math.tointeger(tonumber(text:match "^%d+$"))
  if not into.database then wrong "url: the database behind the host is a number, such as /0" end
end

local function read_who(text, into)
  local user, password = text:match "^([^:]*):(.*)$"
  user = user or text
  if user ~= "" then into.user = unescape(user) end
  if password and password ~= "" then into.password = unescape(password) end
end

-- The text of a URL is not told, for its password may stand in it.
local function read_url(text, into)
  if text:find "^rediss:" then wrong(NO_TLS) end
  local path, query = text:match "^unix://(/[^?#]*)%??([^#]*)$"
  if path then
    into.host = unescape(path)
    if query ~= "" and not query:find "^db=" then wrong(EXPECTED) end
    return read_database(query:match "^db=(.*)$", into)
  end
  local authority, rest = text:match "^redis://([^/?#]*)/?([^?#]*)$"
  if not authority then wrong(EXPECTED) end
  local who, where = authority:match "^(.*)@([^@]*)$"
  if who then read_who(who, into) end
  where = where or authority
  local host, port = where:match "^%[([%x:.]+)%]:?(%d*)$"
  if not host then host, port = where:match "^([^:]*):?(%d*)$" end
  if not host then wrong(EXPECTED) end
  if host ~= "" then into.host = unescape(host) end
  into.port = tonumber(port)
  read_database(rest, into)
end

local FIELDS = { "host", "port", "database", "user", "password" }

--- Reads them. Raises `config_error`, never with the password.
---@param from orrery.redis.Given
---@return orrery.redis.Settings
function settings.read(from)
  local into = {}
  if from.url then read_url(from.url, into) end
  for _, name in ipairs(FIELDS) do
    if from[name] ~= nil then into[name] = from[name] end
  end
  local host, port = into.host or "127.0.0.1", into.port or 6379
  local is_path = host:find "^/" ~= nil
  if host:find(is_path and "%c" or "[%c%s]") then
    wrong("host: %s is no name of a host", errors.show(host))
  end
  if port < 1 or port > 65535 then wrong("port: expected 1 to 65535, got %d", port) end
  local shown = is_path and host or (host:find ":" and "[%s]:%d" or "%s:%d"):format(host, port)
  local database = into.database or 0
  return { host = not is_path and host or nil, path = is_path and host or nil, port = port,
    database = database, user = into.user, password = into.password,
    connect_timeout = from.connect_timeout or 10, max_time = from.max_time or 30,
    max_size = from.max_size or 64 * 1024 * 1024, keep = from.keep or 30,
    shown = database > 0 and ("%s/%d"):format(shown, database) or shown }
end

return settings
