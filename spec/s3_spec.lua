-- `s3.put`, `s3.get` and `s3.list` against a server that makes every signature again.
local flow = require "orrery"
local one_node = require "spec.support.one_node"
local s3_server = require "spec.support.s3_server"
local uv = require "luv"

local output, failure, contains = one_node.output, one_node.failure, one_node.contains
local s3 = flow.s3

local KEY, SECRET, TOKEN = "AKIDSPEC", "s3cr3t/key+of:the=spec", "t0ken//of+the==spec"

local server, folder
before_each(function()
  server = s3_server.start { key = KEY, secret = SECRET }
  folder = assert(uv.fs_mkdtemp(os.tmpname():match "^(.*/)" .. "s3-XXXXXX"))
end)
after_each(function()
  server.stop()
  os.execute("rm -rf " .. folder)
end)

local function with(config)
  local all = { endpoint = server.endpoint, access_key = KEY, secret_key = SECRET, bucket = "box" }
  for key, value in pairs(config) do all[key] = value end
  return all
end

local function write(name, text)
  local file <close> = assert(io.open(folder .. "/" .. name, "wb"))
  file:write(text)
  return folder .. "/" .. name
end

local function read(name)
  local file <close> = io.open(folder .. "/" .. name, "rb")
  return file and file:read "a"
end

