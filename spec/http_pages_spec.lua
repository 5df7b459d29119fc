-- `http.pages` against a server that has pages, and `flow.url`.
local flow = require "orrery"
local loopback = require "spec.support.loopback"
local one_node = require "spec.support.one_node"
local uv = require "luv"

local output, failure, contains = one_node.output, one_node.failure, one_node.contains
local pages = flow.http.pages

local server, answer
before_each(function() server = loopback.start(function(request) return answer(request) end) end)
after_each(function() server.stop() end)

local function json(value, headers)
  headers = headers or {}
  headers["Content-Type"] = "application/json"
  return { body = flow.json.encode(value), headers = headers }
end

local function queries()
  local list = {}
  for i, request in ipairs(server.requests) do list[i] = request.query end
  return table.concat(list, " ")
end

describe("http.pages", function()
  it("follows the link to the next page", function()
    answer = function(request)
      local n = tonumber(request.query:match "p=(%d)") or 1
      local link = ('<%s>; rel="prev first", </x?p=%d>; title="a, b"; REL = "last '
        .. 'next"'):format(server.url "/x?p=9",
        n + 1)
      return json({ n, n * 10 }, { Link = n < 3 and link or '</x?p=1>; rel="first"' })
    end
    local out = output(pages { url = server.url "/x", query = { a = "b c" } })
    assert.same({ 1, 10, 2, 20, 3, 30 }, out.items)
    assert.equal(3, out.pages)
    assert.is_true(out.complete)
    assert.equal("a=b%20c p=2 p=3", queries())
  end)

  it("takes a cursor as a parameter, or as the URL", function()
    answer = function(request)
      local at = request.query:match "after=([^&]*)"
      return json { data = { list = { at or "first" } }, meta = { next = not at and "a&b" or at == "a%26b"
        and 7 or nil } }
    end
    local out = output(pages { url = server.url "/", query = { z = 1 }, items = "data.list",
      next = { cursor = "meta.next", query = "after" } })
    assert.same({ "first", "a%26b", "7" }, out.items)
    assert.equal("z=1 z=1&after=a%26b z=1&after=7", queries())
    answer = function(request)
      return json { list = { request.path }, next = request.path == "/" and "b/c?x" or flow.json.null }
    end
    assert.same({ "/", "/b/c" }, output(pages { url = server.url "/", items = "list",
      next = { cursor = "next" } }).items)
  end)

  it("counts pages until one is empty, or says that it is the last", function()
    answer = function(request)
      local n = tonumber(request.query:match "page=(%d+)")
      return json { items = n < 3 and { n } or flow.json.array {}, more = n < 1 }
    end
    assert.same({ 0, 1, 2 }, output(pages { url = server.url "/", items = "items",
      next = { page = "page", first = 0 } }).items)
    assert.same({ 0, 1 }, output(pages { url = server.url "/", items = "items",
      next = { page = "page", first = 0, more = "more" } }).items)
    assert.same({ 0, 2 }, output(pages { url = server.url "/", items = "items",
      next = { page = "page", first = 0, step = 2 } }).items)
  end)

  it("asks a function", function()
    answer = function(request) return json({ request.query }, { ["X-Left"] = "2" }) end
    local out = output(pages { url = server.url "/", next = function(page, number)
      assert(page.headers["x-left"] == "2" and page.status == 200 and #page.items == 1)
      return number < 3 and { n = number } or nil
    end })
    assert.same({ "", "n=1", "n=2" }, out.items)
    assert.equal("config_error", failure(pages { url = server.url "/", next = function() return 1 end }).code)
  end)

  it("keeps to its rate", function()
    answer = function(request)
      local n = tonumber(request.query:match "p=(%d+)" or 0)
      return json({ n }, { Link = n < 4 and ("<?p=%d>; rel=next"):format(n + 1) or nil })
    end
    local began = uv.hrtime()
    assert.equal(5, output(pages { url = server.url "/", rate = "20/s" }).pages)
    assert.is_true((uv.hrtime() - began) / 1e9 >= 0.2)
    for _, wrong in ipairs { "x", "0/s", -1, "10/parsec", "/s" } do
      assert.equal("config_error", failure(pages { url = server.url "/", rate = wrong }).code, wrong)
    end
    assert.equal(5, output(pages { url = server.url "/", rate = "100000/1m" }).pages)
  end)

  it("is bounded where pages do not end", function()
    local n = 0
    answer = function()
      n = n + 1
      return json({ n, n }, { Link = ("<?p=%d>; rel=next"):format(n) })
    end
    local e = failure(pages { url = server.url "/", max_pages = 5 })
    assert.equal("http_pages", e.code)
    assert.is_false(e.retryable)
    assert.equal(5, #server.requests)
    n = 0
    local out = output(pages { url = server.url "/", max_items = 5, partial = true })
    assert.same({ 1, 1, 2, 2, 3 }, out.items)
    assert.is_false(out.complete)
    assert.equal(server.url "/?p=3", out.next)
    contains(failure(pages { url = server.url "/", max_items = 3 }).message, "max_items")
    answer = function() return json({ 1 }, { Link = "</>; rel=next" }) end
    contains(failure(pages { url = server.url "/" }).message, "fetched already")
  end)

  it("sends nothing to another place", function()
    local other = loopback.start(function() return json { "stolen" } end)
    for _, link in ipairs { other.url "/", "//127.0.0.1:" .. other.port .. "/", "https://127.0.0.1/",
      "file:///etc/passwd",
      ("http://127.0.0.1:%d@127.0.0.1:%d/"):format(server.port, other.port), "javascript:x",
      ("http://127.0.0.1:%d\\@127.0.0.1/"):format(other.port) } do
      answer = function() return json({ 1 }, { Link = ("<%s>; rel=next"):format(link) }) end
      local e = failure(pages { url = server.url "/", headers = { Authorization = "mine" } })
      assert.equal("http_pages", e.code, link)
    end
    assert.equal(0, #other.requests)
    other.stop()
  end)

  it("fails as http.get does, and on pages that have no list", function()
    answer = function(request)
      if request.query ~= "" then return { status = 503, headers = { ["Retry-After"] = "2" } } end
      return json({ 1 }, { Link = "<?p=2>; rel=next" })
    end
    local e = failure(pages { url = server.url "/" })
    assert.equal("http_status", e.code)
    assert.equal(2, e.retry_after)
    for _, body in ipairs { "{}", '{"a":1}', '"x"', '{"list":{"a":1}}', "" } do
      answer = function() return { body = body } end
      assert.equal("http_pages", failure(pages { url = server.url "/" }).code, body)
      assert.equal("http_pages", failure(pages { url = server.url "/", items = "list" }).code, body)
    end
    answer = function() return { body = "[" } end
    assert.equal("http_json", failure(pages { url = server.url "/" }).code)
    answer = function() return "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[1," end
    assert.equal("http_timeout", failure(pages { url = server.url "/", max_time = "100ms" }).code)
    for _, wrong in ipairs { 1, {}, "links", { cursor = 1 }, { page = "p", frist = 1 },
      { cursor = "c", query = 1 } } do
      assert.equal("config_error", failure(pages { url = server.url "/", next = wrong }).code)
    end
    assert.equal("config_error", failure(pages { url = server.url "/", query = { a = { {} } } }).code)
  end)

  it("streams as the first stage of a pipe, one page after the other", function()
    local most, handed = 0, 0
    local slow = flow.type { name = "spec.handed", config = flow.schema { rows = "array?" },
      stage = function(_, rows)
        return function()
          local chunk = rows()
          most, handed = math.max(most, #server.requests - handed), handed + (chunk and 1 or 0)
          return chunk
        end
      end }
    answer = function(request)
      local n = tonumber(request.query:match "p=(%d)") or 1
      return json({ { n = n }, { n = n * 10 } },
        { Link = n < 4 and ("<?p=%d>; rel=next"):format(n + 1) or "" })
    end
    local out = output(flow.pipe { pages { url = server.url "/" }, slow {},
      flow.data.filter { "row.n < 30" } })
    assert.same({ 8, 6 }, { out.rows_in, out.rows_out })
    assert.same({ pages = 4, complete = true },
      { pages = out.stages[1].pages, complete = out.stages[1].complete })
    assert.equal(1, most) -- no page is fetched before the one before it has gone through the pipe
    out = output(flow.pipe { pages { url = server.url "/", max_items = 3, partial = true } })
    assert.same({ 3, false, 2 }, { #out.rows, out.stages[1].complete, out.stages[1].pages })
    local e = failure(flow.pipe { pages { url = server.url "/", max_items = 3 } })
    assert.equal("http_pages", e.code)
    local source = flow.json.encode { name = "j", nodes = { { id = "it", type = "pipe",
      with = { stages = { { type = "http.pages", with = { url = server.url "/" } } } } } } }
    local run = flow.run(flow.load { source = source, types = { "pipe", "http.pages" },
      hosts = { "example.org" } })
    assert.equal("not_allowed", run.error.code)
  end)
end)

describe("flow.url", function()
  it("makes queries and adds to those that are there", function()
    assert.equal("a=1&a=%C3%BC&b=x%20y", flow.url.query { b = "x y", a = { 1, "ü" } })
    assert.equal("", flow.url.query {})
    for from, to in pairs { ["?a=1&"] = "?a=1&b=2", ["?"] = "?b=2", ["?a=1"] = "?a=1&b=2", [""] = "?b=2",
      ["?a=1#x?"] = "?a=1&b=2#x?" } do
      assert.equal("http://h/" .. to, flow.url.with("http://h/" .. from, { b = 2 }))
    end
    assert.equal("http://h", flow.url.with("http://h"))
    assert.is_false(pcall(flow.url.query, { 1 }))
    assert.is_false(pcall(flow.url.query, { a = { {} } }))
  end)

  it("joins references as RFC 3986 does", function()
    -- of its section 5.4.1, but for those with dots, which are left to who fetches
    local base = "http://a/b/c/d;p?q"
    for reference, target in pairs { ["g:h"] = "g:h", g = "http://a/b/c/g", ["g/"] = "http://a/b/c/g/",
      ["/g"] = "http://a/g", ["//g"] = "http://g", ["?y"] = "http://a/b/c/d;p?y",
        ["g?y"] = "http://a/b/c/g?y",
      ["#s"] = "http://a/b/c/d;p?q#s", ["g#s"] = "http://a/b/c/g#s", [";x"] = "http://a/b/c/;x",
      [""] = "http://a/b/c/d;p?q" } do
      assert.equal(target, flow.url.join(base, reference), reference)
    end
    assert.equal("http://a/g", flow.url.join("http://a", "g"))
    assert.is_false(pcall(flow.url.join, "a/b", "c"))
  end)

  it("tells origins apart", function()
    assert.equal("https://h:443", flow.url.origin "HTTPS://u:p@H/x")
    assert.equal(flow.url.origin "http://h:80/", flow.url.origin "http://h")
    assert.equal("http://[::1]:8080", flow.url.origin "http://[::1]:8080/a:b@c")
    for _, none in ipairs { "ftp://h/", "h/x", "http://", "http://a b/", "http://a\\@b/", "http://a:b/",
      "http://::1/" } do
      assert.is_nil(flow.url.origin(none), none)
    end
  end)
end)
