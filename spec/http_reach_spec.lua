-- Where HTTP may connect to, by which way and in which version.
local flow = require "orrery"
local loopback = require "spec.support.loopback"
local nginx = require "spec.support.nginx"
local one_node = require "spec.support.one_node"
local uv = require "luv"

local output, failure, contains = one_node.output, one_node.failure, one_node.contains
local http = flow.http

local server, answer
before_each(function()
  answer = function() return { body = "ok" } end
  server = loopback.start(function(request) return answer(request) end)
end)
after_each(function() server.stop() end)

describe("the addresses that may be connected to", function()
  local function code(config)
    config.url = config.url or server.url "/"
    local r = one_node.run(http.get(config))
    return r.error and r.error.code or r.output.body, r.error
  end

  it("are those of the lists", function()
    assert.equal("ok", (code { allow = { "127.0.0.0/8" } }))
    assert.equal("ok", (code { allow = { "10.0.0.0/8", "127.0.0.1" } }))
    assert.equal("ok", (code { deny = { "10.0.0.0/8", "127.0.0.2", "::/0" } }))
    for _, lists in ipairs { { deny = { "127.0.0.0/8" } }, { deny = { "private" } },
      { allow = { "10.0.0.0/8" } },
      { allow = { "127.0.0.1" }, deny = { "127.0.0.0/31" } }, { deny = { "::ffff:127.0.0.1" } },
      { deny = { "::ffff:0:0/96" } }, { deny = { "0.0.0.0/0" } } } do
      local got, e = code(lists)
      assert.equal("http_address", got)
      assert.is_false(e.retryable)
      contains(e.message, "127.0.0.1")
    end
    assert.equal("http_address", (code { deny = { "private" }, url = "http://[::ffff:127.0.0.1]:1/" }))
    assert.equal("http_address", (code { deny = { "private" }, url = "http://[::1]:1/" }))
    assert.equal("http_address", (code { deny = { "private" }, url = "http://0x7f.1:1/" }))
    assert.equal("http_address", (code { deny = { "private" }, url = "http://localhost:1/" }))
    assert.equal("http_address", (code { deny = { "private" }, url = "http://169.254.169.254/" }))
    assert.equal("http_address", (code { deny = { "private" }, url = "http://[2002:7f00:1::]/" }))
    assert.equal("http_address", (code { deny = { "private" }, url = "http://[64:ff9b::10.0.0.1]/" }))
  end)

  it("hold for redirects, and for connections that others have left open", function()
    local other = loopback.start(function() return { body = "other" } end)
    answer = function(request)
      if request.path == "/go" then return { status = 302, headers = { Location = other.url "/" } } end
      return { body = "ok" }
    end
    -- 127.0.0.1 has an open connection now
    assert.equal("ok", (code {}))
    assert.equal(1, server.connections())
    assert.equal("http_address", (code { deny = { "127.0.0.1" } }))
    assert.equal("other", (code { url = server.url "/go", allow = { "127.0.0.1" } }))
    answer = function() return { status = 302, headers = { Location = "http://127.0.0.2:1/" } } end
    assert.equal("http_address", (code { allow = { "127.0.0.1" } }))
    other.stop()
  end)

  it("are words that make sense", function()
    for _, wrong in ipairs { "", "10.0.0.0/33", "10.0.0", "::/129", "10.0.0.0/", "10.0.0.0/-1", "localhost",
      "privat",
      "10.0.0.0/8x" } do
      local got, e = code { deny = { wrong } }
      assert.equal("config_error", got, wrong)
      contains(e.message, "'" .. wrong .. "'")
    end
    assert.equal(0, #server.requests)
  end)

  it("are no addresses of a proxy", function()
    uv.os_setenv("http_proxy", "http://127.0.0.1:1/")
    local through = code {}
    local direct = code { allow = { "127.0.0.1" } }
    uv.os_unsetenv "http_proxy"
    assert.equal("http_connect", through)
    assert.equal("ok", direct)
    local w = flow.workflow { name = "w" }
    w.a = http.get { url = "http://x.example/", proxy = "http://127.0.0.1:1/", deny = { "private" } }
    contains(flow.check(w)[1].message, "with a proxy")
  end)
end)

describe("a proxy", function()
  it("is asked for the URL, and its credentials show up nowhere", function()
    answer = function(request) return { body = request.target } end
    local proxy = server.url("/"):gsub("//", "//user:pr0xy-pass@")
    local out = output(http.get { url = "http://nowhere.invalid/x", proxy = proxy,
      headers = { Authorization = "for the server" } })
    assert.equal("http://nowhere.invalid/x", out.body)
    assert.is_true(server.requests[1].headers["proxy-authorization"] ~= nil)
    answer = function() return { status = 407, reason = "No" } end
    local e = failure(http.get { url = "http://nowhere.invalid/x", proxy = proxy })
    assert.equal("http_status", e.code)
    assert.is_nil(flow.json.encode(e):find("pr0xy", 1, true))
    e = failure(http.get { url = "https://nowhere.invalid/x", proxy = proxy })
    assert.is_nil(flow.json.encode(e):find("pr0xy", 1, true))
    e = failure(http.get { url = "http://nowhere.invalid/", proxy = "http://u:pr0xy-pass@127.0.0.1:1/" })
    assert.equal("http_connect", e.code)
    assert.is_nil(flow.json.encode(e):find("pr0xy", 1, true))
    e = failure(http.get { url = "http://nowhere.invalid/", proxy = "nonsense://u:pr0xy-pass@127.0.0.1:1/" })
    assert.is_nil(flow.json.encode(e):find("pr0xy", 1, true))
  end)

  it("of the environment is left out by an empty one", function()
    uv.os_setenv("http_proxy", "http://127.0.0.1:1/")
    local body = output(http.get { url = server.url "/", proxy = "" }).body
    uv.os_unsetenv "http_proxy"
    assert.equal("ok", body)
  end)
end)

describe("HTTP/2", function()
  it("is spoken where the server has it", function()
    if not nginx.program then return pending "nginx is not installed" end
    local web = nginx.start { http2 = true, files = { ["big.txt"] = ("0123456789abcdef"):rep(65536) },
      locations = 'location /v { default_type text/plain; return 200 "$server_protocol $connection"; }' }
    if not web.ca then web.stop() return pending "openssl is not installed" end
    local out = output(http.get { url = web.tls "/v", ca = web.ca })
    assert.equal("2", out.version)
    contains(out.body, "HTTP/2.0")
    assert.equal("1.1", output(http.get { url = web.url "/v" }).version)
    -- many at once, over few connections, also to files
    local w = flow.workflow { name = "many", output = "${nodes.all}" }
    local urls = {}
    for i = 1, 40 do urls[i] = web.tls("/big.txt?" .. i) end
    w.all = http.get { each = urls, url = "${item}", ca = web.ca }
    local r = flow.run(w)
    assert.equal("completed", r.state, r.error and r.error.message)
    for i = 1, 40 do assert.equal(1 << 20, #r.output[i].body) end
    local path = os.tmpname()
    assert.equal(1 << 20, output(http.get { url = web.tls "/big.txt", ca = web.ca, to = path }).bytes)
    os.remove(path)
    web.stop()
  end)
end)
