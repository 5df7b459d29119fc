--- Whether a delivery comes from who has the secret of a hook: by the forms of Standard Webhooks
--- (standardwebhooks.com, version 1.0.0), GitHub and Stripe, or by a token alone.
---
--- Nothing here reads a clock or the network: the time is given, so that vectors can be tested.
local core = require "orrery.core"
local signing = require "orrery.signature"

local verify = {}

--- Whether two texts are the same, in a time that says nothing of where they differ.
---@param a string
---@param b string
---@return boolean
function verify.same(a, b)
  if #a ~= #b then return false end
  local difference = 0
  for i = 1, #a do difference = difference | a:byte(i) ~ b:byte(i) end
  return difference == 0
end

local WINDOW = 300 -- seconds that a signed time may be away from now, as the libraries of these forms have it

local function is_recent(text, now)
  local time = text:find "^%d+$" and #text <= 15 and tonumber(text)
  return time and math.abs(now - time) <= WINDOW or false
end

-- Whether one of the signatures is one by one of the keys. All are looked at, so that the time says
-- nothing.
local function any_signed(keys, text, signatures)
  local found = false
  for _, key in ipairs(keys) do
    local own = signing.hmac(key, text)
    for _, signature in ipairs(signatures) do
      if verify.same(own, signature) then found = true end
    end
  end
  return found
end

local MOST = 16 -- signatures that are looked at

local function add(list, signature)
  if #list < MOST then list[#list + 1] = signature end
end

-- ---- the forms ----------------------------------------------------------------------------------

local FORM = {}

function FORM.standard(delivery, secrets, now)
  local headers = delivery.headers
  local id, time = headers["webhook-id"], headers["webhook-timestamp"]
  if not id or id == "" or not time then return nil, "it has no headers webhook-id and webhook-timestamp" end
  if not is_recent(time, now) then return nil, "its time is more than five minutes away" end
  local keys, signatures = {}, {}
  for i, secret in ipairs(secrets) do keys[i] = signing.standard_key(secret) end
  for signature in (headers["webhook-signature"] or ""):gmatch "v1,(%S+)" do
    local raw = signing.decode(signature)
    if raw then add(signatures, verify.hex(raw)) end
  end
  if any_signed(keys, id .. "." .. time .. "." .. delivery.body, signatures) then return id end
  return nil, "its signature is not one by a secret of the hook"
end

function FORM.github(delivery, secrets)
  local signature = (delivery.headers["x-hub-signature-256"] or ""):match "^sha256=(%x+)$"
  if not signature then return nil, "it has no header X-Hub-Signature-256" end
  if not any_signed(secrets, delivery.body, { signature:lower() }) then
    return nil, "its signature is not one by a secret of the hook"
  end
  return delivery.headers["x-github-delivery"] or false
end

function FORM.stripe(delivery, secrets, now)
  local time, signatures = nil, {}
  for name, value in (delivery.headers["stripe-signature"] or ""):gmatch "([%w]+)=([^,%s]+)" do
    if name == "t" then time = time or value
    elseif name == "v1" then add(signatures, value:lower()) end
  end
  if not time then return nil, "it has no header Stripe-Signature with a time" end
  if not is_recent(time, now) then return nil, "its time is more than five minutes away" end
  if not any_signed(secrets, time .. "." .. delivery.body, signatures) then
    return nil, "its signature is not one by a secret of the hook"
  end
  local ok, event = pcall(core.json.decode, delivery.body)
  return ok and type(event) == "table" and type(event.id) == "string" and event.id or false
end

local function own_id(headers) return headers["webhook-id"] or headers["idempotency-key"] or false end

function FORM.token(delivery, secrets)
  local token = (delivery.headers.authorization or ""):match "^[Bb][Ee][Aa][Rr][Ee][Rr] +(%S+)$"
  local found = false
  for _, secret in ipairs(secrets) do
    -- digests are of one length, whatever was sent
    if verify.same(core.sha256(token or ""), core.sha256(secret)) then found = true end
  end
  if not token or not found then return nil, "its header Authorization has not the token of the hook" end
  return own_id(delivery.headers)
end

function FORM.none(delivery) return own_id(delivery.headers) end

--- The digits of bytes.
verify.hex = require("orrery.text").hex

--- Whether a delivery is from who it should be. Raises `config_error` where a secret has not the
--- form that it needs.
---@param form "none"|"standard"|"github"|"stripe"|"token"
---@param delivery { headers: table<string, string>, body: string }
---@param secrets string[]
---@param now number seconds since 1970
---@return string|false|nil id by which its sender tells it from others; false: it has none; nil: it is not
---@return string|nil why for the log of the server, never for who has sent it
function verify.delivery(form, delivery, secrets, now) return FORM[form](delivery, secrets, now) end

return verify
