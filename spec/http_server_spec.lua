-- orrery.core.http_server against raw sockets, libcurl and openssl.
local core = require "orrery.core"
local flow = require "orrery"
local json = core.json
local place = require "spec.support.place"
local raw = require "spec.support.raw_client"
local uv = require "luv"

local servers = {}

-- A server whose requests go to `answer`; one that listens on loopback unless it is told where.
local function serve(answer, options)
  options = options or {}
  options.listen = options.listen or { { host = "127.0.0.1", port = 0 } }
  options.on_request = answer
  local server = assert(core.http_server(options))
  servers[#servers + 1] = server
  return server, server:addresses()[1]
end

after_each(function()
  for _, server in ipairs(servers) do server:stop() end
  servers = {}
end)

local function transfer(options)
  local err, response = flow.await(function(resume) core.transfer(options, resume) end)
  if err then error(err.message, 0) end
  return response
end

local function get(url, headers) return transfer { url = url, headers = headers } end

local CLOSE = "Host: x\r\nConnection: close\r\n\r\n"

local function status_of(answer) return tonumber(answer:match "^HTTP/1%.1 (%d+) ") end

-- Waits until it is true, looking again and again.
local function until_true(is_true)
  local deadline = uv.now() + 60000
  while not is_true() do
    assert(uv.now() < deadline, "it did not become true in a minute")
    flow.await(function(resume)
      local timer = uv.new_timer()
      timer:start(5, 0, function() timer:close() resume() end)
    end)
  end
end

local function echo(request)
  request:respond(200, { ["Content-Type"] = "text/plain" }, request.path)
end

describe("a server", function()
  it("shows a handler what was asked", function()
    local seen
    local _, url = serve(function(request)
      seen = request
      request:respond(201, { ["X-One"] = "1", ["X-Two"] = { "a", "b" } }, "made")
    end)
    local answer = raw.tell(url,
      "POST /a%20b/c?x=%31&y HTTP/1.1\r\nX-A: 1\r\nx-a: 2\r\nCookie: a=1\r\nCookie: b=2\r\n" ..
      "Content-Length: 5\r\n" .. CLOSE .. "hello")
    assert.equal(201, status_of(answer))
    assert.truthy(answer:find "\r\nX%-One: 1\r\n")
    assert.truthy(answer:find "\r\nX%-Two: a\r\n" and answer:find "\r\nX%-Two: b\r\n")
    assert.equal("made", answer:match "\r\n\r\n(.*)$")
    assert.same({ "POST", "/a%20b/c?x=%31&y", "/a b/c", "x=%31&y", "hello", false },
      { seen.method, seen.target, seen.path, seen.query, seen.body, seen.tls })
    assert.same({ "1, 2", "a=1; b=2", "x" }, { seen.headers["x-a"], seen.headers.cookie, seen.headers.host })
    assert.truthy(seen.peer:find "^127%.0%.0%.1:%d+$")
  end)

  it("lets handlers wait, side by side", function()
    local waiting = {}
    local _, url = serve(function(request)
      flow.await(function(resume) waiting[#waiting + 1] = resume end)
      request:respond(200, nil, request.path)
    end)
    local bodies = flow.gather {
      function() return get(url .. "/1").body end,
      function() return get(url .. "/2").body end,
      function()
        until_true(function() return #waiting == 2 end)
        for _, resume in ipairs(waiting) do resume() end
        return "both"
      end,
    }
    assert.same({ "/1", "/2", "both" }, bodies)
  end)
  it("answers pipelined requests in their order", function()
    local _, url = serve(function(request)
      if request.path == "/slow" then flow.sleep(0.02) end
      request:respond(200, nil, request.path)
    end)
    local answer = raw.tell(url, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n" ..
      "POST /c HTTP/1.1\r\nContent-Length: 3\r\nHost: x\r\n\r\nabcGET /d HTTP/1.1\r\n" .. CLOSE)
    local paths = {}
    for path in answer:gmatch "\r\n\r\n(/%l+)" do paths[#paths + 1] = path end
    assert.same({ "/slow", "/b", "/c", "/d" }, paths)
  end)

  it("keeps connections, and has 64 at once", function()
    local server, url = serve(echo)
    local clients = {}
    for i = 1, 64 do clients[i] = raw.connect(url) end
    for round = 1, 3 do
      for i, client in ipairs(clients) do
        client:send(("GET /%d/%d HTTP/1.1\r\nHost: x\r\n\r\n"):format(round, i))
      end
      for i, client in ipairs(clients) do client:until_found(("\r\n\r\n/%d/%d$"):format(round, i)) end
    end
    assert.equal(64, server:stats().connections)
    assert.equal(192, server:stats().requests)
    for _, client in ipairs(clients) do client:close() end
    until_true(function() return server:stats().connections == 0 end)
  end)

  it("sends the head alone for HEAD", function()
    local _, url = serve(echo)
    local answer = raw.tell(url, "HEAD /abc HTTP/1.1\r\n" .. CLOSE)
    assert.equal(200, status_of(answer))
    assert.truthy(answer:find "\r\nContent%-Length: 4\r\n")
    assert.truthy(answer:find "\r\n\r\n$")
  end)

  it("takes chunked bodies, and closes the connection behind them", function()
    local _, url = serve(function(request) request:respond(200, nil, request.body .. request.path) end)
    local answer = raw.tell(url, "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" ..
      "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n")
    assert.equal("abcde/x", answer:match "\r\n\r\n(.*)$")
    assert.truthy(answer:find "\r\nConnection: close\r\n")
  end)

  it("asks for a body that waits to be asked for", function()
    local _, url = serve(function(request) request:respond(200, nil, request.body) end)
    local client = raw.connect(url)
    client:send("PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n" .. CLOSE)
    client:until_found "^HTTP/1%.1 100 Continue\r\n\r\n"
    assert.truthy(client:send("body"):to_end():find "\r\n\r\nbody$")
  end)

  it("refuses what may not be sent", function()
    local said = {}
    local _, url = serve(function(request)
      for _, try in ipairs {
        function() request:respond(99) end,
        function() request:respond(200, { ["X-A"] = "a\r\nb" }) end,
        function() request:respond(200, { ["X A"] = "b" }) end,
        function() request:respond(200, { ["content-length"] = "3" }) end,
        function() request:respond(200, { a = true }) end,
        function() request:stream(200, { ["X-A"] = "\0" }) end,
      } do
        said[#said + 1] = select(2, pcall(try))
      end
      request:respond(204)
      said[#said + 1] = select(2, pcall(request.respond, request, 200))
    end)
    assert.equal(204, get(url).status)
    for i, words in ipairs { "a status from 200 to 599", "X%-A: its value has a control character",
      "X A: its name has a character", "the server sets that header itself",
        "as strings, got a string and a boolean",
      "its value has a control character", "/ was answered already" } do
      assert.matches(words, said[i])
    end
  end)

  it("answers 500 where a handler raises, or returns without an answer", function()
    local _, url = serve(function(request)
      if request.path == "/waits" then flow.sleep(0.001) end
      if request.path ~= "/forgets" then error "what others need not know" end
    end)
    for _, path in ipairs { "/raises", "/waits", "/forgets" } do
      local response = get(url .. path)
      assert.equal(500, response.status)
      assert.equal("application/problem+json", response.headers["content-type"])
      assert.equal("handler_error", json.decode(response.body).code)
      assert.is_nil(response.body:find "others")
    end
  end)

  it("tells of handlers that hold the loop", function()
    local told = {}
    local server, url = serve(function(request)
      local from = uv.hrtime()
      while uv.hrtime() - from < 15e6 do end
      request:respond(200)
    end, { on_slow = function(target, ms) told[#told + 1] = { target, ms } end })
    get(url .. "/slow?x")
    assert.equal("/slow?x", told[1][1])
    assert.is_true(told[1][2] >= 15)
    assert.equal(#told, server:stats().slow)
  end)
end)

describe("a server's sockets", function()
  it("are of IPv4, IPv6, unix, or given; several at once", function()
    local path = os.tmpname()
    os.remove(path)
    local fd = assert(uv.new_tcp())
    fd:bind("127.0.0.1", 0)
    fd:listen(16, function() end)
    local server = serve(function(request) request:respond(200, nil, request.peer) end,
      { listen = { { port = 0 }, { host = "::1", port = 0 }, { unix = path } } })
    local addresses = server:addresses()
    assert.matches("^http://127%.0%.0%.1:%d+$", addresses[1])
    assert.matches("^http://%[::1%]:%d+$", addresses[2])
    assert.equal("unix:" .. path, addresses[3])
    for i, peer in ipairs { "^127%.0%.0%.1:%d+$", "^%[::1%]:%d+$", "^unix$" } do
      assert.matches(peer, raw.tell(addresses[i], "GET / HTTP/1.1\r\n" .. CLOSE):match "\r\n\r\n(.*)$")
    end
    assert.equal("600", ("%o"):format(uv.fs_stat(path).mode & 511))
    server:stop()
    assert.is_nil(uv.fs_stat(path))
    assert.same({}, server:addresses())
    fd:close()
  end)

  it("replace a unix socket that was left behind, and nothing else", function()
    local path = os.tmpname()
    local nothing, why, code = core.http_server { listen = { { unix = path } }, on_request = echo }
    assert.same({ nil, "listen_error" }, { nothing, code })
    assert.matches("is no socket", why)
    assert.truthy(uv.fs_stat(path))
    os.remove(path)
    serve(echo, { listen = { { unix = path } } })
    why = select(2, core.http_server { listen = { { unix = path } }, on_request = echo })
    assert.matches("another server listens there", why)
    -- one whose process is gone
    os.rename(path, path .. ".old")
    local left = uv.new_pipe(false)
    left:bind(path)
    os.rename(path, path .. ".kept")
    left:close()
    flow.sleep(0)
    until_true(function() return left:is_closing() end)
    os.rename(path .. ".kept", path)
    serve(echo, { listen = { { unix = path } } })
    assert.truthy(raw.tell("unix:" .. path, "GET /x HTTP/1.1\r\n" .. CLOSE):find "/x$")
    os.remove(path .. ".old")
  end)

  it("that cannot be had are an answer, and leave nothing behind", function()
    local _, url = serve(echo)
    local port = tonumber(url:match "%d+$")
    for _, where in ipairs { { port = port }, { host = "no such host", port = 1 }, { unix = ("x"):rep(200) },
      { unix = "/nowhere/at/all" }, { fd = 1 }, { fd = 9999 } } do
      local nothing, why, code = core.http_server { listen = { { port = 0 }, where }, on_request = echo }
      assert.same({ nil, "listen_error" }, { nothing, code })
      assert.matches("^cannot listen on ", why)
    end
  end)

  it("are said how in the options", function()
    for words, options in pairs {
      ["listen: expected a list"] = { on_request = echo },
      ["on_request: expected a function"] = { listen = { { port = 0 } } },
      ["there is no option prot"] = { on_request = echo, listen = { { prot = 0 } } },
      ["there is no option head"] = { on_request = echo, listen = { { port = 0 } }, limits = { head = 1 } },
      ["0 to 65535"] = { on_request = echo, listen = { { port = 70000 } } },
      ["one of host, unix and fd"] = { on_request = echo, listen = { { unix = "x", host = "y" } } },
      ["expected cert and key"] = { on_request = echo, listen = { { port = 0 } }, tls = { cert = "x" } },
      ["head_seconds: expected seconds"] = { on_request = echo, listen = { { port = 0 } },
        limits = { head_seconds = 0 } },
    } do
      local _, why = pcall(core.http_server, options)
      assert.matches(words, why)
    end
  end)
end)

-- What is sent, and the status of the answer; nil: none, the connection is closed. No handler is
-- asked about any of them.
local MALFORMED = {
  ["GET /../x HTTP/1.1\r\n" .. CLOSE] = 400,
  ["GET /%2e%2e/x HTTP/1.1\r\n" .. CLOSE] = 400,
  ["GET /a%2f.. HTTP/1.1\r\n" .. CLOSE] = 400,
  ["GET /%00 HTTP/1.1\r\n" .. CLOSE] = 400,
  ["GET /a\0b HTTP/1.1\r\n" .. CLOSE] = 400,
  ["GET /a?\0b HTTP/1.1\r\n" .. CLOSE] = 400,
  ["GET /%zz HTTP/1.1\r\n" .. CLOSE] = 400,
  ["GET /a\\b HTTP/1.1\r\n" .. CLOSE] = 400,
  ["GET /a b HTTP/1.1\r\n" .. CLOSE] = 400,
  ["GET x HTTP/1.1\r\n" .. CLOSE] = 400,
  ["CONNECT host:80 HTTP/1.1\r\n" .. CLOSE] = 400,
  ["GE(T / HTTP/1.1\r\n" .. CLOSE] = 400,
  ["GET\0 / HTTP/1.1\r\n" .. CLOSE] = 400,
  ["GET  / HTTP/1.1\r\n" .. CLOSE] = 400,
  ["GET / HTTP/1.1\r\n\r\n"] = 400, -- no Host
  ["GET / HTTP/1.1\r\nHost: a\r\n" .. CLOSE] = 400, -- two
  ["GET / HTTP/2.0\r\n" .. CLOSE] = 505,
  ["GET / HTTP/0.9\r\n" .. CLOSE] = 505,
  ["GET / HTTQ/1.1\r\n" .. CLOSE] = 400,
  ["GET /\r\n" .. CLOSE] = 400,
  ["GET / HTTP/1.1\r\nnothing\r\n" .. CLOSE] = 400,
  ["GET / HTTP/1.1\r\nX : a\r\n" .. CLOSE] = 400,
  ["GET / HTTP/1.1\r\nX: a\r\n b\r\n" .. CLOSE] = 400,
  ["GET / HTTP/1.1\r\nContent-Len: 5\r\n gth\r\n" .. CLOSE .. "12345"] = 400,
  ["GET / HTTP/1.1\r\n X: a\r\n" .. CLOSE] = 400,
  ["GET / HTTP/1.1\r\nX: a\0b\r\n" .. CLOSE] = 400,
  ["GET / HTTP/1.1\r\nX\0: a\r\n" .. CLOSE] = 400,
  ["GET / HTTP/1.1\r\nX: a\rb\r\n" .. CLOSE] = 400,
  ["GET / HTTP/1.1\r\nX: a\n" .. CLOSE] = 400,
  ["GET / HTTP/1.1\n" .. CLOSE] = 400,
  ["POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n" .. CLOSE .. "x"] = 400,
  ["POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n" .. CLOSE .. "xy"] = 400,
  ["POST / HTTP/1.1\r\nContent-Length: 1, 1\r\n" .. CLOSE .. "x"] = 400,
  ["POST / HTTP/1.1\r\nContent-Length: -1\r\n" .. CLOSE .. "x"] = 400,
  ["POST / HTTP/1.1\r\nContent-Length: +1\r\n" .. CLOSE .. "x"] = 400,
  ["POST / HTTP/1.1\r\nContent-Length: 0x1\r\n" .. CLOSE .. "x"] = 400,
  ["POST / HTTP/1.1\r\nContent-Length:\r\n" .. CLOSE .. "x"] = 400,
  ["POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n" .. CLOSE] = 413,
  ["POST / HTTP/1.1\r\nContent-Length: 999999999999\r\n" .. CLOSE] = 413,
  ["POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n" .. CLOSE .. "0\r\n\r\n"] = 400,
  ["PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" .. CLOSE .. "0\r\n\r\n"] =
    400,
  ["POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n" .. CLOSE .. "x"] = 501,
  ["POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n" .. CLOSE .. "0\r\n\r\n"] = 501,
  ["POST / HTTP/1.1\r\nTransfer-Encoding: \vchunked\r\n" .. CLOSE .. "0\r\n\r\n"] = 400,
  ["POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n" .. CLOSE .. "0\r\n\r\n"] = 400,
  ["POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" .. CLOSE .. "z\r\n\r\n"] = 400,
  ["POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" .. CLOSE .. "3\r\nabcd\r\n0\r\n\r\n"] = 400,
  ["POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" .. CLOSE .. "ffffffffffffffffff\r\n"] = 413,
}

describe("malformed requests", function()
  it("are refused, and no handler is asked", function()
    local asked = 0
    local server, url = serve(function(request)
      asked = asked + 1
      request:respond(200)
    end)
    for text, status in pairs(MALFORMED) do
      local answer = raw.tell(url, text)
      assert.equal(status, status_of(answer), ("%q: %q"):format(text, answer))
      assert.equal(0, asked, text)
    end
    assert.equal(200, status_of(raw.tell(url, "GET / HTTP/1.1\r\n" .. CLOSE)))
    until_true(function() return server:stats().connections == 0 end)
  end)

  it("of ours are problems", function()
    local _, url = serve(echo, { limits = { body_bytes = 10 } })
    for text, code in pairs {
      ["GET /.. HTTP/1.1\r\n" .. CLOSE] = "request_malformed",
      ["POST / HTTP/1.1\r\nContent-Length: 11\r\n" .. CLOSE] = "request_too_large",
      ["POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" .. CLOSE .. "b\r\n12345678901\r\n0\r\n\r\n"] =
        "request_too_large",
    } do
      local answer = raw.tell(url, text)
      assert.truthy(answer:find "\r\nContent%-Type: application/problem%+json\r\n", answer)
      assert.equal(code, json.decode(answer:match "\r\n\r\n(.*)$").code)
    end
  end)
end)

describe("what is too much", function()
  it("is refused before it is read: bodies", function()
    local _, url = serve(echo, { limits = { body_bytes = 1000 } })
    local client = raw.connect(url)
    client:send "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n"
    assert.equal("413", client:until_found "^HTTP/1%.1 (%d+) ")
    client:send(("x"):rep(100000)):to_end()
    -- without a length
    client = raw.connect(url)
    client:send "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    for _ = 1, 100 do client:send(("400\r\n%s\r\n"):format(("x"):rep(1024))) end
    assert.equal("413", client:until_found "^HTTP/1%.1 (%d+) ")
    client:to_end()
    -- just enough
    assert.equal(200, transfer { url = url, method = "POST", body = ("x"):rep(1000) }.status)
  end)

  it("is refused: heads", function()
    local server, url = serve(echo, { limits = { head_bytes = 2048 } })
    assert.equal(431, status_of(raw.tell(url, "GET / HTTP/1.1\r\nX: " .. ("x"):rep(2048) .. "\r\n" .. CLOSE)))
    for _, text in ipairs { "GET / HTTP/1.1\r\nX: " .. ("x"):rep(1 << 20),
      "GET / HTTP/1.1\r\n" .. ("a:b\r\n"):rep(1 << 17) } do
      assert.equal(431, status_of(raw.tell(url, text .. "\r\n" .. CLOSE)))
    end
    assert.equal(414, status_of(raw.tell(url, "GET /" .. ("x"):rep(1 << 20) .. " HTTP/1.1\r\n" .. CLOSE)))
    until_true(function() return server:stats().connections == 0 end)
    assert.equal(200, get(url .. "/" .. ("x"):rep(1000)).status)
  end)

  it("is refused: connections, in all and of one address", function()
    for _, limits in ipairs { { connections = 3 }, { connections_per_address = 3 } } do
      local server, url = serve(echo, { limits = limits })
      local kept = {}
      for i = 1, 3 do
        kept[i] = raw.connect(url):send "GET /x HTTP/1.1\r\nHost: x\r\n\r\n"
        kept[i]:until_found "/x$"
      end
      local answer = raw.tell(url, "GET / HTTP/1.1\r\n" .. CLOSE)
      assert.equal(503, status_of(answer))
      assert.equal("server_busy", json.decode(answer:match "\r\n\r\n(.*)$").code)
      assert.equal(1, server:stats().refused)
      kept[1]:close()
      until_true(function() return server:stats().connections == 2 end)
      assert.equal(200, status_of(raw.tell(url, "GET / HTTP/1.1\r\n" .. CLOSE)))
      for i = 2, 3 do kept[i]:close() end
    end
  end)
end)

describe("what is too slow", function()
  local LIMITS = { head_seconds = 0.3, body_seconds = 0.3, idle_seconds = 0.3 }

  -- Sends a byte again and again until the server has had enough.
  local function drip(client)
    until_true(function()
      client:send "x"
      return client.ended
    end)
    return client:to_end()
  end

  it("gets a 408, however often a byte comes: heads, bodies", function()
    local _, url = serve(echo, { limits = LIMITS })
    assert.equal(408, status_of(drip(raw.connect(url):send "GET / HTTP/1.1\r\nX: ")))
    assert.equal(408, status_of(drip(raw.connect(url):send
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")))
    assert.equal(408, status_of(raw.connect(url):to_end())) -- nothing at all
  end)

  it("is closed where it rests, but not while a handler works", function()
    local _, url = serve(function(request)
      flow.sleep(0.9)
      request:respond(200)
    end, { limits = LIMITS })
    local answer = raw.connect(url):send "GET / HTTP/1.1\r\nHost: x\r\n\r\n":to_end()
    assert.equal(200, status_of(answer))
    assert.is_nil(answer:find "408")
  end)
end)

describe("a file", function()
  it("is sent, whole or in part, in little memory", function()
    local path = os.tmpname()
    local text = ("0123456789abcdef"):rep(1 << 16) -- 1 MiB
    local file = assert(io.open(path, "wb"))
    file:write(text):close()
    local _, url = serve(function(request)
      local offset, length = request.query:match "(%d+)-(%d*)"
      local sent, why = request:file(200, { ["Content-Type"] = "text/plain" }, path, tonumber(offset),
        tonumber(length))
      if not sent then request:respond(404, nil, why) end
    end)
    assert.equal(text, get(url).body)
    assert.equal("456789", get(url .. "/?4-6").body)
    assert.equal("f", get(url .. "/?1048575-").body)
    assert.equal("", get(url .. "/?1048576-").body)
    local late = get(url .. "/?1048577-")
    assert.same({ 404, true }, { late.status, late.body:find "behind its end" ~= nil })
    assert.equal(text:sub(-100), transfer({ url = url, method = "GET" }).body:sub(-100))
    os.remove(path)
    assert.equal(404, get(url).status)
  end)

  it("is a file", function()
    local _, url = serve(function(request)
      local sent, why = request:file(200, nil, request.path)
      if not sent then request:respond(404, nil, why) end
    end)
    assert.matches("it is no file", get(url .. "/dev").body)
    assert.matches("it is no file", get(url .. "/dev/zero").body)
  end)
end)

-- ---- streams ------------------------------------------------------------------------------------

local EVENTS = { ["Content-Type"] = "text/event-stream" }

-- A server that keeps the streams it is asked for; and what has become of them.
local function serve_streams(options)
  local kept = { streams = {}, closed = 0 }
  local server, url = serve(function(request)
    local stream = request:stream(200, EVENTS)
    kept.streams[#kept.streams + 1] = stream
    stream:on_close(function()
      flow.sleep(0.001) -- it may wait
      kept.closed = kept.closed + 1
    end)
    stream:write "data: first\n\n"
  end, options)
  kept.server = server
  return kept, url
end

local ASK = "GET /events HTTP/1.1\r\nHost: x\r\n\r\n"

describe("a stream", function()
  it("sends what is written when it is written, and ends", function()
    local kept, url = serve_streams()
    local client = raw.connect(url):send(ASK)
    client:until_found "data: first\n\n"
    assert.equal(1, kept.server:stats().streams)
    for i = 1, 100 do assert.is_true(kept.streams[1]:write(("data: %d\n\n"):format(i))) end
    client:until_found "data: 100\n\n"
    kept.streams[1]:write "data: last\n\n"
    kept.streams[1]:close()
    assert.is_false(kept.streams[1]:write "x")
    client:until_found "data: last\n\n\r\n0\r\n\r\n$"
    until_true(function() return kept.closed == 1 end)
    assert.equal(0, kept.server:stats().streams)
    -- the connection goes on
    client.text = ""
    client:send(ASK):until_found "data: first\n\n"
    client:close()
    until_true(function() return kept.closed == 2 end)
  end)

  it("notices that its client has left, without a word from either side", function()
    local kept, url = serve_streams()
    for i, leave in ipairs { function(c) c:close() end, function(c) c:shut() end } do
      local client = raw.connect(url):send(ASK)
      client:until_found "data: first\n\n"
      leave(client)
      until_true(function() return kept.closed == i end)
      assert.is_false(kept.streams[i]:write "data: nobody\n\n")
      client:close()
    end
    until_true(function() return kept.server:stats().connections == 0 end)
  end)

  it("calls a function that comes too late at once", function()
    local kept, url = serve(function(request)
      local stream = request:stream(200, EVENTS)
      stream:close()
    end)
    assert.equal(200, get(url).status)
    assert.truthy(kept)
    local late = {}
    local _, other = serve(function(request)
      local stream = request:stream(200)
      stream:close()
      flow.sleep(0.05)
      until_true(function() return not stream:write "" end)
      stream:on_close(function() late[#late + 1] = true end)
      late[#late + 1] = "called"
    end)
    assert.equal(200, get(other).status)
    until_true(function() return #late == 2 end)
  end)

  it("says that its reader is slow, and takes no more than the limit", function()
    local kept, url = serve_streams { limits = { stream_bytes = 65536 } }
    local client = raw.connect(url):send(ASK)
    client:until_found "data: first\n\n"
    client:pause()
    local piece, written = ("x"):rep(1023) .. "\n", 0
    local ok = true
    until_true(function()
      for _ = 1, 64 do
        ok = ok and kept.streams[1]:write(piece)
        if ok then written = written + #piece end
      end
      return not ok
    end)
    assert.is_false(kept.streams[1]:write "more") -- there would be a gap
    kept.streams[1]:close()
    until_true(function() return kept.closed == 1 end)
    client:go_on()
    client:to_end()
    assert.is_true(written < 64 << 20)
    -- others go on
    local other = raw.connect(url):send(ASK)
    other:until_found "data: first\n\n"
    other:close()
  end)

  it("ends where nobody holds it any more", function()
    local _, url = serve(function(request) request:stream(200):write "alone" end)
    local client = raw.connect(url):send(ASK)
    client:until_found "alone"
    until_true(function()
      collectgarbage()
      return client.text:find "\r\n0\r\n\r\n$"
    end)
    client:close()
  end)

  it("has only a head for HEAD, and no chunks for HTTP/1.0", function()
    local _, url = serve(function(request)
      local stream = request:stream(200, EVENTS)
      stream:write "all of it"
      stream:close()
    end)
    assert.truthy(raw.tell(url, "HEAD / HTTP/1.1\r\n" .. CLOSE):find "\r\n\r\n$")
    assert.truthy(raw.tell(url, "GET / HTTP/1.0\r\n\r\n"):find "\r\n\r\nall of it$")
  end)
end)

-- ---- TLS ----------------------------------------------------------------------------------------

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

-- A certificate of its own, and its key.
local function certificate()
  local key, cert = os.tmpname(), os.tmpname()
  assert(os.execute(("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 " ..
    "-subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 -keyout %s -out %s 2>/dev/null"):format(key,
    cert)))
  return { cert = read(cert), key = read(key) }, cert, key
end

describe("TLS", function()
  it("is spoken with what the certificate says, and unix sockets go without", function()
    local tls, file = certificate()
    local path = os.tmpname()
    os.remove(path)
    local server, url = serve(function(request)
      request:respond(200, nil, tostring(request.tls) .. request.body)
    end, { tls = tls, listen = { { port = 0 }, { unix = path } } })
    assert.matches("^https://127%.0%.0%.1:%d+$", url)
    assert.equal("true" .. ("y"):rep(100000),
      transfer({ url = url, ca = file, method = "POST", body = ("y"):rep(100000) }).body)
    assert.truthy(raw.tell(server:addresses()[2], "GET / HTTP/1.1\r\n" .. CLOSE):find "\r\n\r\nfalse$")
    -- one who does not speak it
    assert.is_nil(status_of(raw.tell(url, "GET / HTTP/1.1\r\n" .. CLOSE)))
    until_true(function() return server:stats().connections <= 1 end)
  end)

  it("needs a certificate and the key of it", function()
    local one, two = certificate(), certificate()
    for _, tls in ipairs { { cert = "no", key = "pem" }, { cert = one.cert, key = two.key },
      { cert = one.cert, key = "" } } do
      local nothing, why, code = core.http_server { listen = { { port = 0 } }, tls = tls, on_request = echo }
      assert.same({ nil, "http_tls" }, { nothing, code })
      assert.matches("PEM texts of a pair", why)
    end
  end)

  it("refuses what is too slow and too large as well", function()
    local tls, file = certificate()
    local server, url = serve(echo, { tls = tls, limits = { head_seconds = 0.3, body_bytes = 10 } })
    raw.connect(url):to_end() -- says nothing at all
    assert.equal(413, transfer({ url = url, ca = file, method = "POST", body = ("x"):rep(11) }).status)
    until_true(function() return server:stats().connections == 0 end)
  end)
end)

-- 200 streams at once: some events each, half of them leave, and the server stops.
describe("200 streams", function()
  local N, EVENTS_EACH = 200, 20

  local function write_to_all(kept)
    for i = 1, EVENTS_EACH do
      for _, stream in ipairs(kept.streams) do assert.is_true(stream:write(("data: %d\n\n"):format(i))) end
      flow.sleep(0.001)
    end
  end

  local function by_sockets(options)
    local kept, url = serve_streams(options)
    local clients = {}
    for i = 1, N do clients[i] = raw.connect(url):send(ASK) end
    for _, client in ipairs(clients) do client:until_found "data: first\n\n" end
    write_to_all(kept)
    for _, client in ipairs(clients) do client:until_found(("data: %d\n\n"):format(EVENTS_EACH)) end
    assert.equal(N, kept.server:stats().streams)
    for i, client in ipairs(clients) do if i % 2 == 0 then client:close() end end
    until_true(function() return kept.closed == N // 2 end)
    kept.server:stop(30)
    until_true(function() return kept.closed == N end)
    for _, client in ipairs(clients) do client:close() end
  end

  it("work over TCP", function() by_sockets() end)

  it("work over a unix socket", function()
    local path = os.tmpname()
    os.remove(path)
    by_sockets { listen = { { unix = path } } }
  end)

  it("work over TLS", function()
    local kept, url = serve_streams { tls = certificate() }
    local out = uv.new_pipe(false)
    local said, ended = "", nil
    uv.spawn("python3", { stdio = { nil, out, 2 }, args = { "spec/support/tls_clients.py", url:match "%d+$",
      tostring(N), ("data: %d\\n\\n"):format(EVENTS_EACH) } }, function(code) ended = code end)
    out:read_start(function(_, data) said = said .. (data or "") end)
    until_true(function() return ended or #kept.streams == N end)
    write_to_all(kept)
    until_true(function() return ended end)
    assert.same({ 0, "whole 200\n" }, { ended, said })
    until_true(function() return kept.closed == N end)
    out:close()
  end)
end)

-- ---- stopping -----------------------------------------------------------------------------------

describe("stopping", function()
  it("lets what is under way end, takes nothing new, and ends streams", function()
    local go_on, asked
    local server, url = serve(function(request)
      if request.path == "/stream" then
        asked = request:stream(200)
        asked:write "begun"
        return
      end
      flow.await(function(resume) go_on = resume end)
      request:respond(200, nil, "done")
    end)
    local working = raw.connect(url):send "GET /work HTTP/1.1\r\nHost: x\r\n\r\n"
    local streaming = raw.connect(url):send "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n"
    local resting, begun = raw.connect(url), raw.connect(url):send "GET / HT"
    streaming:until_found "begun"
    until_true(function() return go_on and server:stats().connections == 4 end)
    local stopped
    flow.gather {
      function()
        server:stop(60)
        stopped = true
      end,
      function()
        assert.truthy(streaming:to_end():find "\r\n0\r\n\r\n$")
        resting:to_end()
        begun:to_end()
        assert.has_error(function() raw.connect(url) end)
        assert.is_nil(stopped)
        go_on()
        local answer = working:to_end()
        assert.equal("done", answer:match "\r\n\r\n(.*)$")
        assert.truthy(answer:find "\r\nConnection: close\r\n")
      end,
    }
    assert.is_true(stopped)
    server:stop() -- again
  end)

  it("ends what takes longer than its grace", function()
    local go_on
    local server, url = serve(function() flow.await(function(resume) go_on = resume end) end)
    local client = raw.connect(url):send "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    until_true(function() return go_on end)
    server:stop(0.05)
    go_on()
    local answer = client:to_end()
    assert.equal(503, status_of(answer))
    assert.equal("server_busy", json.decode(answer:match "\r\n\r\n(.*)$").code)
  end)
end)

-- ---- the program around it ----------------------------------------------------------------------

describe("a program with a server", function()
  it("lives until it stops, and takes a socket that was given", function()
    local here <close> = place.new { ["s.lua"] = [[
      local core, uv = require "orrery.core", require "luv"
      local server
      server = assert(core.http_server { listen = { { fd = 3 } }, on_request = function(request)
        request:respond(200, nil, request.path)
        if request.path == "/stop" then server:stop(10) end
      end })
    ]] }
    local listener = uv.new_tcp()
    listener:bind("127.0.0.1", 0)
    listener:listen(16, function() end)
    local url = ("http://127.0.0.1:%d"):format(listener:getsockname().port)
    local ended
    local process = uv.spawn(place.orrery_path, { args = { here.folder .. "/s.lua" }, stdio = { nil, 1, 2,
      listener } },
      function(code) ended = code end)
    listener:close()
    assert.truthy(process)
    for _, path in ipairs { "/first", "/second", "/stop" } do
      assert.is_nil(ended)
      assert.equal(path, raw.tell(url, ("GET %s HTTP/1.1\r\n%s"):format(path, CLOSE)):match "\r\n\r\n(.*)$")
    end
    until_true(function() return ended end)
    assert.equal(0, ended)
  end)

  it("has no time to pass while a client is in the middle of a request", function()
    local _, url = serve(echo, { limits = { head_seconds = 0.3 } })
    local client = raw.connect(url):send "GET / HT"
    local w = flow.workflow { name = "sleeps", output = "${nodes.it}" }
    w.it = { run = function(ctx)
      ctx:sleep "1h"
      return client.ended
    end }
    until_true(function() return servers[#servers]:stats().connections == 1 end)
    local ended = flow.run(w, { clock = "virtual" })
    assert.equal("completed", ended.state)
    assert.equal(408, status_of(client:to_end()))
    assert.is_true(ended.output)
  end)
end)
