-- `mail.send` and `notify.email` in conversations with mail servers on loopback: a real one, whose
-- mails Python's parser reads, and one that refuses what it is told to.
local flow = require "orrery"
local one_node = require "spec.support.one_node"
local smtp = require "spec.support.smtp"
local uv = require "luv"

local output, failure, contains = one_node.output, one_node.failure, one_node.contains

local server
after_each(function()
  if server then server.stop() end
  server = nil
end)

local function with(config)
  local all = { host = "127.0.0.1", port = server.port, tls = "none", from = "a@example.org",
    to = "b@example.org",
    subject = "s", helo = "spec.example.org" }
  for key, value in pairs(config) do all[key] = value end
  return all
end

local function send(config) return flow.mail.send(with(config)) end

describe("mail.send", function()
  local function real(options)
    if not smtp.installed then pending "aiosmtpd is not installed" end
    server = smtp.real(options or {})
  end

  it("sends a text to whom it may concern", function()
    real()
    local out = output(send { from = '"Ro,bot" <robot@example.org>',
      to = { "Jörg Müller <j@example.org>", "c@example.org" },
      cc = "d@example.org", bcc = "e@example.org", reply_to = "f@example.org", subject = "Grüße – from here",
      text = "Hello,\n.\n..dots\nümlaut = x \ttab\t\n" .. ("long "):rep(100),
        headers = { ["X-One"] = "1", ["List-Id"] = "ü" } })
    local mail = server.mail(1)
    assert.equal(4, out.recipients)
    assert.equal("robot@example.org", mail.from)
    assert.same({ "j@example.org", "c@example.org", "d@example.org", "e@example.org" }, mail.to)
    local h = mail.headers
    assert.equal("Grüße – from here", h.subject)
    assert.equal('"Ro,bot" <robot@example.org>', h.from)
    assert.equal("Jörg Müller <j@example.org>, c@example.org", h.to)
    assert.equal("d@example.org", h.cc)
    assert.is_nil(h.bcc)
    assert.equal("f@example.org", h["reply-to"])
    assert.equal("1 ü", h["x-one"] .. " " .. h["list-id"])
    assert.equal(out.message_id, h["message-id"])
    assert.is_true(h.date:find "^%a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d %+0000$" ~= nil, h.date)
    assert.equal("Hello,\n.\n..dots\nümlaut = x \ttab\t\n" .. ("long "):rep(100) .. "\n", mail.parts[1].text)
    assert.same({}, mail.defects)
    assert.is_true(mail.longest <= 78)
    assert.is_false(mail.bare)
    assert.equal("spec.example.org", mail.helo)
  end)

  it("sends HTML beside the text, and attaches files and texts", function()
    real()
    local path = os.tmpname()
    local file = assert(io.open(path, "wb"))
    local bytes = {}
    for i = 0, 255 do bytes[i + 1] = string.char(i) end
    local data = table.concat(bytes):rep(601) -- more than two blocks, and no whole line at the end
    file:write(data)
    file:close()
    output(send { text = "plain", html = "<p>ü</p>", attachments = { { from = path, name = 'b"ü\\.bin',
      type = "image/png" },
      { body = "a,b\n", name = "t.csv", type = "text/csv" }, { body = "" } } })
    os.remove(path)
    local mail = server.mail(1)
    local seen = {}
    for i, part in ipairs(mail.parts) do seen[i] = part.type .. ":" .. part.name .. ":" .. part.size end
    assert.same({ "text/plain::6", "text/html::9", 'image/png:b"ü\\.bin:' .. #data, "text/csv:t.csv:4",
      "application/octet-stream:attachment:0" }, seen)
    local got = mail.parts[3].text:gsub(utf8.charpattern,
      function(c) return string.char(utf8.codepoint(c)) end)
    assert.is_true(got == data)
    assert.equal("a,b\n", mail.parts[4].text)
    assert.same({}, mail.defects)
    assert.is_true(mail.longest <= 78)
  end)

  it("attaches files of every length by their own names", function()
    real()
    local folder = assert(uv.fs_mkdtemp(os.tmpname():match "^(.*/)" .. "mail-XXXXXX"))
    for i, size in ipairs { 0, 1, 2, 3, 56, 57, 58, 114, 233472, 233473 } do
      local file = assert(io.open(folder .. "/a.txt", "wb"))
      file:write(("x"):rep(size))
      file:close()
      output(send { attachments = { { from = folder .. "/a.txt" } } })
      local part = server.mail(i).parts[2]
      assert.equal("a.txt " .. size, part.name .. " " .. part.size)
      assert.same({}, server.mail(i).defects)
    end
    os.execute("rm -rf " .. folder)
  end)

  it("encrypts by STARTTLS or from the beginning, verifies who it is, and logs in", function()
    uv.os_setenv("ORRERY_SPEC_SMTP", smtp.PASSWORD)
    local password = flow.secret "ORRERY_SPEC_SMTP"
    for i, tls in ipairs { "starttls", "tls" } do
      real { tls = tls }
      output(send { tls = tls, ca = server.ca, user = smtp.USER, password = password })
      local mail = server.mail(1)
      assert.is_true(mail.tls, tls)
      assert.equal(smtp.USER, mail.user)
      local e = failure(send { tls = tls })
      assert.equal("mail_tls", e.code)
      assert.is_false(e.retryable)
      assert.equal("mail_tls", failure(send { tls = tls, ca = server.ca, host = "localhost" }).code)
      output(send { tls = tls, insecure = true })
      e = failure(send { tls = tls, ca = server.ca, user = smtp.USER, password = "wrong" .. i })
      assert.equal("mail_refused", e.code)
      assert.equal(535, e.details.status)
      local shown = flow.json.encode(one_node.run(send { tls = tls, ca = server.ca, user = "x",
        password = password }).error)
      assert.is_nil(shown:find(smtp.PASSWORD, 1, true), shown)
      assert.equal(2, #server.mails)
      server.stop()
    end
    server = nil
  end)

  it("says nothing in clear text where it is to be encrypted", function()
    server = smtp.scripted {}
    local e = failure(send { tls = "starttls", user = "u", password = "p4ssw0rd" })
    assert.equal("mail_tls", e.code)
    for _, line in ipairs(server.said) do
      assert.is_nil(line:find "^AUTH")
      assert.is_nil(line:find "^MAIL")
    end
  end)

  it("lets nothing from data begin a header or a command", function()
    server = smtp.scripted {}
    for key, values in pairs {
      subject = { "a\r\nBcc: x@y.z", "a\nb", "a\rb", "a\0b", "\xff" },
      from = { "a@b.c\r\nRCPT TO:<x@y.z>", "a b@c.d", "a@b.c> <x@y.z", "a", "a@", "@b", "<>", "ü@b.c",
        "A\nB <a@b.c>", "a@b.c x" },
      to = { "b@c.d\r\nDATA", { "a@b.c", "x\n@y.z" }, {}, "a@b.c, d@e.f", { 1 } },
      cc = { "a@b.c>\r\n" }, bcc = { "\n" }, reply_to = { "a@b.c\r\nX: y" },
      headers = { { ["X-A"] = "b\r\nBcc: x@y.z" }, { ["A:b"] = "c" }, { ["X\r\nB"] = "c" },
        { Subject = "x" }, { bcc = "x" },
        { A = {} } },
      helo = { "a\r\nMAIL", "a b", "" }, host = { "127.0.0.1/x", "a b", "u:p@h", "" },
      attachments = { { { body = "x", name = "a\r\nB: c" } }, { { body = "x", type = "a/b\r\nC: d" } },
        { { body = "x", type = "a" } },
        { {} }, { { from = "a", body = "b" } }, { 1 } },
    } do
      for _, value in ipairs(values) do
        local e = failure(send { [key] = value })
        assert.equal("config_error", e.code, key)
      end
    end
    assert.equal(0, server.connections)
  end)

  it("tells a refusal for good from one for now, and the server's words", function()
    for word, code in pairs { MAIL = "mail_refused", RCPT = "mail_refused", DATA = "mail_refused",
      ["."] = "mail_refused",
      greeting = "mail_refused" } do
      server = smtp.scripted { [word] = "554 5.7.1 not here" }
      local e = failure(send {})
      assert.equal(code, e.code, word)
      assert.is_false(e.retryable)
      assert.equal(554, e.details.status, word)
      contains(e.message, "554 5.7.1 not here")
      server.stop()
      server = smtp.scripted { [word] = "451 later" }
      e = failure(send {})
      assert.equal("mail_deferred", e.code, word)
      assert.is_true(e.retryable)
      server.stop()
    end
    server = smtp.scripted { RCPT = "550 no such user" }
    failure(send { to = { "a@b.c", "d@e.f" } })
    for _, line in ipairs(server.said) do assert.not_equal("DATA", line) end
  end)

  it("is sent again after what passes, with the same id", function()
    local tries = 0
    server = smtp.scripted(setmetatable({}, { __index = function(_, word)
      if word ~= "MAIL" then return nil end
      tries = tries + 1
      return tries == 1 and "451 greylisted" or nil
    end }))
    local r = one_node.run(send { retry = { max = 1, delay = 0 } })
    assert.equal("completed", r.state, r.error and r.error.message)
    assert.equal(2, server.connections)
  end)

  it("fails with what goes wrong on the way, and never waits for a good-bye", function()
    server = smtp.scripted { QUIT = false }
    local began = uv.hrtime()
    output(send {})
    output(send {})
    assert.equal("mail_connect", failure(flow.mail.send { host = "127.0.0.1", port = 1, from = "a@b.c",
      to = "a@b.c", subject = "s",
      tls = "none" }).code)
    server.stop()
    for word, code in pairs { greeting = "mail_timeout", EHLO = "mail_timeout", MAIL = "mail_timeout",
      ["."] = "mail_timeout" } do
      server = smtp.scripted { [word] = false, QUIT = false }
      assert.equal(code, failure(send { max_time = "200ms" }).code, word)
      server.stop()
      server = smtp.scripted { [word] = "close" }
      local e = failure(send { max_time = "20s" })
      assert.equal("mail_connect", e.code, word .. " " .. e.message)
      assert.is_true(e.retryable)
      server.stop()
    end
    server = smtp.scripted { RCPT = "550 no", QUIT = false }
    assert.equal("mail_refused", failure(send {}).code)
    server.stop()
    server = smtp.scripted { greeting = "HTTP/1.1 400 Bad Request" }
    assert.is_truthy(failure(send { max_time = "2s" }).code:find "^mail_")
    assert.is_true((uv.hrtime() - began) / 1e9 < 60)
    server.stop()
    server = smtp.scripted {}
    assert.equal("file_error", failure(send { attachments = { { from = "/no/such/file" } } }).code)
    assert.equal("timeout", failure(flow.mail.send(with { port = (function()
      server.stop()
      server = smtp.scripted { greeting = false }
      return server.port
    end)(), timeout = "100ms" })).code)
  end)
end)

describe("notify.email", function()
  it("is a mail with the message, its fields and a subject", function()
    if not smtp.installed then return pending "aiosmtpd is not installed" end
    server = smtp.real {}
    local base = { host = "127.0.0.1", port = server.port, tls = "none", from = "a@b.c", to = "d@e.f" }
    local function mail(more)
      for key, value in pairs(base) do more[key] = value end
      local n = #server.mails + 1
      output(flow.notify.email(more))
      return server.mail(n)
    end
    local first = mail { message = "It is done.\nAll of it.", title = "Back\nup",
      fields = { b = 1, a = { true } } }
    assert.equal("Back up", first.headers.subject)
    assert.equal("It is done.\nAll of it.\n\na: [true]\nb: 1\n", first.parts[1].text)
    assert.equal("First", mail({ message = "First\r\nBcc: x@y.z" }).headers.subject)
    assert.is_true(#mail({ message = ("ü"):rep(1000) }).headers.subject <= 203)
    flow.channel { name = "spec_ops", like = "email", with = base }
    output(flow.notify.spec_ops { message = "m" })
    assert.equal("m", server.mail(4).headers.subject)
  end)
end)

describe("mail in a definition that is data", function()
  it("goes only to hosts, and attaches only files, that the loader allows", function()
    server = smtp.scripted {}
    local function code(config, hosts, name)
      local source = flow.json.encode { name = "w", nodes = { { id = "a", type = name or "mail.send",
        with = config } } }
      local w = flow.load { source = source, types = { "mail.*", "notify.*" }, hosts = hosts,
        paths = { "/srv" } }
      return (flow.run(w).error or {}).code
    end
    assert.is_nil(code(with {}, { "127.0.0.1" }))
    assert.equal("not_allowed", code(with {}, { "example.org" }))
    assert.equal("not_allowed", code(with { attachments = flow.json.array { { from = "/etc/passwd" } } },
      { "127.0.0.1" }))
    local email = with { message = "m" }
    email.subject = nil
    assert.equal("not_allowed", code(email, { "example.org" }, "notify.email"))
    assert.is_nil(code(email, { "127.0.0.1" }, "notify.email"))
  end)
end)
