-- postgres.query and postgres.load without a PostgreSQL server: settings, and servers that answer
-- wrongly. `make services` tries them on a real one.
local command = require "spec.support.command"
local flow = require "orrery"
local one = require "spec.support.one_node"
local place = require "spec.support.place"
local settings = require "orrery.rows.postgres.settings"
local uv = require "luv"

-- ---- a server of the protocol, as far as these tests need it ------------------------------------
-- (PostgreSQL's manual, "Frontend/Backend Protocol")

local function message(kind, body) return string.pack(">c1 I4", kind, #body + 4) .. body end

local READY = message("Z", "I")
local HELLO = message("R", string.pack(">I4", 0)) .. message("S", "DateStyle\0ISO, MDY\0")
  .. message("K", string.pack(">I4 I4", 1, 2)) .. READY
-- One column `v` of a type.
local function columns(oid)
  return message("T", string.pack(">I2 z I4 I2 I4 I2 I4 I2", 1, "v", 0, 0, oid, 8, -1 & 0xffffffff, 0))
end
local INT8 = 20
local function row(text) return message("D", string.pack(">I2 s4", 1, text)) end

local server

-- `answer(kind)` gives bytes for a message of the client, whose first letter is kind, and whether
-- the connection ends then. The first messages, in which it introduces itself, are answered here.
local function serve(answer, hello)
  local listener, clients = uv.new_tcp(), {}
  listener:bind("127.0.0.1", 0)
  listener:listen(16, function()
    local client, introduced = uv.new_tcp(), false
    listener:accept(client)
    clients[#clients + 1] = client
    client:read_start(function(_, data)
      if not data then
        if not client:is_closing() then client:close() end
        return
      end
      local bytes, ends
      if introduced then
        bytes, ends = answer(data:sub(1, 1))
      else
        introduced = true
        bytes, ends = hello or HELLO, false
      end
      if bytes then
        client:write(bytes, function() if ends and not client:is_closing() then client:close() end end)
      end
    end)
  end)
  server = { port = listener:getsockname().port, stop = function()
    for _, client in ipairs(clients) do if not client:is_closing() then client:close() end end
    listener:close()
  end }
end

after_each(function()
  if server then server.stop() end
  server = nil
end)

local function query(config)
  config.host, config.port, config.user, config.database = "127.0.0.1", server.port, "u", "d"
  config.sslmode, config.keep, config.transaction = "disable", 0, false
  config.sql = config.sql or "SELECT v"
  return flow.postgres.query(config)
end

-- What a server says of a statement that gives `rows`.
local function answering(rows, ends, oid)
  return function(kind)
    if kind == "P" then return message("1", "") .. READY end
    if kind == "B" then return message("2", "") .. columns(oid or INT8) .. rows, ends end
  end
end

local function failure(node, code, words)
  local e = one.failure(node)
  assert.equal(code, e.code, e.message)
  one.contains(e.message, words)
  return e
end

describe("a PostgreSQL server", function()
  it("answers as these tests say it", function()
    serve(answering(row "41" .. row "-9223372036854775808" .. message("C", "SELECT 2\0") .. READY))
    assert.same({ { v = 41 }, { v = math.mininteger } }, one.output(query {}).rows)
  end)

  it("that writes values as no server does is taken at its word", function()
    local LIST, BYTES, JSON, FLOAT = 1009, 17, 114, 701
    local deep = ("{"):rep(2000000)
    for _, case in ipairs { { LIST, "{a,b", "{a,b" }, { LIST, '{"a', '{"a' }, { LIST, '{"a\\', '{"a\\' },
      { LIST, "", "" },
      { LIST, "{", "{" }, { LIST, "{}x", {} }, { LIST, "{a}}", { "a" } }, { LIST, "{,}", { "", "" } },
      { LIST, deep, deep }, { LIST, '{"a"b}', '{"a"b}' }, { LIST, "NULL", "NULL" }, { BYTES, "\\x4", "" },
      { BYTES, "a\\\\b\\101", "a\\bA" }, { BYTES, "\\", "\\" }, { BYTES, "\\1", "1" },
      { JSON, '{"a":', '{"a":' }, { JSON, "1e999", "1e999" }, { FLOAT, "-Infinity", "-Infinity" } } do
      serve(answering(row(case[2]) .. message("C", "SELECT 1\0") .. READY, false, case[1]))
      assert.same(case[3], one.output(query {}).rows[1].v, case[2]:sub(1, 20))
      server.stop()
    end
    server = nil
  end)

  it("that goes away within an answer is told as a lost connection", function()
    for _, rows in ipairs { "", row "1", row "1" .. row("2"):sub(1, 7), row("1"):sub(1, 3) } do
      serve(answering(rows, true))
      local e = failure(query {}, "database_connection", "server closed the connection unexpectedly")
      assert.is_true(e.retryable)
      server.stop()
    end
    serve(answering(message("E", "SFATAL\0C57P01\0Mterminating connection\0\0"), true))
    assert.equal("57P01", failure(query {}, "database_connection", "terminating connection").details.sqlstate)
  end)

  it("that answers with what is no protocol is told as such", function()
    local huge = string.pack(">c1 I4", "D", 0x7fffffff)
    for _, junk in ipairs { "HTTP/1.1 400 Bad Request\r\n\r\n", ("\0"):rep(100), huge } do
      serve(answering(junk, true))
      assert.equal("database_connection", one.failure(query {}).code)
      server.stop()
      serve(answering "", junk)
      assert.equal("database_connection", one.failure(query { connect_timeout = "5s" }).code)
      server.stop()
    end
    server = nil
  end)

  it("that says nothing is waited for as long as connect_timeout and the node's timeout say", function()
    serve(function() end, "")
    failure(query { connect_timeout = "100ms" }, "database_connection",
      "does not answer within 0.1 s, connect_timeout")
    server.stop()
    serve(function() end)
    assert.equal("timeout", one.failure(query { timeout = "200ms" }).code)
  end)

  it("stands still for virtual time", function()
    serve(answering(row "1" .. message("C", "SELECT 1\0") .. READY))
    local run = one.run(query { timeout = "1h" }, { runtime = flow.runtime { clock = "virtual" } })
    assert.equal("completed", run.state, run.error and run.error.message)
  end)
end)

describe("settings of PostgreSQL", function()
  local function read(from) return settings.read(from) end

  it("are read from a URL and from fields, which come first", function()
    local s = read { url = "postgres://us%40er:pass%2Fword@a.example.org:1234,[::1]:5,/d%62"
      .. "?sslmode=verify-full&connect_timeout=3" }
    assert.same({ { host = "a.example.org", port = "1234" }, { host = "::1", port = "5" },
      { host = "/var/run/postgresql" } }, s.hosts)
    assert.same({ "us@er", "pass/word", "db", "verify-full", 3 }, { s.parameters.user, s.parameters.password,
      s.parameters.dbname, s.parameters.sslmode, s.connect_timeout })
    assert.equal("a.example.org:1234,::1:5,/var/run/postgresql/db", s.shown)
    s = read { url = "postgresql://u@h/d", host = "x,y", port = 7, user = "v", password = "p",
      database = "e" }
    assert.same({ { host = "x", port = "7" }, { host = "y", port = "7" } }, s.hosts)
    assert.same({ "v", "p", "e" }, { s.parameters.user, s.parameters.password, s.parameters.dbname })
  end)

  it("that are wrong are told without the password", function()
    for _, url in ipairs { "mysql://u:hidden@h/d", "postgres://u:hidden@h:x/d", "postgres://u:hidden@[::1/d",
      "postgres://u:hidden@h/d?sslmod=require", "postgres://u:hidden@h/d?service=x",
      "postgres://u:hidden@h%0a/d", "postgres://u:hidden@h/d%00" } do
      local ok, e = pcall(read, { url = url })
      assert.is_false(ok, url)
      assert.equal("config_error", e.code)
      assert.is_nil(e.message:find("hidden", 1, true), e.message)
    end
    local _, e = pcall(read, { url = "postgres://h/d?sslmod=require" })
    one.contains(e.message, 'did you mean "sslmode"')
  end)

  it("lead only where the loader of a definition that is data allows", function()
    local function code(config, options)
      config.sql = "SELECT 1"
      options.source = flow.json.encode { name = "w", nodes = { { id = "a", type = "postgres.query",
        with = config } } }
      options.types = { "postgres.*" }
      return flow.run(flow.load(options)).error.code
    end
    assert.equal("not_allowed", code({ host = "127.0.0.1", port = 1 }, {}))
    assert.equal("not_allowed", code({ url = "postgres://127.0.0.1:1/d" }, { hosts = { "example.org" } }))
    assert.equal("not_allowed", code({ url = "postgres://127.0.0.1:1,other:1/d" },
      { hosts = { "127.0.0.1" } }))
    assert.equal("database_connection", code({ url = "postgres://127.0.0.1:1/d" },
      { hosts = { "127.0.0.1" } }))
    assert.equal("database_connection", code({ host = "::1", port = 1 }, { hosts = { "[::1]" } }))
    assert.equal("not_allowed", code({ host = "/tmp/nowhere" }, { hosts = { "127.0.0.1" },
      paths = { "/srv" } }))
    assert.equal("database_connection", code({ host = "/tmp/nowhere" }, { paths = { "/tmp" } }))
    assert.equal("not_allowed", code({ host = "127.0.0.1", port = 1, sslrootcert = "/etc/passwd" },
      { hosts = { "*" }, paths = { "/srv" } }))
  end)

  it("need libpq only when they are used, and say so where it is absent", function()
    if uv.getuid() ~= 0 then return pending "only root can hide a library" end
    local here <close> = place.new { ["s.lua"] = [[local flow = require "orrery"
      local w = flow.workflow { name = "w" }
      w.it = flow.postgres.query { host = "127.0.0.1", port = 1, sql = "SELECT 1" }
      local e = flow.run(w).error
      print(e.code, e.message)]] }
    local said = command.shell(([[cd %s; lib=$(ldconfig -p | sed -n 's/.*libpq.so.5 .*=> //p' | head -1)
      unshare -m true 2>/dev/null || echo "no mount"
      lib=$(readlink -f $lib) unshare -m sh -c 'mount --bind /dev/null $lib && %s s.lua || echo "no mount"']])
      :format(here.folder, uv.fs_realpath(command.path))).out
    if said:find "no mount" then return pending "no file system can be mounted here" end
    one.contains(said, "database_unavailable\t127.0.0.1:1: PostgreSQL needs libpq.so.5 (Debian's package "
      .. "libpq5)")
  end)
end)
