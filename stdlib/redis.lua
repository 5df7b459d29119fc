--- `redis.get`, `redis.set`, `redis.publish`, `redis.subscribe`, `redis.stream_add`,
--- `redis.stream_read`, `redis.command`: Redis, Valkey and others that speak their protocol. Words
--- of commands are data, never text put together.
local flow = require "orrery"
local sorted_names = require "orrery.stdlib.shared.sorted_names"
local uv = require "luv"

local SETTINGS = {
  url = { type = "string", optional = true,
    doc = "redis://USER@HOST:PORT/DATABASE or unix:///PATH?db=DATABASE, instead of the next three" },
  host = { type = "string", optional = true, doc = "a name, an address, or the path of a socket; 127.0.0.1" },
  port = { type = "integer", optional = true, min = 1, max = 65535, doc = "6379" },
  database = { type = "integer", optional = true, min = 0, doc = "0" },
  user = "string?", password = { type = "string", optional = true, doc = "a secret" },
  connect_timeout = { type = "duration", default = 10 },
  max_time = { type = "duration", default = 30, doc = "how long an answer may take" },
  max_size = { type = "integer", default = 64 * 1024 * 1024, min = 1, doc = "bytes that a reply may have" },
  keep = { type = "duration", default = 30, doc = "how long a connection is kept that nobody uses" },
}

local ERRORS = { "redis_busy", "redis_connection", "redis_denied", "redis_error", "redis_timeout",
  "redis_too_large", "redis_unavailable" }

