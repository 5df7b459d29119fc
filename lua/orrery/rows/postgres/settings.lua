--- Where a PostgreSQL server is and who connects: by a URL, by fields, or by both.
local errors = require "orrery.errors"
local unescape = require("orrery.text").unescape

local settings = {}

---@class orrery.rows.postgres.Given texts, but for the last three; docs/postgres.md says what they are
---@field url string|nil
---@field host string|nil
---@field port string|integer|nil
---@field database string|nil
---@field user string|nil
---@field password string|nil
---@field sslmode string|nil also sslrootcert, sslcert, sslkey, options, application_name, target_session_attrs
---@field connect_timeout number|nil seconds
---@field keep number|nil seconds
---@field connections integer|nil

---@class orrery.rows.postgres.Settings
---@field hosts {host: string, port: string|nil}[] names, addresses, or folders of sockets
---@field parameters table<string, string> of libpq, but for hosts and ports
---@field connect_timeout number seconds
---@field connections integer how many may be open at once
---@field keep number seconds that one is kept which nobody uses; 0: it is not
---@field shown string where it is, without user and password, for messages

-- Fields, and libpq's words for them (its manual, "Parameter Key Words"). What makes libpq look a
-- name up or read one in a file (service, gssencmode) is not among them.
local WORDS = {
  user = "user", password = "password", database = "dbname", dbname = "dbname", sslmode = "sslmode",
  sslrootcert = "sslrootcert", sslcert = "sslcert", sslkey = "sslkey", options = "options",
  application_name = "application_name", target_session_attrs = "target_session_attrs",
}

local SOCKETS = "/var/run/postgresql" -- where Debian's server has its socket

local function wrong(message, ...)
  errors.error { code = "config_error", retryable = false, message = "postgres: " .. message:format(...) }
end

-- "a:1,[::1]:2" as a list. A URL's text is not told, for its password may stand in it.
local function read_hosts(text, hosts)
  for part in (text .. ","):gmatch "([^,]*)," do
    local host, port = part:match "^%[([%x:.]+)%]:?(%d*)$"
    if not host then host, port = part:match "^([^:]*):?(%d*)$" end
    if not host then
      wrong 'url: expected HOST, HOST:PORT or several, "a:5432,b:5432", before the database'
    end
    hosts[#hosts + 1] = { host = unescape(host), port = port ~= "" and port or nil }
  end
end

local function read_query(text, all)
  for part in text:gmatch "[^&]+" do
    local name, value = part:match "^([^=]*)=(.*)$"
    if not WORDS[name] and name ~= "connect_timeout" then
      local names = {}
      for word in pairs(WORDS) do names[#names + 1] = word end
      wrong("url: %s is no setting%s", errors.show(name or part), errors.suggest(name, names))
    end
    all[WORDS[name] or name] = unescape(value)
  end
end

-- postgres://user:password@host:port,host:port/database?sslmode=…
local function read_url(text, all)
  local rest = text:match "^postgres://(.*)$" or text:match "^postgresql://(.*)$"
  if not rest then wrong 'url: expected "postgres://USER@HOST:PORT/DATABASE"' end
  local authority, path, query = rest:match "^([^/?#]*)([^?#]*)%??([^#]*)"
  local who, where = authority:match "^(.*)@([^@]*)$"
  if who then
    local user, password = who:match "^([^:]*):?(.*)$"
    if user ~= "" then all.user = unescape(user) end
    if password ~= "" then all.password = unescape(password) end
  end
  if (where or authority) ~= "" then read_hosts(where or authority, all.hosts) end
  if #path > 1 then all.dbname = unescape(path:sub(2)) end
  read_query(query, all)
end

-- Hosts of the field, "a" or "a,b", with the port or ports of the other.
local function hosts_of(host, port)
  local hosts, ports = {}, {}
  for one in (tostring(port or "") .. ","):gmatch "([^,]*)," do ports[#ports + 1] = one end
  for one in (host .. ","):gmatch "([^,]*)," do
    local its = ports[#hosts + 1] or ports[1]
    hosts[#hosts + 1] = { host = one, port = its ~= "" and its or nil }
  end
  return hosts
end

local function shown(all)
  local names = {}
  for i, at in ipairs(all.hosts) do names[i] = at.port and at.host .. ":" .. at.port or at.host end
  return table.concat(names, ",") .. (all.dbname and "/" .. all.dbname or "")
end

local function place(from)
  local all = { hosts = {} }
  if from.url then read_url(from.url, all) end
  if from.host then all.hosts = hosts_of(from.host, from.port) end
  if #all.hosts == 0 then all.hosts = hosts_of(os.getenv "PGHOST" or SOCKETS, from.port) end
  for _, at in ipairs(all.hosts) do
    if at.host == "" then at.host = SOCKETS end
    if at.host:find "[%c%s]" then wrong("host: %s is no name of a host", errors.show(at.host)) end
  end
  return all
end

--- What settings lead to: hosts, and paths of sockets and certificates.
---@param from orrery.rows.postgres.Given
---@return string[] hosts
---@return string[] paths
function settings.reach(from)
  local all, hosts, paths = place(from), {}, {}
  for _, at in ipairs(all.hosts) do
    local list = at.host:find "^/" and paths or hosts
    list[#list + 1] = at.host
  end
  for _, name in ipairs { "sslrootcert", "sslcert", "sslkey" } do
    paths[#paths + 1] = from[name] or all[name]
  end
  return hosts, paths
end

--- Reads them. What is not given there comes from the environment, as with psql: PGHOST, PGPORT,
--- PGUSER, PGPASSWORD, PGDATABASE, PGSSLMODE, and ~/.pgpass.
--- Raises `config_error`, never with the password.
---@param from orrery.rows.postgres.Given
---@return orrery.rows.postgres.Settings
function settings.read(from)
  local all = place(from)
  -- of a connection over which nothing comes, whether its server is there is asked after 30 s
  local parameters = { client_encoding = "UTF8", gssencmode = "disable",
    fallback_application_name = "orrery", keepalives_idle = "30", keepalives_interval = "10",
    keepalives_count = "3" }
  for name, word in pairs(WORDS) do
    if from[name] ~= nil then all[word] = tostring(from[name]) end
  end
  for _, word in pairs(WORDS) do
    local value = all[word]
    if value and value:find("\0", 1, true) then wrong("%s has a NUL byte", word) end
    parameters[word] = value
  end
  return { hosts = all.hosts, parameters = parameters, shown = shown(all),
    connect_timeout = from.connect_timeout or tonumber(all.connect_timeout) or 10,
    connections = from.connections or 10, keep = from.keep or 30 }
end

return settings
