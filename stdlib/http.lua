--- `http.get`, `http.post`, …, `http.request`: HTTP over libcurl.
local flow = require "orrery"
local body_files = require "orrery.stdlib.shared.body_files"
local multipart = require "orrery.stdlib.shared.multipart"
local paging = require "orrery.stdlib.shared.paging"
local transfer = require "orrery.stdlib.shared.transfer"
local uv = require "luv"

local MEGABYTE = 1024 * 1024
local MOST_DECODED = 256 * MEGABYTE -- bytes of memory that a decoded body may take

local function config_error(message)
  flow.error { code = "config_error", message = message, retryable = false }
end

-- ---- the request --------------------------------------------------------------------------------

-- What flow.url says of parameters that are none.
local function or_config_error(what, fn, ...)
  local ok, text = pcall(fn, ...)
  if ok then return text end
  config_error(("http: %s"):format(tostring(text):gsub("^.-flow%.url%.query: ", what .. ": ")))
end

-- Headers are a table of name = value or a list of { name, value }.
local function has_header(headers, name)
  for key, value in pairs(headers) do
    local given = type(key) == "string" and key or type(value) == "table" and value[1]
    if tostring(given):lower() == name then return true end
  end
  return false
end

-- ---- the body -----------------------------------------------------------------------------------

local BODIES = { "body", "json", "form", "multipart", "from" }

-- Bodies by the key that names them: what is sent, and its content type. Files are opened with
-- `open`.
local MADE = {
  body = function(value) return value end,
  json = function(value)
    local ok, text = pcall(flow.json.encode, value)
    if not ok then config_error("http: json: " .. tostring(text)) end
    return text, "application/json"
  end,
  form = function(value) return or_config_error("form", flow.url.query, value),
    "application/x-www-form-urlencoded" end,
  multipart = function(value, open) return multipart.body(value, open) end,
  from = function(path, open) return { open(path) } end,
}

local function which_body(config)
  local found
  for _, key in ipairs(BODIES) do
    if config[key] ~= nil then
      if found then config_error(("http: the body is given twice, as %s and as %s"):format(found, key)) end
      found = key
    end
  end
  return found
end

local function headers_of(ctx, config, kind)
  local headers = {}
  for name, value in pairs(config.headers or {}) do headers[name] = value end
  if kind and not has_header(headers, "content-type") then headers["Content-Type"] = kind end
  local key = config.idempotency_key
  if key and not has_header(headers, "idempotency-key") then
    headers["Idempotency-Key"] = key == true and ctx.idempotency_key or key
  end
  return headers
end

-- Redirects of requests that write are followed only when asked for: sent again to another place,
-- they would write there.
local READS = { GET = true, HEAD = true }
local REDIRECTS = 10

local function options_of(ctx, config, open)
  local key = which_body(config)
  local body, kind
  if key then body, kind = MADE[key](config[key], open) end
  local method = (config.method or (key and "POST" or "GET")):upper()
  local follow = config.follow
  if follow == nil then follow = READS[method] or false end
  return {
    url = or_config_error("query", flow.url.with, config.url, config.query), method = method,
      headers = headers_of(ctx, config, kind),
    body = body, limit = config.limit or (config.to and 16 * 1024 or 64) * MEGABYTE,
    redirects = follow and REDIRECTS or 0, insecure = config.insecure, ca = config.ca,
    connect_timeout = config.connect_timeout, idle_timeout = config.idle_timeout, timeout = config.max_time,
    user_agent = "orrery/" .. flow.version, proxy = config.proxy, allow = config.allow, deny = config.deny,
  }
end

-- ---- the response -------------------------------------------------------------------------------

-- application/json, and every type that says it is written in it (RFC 6839, section 3.1).
local function is_json(headers)
  local kind = (headers["content-type"] or ""):match "^%s*([^;%s]*)":lower()
  return kind == "application/json" or kind:find "%+json$" ~= nil
end

