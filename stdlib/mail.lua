--- `mail.send`: mails over SMTP, and the channel `notify.email`.
local flow = require "orrery"
local body_files = require "orrery.stdlib.shared.body_files"
local checksum = require "orrery.stdlib.shared.checksum"
local mime = require "orrery.stdlib.shared.mime"
local uv = require "luv"

local function config_error(message, ...)
  flow.error { code = "config_error", message = "mail.send: " .. message:format(...), retryable = false }
end

-- ---- to whom ------------------------------------------------------------------------------------

-- The addresses of a key, a text or a list, added to `all`; those that headers show.
local function addresses(config, key, all)
  local given, shown = config[key], {}
  for i, text in ipairs(type(given) == "table" and given or { given }) do
    local what = type(given) == "table" and ("%s[%d]"):format(key, i) or key
    if type(text) ~= "string" then config_error("%s is an address, got a %s", what, type(text)) end
    all[#all + 1], shown[i] = mime.address(what, text)
  end
  return shown
end

local MOST_RECIPIENTS = 100 -- that every server takes (RFC 5321, section 4.5.3.1.8)

local function envelope_of(config)
  local to, from, shown_from = {}, mime.address("from", config.from)
  local shown = { from = shown_from, to = addresses(config, "to", to), cc = addresses(config, "cc", to) }
  addresses(config, "bcc", to)
  if config.reply_to then shown.reply_to = select(2, mime.address("reply_to", config.reply_to)) end
  if #to == 0 then config_error "there is nobody in to, cc and bcc" end
  if #to > MOST_RECIPIENTS then
    config_error("%d addresses are more than servers take; send several mails, to at most %d", #to,
      MOST_RECIPIENTS)
  end
  return { from = from, to = to, shown = shown }
end

-- ---- sending ------------------------------------------------------------------------------------

local PORTS = { starttls = 587, tls = 465, none = 25 }

local function url_of(config)
  if not config.host:find "^[%w.-]+$" and not config.host:find "^%[[%x:.]+%]$" then
    config_error("host: %q is no name of a host", config.host)
  end
  local helo = config.helo or uv.os_gethostname()
  if not helo:find "^[%w._-]+$" then config_error("helo: %q is no name of a host", helo) end
  return ("%s://%s:%d/%s"):format(config.tls == "tls" and "smtps" or "smtp", config.host,
    config.port or PORTS[config.tls], helo)
end

local function perform(options)
  local refused
  local err = flow.await(function(resume)
    local ok, handle = pcall(flow.smtp, options, resume)
    if not ok then
      refused = tostring(handle):gsub("^[^:]*:%d+: ", "")
      resume()
      return nil
    end
    return function() handle:cancel() end
  end)
  if refused then config_error("%s", refused) end
  if err == false then err = { code = "out_of_memory", message = "there is no memory for the answer" } end
  if err then flow.error(err) end
end

-- The same at every attempt, by which a mail that came twice is told.
local function id_of(ctx, config, envelope)
  local text = table.concat(envelope.to, " ") .. "\n" .. config.subject .. "\n" .. (config.text or "")
    .. (config.html or "")
  return ("%s.%s@%s"):format(ctx.idempotency_key:gsub("[^%w.-]", "-"), checksum(text),
    envelope.from:match "@%[?([^%]]+)")
end

local function close_all(list)
  for _, file in ipairs(list) do flow.fs("close", file.fd) end
end

local function send(ctx, config)
  local envelope = envelope_of(config)
  local id = id_of(ctx, config, envelope)
  local opened <close> = setmetatable({}, { __close = close_all })
  local body = mime.message(config, envelope.shown, id, function(path)
    opened[#opened + 1] = body_files.source(path)
    return opened[#opened]
  end)
  perform {
    url = url_of(config), from = envelope.from, to = envelope.to, body = body, user = config.user,
    password = config.password, starttls = config.tls == "starttls", insecure = config.insecure,
      ca = config.ca,
    connect_timeout = config.connect_timeout, idle_timeout = config.idle_timeout, timeout = config.max_time,
  }
  return { message_id = "<" .. id .. ">", recipients = #envelope.to }
end

local FIELDS = {
  host = "string", port = { type = "integer", optional = true, min = 1, max = 65535,
    doc = "587; with tls 465, without 25" },
  tls = { enum = { "starttls", "tls", "none" }, default = "starttls" },
  user = "string?", password = { type = "string", optional = true, doc = "a secret" },
  from = "string", to = "string|array", cc = "string|array?", bcc = "string|array?", reply_to = "string?",
  helo = { type = "string", optional = true, doc = "how this host calls itself, where it is not its name" },
  connect_timeout = { type = "duration", default = "30s" }, idle_timeout = { type = "duration",
    default = "2m" },
  max_time = { type = "duration", default = "10m" }, insecure = { type = "boolean", default = false },
    ca = "string?",
}

local MAIL = {
  subject = "string", text = "string?", html = "string?",
  attachments = { type = "array", optional = true,
    doc = "each { from = PATH } or { body = TEXT }, with name and type" },
  headers = { type = "object", optional = true, doc = "others, such as List-Id" },
}

local mail_fields = {}
for _, more in ipairs { FIELDS, MAIL } do
  for name, kind in pairs(more) do mail_fields[name] = kind end
end

flow.type {
  name = "mail.send",
  errors = { "mail_connect", "mail_deferred", "mail_protocol", "mail_refused", "mail_timeout", "mail_tls",
    "file_error" },
  doc = [[Sends a mail by a server, over SMTP. An address is a@b.c or Name <a@b.c>. The connection is encrypted: by tls = "starttls" before
anything else is said, or "tls" from its beginning; "none" leaves that out. Files are attached without being held in memory. Outputs
{ message_id, recipients }. What the server refuses for good fails with "mail_refused", what it may take later with "mail_deferred";
one recipient that is refused refuses the mail. Where the connection breaks before the server's last word, another try may send it
twice, with the same message_id.]],
  config = flow.schema(mail_fields),
  output = { message_id = "string", recipients = "integer" },
  examples = { [[flow.mail.send { host = "smtp.example.org", user = "robot", password = flow.secret "SMTP_PASSWORD",
  from = "Robot <robot@example.org>", to = "ops@example.org", subject = "Report of ${input.day}", text = "It is attached.",
  attachments = { { from = "report.pdf", type = "application/pdf" } } }]] },
  run = send,
}

-- ---- notify.email -------------------------------------------------------------------------------

local function with_fields(config)
  local names, lines = {}, { config.message, "" }
  for name in pairs(config.fields or {}) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local value = config.fields[name]
    lines[#lines + 1] = name .. ": " .. (type(value) == "string" and value or flow.json.encode(value))
  end
  return table.concat(lines, "\n") .. "\n"
end

-- A message is data: its first line is the subject where there is no title.
local function subject_of(config)
  local text = config.title or config.message:match "^[^\r\n]*"
  text = text:gsub("[%c\x7f]+", " ")
  if not utf8.len(text) then text = text:gsub("[\x80-\xff]", "?") end
  if #text > 200 then text = text:sub(1, utf8.offset(text, 0, 200) - 1) .. "…" end
  return text
end

flow.channel {
  name = "email",
  doc = "Sends a message as a mail: the title, or its first line, is the subject. Takes what mail.send "
    .. "does, and fails as it does. "
    .. "Outputs { channel, message_id }.",
  config = FIELDS,
  examples = { [[flow.notify.email { host = "smtp.example.org", user = "robot", password = flow.secret "SMTP_PASSWORD",
  from = "robot@example.org", to = "ops@example.org", title = "Storm", message = "Storm in ${input.city}" }]] },
  send = function(ctx, config)
    local given = {}
    for name in pairs(FIELDS) do given[name] = config[name] end
    given.subject, given.text = subject_of(config), with_fields(config)
    return { channel = "email", message_id = send(ctx, given).message_id }
  end,
}
