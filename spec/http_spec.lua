-- The node types `http.get` and `http.request` against a real web server on loopback, and against a
-- socket of our own where the server has to misbehave.
local flow = require "orrery"
local core = require "orrery.core"
local command = require "spec.support.command"
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
    location /told { default_type "application/problem+json; charset=utf-8"; return 200 '{"title":"t"}'; }
    location /elsewhere { return 302 "http://user:secret@127.0.0.1:1/"; }
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
      files = { ["data.json"] = '{"wind": 120, "list": [], "none": null}', ["long.txt"] = LONG_TEXT,
        ["page.html"] = "<p>page</p>" },
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
    assert.is_true(out.seconds >= 0 and out.seconds < 60)
  end)

  it("takes a URL alone, and templates in it", function()
    local out = output(flow.http.get { url = server.url "/${input.name}.json" },
      { input = { name = "data" } })
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
    assert.are.equal("[1,2.0,null]",
      flow.json.encode(output(flow.http.get { url = server.url "/untyped", parse = "json" }).json))
    assert.is_nil(output(flow.http.get { url = server.url "/data.json", parse = "text" }).json)
  end)

  it("fails on a body that is not the JSON it claims to be", function()
    local e = failure(flow.http.get { url = server.url "/not-json" })
    assert.are.equal("http_json", e.code)
    assert.is_false(e.retryable)
    assert.are.equal("{oops", output(flow.http.get { url = server.url "/not-json", parse = "text" }).body)
  end)

  it("sends query parameters in a fixed order, escaped", function()
    local out = output(flow.http.get { url = server.url "/show?z=1",
      query = { b = "x y&z", a = { 1, "ü" }, c = true } })
    assert.are.equal("GET z=1&a=1&a=%C3%BC&b=x%20y%26z&c=true", out.body:match "^[^|]*")
    assert.are.equal("GET a=1",
      output(flow.http.get { url = server.url "/show#part", query = { a = 1 } }).body:match "^[^|]*")
  end)

  it("sends headers and names itself", function()
    local out = output(flow.http.get { url = server.url "/show", headers = { ["X-One"] = "first" } })
    contains(out.body, "|first||orrery/" .. flow.version .. "|")
    out = output(flow.http.get { url = server.url "/show",
      headers = { { "X-One", "second" }, { "User-Agent", "me" } } })
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
    out = output(flow.http.request { url = server.url "/echo", method = "put", body = "text",
      headers = { ["content-type"] = "x/y" } })
    assert.are.equal("text", out.headers["x-body"])
    assert.are.equal("x/y", out.headers["x-kind"])
    assert.are.equal("DELETE",
      output(flow.http.request { url = server.url "/show", method = "DELETE" }).body:match "^%u+")
    assert.are.equal("", output(flow.http.request { url = server.url "/show", method = "HEAD" }).body)
  end)

  it("adds to a query that is there, and says its own type only where none is given", function()
    local function shown(config)
      config.url = server.url("/show" .. config.url)
      return output(flow.http.request(config)).body
    end
    for url, asked in pairs { ["?a=1&"] = "a=1&b=2", ["?"] = "b=2", ["?a=1"] = "a=1&b=2", [""] = "b=2",
      ["?a=1#x?"] = "a=1&b=2" } do
      contains(shown { url = url, query = { b = 2 } }, "GET " .. asked .. "|")
    end
    local asked
    local raw = raw_server(function(client, text)
      asked = text
      client:write(reply("200 OK", "", ""))
    end)
    for _, headers in ipairs { { { "content-type", "x/y" } }, { ["CONTENT-TYPE"] = "x/y" } } do
      output(flow.http.request { url = raw.url "/", json = { 1 }, headers = headers })
      local _, n = asked:lower():gsub("\ncontent%-type: ", "")
      assert.are.equal(1, n)
      contains(asked:lower(), "content-type: x/y")
    end
    raw.stop()
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
    assert.are.equal(200, output(flow.http.request { url = server.url "/moved", method = "head" }).status)
    assert.are.equal("http_status", failure(flow.http.request { url = server.url "/moved", body = "x" }).code)
    assert.are.equal("ok", output(flow.http.request { url = server.url "/moved", body = "x",
      follow = true }).body)
    assert.are.equal("http_protocol", failure(flow.http.get { url = server.url "/circle" }).code)
    local elsewhere = output(flow.http.get { url = server.url "/elsewhere", follow = false, expect = 302 })
    assert.are.equal("http://127.0.0.1:1/", elsewhere.headers.location)
    e = failure(flow.http.get { url = server.url "/elsewhere", follow = false })
    assert.is_nil(flow.json.encode(e):find("secret", 1, true))
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
    local expect = { "good", { 200, "good" }, { "2x", 200 }, "6xx" }
    local raw = raw_server(function(client) client:write(reply("200 OK", "", "")) end)
    for _, wrong in ipairs(expect) do
      assert.are.equal("config_error", failure(flow.http.get { url = raw.url "/", expect = wrong }).code)
    end
    assert.are.equal(0, raw.count())
    raw.stop()
  end)

  it("decodes a type with parameters, and leaves an empty body alone", function()
    assert.are.same({ title = "t" }, output(flow.http.get { url = server.url "/told" }).json)
    assert.is_nil(output(flow.http.get { url = server.url "/created", expect = 201, parse = "json" }).json)
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
    -- also after that one
    assert.are.equal("http_tls", failure(flow.http.get { url = server.tls "/ok" }).code)
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
      -- more than can be waited for
      ["9999999999"] = 365 * 86400, [("9"):rep(400)] = 365 * 86400,
      ["Fri, 31 Dec 9999 23:59:59 GMT"] = 365 * 86400,
      ["Fri, 31 Dec 99999999999999999999 23:59:59 GMT"] = "none",
      ["Fri, 99999999999999999999 Dec 2030 23:59:59 GMT"] = "none",
      ["-1"] = "none", ["1e9"] = "none", ["Fri Dec  1 00:00:00 99999999999999999999"] = "none",
      [("Fri, "):rep(200)] = "none", ["5, 7"] = "none", [""] = "none",
    }
    local value
    raw = raw_server(function(client)
      client:write(reply("503 Busy", ("Retry-After: %s\r\n"):format(value), ""))
    end)
    for text, seconds in pairs(values) do
      value = text
      local e = failure(flow.http.get { url = raw.url "/" })
      assert.are.equal("http_status", e.code, text)
      if seconds == "none" then
        assert.is_nil(e.retry_after, text)
      else
        assert.is_true(math.abs(e.retry_after - seconds) <= 5, text)
      end
    end
  end)

  it("counts the days of a date through leap years and the turn of a year", function()
    -- dates far enough away that the seconds this takes do not matter
    local this = tonumber(os.date "!%Y")
    local value
    raw = raw_server(function(client) client:write(reply("503 Busy", ("Retry-After: %s\r\n"):format(value),
      "")) end)
    for year = this + 1, this + 5 do
      for _, day in ipairs { { 1, 1 }, { 1, 31 }, { 2, 1 }, { 2, 28 }, { 3, 1 }, { 12, 31 } } do
        local before = os.getenv "TZ"
        uv.os_setenv("TZ", "UTC")
        local at = os.time { year = year, month = day[1], day = day[2], hour = 12 }
        if before then uv.os_setenv("TZ", before) else uv.os_unsetenv "TZ" end
        value = os.date("!%a, %d %b %Y %H:%M:%S GMT", at)
        local e = failure(flow.http.get { url = raw.url "/" })
        local seconds = math.min(at - os.time(), 365 * 86400) -- a year is the most
        assert.is_true(math.abs(e.retry_after - seconds) <= 5, value)
      end
    end
    -- two digits are of the century that is nearest: never more than fifty years ahead
    value = ("Sunday, 06-Nov-%02d 08:49:37 GMT"):format((this + 60) % 100)
    assert.are.equal(0, failure(flow.http.get { url = raw.url "/" }).retry_after)
    value = ("Sunday, 31-Dec-%02d 23:59:59 GMT"):format((this + 50) % 100)
    assert.are.equal(365 * 86400, failure(flow.http.get { url = raw.url "/" }).retry_after)
  end)

  it("says which statuses may be tried again", function()
    local status
    raw = raw_server(function(client) client:write(reply(status .. " So", "", "")) end)
    for code, may in pairs { [400] = false, [404] = false, [408] = true, [425] = true, [429] = true,
      [499] = false, [500] = true,
      [503] = true, [599] = true } do
      status = code
      assert.are.equal(may, failure(flow.http.get { url = raw.url "/" }).retryable, code)
    end
    status = 404
    for _, expect in ipairs { { 404, 200 }, { 200, 404 }, { "2xx", "4xx" }, { 404 }, 404, "404", "4xx",
      "any" } do
      assert.are.equal(404, output(flow.http.get { url = raw.url "/", expect = expect }).status)
    end
    failure(flow.http.get { url = raw.url "/", expect = { 200, 403 } })
  end)

  it("tells of the status whatever else is wrong with the answer", function()
    local answers = {
      ["/long"] = "HTTP/1.1 503 Busy\r\nContent-Length: 2000\r\n\r\n" .. ("x"):rep(2000),
      ["/short"] = "HTTP/1.1 503 Busy\r\nContent-Length: 2000\r\n\r\nhalf",
      ["/gzip"] = "HTTP/1.1 503 Busy\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
      ["/hang"] = "HTTP/1.1 503 Busy\r\nContent-Length: 2000\r\n\r\nhalf",
    }
    raw = raw_server(function(client, text)
      local path = text:match " (/%S+) "
      client:write(answers[path], function() if path ~= "/hang" then client:close() end end)
    end)
    for path in pairs(answers) do
      local e = failure(flow.http.get { url = raw.url(path), limit = 1000, max_time = 0.3 })
      assert.are.equal("http_status", e.code, path)
      assert.are.equal(503, e.details.status)
      assert.is_true(e.retryable)
    end
    local e = failure(flow.http.get { url = raw.url "/short", expect = 503 })
    assert.are.equal("http_connect", e.code)
  end)

  it("never blocks on headers, and joins equal ones", function()
    local many = { "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" }
    for i = 1, 900 do many[#many + 1] = "X: " .. i .. "\r\n" end
    local lines = table.concat(many)
    raw = raw_server(function(client, text)
      client:write(lines .. (text:find "/all" and ("X:\r\n"):rep(74000) or "") .. "\r\n")
    end)
    local values = output(flow.http.get { url = raw.url "/some" }).headers.x
    contains(values, "1, 2, 3")
    contains(values, "899, 900")
    local began = uv.hrtime()
    assert.are.equal("http_too_large", failure(flow.http.get { url = raw.url "/all" }).code)
    assert.is_true((uv.hrtime() - began) / 1e9 < 40)
  end)

  it("takes no compressed body for whole that breaks off", function()
    local pipe = assert(io.popen("printf 'one two three four five six seven' | gzip -nc", "r"))
    local whole = pipe:read "a"
    pipe:close()
    local bodies = { ["/whole"] = whole, ["/two"] = whole .. whole, ["/half"] = whole:sub(1, 20),
      ["/no-sum"] = whole:sub(1, -9), ["/junk"] = whole .. "junk", ["/none"] = "",
      ["/raw"] = "\x4b\x04\x00", ["/br"] = "abc" }
    local encodings = { ["/raw"] = "deflate", ["/br"] = "br" }
    local asked
    raw = raw_server(function(client, text)
      local path = text:match " (/%S+) "
      asked = text
      local encoding = ("Content-Encoding: %s\r\n"):format(encodings[path] or "gzip")
      client:write(reply("200 OK", encoding, bodies[path]))
    end)
    local function body(path) return output(flow.http.get { url = raw.url(path) }).body end
    assert.are.equal("one two three four five six seven", body "/whole")
    contains(asked, "Accept-Encoding: gzip, deflate\r\n")
    assert.are.equal(("one two three four five six seven"):rep(2), body "/two")
    assert.are.equal("", body "/none")
    assert.are.equal("a", body "/raw")
    for path, code in pairs { ["/half"] = "http_connect", ["/no-sum"] = "http_connect",
      ["/junk"] = "http_protocol", ["/br"] = "http_protocol" } do
      assert.are.equal(code, failure(flow.http.get { url = raw.url(path) }).code, path)
    end
    local out = output(flow.http.get { url = raw.url "/br", headers = { ["Accept-Encoding"] = "br" } })
    assert.are.equal("abc", out.body)
  end)

  it("keeps credentials from another origin", function()
    local asked
    local other = raw_server(function(client, text) asked = text client:write(reply("200 OK", "", "ok")) end)
    raw = raw_server(function(client)
      client:write(reply("302 Found", ("Location: %s\r\n"):format(other.url "/there"), ""))
    end)
    local url = raw.url("/"):gsub("//", "//user:secret@")
    local out = output(flow.http.get { url = url,
      headers = { Authorization = "Bearer one", Cookie = "two", ["X-Api-Key"] = "three", Accept = "a/b" } })
    other.stop()
    assert.are.equal("ok", out.body)
    contains(asked, "Accept: a/b\r\n")
    for _, secret in ipairs { "one", "two", "three", "Authorization", "Basic" } do
      assert.is_nil(asked:find(secret, 1, true), asked)
    end
  end)

  it("does not call a request without a body a form", function()
    local asked
    raw = raw_server(function(client, text) asked = text client:write(reply("200 OK", "X-None:\r\n", "")) end)
    local out = output(flow.http.request { url = raw.url "/", method = "POST" })
    assert.is_nil(asked:find("Content-Type", 1, true), asked)
    assert.are.equal("", out.headers["x-none"])
  end)

  it("is ended by the node's timeout, and the connection with it", function()
    local closed = false
    raw = raw_server(function(client)
      client:read_start(function(_, data) closed = closed or data == nil end)
    end)
    local e = failure(flow.http.get { url = raw.url "/", timeout = 0.15 })
    assert.are.equal("timeout", e.code)
    for _ = 1, 3000 do if not closed then sleep(10) end end
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
    raw = raw_server(function(client)
      client:write(reply("302 Found", "Location: file:///etc/passwd\r\n", ""))
    end)
    assert.are.equal("http_protocol", failure(flow.http.get { url = raw.url "/" }).code)
  end)

  it("keeps passwords out of messages", function()
    raw = raw_server(function(client) client:write(reply("500 Oops", "", "")) end)
    local e = failure(flow.http.get { url = ("http://user:secret@127.0.0.1:%d/"):format(raw.port) })
    contains(e.message, "500")
    assert.is_nil(flow.json.encode(e):find("secret", 1, true))
    -- what stands in the password may end the host, for who reads it so
    e = failure(flow.http.get { url = "http://user:se/secret@127.0.0.1:1/" })
    assert.is_nil(flow.json.encode(e):find("secret", 1, true))
    e = failure(flow.http.get { url = ("http://user:secret@127.0.0.1:%d/?to=%%zz"):format(raw.port),
      follow = false, expect = 201 })
    assert.is_nil(flow.json.encode(e):find("secret", 1, true))
  end)

  it("refuses requests that make no sense", function()
    for _, config in ipairs { { url = "ftp://127.0.0.1/" }, { url = "" }, { url = "nonsense" },
      { url = "http://a b/" },
      { url = "http://127.0.0.1/", headers = { ["a b"] = "x" } },
      { url = "http://127.0.0.1/", headers = { a = "x\r\ny: z" } },
      { url = "http://127.0.0.1/", headers = { a = {{}} } },
      { url = "http://127.0.0.1/", query = { a = {{}} } },
      { url = "http://127.0.0.1/\0" } } do
      assert.are.equal("config_error", failure(flow.http.get(config)).code, flow.json.encode(config))
    end
    assert.are.equal("config_error",
      failure(flow.http.request { url = "http://127.0.0.1/", method = "A B" }).code)
    assert.are.equal("config_error",
      failure(flow.http.request { url = "http://127.0.0.1/", body = "a", json = 1 }).code)
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
    for _, options in ipairs { {}, { url = {} }, { url = "x", headers = 1 },
      { url = "x", headers = { "a: b" } },
      { url = "x", limit = -1 }, { url = "x", timeout = "soon" }, { url = "x", body = { true } } } do
      assert.has_error(function() core.transfer(options, print) end)
    end
  end)
end)

describe("names that are never resolved", function()
  it("hold up neither others nor the end of the process", function()
    if command.sanitized then return pending "a sanitizer's runtime has to be loaded before all else" end
    local story = require "spec.support.story"
    local started = uv.hrtime()
    local done = story.tell([[
      local flow = require "orrery"
      local w = flow.workflow { name = "names", on_error = "continue" }
      for i = 1, 80 do w["dead" .. i] = flow.http.get { url = "http://dead" .. i .. ".example/", timeout = 0.5 } end
      w.file = flow.file.read { path = "w.lua" }
      w.name = flow.exec { argv = { "true" } }
      w.refused = { after = { "file", "dead1" }, join = "done", run = function()
        local ok, e = pcall(flow.http.get, { url = "http://127.0.0.1:1/" })
        return ok or e.code
      end }
      return w]], [[
      echo '#include <unistd.h>
      int getaddrinfo(void) { for (;;) pause(); }' >silent.c
      cc -shared -fPIC -o silent.so silent.c
      LD_PRELOAD=$PWD/silent.so orrery run w.lua --store memory: 2>&1 | grep "names failed"]])
    story.has(done, "3 completed, 80 failed")
    assert.is_true(uv.hrtime() - started < 60e9)
  end)
end)
