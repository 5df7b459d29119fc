--- The gate that stands before all routing: is the request what it says, who is it, may they.
---
--- Nothing here reads the network or the disk but through what it is given, so that its rules are
--- tested as a table.
local problem = require "orrery.serve.problem"

local gate = {}

--- What a token may, each more than the one before it.
gate.SCOPES = { "read", "run", "operate", "admin" }

local RANK = {}
for i, name in ipairs(gate.SCOPES) do RANK[name] = i end

--- Whether a scope has all that another one has.
---@param scope string
---@param needed string
---@return boolean
function gate.covers(scope, needed) return (RANK[scope] or 0) >= (RANK[needed] or math.huge) end

---@class orrery.serve.Who
---@field name string
---@field scope string
---@field workflows string[]|nil nil: all
---@field via "token"|"session"|"header"
---@field id string|nil of the token or session

---@class orrery.serve.Gate
---@field find fun(text: string, kind: "token"|"session"): table|nil, string|nil the row of a token, or why there is none
---@field hosts table<string, true> names by which the server may be called, beside addresses and localhost
---@field user_header string|nil in lower case
---@field user_scope string
local Gate = {}
Gate.__index = Gate

--- Makes a gate.
---@param options { find: function, hosts: string[]?, user_header: string?, user_scope: string? }
---@return orrery.serve.Gate
function gate.new(options)
  local hosts = {}
  for _, name in ipairs(options.hosts or {}) do hosts[name:lower()] = true end
  return setmetatable({ find = options.find, hosts = hosts, user_scope = options.user_scope or "operate",
    user_header = options.user_header and options.user_header:lower() }, Gate)
end

-- ---- is it what it says -------------------------------------------------------------------------

-- The name in `name:port`, without the brackets of IPv6.
local function name_of(authority)
  local inner = authority:match "^%[([%x:.]+)%]:?%d*$"
  return inner or authority:match "^([^:]*):?%d*$"
end

local function is_address(name)
  return name:find "^%d+%.%d+%.%d+%.%d+$" ~= nil or name:find(":", 1, true) ~= nil and not name:find "[^%x:.]"
end

-- A page elsewhere can have its own name lead to this machine, but then it calls the server by that
-- name: only names that are known are answered. An address is no name that anybody could point
-- here. No page can reach a unix socket, and a proxy before it has checked the name.
local function check_host(self, request)
  local host = request.headers.host
  if not host or host:find "[%s/@\\]" or host:find(",", 1, true) then
    problem.raise("bad_request", "the request needs one header Host")
  end
  local name = (name_of(host) or ""):lower():gsub("%.$", "")
  if request.peer == "unix" or name == "localhost" or is_address(name) or self.hosts[name] then return end
  problem.raise("wrong_host", ("this server does not answer to the name '%s'; --host NAME lets it"):format(
    name:sub(1, 100)))
end

local SAFE = { GET = true, HEAD = true }
local OWN_SITE = { ["same-origin"] = true, none = true }

-- What a page of another origin has the browser send. Following a link to here is allowed.
local function check_origin(request)
  local headers = request.headers
  local origin, site = headers.origin, headers["sec-fetch-site"]
  if origin and origin:lower():match "^https?://(.*)$" ~= (headers.host or ""):lower() then
    problem.raise("forged_request", "the request comes from a page of another origin")
  end
  if not site or OWN_SITE[site] then return end
  if SAFE[request.method] and headers["sec-fetch-mode"] == "navigate"
    and (headers["sec-fetch-dest"] or "document") == "document" then return end
  problem.raise("forged_request", "the browser says that a page of another site has made it send this")
end

--- Raises `bad_request`, `wrong_host` or `forged_request` where the request is none that this
--- server should see.
---@param request table
function Gate:check(request)
  check_host(self, request)
  check_origin(request)
end

-- ---- who is it ----------------------------------------------------------------------------------

local function unauthorized(message) problem.raise("unauthorized", message) end

local function who_of(row, via)
  return { name = row.name, scope = row.scope, workflows = row.workflows, via = via, id = row.id }
end

--- The name of the cookie of a session: browsers do not keep those of two ports apart.
---@param request table
---@return string
function gate.cookie(request)
  local port = (request.headers.host or ""):match ":(%d+)$"
  return "orrery_session" .. (port and "_" .. port or "")
end

--- The text of the session that a request has in its cookie, or nil.
---@param request table
---@return string|nil
function gate.session(request)
  local wanted = gate.cookie(request)
  for name, value in (request.headers.cookie or ""):gmatch "([^=;,%s]+)=([^;,%s]*)" do
    if name == wanted then return value end
  end
end

local function is_near(peer)
  return peer == "unix" or peer:find "^127%." ~= nil or peer:find "^%[::1%]:" ~= nil
end

local function by_header(self, request)
  local user = self.user_header and is_near(request.peer) and request.headers[self.user_header]
  if not user or user == "" then return nil end
  if #user > 200 or user:find "[%c,]" then problem.raise("bad_request",
    "the user's name in the header is none") end
  return { name = user, scope = self.user_scope, via = "header" }
end

--- Who asks. Raises `unauthorized`.
---@param request table
---@return orrery.serve.Who
function Gate:identify(request)
  local header = request.headers.authorization
  if header then
    local text = header:match "^[Bb][Ee][Aa][Rr][Ee][Rr] +(%S+)$"
    if not text then unauthorized "the header Authorization is to be: Bearer TOKEN" end
    local row, why = self.find(text, "token")
    return row and who_of(row, "token") or unauthorized(why)
  end
  local user = by_header(self, request)
  if user then return user end
  local text = gate.session(request)
  if not text then
    unauthorized "who asks? Send the header Authorization: Bearer TOKEN; `orrery token create` makes one"
  end
  local row, why = self.find(text, "session")
  return row and who_of(row, "session") or unauthorized(why)
end

-- ---- may they -----------------------------------------------------------------------------------

--- Raises `forbidden` where the scope of who asks is too small for a route, or the route concerns
--- more than the workflows that they are bound to.
---@param who orrery.serve.Who
---@param row orrery.serve.Route
function Gate.authorize(_, who, row)
  if not gate.covers(who.scope, row.scope) then
    problem.raise("forbidden", ("this needs the scope '%s', and '%s' has '%s'"):format(row.scope, who.name,
      who.scope))
  end
  if who.workflows and not row.of then
    problem.raise("forbidden", ("this concerns all workflows, and '%s' is bound to some"):format(who.name))
  end
end

-- ---- what every answer says ---------------------------------------------------------------------

local HEADERS = {
  ["content-security-policy"] = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' "
    .. "data:; "
    .. "connect-src 'self'; font-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; "
    .. "frame-ancestors 'none'",
  ["x-content-type-options"] = "nosniff",
  ["x-frame-options"] = "DENY",
  ["referrer-policy"] = "no-referrer",
  ["cross-origin-opener-policy"] = "same-origin",
  ["cross-origin-resource-policy"] = "same-origin",
  ["permissions-policy"] = "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
  ["cache-control"] = "no-store",
}

--- The headers that every answer has; a new table.
---@param request table
---@return table<string, string>
function gate.headers(request)
  local made = {}
  for name, value in pairs(HEADERS) do made[name] = value end
  if request.tls then made["strict-transport-security"] = "max-age=31536000" end
  return made
end

return gate