describe("s3", function()
  it("stores and fetches, whatever the key is", function()
    for _, key in ipairs { "a", "dir/b c", "ü/ß", "a+b=c&d?e#f%20", "x//y/", "~(1)!*'", "\t\1", ".a/..b/c..",
      "a:b@c" } do
      local out = output(s3.put(with { key = key, body = "text of " .. key, content_type = "text/plain" }))
      assert.equal(#key + 8, out.bytes)
      assert.equal(34, #out.etag)
      assert.equal("text of " .. key, server.objects["box/" .. key].body, key)
      local got = output(s3.get(with { key = key }))
      assert.equal("text of " .. key, got.body)
      assert.equal("text/plain", got.content_type)
    end
    output(s3.put(with { key = "empty", body = "" }))
    assert.equal("", output(s3.get(with { key = "empty" })).body)
  end)

  it("takes files, keeps metadata, and gives back what was stored, byte by byte", function()
    local text = ("0123456789abcdef"):rep(100000)
    local out = output(s3.put(with { key = "f", from = write("f", text),
      metadata = { Made = "by  the   spec ", n = 1 } }))
    assert.equal(#text, out.bytes)
    assert.equal("by the spec", server.objects["box/f"].headers["x-amz-meta-made"])
    local got = output(s3.get(with { key = "f", to = folder .. "/g" }))
    assert.equal(folder .. "/g", got.path)
    assert.equal(#text, got.bytes)
    assert.is_nil(got.body)
    assert.same({ made = "by the spec", n = "1" }, got.metadata)
    assert.is_true(read "g" == text)
    server.objects["box/f"].encoding = "gzip" -- what it says of itself is not undone
    assert.equal(#text, output(s3.get(with { key = "f" })).bytes)
  end)

  it("lists over many pages, with prefixes", function()
    server.page = 3
    for i = 1, 10 do server.objects[("box/a/%02d & <x>"):format(i)] = { body = ("x"):rep(i),
      headers = {} } end
    server.objects["box/b/c/d"], server.objects["other/a/1"] = { body = "", headers = {} },
      { body = "", headers = {} }
    local all = output(s3.list(with { prefix = "a/" }))
    assert.equal(10, #all.objects)
    assert.is_true(all.complete)
    assert.equal("a/01 & <x>", all.objects[1].key)
    assert.equal(10, all.objects[10].size)
    assert.equal('"e"', all.objects[1].etag)
    assert.equal(4, #server.requests)
    local some = output(s3.list(with { max = 5 }))
    assert.equal(5, #some.objects)
    assert.is_false(some.complete)
    local top = output(s3.list(with { delimiter = "/" }))
    assert.same({ "a/", "b/" }, top.prefixes)
    assert.equal(0, #top.objects)
    assert.equal(1, #output(s3.list(with { prefix = "a/", start_after = "a/09 & <x>" })).objects)
    assert.equal("[]", flow.json.encode(output(s3.list(with { prefix = "none" })).objects))
  end)

  it("does not replace an object that must not be there", function()
    output(s3.put(with { key = "k", body = "1", if_absent = true }))
    local e = failure(s3.put(with { key = "k", body = "2", if_absent = true }))
    assert.equal("PreconditionFailed", e.details.code)
    assert.equal("1", server.objects["box/k"].body)
  end)

  it("signs with a session, another region, and keys of the environment, and none of them shows up",
    function()
    server.stop()
    server = s3_server.start { key = KEY, secret = SECRET, token = TOKEN, region = "eu-west-1" }
    for name, value in pairs { AWS_ACCESS_KEY_ID = KEY, AWS_SECRET_ACCESS_KEY = SECRET,
      AWS_SESSION_TOKEN = TOKEN } do
      uv.os_setenv(name, value)
    end
    local config = { endpoint = server.endpoint, bucket = "box", region = "eu-west-1", key = "k",
      body = "text" }
    output(s3.put(config))
    output { run = function() return s3.put(config) end }
    local w = flow.workflow { name = "w" }
    w.a = s3.put(with { key = "x", region = "eu-west-1", secret_key = flow.secret "AWS_SECRET_ACCESS_KEY",
      session_token = flow.secret "AWS_SESSION_TOKEN", body = "b" })
    local r = flow.run(w)
    assert.equal("completed", r.state, r.error and r.error.message)
    for _, refuse in ipairs { server.refusal(403, SECRET .. TOKEN), { status = 500, body = SECRET } } do
      server.refuse = refuse
      local text = flow.json.encode(failure(s3.put(config)))
      assert.is_nil(text:find(SECRET, 1, true), text)
      assert.is_nil(text:find(TOKEN, 1, true), text)
    end
    uv.os_unsetenv "AWS_SECRET_ACCESS_KEY"
    local e = failure(s3.put(config))
    assert.equal("config_error", e.code)
    contains(e.message, "AWS_SECRET_ACCESS_KEY")
    for _, name in ipairs { "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN" } do uv.os_unsetenv(name) end
  end)

  it("tells what the server refuses", function()
    local e = failure(s3.get(with { key = "none", to = folder .. "/none" }))
    assert.equal("s3_error", e.code)
    assert.is_false(e.retryable)
    assert.equal("NoSuchKey", e.details.code)
    assert.equal("get of s3://box/none answered 404 NoSuchKey: It is <NoSuchKey>.", e.message)
    assert.is_nil(read "none")
    e = failure(s3.put(with { key = "k", body = "x", secret_key = "another" }))
    assert.equal("SignatureDoesNotMatch", e.details.code)
    for code, may in pairs { SlowDown = true, RequestTimeout = true, NoSuchBucket = false } do
      server.refuse = server.refusal(400, code)
      assert.equal(may, failure(s3.list(with {})).retryable, code)
    end
    server.refuse = { status = 301, headers = { Location = "http://127.0.0.1:1/" } }
    assert.equal("s3_error", failure(s3.get(with { key = "k" })).code)
    server.refuse = { body = "<html>hello</html>" }
    contains(failure(s3.list(with {})).message, "no list of objects")
    local endless = '<ListBucketResult><IsTruncated>true</IsTruncated>'
      .. '<NextContinuationToken>t</NextContinuationToken></ListBucketResult>'
    server.refuse = { body = endless }
    contains(failure(s3.list(with {})).message, "does not come to an end")
  end)

  it("tries again after a failure that may pass", function()
    server.refuse = server.refusal(500, "InternalError")
    output(s3.put(with { key = "k", from = write("f", "text"), retry = { max = 1, delay = 0 } }))
    assert.equal("text", server.objects["box/k"].body)
  end)

  it("fails with what goes wrong on the way", function()
    assert.equal("http_connect", failure(s3.get(with { key = "k", endpoint = "http://127.0.0.1:1" })).code)
    server.objects["box/k"] = { body = ("x"):rep(100000), headers = {} }
    server.refuse = function() return "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nhalf" end
    write("got", "old")
    assert.equal("http_timeout", failure(s3.get(with { key = "k", to = folder .. "/got",
      max_time = "100ms" })).code)
    assert.equal("old", read "got")
    assert.equal("http_too_large", failure(s3.get(with { key = "k", limit = 1000 })).code)
    assert.equal("file_error", failure(s3.put(with { key = "k", from = folder .. "/none" })).code)
  end)

  it("lets no data lead elsewhere", function()
    for _, config in ipairs { { key = "../other/k" }, { key = "a/../../other" }, { key = "." },
      { key = "a/./b" }, { key = "" },
      { bucket = "a/b" }, { bucket = ".." }, { bucket = "" }, { bucket = "a?b" }, { region = "x/y" },
        { region = "a:b" },
      { endpoint = "http://h/path" }, { endpoint = "h" }, { endpoint = "ftp://h" },
        { endpoint = "http://u:p@h" },
      { content_type = "a\r\nb: c" }, { metadata = { ["a b"] = "c" } }, { metadata = { a = "b\r\nc: d" } },
      { metadata = { a = {} } } } do
      config.key = config.key or "k"
      config.body = "x"
      assert.equal("config_error", failure(s3.put(with(config))).code, flow.json.encode(config))
    end
    assert.equal(0, #server.requests)
    local w = flow.workflow { name = "w" }
    w.a = s3.put { bucket = "b", key = "k" }
    contains(flow.check(w)[1].message, "give either from")
  end)

  it("puts the bucket into the host's name where it is Amazon's, or asked to", function()
    local e = failure(s3.get(with { bucket = "box", key = "k", path_style = false, max_time = "5s",
      endpoint = ("http://invalid:%d"):format(server.port) }))
    assert.equal("http_resolve", e.code)
    contains(e.message, "box.invalid")
  end)
end)

describe("s3 in a definition that is data", function()
  it("goes only to hosts and files that the loader allows", function()
    local function code(word, config, hosts)
      local source = flow.json.encode { name = "w", nodes = { { id = "a", type = "s3." .. word,
        with = with(config) } } }
      return (flow.run(flow.load { source = source, types = { "s3.*" }, hosts = hosts,
        paths = { "/srv" } }).error or {}).code
    end
    assert.is_nil(code("put", { key = "k", body = "x" }, { "127.0.0.1" }))
    assert.equal("not_allowed", code("put", { key = "k", body = "x" }, { "example.org" }))
    assert.equal("not_allowed", code("list", {}, { "example.org" }))
    assert.equal("not_allowed", code("list", { endpoint = "http://example.org", path_style = false },
      { "example.org" }))
    assert.equal("not_allowed", code("put", { key = "k", from = "/etc/passwd" }, { "127.0.0.1" }))
    assert.equal("not_allowed", code("get", { key = "k", to = "/tmp/x" }, { "127.0.0.1" }))
  end)
end)
