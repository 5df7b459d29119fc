--- Where a server listens: what the command line says, what systemd hands over, and whether that
--- may be.
local listen = {}

listen.DEFAULT = "127.0.0.1:7750"

---@class orrery.serve.Address
---@field host string|nil
---@field port integer|nil
---@field unix string|nil
---@field fd integer|nil

local function port_of(text)
  local port = math.tointeger(tonumber(text))
  return port and port >= 0 and port <= 65535 and port or nil
end

local HELP = "write HOST:PORT, [ADDRESS]:PORT or unix:PATH"

--- Reads an address.
---@param text string
---@return orrery.serve.Address|nil
---@return string|nil message a sentence
function listen.read(text)
  local path = text:match "^unix:(.+)$"
  if path then
    if #path > 100 then return nil, ("'%s' is too long for the path of a socket"):format(text) end
    return { unix = path }
  end
  local host, digits = text:match "^%[([%x:.]+)%]:(%d+)$"
  if not host then host, digits = text:match "^([^:%[%]]+):(%d+)$" end
  local port = port_of(digits)
  if not host or not port then return nil, ("'%s' is no address to listen at: %s"):format(text, HELP) end
  if host == "localhost" then host = "127.0.0.1" end
  return { host = host, port = port }
end

--- Whether only this machine reaches the address.
---@param address orrery.serve.Address
---@return boolean
function listen.is_loopback(address)
  local host = address.host
  return address.unix ~= nil or host ~= nil and (host:find "^127%.%d+%.%d+%.%d+$" ~= nil or host == "::1")
end

local FIRST = 3 -- the descriptor that systemd begins with

--- The sockets that systemd hands over to this process; taken out of the environment, so that no
--- child believes they are its own.
---@param env { get: fun(name: string): string|nil, unset: fun(name: string), pid: integer }
---@return orrery.serve.Address[]
function listen.activated(env)
  local list = {}
  local n = math.tointeger(tonumber(env.get "LISTEN_FDS"))
  if n and n > 0 and tonumber(env.get "LISTEN_PID") == env.pid then
    for i = 0, n - 1 do list[#list + 1] = { fd = FIRST + i } end
  end
  for _, name in ipairs { "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES" } do env.unset(name) end
  return list
end

--- Why these addresses may not be listened at; nil where they may.
---@param addresses orrery.serve.Address[]
---@param guarded boolean whether there is a token, or TLS
---@return string|nil message a sentence
function listen.refusal(addresses, guarded)
  if guarded then return nil end
  for _, address in ipairs(addresses) do
    if not address.fd and not listen.is_loopback(address) then
      return ("%s can be reached from elsewhere, and nothing keeps strangers out: make a token first, "
        .. "`orrery "
        .. "token create --scope admin`, or give --tls CERT KEY; or listen at 127.0.0.1"):format(address.host)
    end
  end
end

--- The addresses that a server says it listens at, as addresses.
---@param urls string[] "http://127.0.0.1:43521", "unix:/path"
---@return orrery.serve.Address[]
function listen.of_urls(urls)
  local list = {}
  for _, url in ipairs(urls) do
    list[#list + 1] = listen.read((url:gsub("^https?://", "")):gsub("/$", ""), nil) or { host = url }
  end
  return list
end

return listen
