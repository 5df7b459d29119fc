-- The node types `http.get` and `http.request` against a real web server on loopback, and against a socket of our own where the
-- server has to misbehave.
local flow = require "orrery"
local core = require "orrery.core"
local nginx = require "spec.support.nginx"
local uv = require "luv"

local LONG_TEXT = ("the same line again and again\n"):rep(2000)

local LOCATIONS = [[
    gzip on; gzip_min_length 1; gzip_types text/plain;
    location /show { default_type text/plain; return 200 "$request_method $args|$http_x_one|$http_content_type|$http_user_agent|"; }
    location /echo {
      add_header X-Body $request_body always;
      add_header X-Kind $http_content_type always;
      proxy_pass http://127.0.0.1:$server_port/ok;
    }
    location /ok { default_type text/plain; return 200 ok; }
    location /twice {
      add_header X-Two one; add_header X-Two two; add_header Set-Cookie a=1; add_header Set-Cookie "b=2, c";
      return 200 ok;
    }
    location /cookie { add_header Set-Cookie a=1; return 200 ok; }
    location /moved { return 302 /ok; }
    location /circle { return 302 /circle; }
    location /busy { add_header Retry-After 7 always; return 503 "come back later"; }
    location /gone { default_type text/html; return 404 "<h1>nothing here</h1>"; }
    location /not-json { default_type application/json; return 200 "{oops"; }
    location /problem { default_type application/problem+json; return 200 '{"title":"t"}'; }
    location /untyped { default_type text/plain; return 200 '[1,2.0,null]'; }
    location /connection { default_type text/plain; return 200 $connection; }
    location /created { return 201; }
]]

local server

local one_node = require "spec.support.one_node"
local run, output, failure, contains = one_node.run, one_node.output, one_node.failure, one_node.contains

local function sleep(ms)
  flow.await(function(resume)
    local timer = uv.new_timer()
    timer:start(ms, 0, function() timer:close() resume() end)
  end)
end

