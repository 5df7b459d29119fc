--- What signatures of webhooks are made of: HMAC-SHA256 (RFC 2104), base64 (RFC 4648, section 4),
--- and the headers of Standard Webhooks (standardwebhooks.com, version 1.0.0).
---
--- Nothing here reads a clock: the time is given, so that vectors can be tested.
local core = require "orrery.core"
local bytes = require("orrery.text").unhex

local signature = {}

-- ---- HMAC ---------------------------------------------------------------------------------------

local BLOCK = 64 -- bytes of a block of SHA-256

local function xored(key, with) return (key:gsub(".",
  function(c) return string.char(c:byte() ~ with) end)) end

--- HMAC-SHA256.
---@param key string
---@param text string
---@return string hex 64 digits
function signature.hmac(key, text)
  if #key > BLOCK then key = bytes(core.sha256(key)) end
  key = key .. ("\0"):rep(BLOCK - #key)
  return core.sha256(xored(key, 0x5c) .. bytes(core.sha256(xored(key, 0x36) .. text)))
end

-- ---- base64 -------------------------------------------------------------------------------------

local DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local VALUES = {}
for i = 1, #DIGITS do VALUES[DIGITS:byte(i)] = i - 1 end

--- The bytes of a text in base64.
---@param text string with or without its padding
---@return string|nil bytes nil: it is none
function signature.decode(text)
  local digits = text:match "^([%w+/]*)=?=?$"
  if not digits or #digits % 4 == 1 then return nil end
  local out, bits, n = {}, 0, 0
  for i = 1, #digits do
    bits, n = bits << 6 | VALUES[digits:byte(i)], n + 6
    if n >= 8 then
      n = n - 8
      out[#out + 1] = string.char(bits >> n & 0xff)
      bits = bits & (1 << n) - 1
    end
  end
  return bits == 0 and table.concat(out) or nil
end

--- Bytes as base64, with padding.
---@param raw string
---@return string
function signature.encode(raw)
  local out = {}
  for at = 1, #raw, 3 do
    local a, b, c = raw:byte(at, at + 2)
    local bits = a << 16 | (b or 0) << 8 | (c or 0)
    for i = 0, 3 do
      local digit = (bits >> 18 - 6 * i & 63) + 1
      out[#out + 1] = (i < 2 or i == 2 and b or c) and DIGITS:sub(digit, digit) or "="
    end
  end
  return table.concat(out)
end

-- ---- Standard Webhooks --------------------------------------------------------------------------

--- The key in a secret of Standard Webhooks: it stands behind "whsec_" as base64. Raises
--- `config_error` where the secret has not this form; its text is not shown.
---@param secret string
---@return string
function signature.standard_key(secret)
  local key = signature.decode((secret:gsub("^whsec_", "")))
  if key and #key > 0 then return key end
  error(setmetatable({ code = "config_error", retryable = false,
    message = "a secret of Standard Webhooks is base64, \"whsec_…\", and this one is not" },
    core.error_mt), 0)
end

-- What each argument is, in order.
local GIVEN = { { "secret", "string" }, { "id", "string" }, { "time", "integer" }, { "body", "string" } }

local function check(...)
  for i, each in ipairs(GIVEN) do
    local value = select(i, ...)
    local kind = type(value) == "number" and math.type(value) or type(value)
    if kind ~= each[2] then
      error(("flow.webhook_headers(secret, id, time, body): %s: expected %s, got %s"):format(each[1],
        each[2] == "integer" and "whole seconds since 1970" or "a text", kind), 3)
    end
  end
end

--- The headers by which a receiver knows who has sent a body. Raises `config_error`, and a mistake
--- in its arguments.
---@param secret string "whsec_…"
---@param id string of the message, the same when it is sent again
---@param time integer seconds since 1970
---@param body string as it is sent
---@return table<string, string>
function signature.headers(secret, id, time, body)
  check(secret, id, time, body)
  local text = ("%s.%d.%s"):format(id, time, body)
  return { ["webhook-id"] = id, ["webhook-timestamp"] = ("%d"):format(time),
    ["webhook-signature"] = "v1," .. signature.encode(bytes(signature.hmac(signature.standard_key(secret),
      text))) }
end

return signature