local function decode(config, method, response)
  if config.parse == "text" or response.body == "" then return nil end
  if config.parse == "auto" and not is_json(response.headers) then return nil end
  local ok, value = pcall(flow.json.decode, response.body, { name = "the body", limit = MOST_DECODED })
  if ok then return value end
  flow.error { code = "http_json", retryable = false,
    message = ('%s %s answered with what is not JSON: %s; parse = "text" leaves the body alone')
      :format(method,
      transfer.shown_url(response.url), tostring(value)),
    details = { body = response.body:sub(1, transfer.KEPT_BODY) } }
end

local function answer_of(config, options, response)
  local text = type(response.body) == "string"
  return {
    status = response.status, headers = response.headers, url = response.url, seconds = response.seconds,
    body = text and response.body or "", json = text and decode(config, options.method, response) or nil,
    version = response.version, path = not text and config.to or nil, bytes = not text and response.body
      or nil,
  }
end

local function perform(config, options)
  local response, broken = transfer.perform(options)
  -- a status says more than what went wrong with the body after it
  if not transfer.is_expected(response.status, config.expect) then
    transfer.fail_status(options.method, config.expect, response)
  end
  if broken then flow.error(broken) end
  return answer_of(config, options, response)
end

local function close_all(list)
  for _, file in ipairs(list) do flow.fs("close", file.fd) end
end

