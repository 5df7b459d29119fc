--- `s3.put`, `s3.get`, `s3.list`: objects in S3 and what speaks like it.
local flow = require "orrery"
local body_files = require "orrery.stdlib.shared.body_files"
local transfer = require "orrery.stdlib.shared.transfer"

local function config_error(message, ...)
  flow.error { code = "config_error", message = "s3: " .. message:format(...), retryable = false }
end

-- ---- where --------------------------------------------------------------------------------------

-- Keys keep their slashes. A part that is "." or ".." would lead out of the bucket.
local function escaped_key(key)
  if key == "" then config_error("key is empty") end
  for part in (key .. "/"):gmatch "([^/]*)/" do
    if part == "." or part == ".." then config_error('key %q has a part "%s", which no path can have', key,
      part) end
  end
  return (flow.url.escape(key):gsub("%%2F", "/"))
end

local function check_bucket(bucket)
  if not bucket:find "^%w[%w._-]*$" or bucket:find("..", 1, true) then
    config_error("%q is no name of a bucket", bucket)
  end
end

-- The URL of the bucket, without a slash at its end.
local function base_of(config)
  check_bucket(config.bucket)
  if not config.region:find "^[%w-]+$" then config_error("%q is no region", config.region) end
  local endpoint = config.endpoint or ("https://s3.%s.amazonaws.com"):format(config.region)
  local scheme, rest = endpoint:match "^(https?://)([^/?#@]+)/*$"
  if not scheme then config_error("endpoint is a URL without a path, got %s",
    transfer.shown_url(endpoint)) end
  local in_path = config.path_style
  if in_path == nil then in_path = config.endpoint ~= nil or config.bucket:find(".", 1, true) ~= nil end
  if in_path then return scheme .. rest .. "/" .. config.bucket end
  return scheme .. config.bucket .. "." .. rest
end

-- ---- the request --------------------------------------------------------------------------------

local SIGNED_EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" -- SHA-256 of nothing

-- With a value of the config, or else of the environment, under the names that all tools use.
local function credential(given, name, optional)
  if given then return given end
  if optional and not os.getenv(name) then return nil end
  return flow.secret(name):value()
end

local function options_of(config, method, url, headers)
  headers["x-amz-content-sha256"] = headers["x-amz-content-sha256"] or SIGNED_EMPTY
  -- the token belongs to its key
  local token = config.session_token or not config.access_key and credential(nil, "AWS_SESSION_TOKEN", true)
  headers["x-amz-security-token"] = token or nil
  return {
    url = url, method = method, headers = headers, sigv4 = "aws:amz:" .. config.region .. ":s3",
    user = credential(config.access_key, "AWS_ACCESS_KEY_ID"),
    password = credential(config.secret_key, "AWS_SECRET_ACCESS_KEY"),
    redirects = 0, insecure = config.insecure, ca = config.ca, connect_timeout = config.connect_timeout,
    idle_timeout = config.idle_timeout, timeout = config.max_time, user_agent = "orrery/" .. flow.version,
  }
end

local ENTITIES = { amp = "&", lt = "<", gt = ">", quot = '"', apos = "'" }

local function plain(text)
  return (text:gsub("&(#?)(%w+);", function(hash, name)
    if hash == "" then return ENTITIES[name] end
    local code = tonumber((name:gsub("^[xX]", "0x")))
    return code and code <= 0x10ffff and utf8.char(code) or nil
  end))
end

-- The text of an element that has no others in it.
local function element(xml, name)
  local text = xml:match("<" .. name .. ">([^<]*)</" .. name .. ">")
  return text and plain(text)
end

-- What may be tried again although its status does not say so.
local PASSING = { RequestTimeout = true, SlowDown = true, OperationAborted = true, InternalError = true }

local function fail(what, response)
  local body = type(response.body) == "string" and response.body or ""
  local code, message = element(body, "Code"), element(body, "Message")
  local status = response.status
  flow.error { code = "s3_error",
    message = ("%s answered %d%s%s"):format(what, status, code and " " .. code or "", message and ": "
      .. message or ""),
    retryable = status == 429 or status == 408 or status >= 500 or PASSING[code] or false,
    details = { status = status, code = code, request = response.headers["x-amz-request-id"] } }
end

local function perform(what, options)
  local response, broken = transfer.perform(options)
  if response.status < 200 or response.status > 299 then fail(what, response) end
  if broken then flow.error(broken) end
  return response
