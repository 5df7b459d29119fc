-- The channels of `notify` against a web server on loopback that looks at what they send.
local flow = require "orrery"
local command = require "spec.support.command"
local loopback = require "spec.support.loopback"
local one_node = require "spec.support.one_node"
local uv = require "luv"

local notify = flow.notify
local output, failure, contains = one_node.output, one_node.failure, one_node.contains

local server, answer
before_each(function()
  answer = { status = 200, body = "ok" }
  server = loopback.start(function() return answer end)
end)
after_each(function() server.stop() end)

local function sent(node)
  local out = output(node)
  local last = server.requests[#server.requests]
  return flow.json.decode(last.body), last, out
end

describe("notify", function()
  it("writes to the run's log", function()
    local w = flow.workflow { name = "w" }
    w.low = notify.log { when = "input.wind > 100", message = "Storm in ${input.city}" }
    w.high = notify.log { when = "input.wind < 100", message = { calm = true }, title = "News",
      level = "warn", fields = { wind = "${input.wind}" } }
    local lines = {}
    local off = flow.on("log", function(event) lines[#lines + 1] = event end)
    flow.run(w, { input = { wind = 5, city = "Kiel" } })
    off()
    assert.equal(1, #lines)
    assert.equal('News: {"calm":true}', lines[1].message)
    assert.equal("warn", lines[1].level)
    assert.same({ wind = 5 }, lines[1].fields)
    assert.same({ channel = "log" }, output(notify.log "alone"))
  end)

  it("posts to a webhook what is known of the run, or a payload of one's own", function()
    local body, request = sent(notify.webhook { url = server.url "/hook", message = "m", title = "t",
      fields = { a = 1 }, headers = { ["X-One"] = "1" } })
    assert.equal("POST", request.method)
    assert.equal("application/json", request.headers["content-type"])
    assert.equal("1", request.headers["x-one"])
    assert.equal("m t info 1 one_node it", ("%s %s %s %d %s %s"):format(body.message, body.title, body.level,
      body.fields.a, body.workflow, body.node))
    assert.is_true(#body.run > 10)
    local _, _, out = sent(notify.webhook { url = server.url "/hook", message = "m",
      payload = { x = { 1 } } })
    assert.same({ channel = "webhook", status = 200 }, out)
    assert.equal('{"x":[1]}', server.requests[2].body)
  end)

  it("signs what it posts to a webhook, where it has a secret", function()
    local verify = require "orrery.serve.hooks.verify"
    local secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    local _, request = sent(notify.webhook { url = server.url "/hook", message = "m", secret = secret })
    assert.equal("application/json", request.headers["content-type"])
    assert.equal(request.headers["idempotency-key"], verify.delivery("standard", request, { secret },
      os.time()))
    assert.is_nil(verify.delivery("standard", request, { "whsec_" .. ("AAAA"):rep(8) }, os.time()))
    assert.equal("config_error", failure(notify.webhook { url = server.url "/hook", message = "m",
      secret = "no base64" }).code)
  end)

  it("gives each message of a handler a key of its own, the same at every attempt", function()
    local tries = 0
    output { retry = { max = 1, delay = 0 }, run = function()
      notify.webhook { url = server.url "/", message = "one" }
      notify.webhook { url = server.url "/", message = "two" }
      tries = tries + 1
      if tries == 1 then error "once more" end
    end }
    local keys = {}
    for i, request in ipairs(server.requests) do keys[i] = request.headers["idempotency-key"] end
    assert.equal(4, #keys)
    assert.not_equal(keys[1], keys[2])
    assert.equal(keys[1], keys[3])
    assert.equal(keys[2], keys[4])
  end)

  it("speaks to Slack, Teams, Discord and ntfy as they want it, and data is no markup", function()
    local body = sent(notify.slack { url = server.url "/s", message = "a <!channel> & b", title = "T",
      fields = { z = 1, a = { 2 } } })
    assert.same({ text = "*T*\na &lt;!channel&gt; &amp; b\n*a*: [2]\n*z*: 1" }, body)
    body = sent(notify.teams { url = server.url "/t", message = "m", title = "T", level = "error",
      fields = { a = "b" } })
    local card = body.attachments[1].content
    assert.equal("application/vnd.microsoft.card.adaptive", body.attachments[1].contentType)
    assert.equal("T m attention", ("%s %s %s"):format(card.body[1].text, card.body[2].text,
      card.body[2].color))
    assert.same({ { title = "a", value = "b" } }, card.body[3].facts)
    body = sent(notify.discord { url = server.url "/d", message = ("ü"):rep(1500), title = "T" })
    assert.is_true(#body.content <= 2000 and utf8.len(body.content) ~= nil)
    contains(body.content, "**T**\nüü")
    assert.equal("…", body.content:sub(-3))
    assert.same({ parse = {} }, body.allowed_mentions)
    answer = { body = '{"id":"xyz"}' }
    local request, out
    body, request, out = sent(notify.ntfy { server = server.url "/", topic = "storms", message = "m\xff",
      level = "error", tags = { "warning" }, token = "tk" })
    assert.same({ topic = "storms", message = "m?", priority = 5, tags = { "warning" } }, body)
    assert.equal("Bearer tk", request.headers.authorization)
    assert.equal("xyz", out.id)
  end)

  it("fails as HTTP does, and says no more of the URL than its host", function()
    answer = { status = 429, headers = { ["Retry-After"] = "3" }, body = "slow down" }
    local e = failure(notify.slack { url = server.url "/services/T0/B0/hidden-part", message = "m" })
    assert.equal("http_status", e.code)
    assert.is_true(e.retryable)
    assert.equal(3, e.retry_after)
    contains(e.message, "slow down")
    contains(e.message, "127.0.0.1")
    assert.is_nil(flow.json.encode(e):find("hidden", 1, true))
    e = failure(notify.discord { url = "http://127.0.0.1:1/hidden-part", message = "m" })
    assert.equal("http_connect", e.code)
    assert.is_nil(flow.json.encode(e):find("hidden", 1, true))
    e = failure(notify.discord { url = "http://127.0.0.1:1?key=hidden-part", message = "m" })
    assert.is_nil(flow.json.encode(e):find("hidden", 1, true))
    answer = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
    e = failure(notify.teams { url = server.url "/hidden-part", message = "m", max_time = "200ms" })
    assert.equal("http_timeout", e.code)
    assert.is_nil(flow.json.encode(e):find("hidden", 1, true))
    e = failure(notify.webhook { url = "nonsense", message = "m" })
    assert.equal("config_error", e.code)
  end)

  it("is sent again after a failure that may pass", function()
    local statuses = { 500, 200 }
    server.stop()
    server = loopback.start(function() return { status = table.remove(statuses, 1) } end)
    local out = output(notify.webhook { url = server.url "/", message = "m", retry = { max = 1, delay = 0 } })
    assert.equal(200, out.status)
    assert.equal(2, #server.requests)
    assert.equal(server.requests[1].headers["idempotency-key"], server.requests[2].headers["idempotency-key"])
  end)

  it("keeps secrets out of all that is kept and shown", function()
    uv.os_setenv("ORRERY_SPEC_HOOK", server.url "/wh1sp3r")
    answer = { status = 500, body = "no such hook /wh1sp3r" }
    local r = one_node.run(notify.slack { url = flow.secret "ORRERY_SPEC_HOOK", message = "m" })
    assert.equal("/wh1sp3r", server.requests[1].path)
    assert.equal("http_status", r.error.code)
    assert.is_nil(flow.json.encode(r.error):find("http://127.0.0.1:%d+/wh1"))
    -- in a handler as well
    answer = { status = 200 }
    output { run = function() notify.slack { url = flow.secret "ORRERY_SPEC_HOOK", message = "m" } end }
    assert.equal("/wh1sp3r", server.requests[2].path)
  end)
end)

describe("flow.channel", function()
  it("declares a channel of one's own", function()
    local seen
    flow.channel { name = "spec_pager", doc = "Pages somebody.", config = { number = "string" },
      send = function(_, config) seen = config return { paged = config.number } end }
    assert.same({ paged = "1" }, output(notify.spec_pager { number = "1", message = { 2 }, title = "t" }))
    assert.equal("[2]", seen.message)
    assert.equal("t info", seen.title .. " " .. seen.level)
    local e = failure(notify.spec_pager { number = "${1}", message = "m" })
    assert.equal("config_error", e.code)
  end)

  it("declares one that is like another, with a part of its config", function()
    uv.os_setenv("ORRERY_SPEC_ONCALL", server.url "/0ncall-path")
    flow.channel { name = "spec_oncall", like = "slack", with = { url = flow.secret "ORRERY_SPEC_ONCALL" } }
    local body, request = sent(notify.spec_oncall { message = "m" })
    assert.same({ text = "m" }, body)
    assert.equal("/0ncall-path", request.path)
    flow.channel { name = "spec_alarm", like = "ntfy", with = { server = server.url "/", topic = "alarm" } }
    assert.equal("alarm", sent(notify.spec_alarm { message = "m", tags = { "x" } }).topic)
  end)

  it("says what is wrong with a declaration", function()
    local function message(t)
      local ok, e = pcall(flow.channel, t)
      assert.is_false(ok)
      return tostring(e)
    end
    contains(message "x", "expected a table")
    contains(message { name = "x", sent = print }, 'did you mean "send"?')
    contains(message { name = "a.b", send = print }, "name is a word")
    contains(message { name = "x" }, "either send")
    contains(message { name = "x", like = "slak" }, 'did you mean "slack"?')
    contains(message { name = "x", like = "slack", with = { ulr = "" } }, 'did you mean "url"?')
    contains(message { name = "x", config = { title = "string" }, send = print }, 'the key "title" already')
    contains(message { name = "slack", send = function() end }, "already declared")
    contains(message { name = "x", send = 1 }, "send is a function")
  end)

  it("is found before anything else of notify is used, and does not hide the library's", function()
    local result = command.run_with({ ["w.lua"] = [[
      local flow = require "orrery"
      flow.channel { name = "shout", send = function(_, config) return config.message:upper() end }
      local w = flow.workflow { name = "w", output = "${nodes.a}" }
      w.a = flow.notify.shout { message = "hello" }
      w.b = flow.notify.log { message = "m" }
      return w]] }, { "run", "w.lua", "--store", "memory:", "--json" })
    contains(result.out, "HELLO")
    assert.equal(0, result.code)
  end)
end)

describe("notify in a definition that is data", function()
  it("goes only where the loader lets it", function()
    local function result(node, hosts)
      local source = flow.json.encode { name = "w", nodes = { node } }
      local w = flow.load { source = source, types = { "notify.*" }, hosts = hosts }
      local r = flow.run(w)
      return r.state == "completed" or r.error.code
    end
    local webhook = { id = "a", type = "notify.webhook", with = { url = server.url "/", message = "m" } }
    local ntfy = { id = "a", type = "notify.ntfy", with = { server = server.url "/", topic = "t",
      message = "m" } }
    for _, node in ipairs { webhook, ntfy } do
      assert.is_true(result(node, { "127.0.0.1" }))
      assert.equal("not_allowed", result(node, { "example.org" }))
    end
    flow.channel { name = "spec_open", like = "webhook", with = { headers = { a = "b" } } }
    webhook.type = "notify.spec_open"
    assert.equal("not_allowed", result(webhook, { "example.org" }))
    flow.channel { name = "spec_fixed", like = "webhook", with = { url = server.url "/" } }
    assert.is_true(result({ id = "a", type = "notify.spec_fixed", with = { message = "m" } }, {}))
  end)
end)