local function with_errors(more)
  return table.move(ERRORS, 1, #ERRORS, #more + 1, more)
end

local function with_settings(fields)
  for name, kind in pairs(SETTINGS) do fields[name] = kind end
  return flow.schema(fields)
end

local null = flow.json.null

-- Data as a word of a command: a text as it is, anything else as JSON.
local function word_of(value)
  return type(value) == "string" and value or flow.json.encode(value)
end

local function parsed(config, key, text)
  if config.parse ~= "json" then return text end
  local ok, value = pcall(flow.json.decode, text)
  if ok then return value end
  flow.error { code = "invalid_content", retryable = false,
    message = ("the value of %q is no JSON: %s"):format(key, tostring(value)) }
end

local PARSE = { enum = { "text", "json" }, default = "text" }

-- ---- values -------------------------------------------------------------------------------------

flow.type {
  name = "redis.get",
  errors = with_errors { "invalid_content" },
  doc = [[Reads the text of a key: outputs { value, found }. Where there is none, value is `default`. parse =
"json" makes data of it.]],
  config = with_settings { key = "string", default = "any?", parse = PARSE },
  output = { value = "any?", found = "boolean" },
  positional = "key",
  examples = { [[flow.redis.get { "rates:eur", url = "redis://cache.example.org", parse = "json", retry = "quick" }]] },
  run = function(_, config)
    local text = flow.resp(config):call("GET", config.key)
    if text == null then return { value = config.default, found = false } end
    return { value = parsed(config, config.key, text), found = true }
  end,
}

flow.type {
  name = "redis.set",
  errors = with_errors {},
  doc = [[Sets the value of a key: a text as it is, other data as JSON. `ttl` is how long it is kept, for ever
without it. only_if = "absent" or "present" sets it only where there is none or one. Outputs { set }.]],
  config = with_settings { key = "string", value = "any", ttl = "duration?",
    only_if = { enum = { "absent", "present" }, optional = true } },
  output = { set = "boolean" },
  examples = { [[flow.redis.set { host = "cache.example.org", password = flow.secret "CACHE_PASSWORD",
  key = "rates:eur", value = "${nodes.fetch.json}", ttl = "1h" }]] },
  check = function(config)
    if type(config.ttl) == "number" and config.ttl <= 0 then
      return "ttl: expected more than no time; redis.command { args = { \"DEL\", … } } removes a key", "ttl"
    end
  end,
  run = function(_, config)
    local args = { "SET", config.key, word_of(config.value) }
    if config.ttl then
      args[4], args[5] = "PX", math.max(1, math.floor(config.ttl * 1000))
    end
    if config.only_if then args[#args + 1] = config.only_if == "absent" and "NX" or "XX" end
    return { set = flow.resp(config):call(table.unpack(args)) ~= null }
  end,
}

-- These block at the server, or change the connection.
local REFUSED = {}
for name in ([[subscribe psubscribe ssubscribe unsubscribe punsubscribe sunsubscribe monitor sync psync replconf
  multi exec discard watch unwatch select auth hello quit reset client blpop brpop blmove blmpop brpoplpush
  bzpopmin bzpopmax bzmpop wait waitaof]]):gmatch "%S+" do REFUSED[name:upper()] = true end

local function check_command(args)
  local name = args[1]:upper()
  if REFUSED[name] then
    flow.error { code = "config_error", retryable = false,
      message = ("redis.command: %s is refused, for the connection is shared with other nodes"):format(name) }
  end
  for _, word in ipairs(name:find "^XREAD" and args or {}) do
    if word:upper() == "BLOCK" then
      flow.error { code = "config_error", retryable = false,
        message = "redis.command: BLOCK would hold up other nodes; redis.stream_read waits" }
    end
  end
end

flow.type {
  name = "redis.command",
  errors = with_errors {},
  doc = [[Does any command that answers at once: args are its words, and each is taken as it is, so that data
in it is never another command. Outputs { reply }: a text, an integer, null, or a list of these. What blocks
at the server, and what changes the connection (SUBSCRIBE, BLPOP, MULTI, SELECT, AUTH, …), is refused; for
several commands that belong together there is EVAL.]],
  config = with_settings { args = "array" },
  output = { reply = "any?" },
  positional = "args",
  examples = { [[flow.redis.command { args = { "HSET", "order:${input.id}", "state", "paid" } }]] },
  check = function(config)
    if type(config.args) == "table" and #config.args == 0 then
      return "args: expected the words of a command, such as { \"DEL\", \"KEY\" }", "args"
    end
  end,
  run = function(_, config)
    local args = {}
    for i, word in ipairs(config.args) do args[i] = word_of(word) end
    check_command(args)
    return { reply = flow.resp(config):call(table.unpack(args)) }
  end,
}

-- ---- messages to all ----------------------------------------------------------------------------

flow.type {
  name = "redis.publish",
  errors = with_errors {},
  doc = [[Publishes a message on a channel, to all who are subscribed now: a text as it is, other data as JSON.
Outputs { receivers }, how many these were.]],
  config = with_settings { channel = "string", message = "any" },
  output = { receivers = "integer" },
  examples = { [[flow.redis.publish { channel = "orders", message = { id = "${input.id}", state = "paid" } }]] },
  run = function(_, config)
    return { receivers = flow.resp(config):call("PUBLISH", config.channel, word_of(config.message)) }
  end,
}

local function seconds_left(late) return (late - uv.hrtime()) / 1e9 end

local function timed_out(config, what, found)
  if config.on_timeout == "continue" then
    found.timed_out = true
    return found
  end
  flow.error { code = "wait_timeout", retryable = true,
    message = ("%s did not come within %g s, timeout"):format(what, config.timeout) }
end

local KINDS = { message = { 2, 3 }, pmessage = { 3, 4, 2 } } -- where channel, text and pattern stand

local function message_of(config, reply)
  local at = type(reply) == "table" and KINDS[reply[1]]
  if not at then return nil end
  return { channel = reply[at[1]], message = parsed(config, reply[at[1]], reply[at[2]]),
    pattern = at[3] and reply[at[3]] or nil }
end

flow.type {
  name = "redis.subscribe",
  errors = with_errors { "invalid_content", "wait_timeout" },
  own_timeout = true,
  doc = [[Waits for messages on channels, or on those whose names fit patterns (news.*), over a connection of
its own: outputs { messages }, each { channel, message, pattern }, once there are `count`. What is published
before it is subscribed, or while the process is away, does not come; redis.stream_read loses nothing.]],
  config = with_settings {
    channels = { type = "string[]", optional = true }, patterns = { type = "string[]", optional = true },
    count = { type = "integer", default = 1, min = 1, max = 100000 }, parse = PARSE,
    timeout = { type = "duration", optional = true, doc = "how long it waits for all of them" },
    on_timeout = { enum = { "fail", "continue" }, default = "fail",
      doc = "continue: the output is what has come, and timed_out = true" },
  },
  output = { messages = "array", timed_out = "boolean?" },
  check = function(config)
    if not config.channels and not config.patterns then
      return "channels, patterns or both say what is waited for", "channels"
    end
  end,
  examples = { [[flow.redis.subscribe { channels = { "orders" }, parse = "json", timeout = "10m" }]] },
  run = function(ctx, config)
    local late = config.timeout and uv.hrtime() + math.floor(config.timeout * 1e9)
    return ctx:step("redis.subscribe", function()
      local own <close>, found = flow.resp(config):own(), { messages = flow.json.array {} }
      for word, names in pairs { SUBSCRIBE = config.channels, PSUBSCRIBE = config.patterns } do
        own:tell { word, table.unpack(names) }
      end
      while #found.messages < config.count do
        local reply = own:hear(late)
        if reply == nil then return timed_out(config, "as many messages as count says", found) end
        found.messages[#found.messages + 1] = message_of(config, reply)
      end
      return found
    end)
  end,
}

-- ---- streams ------------------------------------------------------------------------------------

flow.type {
  name = "redis.stream_add",
  errors = with_errors {},
  doc = [[Adds an entry to a stream: outputs { id }. Values of fields are texts as they are, other data as
JSON. `max_length` removes the oldest entries beyond about so many.]],
  config = with_settings { stream = "string", fields = "object",
    max_length = { type = "integer", optional = true, min = 1 } },
  output = { id = "string" },
  examples = { [[flow.redis.stream_add { stream = "orders", fields = { id = "${input.id}", state = "paid" },
  max_length = 100000 }]] },
  check = function(config)
    if type(config.fields) == "table" and next(config.fields) == nil then
      return "fields: expected at least one, such as { state = \"paid\" }", "fields"
    end
  end,
  run = function(_, config)
    local args = { "XADD", config.stream }
    if config.max_length then
      for _, word in ipairs { "MAXLEN", "~", config.max_length } do args[#args + 1] = word end
    end
    args[#args + 1] = "*"
    for _, name in ipairs(sorted_names(config.fields)) do
      args[#args + 1] = name
      args[#args + 1] = word_of(config.fields[name])
    end
    return { id = flow.resp(config):call(table.unpack(args)) }
  end,
}

local FOR_EVER = 1000000000 -- s

local function read_after(redis, config, late)
  local own <close> = redis:own()
  return own:read(config.stream, config.from, config.count,
    late and math.max(0.001, seconds_left(late)) or FOR_EVER)
end

local function read_all(redis, config)
  local late = config.timeout and uv.hrtime() + math.floor(config.timeout * 1e9)
  local found
  if config.group then
    local own <close> = redis:own()
    found = own:take({ stream = config.stream, group = config.group,
      consumer = config.consumer or "orrery@" .. uv.os_gethostname(), count = config.count,
      claim = config.claim, from = config.from or "0" }, late)
  else
    found = read_after(redis, config, late)
  end
  local made = { entries = flow.json.array(found), last = #found > 0 and found[#found].id or config.from }
  if #found == 0 then return timed_out(config, "an entry of the stream", made) end
  return made
end

flow.type {
  name = "redis.stream_read",
  errors = with_errors { "wait_timeout" },
  own_timeout = true,
  doc = [[Reads entries of a stream, and waits for one where there is none, over a connection of its own:
outputs { entries, last }, each { id, fields }. Without a group these are entries after the id `from`; last is what
the next read goes on from. With a group each entry goes to one of its readers: what was read is recorded
with the run, and acknowledged only when that is on disk, so that a crash loses nothing. What a reader has
taken and not acknowledged for as long as `claim` is given to another.]],
  config = with_settings {
    stream = "string", group = "string?",
    consumer = { type = "string", optional = true,
      doc = "the reader's name in the group; orrery@ and the host's" },
    from = { type = "string", optional = true, doc = "what comes after this id; 0: all, $: what comes from "
      .. "now on; with a group where that begins when it is made, 0 without it" },
    count = { type = "integer", default = 100, min = 1, max = 100000, doc = "at most so many entries" },
    claim = { type = "duration", default = "5m" },
    timeout = { type = "duration", optional = true, doc = "how long it waits for the first entry" },
    on_timeout = { enum = { "fail", "continue" }, default = "fail",
      doc = "continue: the output has no entries, and timed_out = true" },
  },
  output = { entries = "array", last = "string?", timed_out = "boolean?" },
  check = function(config)
    if not config.group and not config.from then
      return "from says where it begins (\"0\": with the first entry), or group who reads", "from"
    end
  end,
  examples = {
    [[flow.redis.stream_read { stream = "orders", group = "billing", count = 1, timeout = "1h" }]],
    [[flow.redis.stream_read { stream = "orders", from = "${nodes.mark.value}", timeout = "1s",
  on_timeout = "continue" }]],
  },
  run = function(ctx, config)
    local redis = flow.resp(config)
    local made = ctx:step("redis.stream_read " .. config.stream, function()
      return read_all(redis, config)
    end)
    if config.group and #made.entries > 0 then
      local ids = {}
      for i, entry in ipairs(made.entries) do ids[i] = entry.id end
      redis:acknowledge(config.stream, config.group, ids)
    end
    return made
  end,
}
