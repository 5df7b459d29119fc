--- `notify.log`, `notify.webhook`, `notify.slack`, …: messages to people. Each is a channel,
--- declared
--- as a user declares one.
local flow = require "orrery"
local checksum = require "orrery.stdlib.shared.checksum"

-- ---- texts --------------------------------------------------------------------------------------

-- At most so many bytes, cut between two characters.
local function cut(text, most)
  if #text <= most then return text end
  return text:sub(1, (utf8.offset(text, 0, most - 2) or most - 2) - 1) .. "…"
end

-- What JSON can hold of a text: services refuse one with a byte that is none of UTF-8.
local function clean(text)
  if utf8.len(text) then return text end
  return (text:gsub("[\x80-\xff]", "?"))
end

local function value_text(value)
  return type(value) == "string" and value or flow.json.encode(value)
end

local function field_lines(fields)
  local names, lines = {}, {}
  for name in pairs(fields or {}) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do lines[i] = { clean(name), clean(value_text(fields[name])) } end
  return lines
end

-- The message with its title above and its fields below; `bold` marks a text, `escape` keeps data
-- from being read as markup.
local function whole(config, bold, escape)
  local lines = {}
  if config.title then lines[1] = bold(escape(clean(config.title))) end
  lines[#lines + 1] = escape(clean(config.message))
  for _, field in ipairs(field_lines(config.fields)) do
    lines[#lines + 1] = bold(escape(field[1])) .. ": " .. escape(field[2])
  end
  return table.concat(lines, "\n")
end

local function same(text) return text end

-- ---- sending ------------------------------------------------------------------------------------

-- Who knows the URL of a channel may write to it, so errors show its host alone.
local function without_path(text, url, shown)
  if type(text) ~= "string" then return text end
  local parts, at = {}, 1
  while true do
    local from, to = text:find(url, at, true)
    parts[#parts + 1] = text:sub(at, from and from - 1)
    if not from then break end
    parts[#parts + 1], at = shown, to + 1
  end
  return (table.concat(parts):gsub("(%a+://[^/%s]+)/[^%s…]%S*", "%1/…"))
end

-- Signs a request by Standard Webhooks: the very bytes that are sent. The time is the sender's
-- clock, which a receiver compares with its own.
local function sign(request, secret, id)
  request.body, request.json = flow.json.encode(request.json), nil
  request.headers["Content-Type"] = "application/json"
  for name, value in pairs(flow.webhook_headers(secret, id, os.time(), request.body)) do
    request.headers[name] = value
  end
end

-- A handler may send several messages, and each has a key of its own.
local function post(ctx, config, url, payload, headers)
  local key = ctx.idempotency_key .. "-" .. checksum(url .. flow.json.encode(payload))
  local all = { ["Idempotency-Key"] = key }
  for name, value in pairs(headers or {}) do all[name] = value end
  local request = { url = url, json = payload, headers = all, max_time = config.max_time, ca = config.ca,
    parse = "text" }
  if config.secret then sign(request, config.secret, key) end
  local ok, answer = pcall(flow.http.request, request)
  if ok then return answer end
  if type(answer) ~= "table" or not answer.code then error(answer, 0) end
  local shown = (url:match "^%a+://[^/?#]*" or ""):gsub("//[^@]*@", "//") .. "/…"
  local details = type(answer.details) == "table" and answer.details or {}
  flow.error { code = answer.code, message = without_path(answer.message, url, shown),
    retryable = answer.retryable, retry_after = answer.retry_after,
    details = { status = details.status, body = without_path(details.body, url, shown) } }
end

local SENDING = { max_time = { type = "duration", default = "30s", doc = "the whole request" },
  ca = { type = "string", optional = true, doc = "a file of trusted certificates" } }

local function fields(more)
  local all = {}
  for name, kind in pairs(SENDING) do all[name] = kind end
  for name, kind in pairs(more) do all[name] = kind end
  return all
end

local WEB = "Failures are those of HTTP; 429 and 5xx may be retried, and the URL is not shown in them."

local function url_field(service)
  return { type = "string", doc = ("the URL that %s gives; who knows it may write there: a secret")
    :format(service) }
end

-- ---- the channels -------------------------------------------------------------------------------

local WEB_ERRORS = { "http_status", "http_address", "http_connect", "http_protocol", "http_resolve",
  "http_timeout", "http_tls", "http_too_large" }
local SIGNED_ERRORS = { "config_error", table.unpack(WEB_ERRORS) }

flow.channel {
  name = "log",
  doc = "Writes a message to the run's log. Outputs { channel }.",
  examples = { [[flow.notify.log { when = "nodes.parse.wind > 100", message = "Storm in ${input.city}" }]] },
  send = function(ctx, config)
    local text = config.title and config.title .. ": " .. config.message or config.message
    ctx:log(config.level, text, config.fields)
    return { channel = "log" }
  end,
}

flow.channel {
  name = "webhook",
  errors = SIGNED_ERRORS,
  doc = "Posts a message to a URL as JSON: { message, title, level, fields, workflow, run, node }, or what "
    .. "`payload` has. Outputs { channel, status }. " .. WEB,
  config = fields { url = url_field "the service", headers = "object?",
    payload = { type = "object", optional = true, doc = "what is sent in place of the message" },
    secret = { type = "string", optional = true,
      doc = "signs it by Standard Webhooks, so that the receiver knows its sender: \"whsec_…\"" } },
  examples = { [[flow.notify.webhook { url = flow.secret "HOOK_URL", message = "Storm in ${input.city}" }]] },
  send = function(ctx, config)
    local payload = config.payload or { message = clean(config.message), title = config.title,
      level = config.level, fields = config.fields, workflow = ctx.run.workflow, run = ctx.run.id,
      node = ctx.node }
    return { channel = "webhook", status = post(ctx, config, config.url, payload, config.headers).status }
  end,
}

local SLACK = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }

flow.channel {
  name = "slack",
  errors = WEB_ERRORS,
  doc = "Posts a message to Slack by an incoming webhook. Data in it mentions nobody. Outputs "
    .. "{ channel, status }. " .. WEB,
  config = fields { url = url_field "Slack" },
  examples = { [[flow.notify.slack { url = flow.secret "SLACK_URL", message = "Storm in ${input.city}", level = "warn" }]] },
  send = function(ctx, config)
    local text = whole(config, function(s) return "*" .. s .. "*" end,
      function(s) return (s:gsub("[&<>]", SLACK)) end)
    return { channel = "slack", status = post(ctx, config, config.url, { text = cut(text, 39000) }).status }
  end,
}

local COLOURS = { debug = "default", info = "default", warn = "warning", error = "attention" }

flow.channel {
  name = "teams",
  errors = WEB_ERRORS,
  doc = "Posts a message to Microsoft Teams by a workflow's webhook, as an adaptive card. Outputs "
    .. "{ channel, status }. " .. WEB,
  config = fields { url = url_field "Teams" },
  examples = { [[flow.notify.teams { url = flow.secret "TEAMS_URL", title = "Nightly backup", message = "done" }]] },
  send = function(ctx, config)
    local body, facts = {}, {}
    if config.title then
      body[1] = { type = "TextBlock", text = clean(config.title), weight = "bolder", wrap = true }
    end
    body[#body + 1] = { type = "TextBlock", text = cut(clean(config.message), 20000), wrap = true,
      color = COLOURS[config.level] }
    for i, field in ipairs(field_lines(config.fields)) do facts[i] = { title = field[1],
      value = field[2] } end
    if #facts > 0 then body[#body + 1] = { type = "FactSet", facts = facts } end
    local card = { ["$schema"] = "http://adaptivecards.io/schemas/adaptive-card.json", type = "AdaptiveCard",
      version = "1.4", body = body }
    local payload = { type = "message",
      attachments = { { contentType = "application/vnd.microsoft.card.adaptive", content = card } } }
    return { channel = "teams", status = post(ctx, config, config.url, payload).status }
  end,
}

flow.channel {
  name = "discord",
  errors = WEB_ERRORS,
  doc = "Posts a message to Discord by a channel's webhook; what is longer than 2,000 bytes is cut. Data in "
    .. "it mentions nobody. Outputs { channel, status }. " .. WEB,
  config = fields { url = url_field "Discord" },
  examples = { [[flow.notify.discord { url = flow.secret "DISCORD_URL", message = "Storm in ${input.city}" }]] },
  send = function(ctx, config)
    local text = whole(config, function(s) return "**" .. s .. "**" end, same)
    local payload = { content = cut(text, 2000), allowed_mentions = { parse = flow.json.array {} } }
    return { channel = "discord", status = post(ctx, config, config.url, payload).status }
  end,
}

local PRIORITIES = { debug = 2, info = 3, warn = 4, error = 5 }

flow.channel {
  name = "ntfy",
  errors = WEB_ERRORS,
  doc = "Publishes a message to a topic of ntfy. The priority follows from the level; what is longer than "
    .. "4,000 bytes is cut. Outputs { channel, status, id }. " .. WEB,
  config = fields {
    topic = "string", server = { type = "string", default = "https://ntfy.sh" },
    token = { type = "string", optional = true, doc = "an access token: a secret" },
    tags = "string[]?", click = { type = "string", optional = true, doc = "a URL that the message opens" },
  },
  examples = { [[flow.notify.ntfy { topic = "storms", message = "Storm in ${input.city}", tags = { "warning" } }]] },
  send = function(ctx, config)
    local text = whole({ message = config.message, fields = config.fields }, same, same)
    local payload = { topic = config.topic, message = cut(text, 4000),
      title = config.title and clean(config.title), priority = PRIORITIES[config.level], tags = config.tags,
      click = config.click }
    local headers = config.token and { Authorization = "Bearer " .. config.token }
    local answer = post(ctx, config, config.server, payload, headers)
    local ok, told = pcall(flow.json.decode, answer.body)
    return { channel = "ntfy", status = answer.status, id = ok and type(told) == "table" and told.id or nil }
  end,
}

-- Declared beside mail.send, which it is made of.
assert(flow.mail)
