-- s3_server.lua: objects in memory behind the interface of S3, on loopback. Every signature is made
-- again from what came over the wire (AWS Signature Version 4) and has to be the same.
--
--   local server = s3_server.start { key = "AKID", secret = "…", token = "…" or nil }
--   server.endpoint        http://127.0.0.1:PORT
--   server.objects         "bucket/key" -> { body, headers }
--   server.refuse          if set, what is answered instead, once
local core = require "orrery.core"
local loopback = require "spec.support.loopback"

local s3_server = {}

local function bytes_of(hex)
  return (hex:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

local function padded(key, with)
  if #key > 64 then key = bytes_of(core.sha256(key)) end
  key = key .. ("\0"):rep(64 - #key)
  return (key:gsub(".", function(c) return string.char(c:byte() ~ with) end))
end

-- HMAC-SHA-256 (RFC 2104), as bytes.
local function hmac(key, text)
  return bytes_of(core.sha256(padded(key, 0x5c) .. bytes_of(core.sha256(padded(key, 0x36) .. text))))
end

local function hex_of(text)
  return (text:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

local function sorted(query)
  local parts = {}
  for part in query:gmatch "[^&]+" do parts[#parts + 1] = part:find "=" and part or part .. "=" end
  table.sort(parts)
  return table.concat(parts, "&")
end

-- Nil, or the word for what is wrong.
local function wrong_signature(request, account)
  local h = request.headers
  local id, day, region, service, names, signature = (h.authorization or ""):match(
    "^AWS4%-HMAC%-SHA256 Credential=([^/]+)/(%d+)/([^/]+)/([^/]+)/aws4_request, SignedHeaders=([^,]+), "
      .. "Signature=(%x+)$")
  if not id then return "AccessDenied" end
  if id ~= account.key or service ~= "s3" or region ~= account.region then return "InvalidAccessKeyId" end
  if account.token and h["x-amz-security-token"] ~= account.token then return "InvalidToken" end
  local lines, signed = {}, {}
  for name in names:gmatch "[^;]+" do
    if not h[name] then return "SignatureDoesNotMatch" end
    signed[name] = true
    lines[#lines + 1] = name .. ":" .. h[name]
  end
  for name in pairs(h) do -- all that S3 wants to see signed
    if (name:find "^x%-amz%-" or name == "host") and not signed[name] then return "SignatureDoesNotMatch" end
  end
  local content = h["x-amz-content-sha256"]
  if not content then return "MissingSecurityHeader" end
  if content ~= "UNSIGNED-PAYLOAD"
    and content ~= core.sha256(request.body) then return "XAmzContentSHA256Mismatch" end
  local canonical = table.concat({ request.method, request.path, sorted(request.query),
    table.concat(lines, "\n"),
    "", names, content }, "\n")
  local scope = ("%s/%s/s3/aws4_request"):format(day, region)
  local text = table.concat({ "AWS4-HMAC-SHA256", h["x-amz-date"], scope, core.sha256(canonical) }, "\n")
  local key = hmac(hmac(hmac(hmac("AWS4" .. account.secret, day), region), "s3"), "aws4_request")
  return hex_of(hmac(key, text)) ~= signature and "SignatureDoesNotMatch" or nil
end

local function unescaped(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

local function xml(text)
  return (tostring(text):gsub('[&<>"]', { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;",
    ['"'] = "&quot;" }))
end

local function refusal(status, code)
  return { status = status, headers = { ["Content-Type"] = "application/xml", ["x-amz-request-id"] = "R1" },
    body = ('<?xml version="1.0"?><Error><Code>%s</Code><Message>It is &lt;%s&gt;.</Message>'
      .. '</Error>'):format(code, code) }
end

local function list(server, bucket, query)
  local q, keys, parts, seen, count = {}, {}, {}, {}, 0
  for name, value in query:gmatch "([^&=]+)=([^&]*)" do q[name] = unescaped(value) end
  for path in pairs(server.objects) do
    local key = path:match("^" .. bucket .. "/(.*)$")
    if key and key:sub(1, #(q.prefix or "")) == (q.prefix or "") then keys[#keys + 1] = key end
  end
  table.sort(keys)
  local after, last, more = q["continuation-token"] or q["start-after"] or "", nil, false
  for _, key in ipairs(keys) do
    local inner = q.delimiter and key:sub(#(q.prefix or "") + 1):match("^[^" .. q.delimiter .. "]*"
      .. q.delimiter)
    local name = inner and (q.prefix or "") .. inner or key
    if name > after and not seen[name] then
      if count == math.min(tonumber(q["max-keys"]), server.page) then more = true break end
      count, seen[name], last = count + 1, true, name
      local shown = name:gsub("[^%w._~/-]", function(c) return ("%%%02X"):format(c:byte()) end)
      parts[#parts + 1] = inner and ("<CommonPrefixes><Prefix>%s</Prefix></CommonPrefixes>"):format(shown)
        or ("<Contents><Key>%s</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>%s</ETag>"
          .. "<Size>%d</Size></Contents>")
          :format(shown, xml '"e"', #server.objects[bucket .. "/" .. key].body)
    end
  end
  local next_token = more and ("<NextContinuationToken>%s</NextContinuationToken>"):format(xml(last)) or ""
  return { body = ('<?xml version="1.0"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    .. "<IsTruncated>%s</IsTruncated>%s%s</ListBucketResult>"):format(more, next_token, table.concat(parts)) }
end

local function put(server, path, request)
  if request.headers["if-none-match"] == "*" and server.objects[path] then return refusal(412,
    "PreconditionFailed") end
  server.objects[path] = { body = request.body, headers = request.headers }
  return { headers = { ETag = '"' .. core.sha256(request.body):sub(1, 32) .. '"' } }
end

local function get(server, path)
  local object = server.objects[path]
  if not object then return refusal(404, "NoSuchKey") end
  local headers = { ETag = '"e"', ["Last-Modified"] = "Thu, 01 Jan 2026 00:00:00 GMT",
    ["Content-Type"] = object.headers["content-type"], ["Content-Encoding"] = object.encoding }
  for name, value in pairs(object.headers) do
    if name:find "^x%-amz%-meta%-" then headers[name] = value end
  end
  return { headers = headers, body = object.body }
end

--- Starts it.
---@param account {key: string, secret: string, token: string?, region: string?}
---@return table server
function s3_server.start(account)
  local server = { objects = {}, page = 1000 }
  account.region = account.region or "us-east-1"
  local web = loopback.start(function(request)
    local refuse = server.refuse
    server.refuse = nil
    if refuse then return type(refuse) == "function" and refuse(request) or refuse end
    local wrong = wrong_signature(request, account)
    if wrong then return refusal(403, wrong) end
    local path = unescaped(request.path:sub(2))
    if not path:find "/" or path:sub(-1) == "/" and path:find "^[^/]+/$" then
      return list(server, path:match "^[^/]+", request.query)
    end
    return request.method == "PUT" and put(server, path, request) or get(server, path)
  end)
  server.endpoint, server.port, server.requests, server.stop = web.url "", web.port, web.requests, web.stop
  server.refusal = refusal
  return server
end

return s3_server