end

local function what_of(word, config, key)
  return ("%s of s3://%s/%s"):format(word, config.bucket, key or "")
end

-- ---- the types ----------------------------------------------------------------------------------

local COMMON = {
  bucket = "string", region = { type = "string", default = "us-east-1" },
  endpoint = { type = "string", optional = true, doc = "a URL, where it is not Amazon's" },
  path_style = { type = "boolean", optional = true,
    doc = "true: the bucket is in the path, and not in the host's name; what is so where there is an "
      .. "endpoint" },
  access_key = { type = "string", optional = true, doc = "otherwise the variable AWS_ACCESS_KEY_ID" },
  secret_key = { type = "string", optional = true, doc = "otherwise AWS_SECRET_ACCESS_KEY: a secret" },
  session_token = { type = "string", optional = true, doc = "otherwise AWS_SESSION_TOKEN: a secret" },
  connect_timeout = { type = "duration", default = "30s" }, idle_timeout = { type = "duration",
    default = "60s" },
  max_time = "duration?", insecure = { type = "boolean", default = false }, ca = "string?",
}

local function fields(more)
  local all = {}
  for name, kind in pairs(COMMON) do all[name] = kind end
  for name, kind in pairs(more) do all[name] = kind end
  return flow.schema(all)
end

local EXPLAINED = [[ Requests are signed with the keys in the config or the environment. What the server refuses fails with
"s3_error" (details.code is its word, "NoSuchKey"); what keeps it from being asked, as HTTP does.]]

-- One line, without what would be written differently in its signature.
local function header_text(what, value)
  if value:find "%c" then config_error("%s has a control character", what) end
  return (value:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", ""))
end

local function put_headers(config)
  local headers = { ["content-type"] = header_text("content_type", config.content_type),
    ["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD" } -- which would have to be read twice
  for name, value in pairs(config.metadata or {}) do
    if not name:find "^[%w-]+$" or type(value) == "table" then
      config_error("metadata has names of letters, digits and -, and texts; got %q", name)
    end
    headers["x-amz-meta-" .. name:lower()] = header_text("metadata." .. name, tostring(value))
  end
  if config.if_absent then headers["if-none-match"] = "*" end
  return headers
end

flow.type {
  name = "s3.put",
  errors = { "s3_error", "http_status", "http_address", "http_connect", "http_protocol", "http_resolve",
    "http_timeout", "http_tls", "http_too_large", "file_error" },
  doc = [[Stores an object: a file, which is not held in memory, or a text. Outputs { bucket, key, bytes, etag }. if_absent = true
refuses to replace one (s3_error, PreconditionFailed), where the server knows that. An object has at most 5 GiB.]] .. EXPLAINED,
  config = fields {
    key = "string", from = { type = "string", optional = true, doc = "a file" },
      body = { type = "string", optional = true },
    content_type = { type = "string", default = "application/octet-stream" }, metadata = "object?",
    if_absent = { type = "boolean", default = false },
  },
  output = { bucket = "string", key = "string", bytes = "integer", etag = "string?" },
  check = function(config)
    if (config.from == nil) == (config.body == nil) then
      return "give either from, a file, or body, a text", "from"
    end
  end,
  examples = { [[flow.s3.put { bucket = "backups", key = "db/${input.day}.gz", from = "db.gz", region = "eu-central-1", retry = 5 }]] },
  run = function(_, config)
    local options = options_of(config, "PUT", base_of(config) .. "/" .. escaped_key(config.key),
      put_headers(config))
    local what = what_of("put", config, config.key)
    local size, response
    if config.from then
      local file <close> = body_files.source(config.from)
      size, options.body = file.size, { file }
      response = perform(what, options)
    else
      size, options.body = #config.body, config.body
      response = perform(what, options)
    end
    return { bucket = config.bucket, key = config.key, bytes = size, etag = response.headers.etag }
  end,
}

local function fetch(config, options)
  local what = what_of("get", config, config.key)
  if not config.to then return perform(what, options) end
  local target <close> = body_files.target(config.to)
  options.to = target.fd
  local response = perform(what, options)
  target:keep()
  return response
end

local function metadata_of(headers)
  local metadata = {}
  for name, value in pairs(headers) do
    local own = name:match "^x%-amz%-meta%-(.+)$"
    if own then metadata[own] = value end
  end
  return flow.json.object(metadata)
end

flow.type {
  name = "s3.get",
  errors = { "s3_error", "http_status", "http_address", "http_connect", "http_protocol", "http_resolve",
    "http_timeout", "http_tls", "http_too_large", "file_error" },
  doc = [[Fetches an object: as body, or with to = PATH into a file, which is replaced at once when all is there. Outputs
{ body or path, bytes, etag, content_type, modified, metadata }.]] .. EXPLAINED,
  config = fields {
    key = "string", to = { type = "string", optional = true, doc = "a file" },
    version = { type = "string", optional = true, doc = "of the object" },
    limit = { type = "integer", optional = true, min = 0,
      doc = "bytes: 64 MiB, into a file 5 TiB, where it is not given" },
  },
  output = { body = "string?", path = "string?", bytes = "integer", etag = "string?",
    content_type = "string?",
    modified = "string?", metadata = { ["..."] = "any" } },
  examples = { [[flow.s3.get { bucket = "backups", key = "db/${input.day}.gz", to = "db.gz", retry = 5 }]] },
  run = function(_, config)
    local url = flow.url.with(base_of(config) .. "/" .. escaped_key(config.key),
      { versionId = config.version })
    local options = options_of(config, "GET", url, {})
    options.limit = config.limit or config.to and 5 << 40 or 64 << 20
    local response = fetch(config, options)
    local headers, body = response.headers, response.body
    return { body = not config.to and body or nil, path = config.to, bytes = config.to and body or #body,
      etag = headers.etag, content_type = headers["content-type"], modified = headers["last-modified"],
      metadata = metadata_of(headers) }
  end,
}

local function unescaped(text)
  return text and (text:gsub("%+", " "):gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex,
    16)) end))