--- A server that calls `answer(client, request, number of the connection)` for each request.
local function raw_server(answer)
  local listener, count, clients = uv.new_tcp(), 0, {}
  listener:bind("127.0.0.1", 0)
  listener:listen(16, function()
    local client = uv.new_tcp()
    listener:accept(client)
    count = count + 1
    local number, text = count, ""
    clients[#clients + 1] = client
    client:read_start(function(_, data)
      text = text .. (data or "")
      if data and text:find("\r\n\r\n", 1, true) then
        answer(client, text, number)
        text = ""
      end
    end)
  end)
  local port = listener:getsockname().port
  return {
    url = function(path) return ("http://127.0.0.1:%d%s"):format(port, path) end,
    port = port,
    count = function() return count end,
    stop = function()
      for _, client in ipairs(clients) do if not client:is_closing() then client:close() end end
      listener:close()
    end,
  }
end

local function reply(status, headers, body)
  return ("HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s"):format(status, #body, headers, body)
end

describe("http", function()
  setup(function()
    if not nginx.program then return end
    server = nginx.start {
      locations = LOCATIONS,
      files = { ["data.json"] = '{"wind": 120, "list": [], "none": null}', ["long.txt"] = LONG_TEXT, ["page.html"] = "<p>page</p>" },
    }
  end)
  teardown(function() if server then server.stop() end end)
  before_each(function() if not server then pending "nginx is not installed" end end)

  it("gets a page: status, headers in lower case, body, URL", function()
    local out = output(flow.http.get { url = server.url "/page.html" })
    assert.are.equal(200, out.status)
    assert.are.equal("<p>page</p>", out.body)
    assert.are.equal("text/html", out.headers["content-type"])
    assert.are.equal(server.url "/page.html", out.url)
    assert.is_nil(out.json)
    assert.is_true(out.seconds >= 0 and out.seconds < 5)
  end)

  it("takes a URL alone, and templates in it", function()
    local out = output(flow.http.get { url = server.url "/${input.name}.json" }, { input = { name = "data" } })
    assert.are.equal(120, out.json.wind)
    assert.are.equal("ok", output(flow.http.get(server.url "/ok")).body)
  end)

  it("decodes JSON by its type, keeping the text", function()
    local out = output(flow.http.get { url = server.url "/data.json" })
    assert.are.equal(120, out.json.wind)
    assert.are.equal("[]", flow.json.encode(out.json.list))
    contains(out.body, '"wind": 120')
    assert.are.equal("t", output(flow.http.get { url = server.url "/problem" }).json.title)
    assert.is_nil(output(flow.http.get { url = server.url "/untyped" }).json)
    assert.are.equal("[1,2.0,null]", flow.json.encode(output(flow.http.get { url = server.url "/untyped", parse = "json" }).json))
    assert.is_nil(output(flow.http.get { url = server.url "/data.json", parse = "text" }).json)
  end)

  it("fails on a body that is not the JSON it claims to be", function()
    local e = failure(flow.http.get { url = server.url "/not-json" })
    assert.are.equal("http_json", e.code)
    assert.is_false(e.retryable)
    assert.are.equal("{oops", output(flow.http.get { url = server.url "/not-json", parse = "text" }).body)
  end)

  it("sends query parameters in a fixed order, escaped", function()
    local out = output(flow.http.get { url = server.url "/show?z=1", query = { b = "x y&z", a = { 1, "ü" }, c = true } })
    assert.are.equal("GET z=1&a=1&a=%C3%BC&b=x%20y%26z&c=true", out.body:match "^[^|]*")
    assert.are.equal("GET a=1", output(flow.http.get { url = server.url "/show#part", query = { a = 1 } }).body:match "^[^|]*")
  end)

  it("sends headers and names itself", function()
    local out = output(flow.http.get { url = server.url "/show", headers = { ["X-One"] = "first" } })
    contains(out.body, "|first||orrery/" .. flow.version .. "|")
    out = output(flow.http.get { url = server.url "/show", headers = { { "X-One", "second" }, { "User-Agent", "me" } } })
    contains(out.body, "|second||me|")
  end)

  it("joins headers that come twice, but never cookies", function()
    local out = output(flow.http.get { url = server.url "/twice" })
    assert.are.equal("one, two", out.headers["x-two"])
    assert.are.same({ "a=1", "b=2, c" }, out.headers["set-cookie"])
    assert.are.same({ "a=1" }, output(flow.http.get { url = server.url "/cookie" }).headers["set-cookie"])
  end)

  it("sends a text or a value as JSON", function()
    local out = output(flow.http.request { url = server.url "/echo", json = { a = { 1, 2 } } })
    assert.are.equal('{"a":[1,2]}', out.headers["x-body"])
    assert.are.equal("application/json", out.headers["x-kind"])
    out = output(flow.http.request { url = server.url "/echo", method = "put", body = "text", headers = { ["content-type"] = "x/y" } })
    assert.are.equal("text", out.headers["x-body"])
    assert.are.equal("x/y", out.headers["x-kind"])
    assert.are.equal("DELETE", output(flow.http.request { url = server.url "/show", method = "DELETE" }).body:match "^%u+")
    assert.are.equal("", output(flow.http.request { url = server.url "/show", method = "HEAD" }).body)
  end)

  it("decodes compressed bodies", function()
    local out = output(flow.http.get { url = server.url "/long.txt" })
    assert.are.equal(LONG_TEXT, out.body)
    assert.are.equal("gzip", out.headers["content-encoding"])
  end)

  it("holds the limit after decompression", function()
    local e = failure(flow.http.get { url = server.url "/long.txt", limit = 10000 })
    assert.are.equal("http_too_large", e.code)
    contains(e.message, "10000 bytes")
    assert.is_false(e.retryable)
  end)

  it("follows redirects when reading, and when asked to", function()
    local out = output(flow.http.get { url = server.url "/moved" })
    assert.are.equal("ok", out.body)
    assert.are.equal(server.url "/ok", out.url)
    local e = failure(flow.http.get { url = server.url "/moved", follow = false })
    contains(e.message, "302")
    contains(e.message, "/ok")
    assert.are.equal("http_status", failure(flow.http.request { url = server.url "/moved", body = "x" }).code)
    assert.are.equal("ok", output(flow.http.request { url = server.url "/moved", body = "x", follow = true }).body)
    assert.are.equal("http_protocol", failure(flow.http.get { url = server.url "/circle" }).code)
  end)

  it("fails on a status that was not expected", function()
    local e = failure(flow.http.get { url = server.url "/gone" })
    assert.are.equal("http_status", e.code)
    assert.is_false(e.retryable)
    contains(e.message, "404 (not found)")
    contains(e.message, "nothing here")
    assert.are.equal(404, e.details.status)
    e = failure(flow.http.get { url = server.url "/busy" })
    assert.is_not_false(e.retryable)
    assert.are.equal(7, e.retry_after)
    contains(e.message, "come back later")
  end)

  it("expects what it is told to", function()
    assert.are.equal(404, output(flow.http.get { url = server.url "/gone", expect = "any" }).status)
    assert.are.equal(404, output(flow.http.get { url = server.url "/gone", expect = { 200, 404 } }).status)
    assert.are.equal(404, output(flow.http.get { url = server.url "/gone", expect = "4xx" }).status)
    assert.are.equal(201, output(flow.http.get { url = server.url "/created", expect = 201 }).status)
    assert.are.equal("http_status", failure(flow.http.get { url = server.url "/ok", expect = 201 }).code)
    assert.are.equal("config_error", failure(flow.http.get { url = server.url "/ok", expect = "good" }).code)
  end)

  it("knows an unchanged page", function()
    local first = output(flow.http.get { url = server.url "/page.html" })
    local out = output(flow.http.get { url = server.url "/page.html", expect = { 200, 304 },
      headers = { ["If-None-Match"] = first.headers.etag } })
    assert.are.equal(304, out.status)
    assert.are.equal("", out.body)
  end)

  it("reuses connections", function()
    local w = flow.workflow { name = "reuse" }
    w.a = flow.http.get { url = server.url "/connection" }
    w.b = flow.http.get { url = server.url "/connection", after = "a" }
    local outputs = flow.run(w):outputs()
    assert.are.equal(outputs.a.body, outputs.b.body)
  end)

  it("fetches many at once", function()
    local w = flow.workflow { name = "many", output = "${nodes.all}" }
    local urls = {}
    for i = 1, 100 do urls[i] = server.url("/show?" .. i) end
    w.all = flow.http.get { each = urls, url = "${item}" }
    local r = flow.run(w)
    assert.are.equal("completed", r.state, r.error and r.error.message)
    for i = 1, 100 do assert.are.equal("GET " .. i, r.output[i].body:match "^[^|]*") end
  end)

  it("verifies certificates", function()
    if not server.ca then pending "openssl is not installed" end
    local e = failure(flow.http.get { url = server.tls "/ok" })
    assert.are.equal("http_tls", e.code)
    assert.is_false(e.retryable)
    contains(e.message, "ca")
    assert.are.equal("ok", output(flow.http.get { url = server.tls "/ok", ca = server.ca }).body)
    assert.are.equal("ok", output(flow.http.get { url = server.tls "/ok", insecure = true }).body)
    assert.are.equal("http_tls", failure(flow.http.get { url = server.tls "/ok" }).code) -- also after that one
    e = failure(flow.http.get { url = server.tls("/ok"):gsub("127.0.0.1", "localhost"), ca = server.ca })
    assert.are.equal("http_tls", e.code)
    assert.are.equal("http_tls", failure(flow.http.get { url = server.tls "/ok", ca = "/no/such/file" }).code)
  end)

  it("can be called inside a handler", function()
    local r = run { run = function() return flow.http.get({ url = server.url "/data.json" }).json.wind end }
    assert.are.equal(120, r.output)
  end)
end)

describe("http and a server that misbehaves", function()
  local raw
  after_each(function() if raw then raw.stop() end raw = nil end)

  it("retries with what Retry-After says", function()
    raw = raw_server(function(client)
      client:write(reply("503 Busy", "Retry-After: 0\r\n", "busy"))
    end)
    local r = run(flow.http.get { url = raw.url "/", retry = { max = 2, delay = 30 } })
    assert.are.equal("failed", r.state)
    assert.are.equal(3, r:stats().attempts)
  end)

  it("reads Retry-After in seconds and in every form of a date", function()
    local in_an_hour = os.time() + 3600
    local values = {
      ["60"] = 60, ["soon"] = "none", ["Someday, 99 Foo 2030 00:00:00 GMT"] = "none",
      ["Sun, 06 Nov 1994 08:49:37 GMT"] = 0,
      [os.date("!%a, %d %b %Y %H:%M:%S GMT", in_an_hour)] = 3600,
      [os.date("!%A, %d-%b-%y %H:%M:%S GMT", in_an_hour)] = 3600,
      [os.date("!%a %b %e %H:%M:%S %Y", in_an_hour)] = 3600,
    }
    local value
    raw = raw_server(function(client) client:write(reply("503 Busy", ("Retry-After: %s\r\n"):format(value), "")) end)
    for text, seconds in pairs(values) do
      value = text
      local e = failure(flow.http.get { url = raw.url "/" })
      if seconds == "none" then
        assert.is_nil(e.retry_after, text)
      else
        assert.is_true(math.abs(e.retry_after - seconds) <= 5, text)
      end
    end
  end)

  it("is ended by the node's timeout, and the connection with it", function()
    local closed = false
    raw = raw_server(function(client) client:read_start(function(_, data) closed = closed or data == nil end) end)
    local began = uv.hrtime()
    local e = failure(flow.http.get { url = raw.url "/", timeout = 0.15 })
    assert.are.equal("timeout", e.code)
    assert.is_true((uv.hrtime() - began) / 1e9 < 2)
    for _ = 1, 50 do if not closed then sleep(10) end end
    assert.is_true(closed)
  end)

  it("has a time limit of its own", function()
    raw = raw_server(function() end)
    local e = failure(flow.http.get { url = raw.url "/", max_time = "100ms" })
    assert.are.equal("http_timeout", e.code)
    assert.is_not_false(e.retryable)
  end)

  it("tells failures apart", function()
    raw = raw_server(function(client, text)
      if text:find "/close" then client:close() else client:write "what?\r\n\r\n" client:close() end
    end)
    assert.are.equal("http_connect", failure(flow.http.get { url = raw.url "/close" }).code)
    assert.are.equal("http_protocol", failure(flow.http.get { url = raw.url "/other" }).code)
    local e = failure(flow.http.get { url = "http://127.0.0.1:1/" })
    assert.are.equal("http_connect", e.code)
    contains(e.message, "127.0.0.1")
    e = failure(flow.http.get { url = "http://nobody.invalid/" })
    assert.are.equal("http_resolve", e.code)
    contains(e.message, "nobody.invalid")
  end)

  it("never goes from HTTP to a file", function()
    raw = raw_server(function(client) client:write(reply("302 Found", "Location: file:///etc/passwd\r\n", "")) end)
    assert.are.equal("http_protocol", failure(flow.http.get { url = raw.url "/" }).code)
  end)

  it("keeps passwords out of messages", function()
    raw = raw_server(function(client) client:write(reply("500 Oops", "", "")) end)
    local e = failure(flow.http.get { url = ("http://user:secret@127.0.0.1:%d/"):format(raw.port) })
    contains(e.message, "500")
    assert.is_nil(flow.json.encode(e):find("secret", 1, true))
  end)

  it("refuses requests that make no sense", function()
    for _, config in ipairs { { url = "ftp://127.0.0.1/" }, { url = "" }, { url = "nonsense" }, { url = "http://a b/" },
      { url = "http://127.0.0.1/", headers = { ["a b"] = "x" } }, { url = "http://127.0.0.1/", headers = { a = "x\r\ny: z" } },
      { url = "http://127.0.0.1/", headers = { a = {{}} } }, { url = "http://127.0.0.1/", query = { a = {{}} } },
      { url = "http://127.0.0.1/\0" } } do
      assert.are.equal("config_error", failure(flow.http.get(config)).code, flow.json.encode(config))
    end
    assert.are.equal("config_error", failure(flow.http.request { url = "http://127.0.0.1/", method = "A B" }).code)
    assert.are.equal("config_error", failure(flow.http.request { url = "http://127.0.0.1/", body = "a", json = 1 }).code)
  end)
end)

describe("core.transfer", function()
  it("calls nobody once it is cancelled", function()
    local raw = raw_server(function() end)
    local called = false
    local handle = core.transfer({ url = raw.url "/" }, function() called = true end)
    sleep(30)
    handle:cancel()
    handle:cancel()
    sleep(30)
    assert.is_false(called)
    raw.stop()
  end)

  it("refuses options of the wrong type", function()
    for _, options in ipairs { {}, { url = {} }, { url = "x", headers = 1 }, { url = "x", headers = { "a: b" } },
      { url = "x", limit = -1 }, { url = "x", timeout = "soon" }, { url = "x", body = {} } } do
      assert.has_error(function() core.transfer(options, print) end)
    end
  end)
end)
