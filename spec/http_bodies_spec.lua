-- Bodies of HTTP from files, to files, and in forms: real files, and a server that looks at what
-- comes.
local flow = require "orrery"
local command = require "spec.support.command"
local loopback = require "spec.support.loopback"
local one_node = require "spec.support.one_node"
local uv = require "luv"

local output, failure, contains = one_node.output, one_node.failure, one_node.contains
local http = flow.http

local folder, server, answer

local function path_of(name) return folder .. "/" .. name end

local function write(name, text)
  local file <close> = assert(io.open(path_of(name), "wb"))
  file:write(text)
  return path_of(name)
end

local function read(name)
  local file <close> = io.open(path_of(name), "rb")
  return file and file:read "a"
end

local function names()
  local list = {}
  for name in uv.fs_scandir_next, uv.fs_scandir(folder) do list[#list + 1] = name end
  table.sort(list)
  return table.concat(list, " ")
end

before_each(function()
  folder = assert(uv.fs_mkdtemp(os.tmpname():match "^(.*/)" .. "bodies-XXXXXX"))
  answer = function() return { body = "ok" } end
  server = loopback.start(function(request) return answer(request) end)
end)
after_each(function()
  server.stop()
  os.execute("rm -rf " .. folder)
end)

local function last() return server.requests[#server.requests] end

-- Not one block like another.
local function long_text(blocks)
  local parts = {}
  for i = 1, blocks do parts[i] = (("%07d "):format(i)):rep(8192) end
  return table.concat(parts)
end

describe("http and its methods", function()
  it("has a type for each", function()
    for word, method in pairs { get = "GET", post = "POST", put = "PUT", patch = "PATCH",
      delete = "DELETE" } do
      local body = word ~= "get" and "text" or nil
      output(http[word] { url = server.url "/x", body = body })
      assert.equal(method, last().method)
      assert.equal(body or "", last().body)
    end
    output(http.delete { url = server.url "/x" })
    assert.is_nil(last().headers["content-length"])
    output(http.post { url = server.url "/x" })
    assert.equal("0", last().headers["content-length"])
  end)

  it("sends the node's idempotency key, the same at every attempt", function()
    local keys, tries = {}, 0
    answer = function(request)
      keys[#keys + 1] = request.headers["idempotency-key"]
      tries = tries + 1
      return { status = tries == 1 and 500 or 200 }
    end
    output(http.post { url = server.url "/", idempotency_key = true, retry = { max = 1, delay = 0 } })
    assert.equal(2, #keys)
    assert.equal(keys[1], keys[2])
    assert.is_true(#keys[1] > 10)
    output(http.post { url = server.url "/", idempotency_key = "mine" })
    assert.equal("mine", keys[3])
    output(http.post { url = server.url "/" })
    assert.is_nil(keys[4])
  end)
end)

describe("a form", function()
  it("is sent with its names in order, escaped", function()
    output(http.post { url = server.url "/", form = { b = "x y&z", a = { 1, "ü" }, c = true } })
    assert.equal("a=1&a=%C3%BC&b=x%20y%26z&c=true", last().body)
    assert.equal("application/x-www-form-urlencoded", last().headers["content-type"])
    assert.equal("config_error", failure(http.post { url = server.url "/", form = { a = { {} } } }).code)
  end)

  it("of several parts has texts and files, and no name leaves its place", function()
    write("a.bin", "\0\1\2")
    output(http.post { url = server.url "/", multipart = { note = "hello", file = { from = path_of "a.bin" },
      ['x"\r\nEvil: 1'] = { body = "b", type = "text/plain", filename = "n\r\n.txt" } } })
    local boundary = last().headers["content-type"]:match "^multipart/form%-data; boundary=([%w-]+)$"
    assert.equal(table.concat({
      "--" .. boundary, 'Content-Disposition: form-data; name="file"; filename="a.bin"',
      "Content-Type: application/octet-stream", "", "\0\1\2",
      "--" .. boundary, 'Content-Disposition: form-data; name="note"', "", "hello",
      "--" .. boundary, 'Content-Disposition: form-data; name="x%22%0D%0AEvil: 1"; filename="n%0D%0A.txt"',
      "Content-Type: text/plain", "", "b",
      "--" .. boundary .. "--", "" }, "\r\n"), last().body)
    output(http.post { url = server.url "/", multipart = { { name = "z", body = 1 },
      { name = "a", body = true } } })
    contains(last().body:gsub("%-%-orrery%-%x+", "B"),
      'B\r\nContent-Disposition: form-data; name="z"\r\n\r\n1\r\nB')
    for _, wrong in ipairs { { a = { body = "x", from = "y" } }, { a = {} },
      { a = { body = "x", typ = "y" } },
      { { body = "x" } }, { a = { body = "x", type = "a\r\nb" } }, { "x" } } do
      local e = failure(http.post { url = server.url "/", multipart = wrong })
      assert.equal("config_error", e.code)
      contains(e.message, "multipart")
    end
  end)

  it("is one of the ways to give a body", function()
    local e = failure(http.post { url = server.url "/", form = { a = 1 }, json = 1 })
    assert.equal("config_error", e.code)
    contains(e.message, "given twice, as json and as form")
    e = failure(http.post { url = server.url "/", json = { "\xff" } })
    assert.equal("config_error", e.code)
    assert.equal(0, #server.requests)
  end)
end)

describe("a body from a file", function()
  it("is sent as it is", function()
    local text = long_text(20) -- 1.25 MiB, several blocks
    write("long", text)
    for _, size in ipairs { 0, 1, 262143, 262144, 262145, #text } do
      write("part", text:sub(1, size))
      output(http.put { url = server.url "/", from = path_of "part" })
      assert.equal(tostring(size), last().headers["content-length"])
      assert.is_true(last().body == text:sub(1, size))
      assert.is_nil(last().headers["content-type"])
    end
  end)

  it("is sent again after a redirect that asks for it, and after a failure", function()
    write("a", long_text(8))
    answer = function(request)
      if request.path == "/first" then return { status = 307, headers = { Location = "/second" } } end
      return { body = "done" }
    end
    assert.equal("done", output(http.put { url = server.url "/first", from = path_of "a",
      follow = true }).body)
    assert.is_true(last().body == read "a")
    local tries = 0
    answer = function()
      tries = tries + 1
      return { status = tries == 1 and 500 or 200 }
    end
    output(http.put { url = server.url "/", from = path_of "a", retry = { max = 1, delay = 0 } })
    assert.is_true(last().body == read "a")
  end)

  it("fails where the file is missing, is a folder, or becomes shorter", function()
    local e = failure(http.put { url = server.url "/", from = path_of "none" })
    assert.equal("file_error", e.code)
    assert.equal("ENOENT", e.details.errno)
    assert.equal("file_error", failure(http.put { url = server.url "/", from = folder }).code)
    assert.equal(0, #server.requests)
    write("short", "12345")
    local fd = assert(uv.fs_open(path_of "short", "r", 0))
    local err
    flow.await(function(resume)
      flow.transfer({ url = server.url "/", method = "PUT", body = { "a", { fd = fd, size = 10 } } },
        function(...) err = ... resume() end)
    end)
    uv.fs_close(fd)
    assert.equal("file_error", err.code)
    contains(err.message, "shorter")
  end)

  it("ends with the server, however much of it is left", function()
    write("long", long_text(200)) -- 12.5 MiB
    server.stop()
    server = loopback.start(function() end)
    local listener = uv.new_tcp()
    listener:bind("127.0.0.1", 0)
    listener:listen(1, function()
      local client = uv.new_tcp()
      listener:accept(client)
      client:read_start(function() if not client:is_closing() then client:close() end end)
    end)
    local url = ("http://127.0.0.1:%d/"):format(listener:getsockname().port)
    local e = failure(http.put { url = url, from = path_of "long" })
    assert.equal("http_connect", e.code)
    listener:close()
    -- one that takes nothing
    e = failure(http.put { url = server.url "/", from = path_of "long", max_time = "200ms" })
    assert.equal("http_timeout", e.code)
    e = failure(http.put { url = server.url "/", from = path_of "long", timeout = "100ms" })
    assert.equal("timeout", e.code)
  end)
end)

describe("a body to a file", function()
  it("replaces the file when it is whole, and keeps its mode", function()
    local text = long_text(40) -- 2.5 MiB
    answer = function() return { body = text } end
    local out = output(http.get { url = server.url "/", to = path_of "got" })
    assert.equal(path_of "got", out.path)
    assert.equal(#text, out.bytes)
    assert.equal("", out.body)
    assert.is_true(read "got" == text)
    uv.fs_chmod(path_of "got", 384) -- 0600
    answer = function() return { body = "new" } end
    output(http.get { url = server.url "/", to = path_of "got" })
    assert.equal("new", read "got")
    assert.equal(384, uv.fs_stat(path_of "got").mode & 511)
    answer = function() return { body = "" } end
    assert.equal(0, output(http.get { url = server.url "/", to = path_of "got" }).bytes)
    assert.equal("", read "got")
    assert.equal("got", names())
  end)

  it("is not touched by an answer that is none", function()
    write("got", "old")
    answer = function() return { status = 404, body = "nothing here" } end
    local e = failure(http.get { url = server.url "/", to = path_of "got" })
    assert.equal("http_status", e.code)
    assert.equal("nothing here", e.details.body)
    local out = output(http.get { url = server.url "/", to = path_of "got", expect = "any" })
    assert.equal("nothing here", out.body)
    assert.is_nil(out.path)
    answer = function(request)
      request.client:write("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" .. ("x"):rep(50000),
        function() request.client:close() end)
    end
    assert.equal("http_connect", failure(http.get { url = server.url "/", to = path_of "got" }).code)
    answer = function() return "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" .. ("x"):rep(50000) end
    assert.equal("http_timeout",
      failure(http.get { url = server.url "/", to = path_of "got", max_time = "100ms" }).code)
    assert.equal("timeout", failure(http.get { url = server.url "/", to = path_of "got",
      timeout = "100ms" }).code)
    assert.equal("http_connect", failure(http.get { url = "http://127.0.0.1:1/", to = path_of "got" }).code)
    assert.equal("old", read "got")
    for _ = 1, 300 do if names() ~= "got" then flow.sleep(0.01) end end
    assert.equal("got", names())
    assert.equal("file_error", failure(http.get { url = server.url "/", to = folder }).code)
    assert.equal("file_error", failure(http.get { url = server.url "/", to = path_of "no/such" }).code)
  end)

  it("is decoded, and bounded after that", function()
    write("zeros", ("\0"):rep(4 << 20))
    local pipe = assert(io.popen("gzip -nc " .. path_of "zeros", "r"))
    local packed = pipe:read "a"
    pipe:close()
    answer = function() return { body = packed, headers = { ["Content-Encoding"] = "gzip" } } end
    assert.equal(4 << 20, output(http.get { url = server.url "/", to = path_of "got" }).bytes)
    assert.is_true(read "got" == read "zeros")
    local e = failure(http.get { url = server.url "/", to = path_of "small", limit = 1 << 20 })
    assert.equal("http_too_large", e.code)
    contains(e.message, "1048576 bytes")
    assert.is_nil(read "small")
  end)

  it("does not outgrow its limit where the server answers for ever", function()
    answer = function(request)
      request.client:write "HTTP/1.1 200 OK\r\n\r\n"
      local function more()
        if not request.client:is_closing() then
          request.client:write(("x"):rep(65536), function(err) if not err then more() end end)
        end
      end
      more()
    end
    local e = failure(http.get { url = server.url "/", to = path_of "got", limit = 3000000 })
    assert.equal("http_too_large", e.code)
    assert.is_nil(read "got")
  end)
end)

describe("a program that sends and fetches large files", function()
  local SOURCE = [[
    local flow = require "orrery"
    local w = flow.workflow { name = "w", input = { url = "string", from = "string", to = "string" } }
    w.put = flow.http.put { url = "${input.url}", from = "${input.from}" }
    w.get = flow.http.get { url = "${input.url}", to = "${input.to}", after = "put" }
    w.size = { after = "get", run = function()
      for line in io.lines "/proc/self/status" do
        local kb = line:match "^VmHWM:%s*(%d+)"
        if kb then print("peak " .. kb) end
      end
    end }
    return w]]

  local function run(before)
    write("w.lua", SOURCE)
    local program = command.path:match "^/" and command.path or uv.cwd() .. "/" .. command.path
    return flow.exec { "sh", "-c", before .. [[ exec "$1" run "$2/w.lua" --store memory: -i url="$3" -i from="$2/big" -i to="$2/got" 2>&1]],
      "sh", program, folder, server.url "/", check = false }
  end

  it("holds neither in memory", function()
    if command.sanitized then return pending "a sanitizer's runtime needs memory of its own" end
    local big = 96 << 20
    os.execute(("head -c %d /dev/urandom >%s"):format(big, path_of "big"))
    server.stop()
    server = loopback.start(function(request)
      if request.method == "PUT" then return { body = tostring(request.size) } end
      local client, left = request.client, big
      client:write(("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"):format(big))
      local block = ("x"):rep(1 << 20)
      local function more()
        left = left - #block
        client:write(block, function(err) if not err and left > 0 then more() end end)
      end
      more()
    end, { keep = false })
    local r = flow.now { run = function() return run "" end }
    assert.equal(0, r.code, r.stdout)
    assert.equal(big, server.requests[1].size)
    assert.equal(big, uv.fs_stat(path_of "got").size)
    local peak = tonumber(r.stdout:match "peak (%d+)")
    assert.is_true(peak < 48 * 1024, ("peak of %d KiB"):format(peak))
  end)

  it("fails where the disk takes no more, and leaves nothing behind", function()
    write("big", "small")
    write("got", "old")
    answer = function(request) return { body = request.method == "GET" and ("x"):rep(3 << 20) or "" } end
    local r = flow.now { run = function() return run "ulimit -f 1000;" end }
    assert.not_equal(0, r.code)
    contains(r.stdout, "the body cannot be written")
    assert.equal("old", read "got")
    assert.equal("big got w.lua", names())
  end)
end)