local function run(ctx, config)
  transfer.is_expected(200, config.expect) -- a mistake in it should show before anything is sent
  local opened <close> = setmetatable({}, { __close = close_all })
  local options = options_of(ctx, config, function(path)
    opened[#opened + 1] = body_files.source(path)
    return opened[#opened]
  end)
  if not config.to then return perform(config, options) end
  local target <close> = body_files.target(config.to)
  options.to = target.fd
  local answer = perform(config, options)
  if answer.path then target:keep() end -- another status than 2xx is no file
  return answer
end

local EXPLAINED = [[

Outputs { status, headers, body, json, url, seconds }: body is the text, json the decoded value where the content type is JSON
(parse = "json" decodes whatever the type, "text" never does); the names of headers are in lower case. With to = PATH the body
of a status of 2xx is written to a file, which is replaced at once when the body is whole; the output then has path and bytes, and
body is empty. A status that is not in expect ("2xx", a number, "any" or a list like { 200, 304 }) fails the node with code
"http_status"; 408, 425, 429 and 5xx may be retried, after the time that Retry-After names. deny = { "private" } lets it
connect to public addresses only, whatever names and redirects say. Certificates are verified, against the system's or those in
the file ca; insecure = true leaves that out. The node's own timeout bounds the whole request.]]

local BODY = [[ The body is one of: body (a string), json (a value), form (names and values), multipart (parts by name: a text, or
{ from = PATH, filename, type }), from = PATH (a file; it is sent without being held in memory). ]]

local READING = {
  url = "string", headers = "object|array?", query = "object?",
  expect = { type = "string|integer|array", default = "2xx" },
  parse = { enum = { "auto", "json", "text" }, default = "auto" }, follow = "boolean?",
  to = { type = "string", optional = true, doc = "a file that the body is written to" },
  limit = { type = "integer", optional = true, min = 0,
    doc = "bytes of the decoded body: 64 MiB, and 16 GiB into a file, where it is not given" },
  connect_timeout = { type = "duration", default = "30s" },
  idle_timeout = { type = "duration", default = "60s" },
  max_time = "duration?", insecure = { type = "boolean", default = false }, ca = "string?",
  proxy = { type = "string", optional = true,
    doc = "a URL, http:// or socks5h://; empty: none; not given: that of the environment" },
  allow = { type = "string[]", optional = true,
    doc = 'addresses and networks that alone may be connected to, "10.0.0.0/8"' },
  deny = { type = "string[]", optional = true,
    doc = 'those that may not; "private": all that are not public' },
}

-- Who connects is the proxy, so its address is the one that would be looked at.
local function check(config)
  if config.proxy and config.proxy ~= "" and (config.allow or config.deny) then
    return "allow and deny are of the addresses that are connected to, and with a proxy that is its own; "
      .. "leave one of them out", "proxy"
  end
end

local WRITING = {
  body = "string?", json = "any?", form = "object?", multipart = "object|array?",
  from = { type = "string", optional = true, doc = "a file that is sent" },
  idempotency_key = { type = "boolean|string", optional = true,
    doc = "true: a header Idempotency-Key that is the same for all attempts of the node; or its value" },
}

local function fields(...)
  local all = {}
  for _, more in ipairs { ... } do
    for name, kind in pairs(more) do all[name] = kind end
  end
  return flow.schema(all)
end

local OUTPUT = { status = "integer", headers = { ["..."] = "any" }, body = "string", json = "any?",
  url = "string", seconds = "number", version = "string?", path = "string?", bytes = "integer?" }

local ERRORS = { "http_json", "http_status", "http_address", "http_connect", "http_protocol", "http_resolve",
  "http_timeout", "http_tls", "http_too_large", "file_error" }
local PAGE_ERRORS = table.move(ERRORS, 1, #ERRORS, 2, { "http_pages" })

flow.type {
  name = "http.get",
  errors = ERRORS,
  doc = "Fetches a URL." .. EXPLAINED,
  config = fields(READING),
  output = OUTPUT,
  check = check,
  positional = "url",
  examples = { [[flow.http.get { url = "https://example.org/${input.city}.json", retry = "standard", timeout = "5s" }]],
    [[flow.http.get { url = "https://example.org/dump.tar.gz", to = "dump.tar.gz", retry = 3 }]] },
  run = run,
}

flow.type {
  name = "http.request",
  errors = ERRORS,
  doc = "Sends an HTTP request; with a body the method is POST unless given." .. BODY
    .. "Redirects are followed for GET and HEAD, for other methods with follow = true." .. EXPLAINED,
  config = fields(READING, WRITING, { method = "string?" }),
  output = OUTPUT,
  check = check,
  positional = "url",
  examples = { [[flow.http.request { url = "https://example.org/orders", json = { city = "${input.city}" } }]] },
  run = run,
}

local EXAMPLES = {
  post = [[flow.http.post { url = "https://example.org/orders", json = "${input}", idempotency_key = true, retry = 3 }]],
  put = [[flow.http.put { url = "https://example.org/backups/today", from = "backup.tar.gz", retry = 3 }]],
  patch = [[flow.http.patch { url = "https://example.org/orders/${input.id}", json = { state = "paid" } }]],
  delete = [[flow.http.delete { url = "https://example.org/orders/${input.id}", expect = { 204, 404 } }]],
}

for word, example in pairs(EXAMPLES) do
  local method = word:upper()
  flow.type {
    name = "http." .. word,
    errors = ERRORS,
    doc = ("Sends a %s request."):format(method) .. BODY .. "Redirects are followed with follow = true."
      .. EXPLAINED,
    config = fields(READING, WRITING),
    output = OUTPUT,
    check = check,
    positional = "url",
    examples = { example },
    run = function(ctx, config)
      local given = { method = method }
      for key, value in pairs(config) do given[key] = value end
      return run(ctx, given)
    end,
  }
end

-- ---- pages --------------------------------------------------------------------------------------

local function items_of(config, page, number)
  local items = page.json
  if config.items then items = paging.at(page.json, config.items) end
  if type(items) == "table" and flow.json.is_array(items) then return items end
  paging.fail("page %d has no list %s%s", number, config.items and "at " .. config.items or "as its body",
    page.json == nil and "; it is no JSON" or config.items and "" or ", name its path with items")
end

---@class stdlib.http.Pages what has been fetched so far
---@field way table how the next page is found
---@field base string the first page's URL, without what the way adds
---@field interval number seconds between two pages
---@field due number when the next one may be fetched
---@field seen table<string, true> URLs of pages that were fetched
---@field items integer how many there were
---@field pages integer
---@field complete boolean
---@field url string|nil the next page

local function begin_pages(config)
  local way, interval = paging.way(config.next), paging.interval(config.rate)
  local base = or_config_error("query", flow.url.with, config.url, config.query)
  return { way = way, base = base, interval = interval, due = 0, seen = {}, items = 0, pages = 0,
    complete = false, url = flow.url.with(base, paging.first(way)) }
end

-- False at the end, and where no more may be fetched.
local function go_on(config, all)
  if not all.url then return false end
  if all.seen[all.url] then
    paging.fail("page %d names one that was fetched already as the next", all.pages)
  end
  all.seen[all.url] = true
  if all.pages < config.max_pages and all.items < (config.max_items or math.huge) then return true end
  if config.partial then return false end
  paging.fail("there are more pages after %d with %d items; raise max_pages or max_items, or take what "
    .. "there is with partial = true", all.pages, all.items)
end

-- The items of a page that are wanted: the last one may have more.
local function wanted(config, all, items)
  all.items = all.items + #items
  local beyond = all.items - (config.max_items or math.huge)
  if beyond <= 0 then return items, all.url == nil end
  if not config.partial then
    paging.fail("there are %d items; raise max_items, or take the first with partial = true", all.items)
  end
  return table.move(items, 1, #items - beyond, 1, {}), false
end

local function wait_for_turn(all)
  local now = uv.hrtime() / 1e9
  if all.due > now then flow.sleep(all.due - now) end
  all.due = math.max(all.due, now) + all.interval
end

-- The items of the next page, or nil at the end. Waits.
local function next_items(ctx, config, all)
  if not go_on(config, all) then return nil end
  wait_for_turn(all)
  local given = {}
  for key, value in pairs(config) do given[key] = value end
  given.url, given.query = all.url, nil
  local page = perform(given, options_of(ctx, given))
  all.pages = all.pages + 1
  page.items = items_of(config, page, all.pages)
  all.url = paging.next(all.way, page, all.pages, all.base)
  local items
  items, all.complete = wanted(config, all, page.items)
  return items
end

local function run_pages(ctx, config)
  local all, list = begin_pages(config), flow.json.array {}
  local items = next_items(ctx, config, all)
  while items do
    table.move(items, 1, #items, #list + 1, list)
    items = next_items(ctx, config, all)
  end
  return { complete = all.complete, items = list, pages = all.pages, next = all.url }
end

-- Pages as the first stage of a pipe: one at a time is in memory.
local function stage_pages(config, _, stage)
  local all = begin_pages(config)
  return function()
    local items = next_items(stage.ctx, config, all)
    stage.report.pages, stage.report.complete = all.pages, all.complete
    return items
  end
end

local PAGES = {
  items = { type = "string", optional = true,
    doc = 'where the list stands in a page, "data.items"; without it the page is the list' },
  next = { type = "any", default = "link",
    doc = 'how the next page is found: "link", a cursor, a page number, a function' },
  rate = { type = "string|number", optional = true, doc = 'at most so many pages, "10/s"' },
  max_pages = { type = "integer", default = 1000, min = 1 },
  max_items = { type = "integer", optional = true, min = 1 },
  partial = { type = "boolean", default = false,
    doc = "true: more pages than may be fetched are no failure" },
}

local page_fields = {}
for name, kind in pairs(READING) do page_fields[name] = name ~= "to" and kind or nil end
page_fields.parse = { enum = { "auto", "json" }, default = "json" }

flow.type {
  name = "http.pages",
  errors = PAGE_ERRORS,
  doc = [[Fetches the pages of an API one after another and outputs { items, pages, complete, next }: the items of all. next says
how the next page is found: "link" (the header Link with rel="next"), { cursor = "meta.next", query = "after" } (a value in the page, as
a parameter of the next; without query it is the URL), { page = "page", first = 1, step = 1, more = "has_more" } (a number,
until a page is empty or `more` is false), or function(page, number) that returns a URL, parameters or nil. Pages of another
origin than the first are refused. More than max_pages pages or max_items items fail with "http_pages", or with partial = true end it.
The first stage of a pipe may be one: then items stream, with one page in memory.]],
  config = fields(page_fields, PAGES),
  output = { items = "array", pages = "integer", complete = "boolean", next = "string?" },
  check = check,
  positional = "url",
  examples = { [[flow.http.pages { url = "https://example.org/orders", items = "data",
  next = { cursor = "meta.next", query = "after" }, rate = "5/s" }]] },
  run = run_pages,
  source = true,
  stage = stage_pages,
}
