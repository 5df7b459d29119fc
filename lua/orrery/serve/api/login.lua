--- Logging in to the page: by the link that is printed at the start, or by a token. Either gives a
--- session, whose text only the browser's cookie has.
local gate = require "orrery.serve.gate"
local problem = require "orrery.serve.problem"
local tokens = require "orrery.serve.tokens"
local unescape = require("orrery.text").unescape

local login = {}

local WEEK = 7 * 86400

local PAGE = [[
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Log in to Orrery</title>
<h1>Orrery</h1>
<form method="post" action="/login">
<p><label>Token <input name="token" type="password" autocomplete="current-password" required autofocus></label>
<button>Log in</button></p>
</form>
<p>%s</p>
</html>
]]

local HINT = "The server prints a link that logs in once; <code>orrery token create --scope admin</code> "
  .. "makes a token."

local function page(text, status) return PAGE:format(text), { status = status } end

--- The form that asks for a token.
---@return string html
function login.form() return page(HINT) end

local function cookie(call, text, seconds)
  return ("%s=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=%d%s"):format(gate.cookie(call.request), text,
    seconds,
    call.request.tls and "; Secure" or "")
end

-- Begins a session and sends the browser to the page.
local function enter(call, who)
  local store, now = call.host.store, require("orrery.core").time()
  store:perform("sessions_prune", { now = now })
  local ends = math.min(who.expires or math.huge, now + WEEK)
  local text, row = tokens.create(store, { kind = "session", scope = who.scope, name = who.name,
    workflows = who.workflows, parent = who.id, expires = ends })
  call.who = { name = who.name, scope = who.scope, via = "session", id = row.id }
  call.host:record(call, { action = "login", target = row.id, status = 303 })
  return "", { status = 303, headers = { location = "/", ["set-cookie"] = cookie(call, text,
    (ends - now) // 1 | 0) } }
end

--- By the one-time link; without its code a form asks for a token.
function login.page(call)
  local code = call.query.code
  if not code then return page(HINT) end
  if not call.host:take_code(code) then
    return page("This link was used before, or is another server's. " .. HINT, 401)
  end
  return enter(call, { name = "link", scope = "admin" })
end

local function field(body, name)
  local value = ("&" .. body):match("&" .. name .. "=([^&]*)")
  return value and unescape(value)
end

function login.enter(call)
  local row = tokens.find(call.host.store, field(call.body, "token") or "", "token")
  if not row then return page("There is no such token, or it was revoked or has expired. " .. HINT, 401) end
  return enter(call, row)
end

function login.leave(call)
  if call.who.via ~= "session" then problem.raise("bad_request", "only a session can be left") end
  tokens.revoke(call.host.store, call.who.id)
  call.target = call.who.id
  return "", { status = 303, headers = { location = "/login", ["set-cookie"] = cookie(call, "", 0) } }
end

return login