end

local function read_list(what, xml, into)
  if not xml:find("<ListBucketResult", 1, true) then
    flow.error { code = "s3_error", retryable = false, message = what
      .. " answered with what is no list of objects" }
  end
  for inner in xml:gmatch "<Contents>(.-)</Contents>" do
    into.objects[#into.objects + 1] = { key = unescaped(element(inner, "Key")),
      size = math.tointeger(tonumber(element(inner, "Size"))), etag = element(inner, "ETag"),
      modified = element(inner, "LastModified") }
  end
  for inner in xml:gmatch "<CommonPrefixes>(.-)</CommonPrefixes>" do
    into.prefixes[#into.prefixes + 1] = unescaped(element(inner, "Prefix"))
  end
  return element(xml, "IsTruncated") == "true" and element(xml, "NextContinuationToken") or nil
end

flow.type {
  name = "s3.list",
  errors = { "s3_error", "http_status", "http_address", "http_connect", "http_protocol", "http_resolve",
    "http_timeout", "http_tls", "http_too_large", "file_error" },
  doc = [[Lists the objects of a bucket whose keys begin with prefix. Outputs { objects = { { key, size, etag, modified }, … },
prefixes, complete }; with delimiter = "/" what lies deeper is told by its prefix alone. More than max of them are left out, and
complete is false.]] .. EXPLAINED,
  config = fields {
    prefix = "string?", delimiter = "string?", start_after = { type = "string", optional = true,
      doc = "a key" },
    max = { type = "integer", default = 100000, min = 1 },
  },
  output = { objects = "array", prefixes = "array", complete = "boolean" },
  positional = "bucket",
  examples = { [[flow.s3.list { bucket = "backups", prefix = "db/2026-" }]] },
  run = function(_, config)
    local base, what = base_of(config) .. "/", what_of("list", config, config.prefix)
    local found, token = { objects = flow.json.array {}, prefixes = flow.json.array {} }, nil
    repeat
      local left = config.max - #found.objects - #found.prefixes
      local url = flow.url.with(base, { ["list-type"] = 2, ["encoding-type"] = "url", prefix = config.prefix,
        delimiter = config.delimiter, ["start-after"] = config.start_after, ["continuation-token"] = token,
        ["max-keys"] = math.min(left, 1000) })
      local count, before = #found.objects + #found.prefixes, token
      token = read_list(what, perform(what, options_of(config, "GET", url, {})).body, found)
      local now = #found.objects + #found.prefixes
      if token and (token == before or now == count) then
        flow.error { code = "s3_error", message = what .. " does not come to an end" }
      end
    until not token or now >= config.max
    found.complete = token == nil
    return found
  end,
}
