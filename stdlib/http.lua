--- `http.get` and `http.request`: HTTP over libcurl.
local flow = require "orrery"

local MEGABYTE = 1024 * 1024

local function config_error(message)
  flow.error { code = "config_error", message = message, retryable = false }
end

-- ---- the request --------------------------------------------------------------------------------------------

-- All but the unreserved characters of RFC 3986, section 2.3.
local function escape(value)
  return (tostring(value):gsub("[^%w%-._~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

-- Parameters in the order of their names, so that an equal query gives an equal URL.
local function query_text(query)
  local names, parts = {}, {}
  for name in pairs(query) do
    if type(name) ~= "string" then config_error("http: query is a table of name = value") end
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local values = query[name]
    for _, value in ipairs(type(values) == "table" and values or { values }) do
      if type(value) == "table" then config_error(("http: query.%s is a value or a list of values"):format(name)) end
      parts[#parts + 1] = escape(name) .. "=" .. escape(value)
    end
  end
  return table.concat(parts, "&")
end

local function with_query(url, query)
  local text = query and query_text(query) or ""
  if text == "" then return url end
  local base, fragment = url:match "^([^#]*)(#?.*)$"
  local join = not base:find("?", 1, true) and "?" or base:find "[?&]$" and "" or "&"
  return base .. join .. text .. fragment
end

-- Headers are a table of name = value or a list of { name, value }.
local function has_header(headers, name)
  for key, value in pairs(headers) do
    local given = type(key) == "string" and key or type(value) == "table" and value[1]
    if tostring(given):lower() == name then return true end
  end
  return false
end

local function headers_of(config)
  local headers = {}
  for name, value in pairs(config.headers or {}) do headers[name] = value end
  if config.json ~= nil and not has_header(headers, "content-type") then headers["Content-Type"] = "application/json" end
  return headers
end

local function body_of(config)
  if config.json == nil then return config.body end
  if config.body ~= nil then config_error("http.request: give the body either as body, a string, or as json, a value") end
  return flow.json.encode(config.json)
end

-- Redirects of requests that write are followed only when asked for: sent again to another place, they would write there.
local READS = { GET = true, HEAD = true }
local REDIRECTS = 10

local function options_of(config)
  local body = body_of(config)
  local method = (config.method or (body and "POST" or "GET")):upper()
  local follow = config.follow
  if follow == nil then follow = READS[method] or false end
  return {
    url = with_query(config.url, config.query), method = method, headers = headers_of(config), body = body,
    limit = config.limit, redirects = follow and REDIRECTS or 0, insecure = config.insecure, ca = config.ca,
    connect_timeout = config.connect_timeout, idle_timeout = config.idle_timeout, timeout = config.max_time,
    user_agent = "orrery/" .. flow.version,
  }
end

local function transfer(options)
  local refused
  local err, response = flow.await(function(resume)
    local ok, handle = pcall(flow.transfer, options, resume)
    if not ok then
      refused = tostring(handle):gsub("^[^:]*:%d+: ", "")
      resume()
      return nil
    end
    return function() handle:cancel() end
  end)
  if refused then config_error("http: " .. refused) end
  if response then return response end
  flow.error(err or { code = "out_of_memory", message = "there is no memory for the response; lower limit" })
end

-- ---- the status ---------------------------------------------------------------------------------------------

local REASONS = {
  [301] = "moved", [302] = "moved", [303] = "see other", [304] = "not modified", [307] = "moved", [308] = "moved",
  [400] = "bad request", [401] = "not authorised", [403] = "forbidden", [404] = "not found", [405] = "method not allowed",
  [408] = "timeout", [409] = "conflict", [410] = "gone", [413] = "too large", [422] = "invalid", [429] = "too many requests",
  [500] = "server error", [502] = "bad gateway", [503] = "unavailable", [504] = "gateway timeout",
}

-- One expected status: 304, "304", "2xx" or "any".
local function fits(status, expected)
  if expected == "any" then return true end
  local class = type(expected) == "string" and expected:match "^([1-5])xx$"
  if class then return status // 100 == tonumber(class) end
  local number = math.tointeger(tonumber(expected) or "")
  if not number then
    config_error(('http: expect is a status, a class like "2xx", "any" or a list of these; got %s'):format(tostring(expected)))
  end
  return status == number
end

local function is_expected(status, expect)
  if type(expect) ~= "table" then return fits(status, expect) end
  local found = false
  for _, one in ipairs(expect) do found = fits(status, one) or found end
  return found
end

local MONTHS = { Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6, Jul = 7, Aug = 8, Sep = 9, Oct = 10, Nov = 11, Dec = 12 }

-- Days from 1970-01-01 in the Gregorian calendar; years are taken to begin in March, so that a leap day is a year's last.
local function days_since_epoch(year, month, day)
  if month <= 2 then year, month = year - 1, month + 12 end
  return 365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day - 1 - 719468
end

-- The three forms of a date that RFC 9110, section 5.6.7, has a client accept.
local DATES = {
  { "^%a+, (%d+) (%a+) (%d+) (%d+):(%d+):(%d+) GMT$", "day", "month", "year", "hour", "minute", "second" },
  { "^%a+, (%d+)%-(%a+)%-(%d+) (%d+):(%d+):(%d+) GMT$", "day", "month", "year", "hour", "minute", "second" },
  { "^%a+ (%a+) +(%d+) (%d+):(%d+):(%d+) (%d+)$", "month", "day", "hour", "minute", "second", "year" },
}

local function full_year(text, now)
  local year = math.tointeger(tonumber(text))
  if #text > 2 then return year end
  local this = tonumber(os.date("!%Y", now))
  year = this - this % 100 + year
  return year > this + 50 and year - 100 or year
end

local function epoch_of(date, now)
  for _, form in ipairs(DATES) do
    local found = table.pack(date:match(form[1]))
    if found[1] then
      local at = {}
      for i = 2, #form do at[form[i]] = found[i - 1] end
      local month = MONTHS[at.month]
      if not month then return nil end
      return days_since_epoch(full_year(at.year, now), month, math.tointeger(tonumber(at.day))) * 86400
        + tonumber(at.hour) * 3600 + tonumber(at.minute) * 60 + tonumber(at.second)
    end
  end
  return nil
end

-- Retry-After (RFC 9110, section 10.2.3) in seconds from now; nil where it is missing or no such value.
local function retry_after(headers)
  local value = headers["retry-after"]
  if not value then return nil end
  if value:find "^%d+$" then return tonumber(value) end
  local now = os.time()
  local at = epoch_of(value, now)
  return at and math.max(0, at - now)
end

local RETRYABLE = { [408] = true, [425] = true, [429] = true }
local SHOWN_BODY, KEPT_BODY = 160, 2000

local function shown_body(response)
  local text = response.body:sub(1, SHOWN_BODY + 1):gsub("[%s%c]+", " "):gsub("^ ", "")
  if text == "" or not utf8.len(text:sub(1, -5)) then return "" end
  return ("; it says: %s"):format(#text > SHOWN_BODY and text:sub(1, SHOWN_BODY - 3) .. "..." or text)
end

local function shown_url(url)
  return (url:gsub("^(%a+://)[^/?#]*@", "%1"))
end

local function fail_status(method, config, response)
  local status = response.status
  local reason = REASONS[status] and (" (%s)"):format(REASONS[status]) or ""
  local location = status // 100 == 3 and response.headers.location
  flow.error {
    code = "http_status",
    message = ("%s %s answered %d%s%s%s"):format(method, shown_url(response.url), status, reason,
      location and ("; it points to %s, and redirects are not followed here (follow = true)"):format(location) or "",
      shown_body(response)),
    retryable = RETRYABLE[status] or status >= 500,
    retry_after = retry_after(response.headers),
    details = { status = status, url = shown_url(response.url), expect = config.expect, headers = response.headers,
      body = response.body:sub(1, KEPT_BODY) },
  }
end

-- ---- the response -------------------------------------------------------------------------------------------

-- application/json, and every type that says it is written in it (RFC 6839, section 3.1).
local function is_json(headers)
  local kind = (headers["content-type"] or ""):match "^%s*([^;%s]*)":lower()
  return kind == "application/json" or kind:find "%+json$" ~= nil
end

local function decode(config, method, response)
  if config.parse == "text" or response.body == "" then return nil end
  if config.parse == "auto" and not is_json(response.headers) then return nil end
  local ok, value = pcall(flow.json.decode, response.body)
  if ok then return value end
  flow.error { code = "http_json", retryable = false,
    message = ('%s %s answered with what is not JSON: %s; parse = "text" leaves the body alone'):format(method,
      shown_url(response.url), tostring(value)),
    details = { body = response.body:sub(1, KEPT_BODY) } }
end

local function run(_, config)
  local options = options_of(config)
  is_expected(200, config.expect) -- a mistake in it should show before anything is sent
  local response = transfer(options)
  if not is_expected(response.status, config.expect) then fail_status(options.method, config, response) end
  return {
    status = response.status, headers = response.headers, body = response.body, url = response.url,
    json = decode(config, options.method, response), seconds = response.seconds,
  }
end

local EXPLAINED = [[

Outputs { status, headers, body, json, url, seconds }: body is the text, json the decoded value where the content type is JSON
(parse = "json" decodes whatever the type, "text" never does); the names of headers are in lower case. A status that is not in
expect ("2xx", a number, "any" or a list like { 200, 304 }) fails the node with code "http_status"; 408, 425, 429 and
5xx may be retried, after the time that Retry-After names. Certificates are verified, against the system's or those in
the file ca; insecure = true leaves that out. The node's own timeout bounds the whole request.]]

local function fields(more)
  local all = {
    url = "string", headers = "object|array?", query = "object?",
    expect = { type = "string|integer|array", default = "2xx" },
    parse = { enum = { "auto", "json", "text" }, default = "auto" }, follow = "boolean?",
    limit = { type = "integer", default = 64 * MEGABYTE, min = 0 },
    connect_timeout = { type = "duration", default = "30s" }, idle_timeout = { type = "duration", default = "60s" },
    max_time = "duration?", insecure = { type = "boolean", default = false }, ca = "string?",
  }
  for name, kind in pairs(more) do all[name] = kind end
  return flow.schema(all)
end

local get = flow.type {
  name = "http.get",
  doc = "Fetches a URL." .. EXPLAINED,
  config = fields {},
  positional = "url",
  examples = { [[flow.http.get { url = "https://example.org/${input.city}.json", retry = "standard", timeout = "5s" }]] },
  run = run,
}

local request = flow.type {
  name = "http.request",
  doc = "Sends an HTTP request: body is a string, json a value that is sent as JSON; with either the method is POST unless "
    .. "given. Redirects are followed for GET and HEAD, for other methods with follow = true." .. EXPLAINED,
  config = fields { method = "string?", body = "string?", json = "any?" },
  positional = "url",
  examples = { [[flow.http.request { url = "https://example.org/orders", json = { city = "${input.city}" } }]] },
  run = run,
}

return { get, request }
