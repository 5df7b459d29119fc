-- What redis.* does with a server that is none, goes away, or says what no server should. What real
-- ones do stands in spec/services/.
local command = require "spec.support.command"
local core = require "orrery.core"
local flow = require "orrery"
local one = require "spec.support.one_node"
local place = require "spec.support.place"
local settings = require "orrery.redis.settings"
local uv = require "luv"

local server

-- A server that answers each piece that comes with what `answer(piece, client)` gives: bytes, and
-- whether the connection ends behind them. The first piece introduces the client; "+PONG\r\n"
-- answers it.
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
      local bytes, ends = hello or "+PONG\r\n", false
      if introduced then bytes, ends = answer(data, client) end
      introduced = true
      if bytes then
        client:write(bytes, function() if ends and not client:is_closing() then client:close() end end)
      end
    end)
  end)
  server = { port = listener:getsockname().port, clients = clients, stop = function()
    for _, client in ipairs(clients) do if not client:is_closing() then client:close() end end
    listener:close()
  end }
end

after_each(function()
  if server then server.stop() end
  server = nil
end)

local function fields(config)
  config.host, config.port, config.keep = "127.0.0.1", server.port, 0
  return config
end

local function get(config)
  config = config or {}
  config.key = "k"
  return flow.redis.get(fields(config))
end

local function failure(node, code, words)
  local e = one.failure(node)
  assert.equal(code, e.code, e.message)
  one.contains(e.message, words)
  return e
end

local function answering(bytes, ends)
  serve(function() return bytes, ends end)
end

describe("a Redis server", function()
  it("answers as these tests say it", function()
    answering "$2\r\nhi\r\n"
    assert.same({ value = "hi", found = true }, one.output(get()))
  end)

  it("that answers byte by byte is understood", function()
    local text, at, timer = "*3\r\n:1\r\n$-1\r\n*2\r\n$4\r\na\r\nb\r\n+OK\r\n", 0, uv.new_timer()
    serve(function()
      timer:start(0, 1, function()
        at = at + 1
        server.clients[1]:write(text:sub(at, at))
        if at == #text then timer:close() end
      end)
    end)
    local reply = one.output(flow.redis.command(fields { args = { "X" } })).reply
    assert.same({ 1, flow.json.null, { "a\r\nb", "OK" } }, reply)
  end)

  it("that nobody runs is told as such", function()
    answering ""
    local port = server.port
    server.stop()
    server = nil
    local e = failure(flow.redis.get { key = "k", host = "127.0.0.1", port = port }, "redis_connection",
      ("127.0.0.1:%d: it cannot be reached: ECONNREFUSED"):format(port))
    assert.is_true(e.retryable)
    failure(flow.redis.get { key = "k", host = "no-such-host.invalid" }, "redis_connection",
      "no-such-host.invalid has no address")
    failure(flow.redis.get { key = "k", host = ("x"):rep(5000) }, "redis_connection", "has no address")
    failure(flow.redis.get { key = "k", host = "/nowhere/socket" }, "redis_connection", "/nowhere/socket: ")
    failure(flow.redis.subscribe { channels = { "c" }, host = "/nowhere" }, "redis_connection", "/nowhere: ")
  end)

  it("that goes away within an answer is told as a lost connection", function()
    for _, half in ipairs { "", "$10\r\nhalf", "$10", "*2\r\n:1\r\n", "+O", ":" } do
      answering(half, true)
      assert.is_true(failure(get(), "redis_connection", "the server has closed the connection").retryable)
      server.stop()
    end
    server = nil
  end)

  it("that says what is no protocol is told as such", function()
    for _, junk in ipairs { "HTTP/1.1 400 Bad Request\r\n\r\n", ("\0"):rep(100), "$abc\r\n", "$-5\r\n",
      "*99999999999999999999\r\n", ":9999999999999999999999\r\n", ":\r\n",
      ("*1\r\n"):rep(100000) } do
      answering(junk)
      failure(get(), "redis_connection", "what it says is no reply of Redis")
      server.stop()
    end
    serve(function() return nil end, "220 mail.example.org ESMTP\r\n")
    failure(get(), "redis_connection", "what it says is no reply of Redis")
    server.stop()
    answering "$1\r\na\r\n$1\r\nb\r\n"
    one.output(get()) -- the second answers nothing that was asked; the connection is not used again
  end)

  it("that answers for ever is stopped at a bound", function()
    local piece = ("x"):rep(65536)
    local function flood(first, config, code, words)
      local timer = uv.new_timer()
      serve(function(_, client)
        timer:start(1, 1, function()
          if client:is_closing() then return end
          if client:get_write_queue_size() < 1000000 then client:write(piece) end
        end)
        return first
      end)
      local e = failure(get(config), code, words)
      timer:close()
      server.stop()
      server = nil
      return e
    end
    local e = flood("$536870912\r\n", { max_size = 1000000 }, "redis_too_large",
      "a reply has more than 1000000 bytes; raise max_size")
    assert.is_false(e.retryable)
    flood("+", {}, "redis_connection", "a line has more than 65536 bytes")
    flood("-", {}, "redis_connection", "a line has more than 65536 bytes")
    answering "*2147483647\r\n"
    failure(get(), "redis_too_large", "a reply has more than 1048576 elements")
    server.stop()
    answering(("*1000000\r\n"):rep(3))
    failure(get(), "redis_too_large", "a reply has more than 1048576 elements")
  end)

  it("that says nothing is waited for as long as the settings and the node's timeout say", function()
    serve(function() end, "")
    failure(get { connect_timeout = "100ms" }, "redis_connection",
      "it is not ready after 0.1 s, connect_timeout")
    server.stop()
    serve(function() end)
    local e = failure(get { max_time = "100ms" }, "redis_timeout",
      "it does not answer within 0.1 s, max_time")
    assert.is_true(e.retryable)
    assert.equal("timeout", one.failure(get { timeout = "100ms" }).code)
    assert.equal("redis_timeout", one.failure(flow.redis.stream_read(fields { stream = "s", from = "0",
      timeout = "50ms", max_time = "100ms" })).code)
  end)

  it("stands still for virtual time", function()
    answering "$2\r\nhi\r\n"
    local run = one.run(get { timeout = "1h" }, { clock = "virtual" })
    assert.equal("completed", run.state, run.error and run.error.message)
  end)

  it("says why it does not answer", function()
    for _, case in ipairs {
      { "NOAUTH Authentication required.", "redis_denied", "give password, a secret" },
      { "NOPERM this user has no permissions", "redis_denied", "NOPERM" },
      { "LOADING Redis is loading the dataset in memory", "redis_busy", "LOADING" },
      { "READONLY You can't write against a read only replica.", "redis_busy", "READONLY" },
      { "OOM command not allowed when used memory > 'maxmemory'.", "redis_busy", "OOM" },
      { "MOVED 3999 127.0.0.1:6381", "redis_error", "the server is one of a cluster" },
      { "ERR anything", "redis_error", "ERR anything" }, { "", "redis_error", "" } } do
      answering("-" .. case[1] .. "\r\n")
      assert.equal(case[2] == "redis_busy", failure(get(), case[2], case[3]).retryable)
      server.stop()
    end
    serve(function() end, "-DENIED Redis is running in protected mode\r\n")
    failure(get(), "redis_denied", "protected mode")
  end)
end)

-- Replies as the server writes them, and as they are read.
local function random_reply(depth)
  local dice = math.random(depth > 0 and 7 or 5)
  if dice == 1 then
    local n = math.random(0) >> math.random(0, 63)
    return (":%d\r\n"):format(n), n
  elseif dice == 2 then
    local text = ("x"):rep(math.random(0, 40))
    return ("+%s\r\n"):format(text), text
  elseif dice == 3 then
    return "$-1\r\n", flow.json.null
  elseif dice <= 5 then
    local bytes = {}
    for i = 1, math.random(0, 60) do bytes[i] = string.char(math.random(0, 255)) end
    local text = table.concat(bytes)
    return ("$%d\r\n%s\r\n"):format(#text, text), text
  end
  local parts, list = {}, {}
  for i = 1, math.random(0, 5) do parts[i], list[i] = random_reply(depth - 1) end
  return ("*%d\r\n%s"):format(#list, table.concat(parts)), list
end

-- What a reader makes of a text that comes in pieces: the replies, and what is wrong behind them.
local function read_in_pieces(text, longest)
  local reader, list, at = core.redis_reader(1000000), {}, 1
  while at <= #text do
    local n = math.random(longest)
    reader:feed(text:sub(at, at + n - 1))
    at = at + n
    while true do
      local there, reply = reader:next()
      if there == nil then
        reader:close()
        return list, reply
      end
      if not there then break end
      list[#list + 1] = reply
    end
  end
  reader:close()
  return list
end

describe("what a Redis server says", function()
  local seed = tonumber(os.getenv "REDIS_SEED") or os.time()

  it("is read alike in whatever pieces it comes", function()
    math.randomseed(seed)
    for _ = 1, 300 do
      local parts, expected = {}, {}
      for i = 1, math.random(8) do parts[i], expected[i] = random_reply(4) end
      local text = table.concat(parts)
      for _, longest in ipairs { 1, 7, 100, #text } do
        assert.same(expected, (read_in_pieces(text, longest)), "REDIS_SEED=" .. seed)
      end
    end
  end)

  it("is no reply, or another one, where bytes of it were changed", function()
    math.randomseed(seed)
    for _ = 1, 3000 do
      local text = random_reply(4) .. random_reply(4)
      for _ = 1, math.random(3) do
        local at = math.random(#text)
        text = text:sub(1, at - 1) .. string.char(math.random(0, 255)) .. text:sub(at + math.random(0, 2))
      end
      local whole, wrong = read_in_pieces(text, #text)
      local again, wrong_again = read_in_pieces(text, 3)
      assert.same({ whole, wrong ~= nil }, { again, wrong_again ~= nil }, "REDIS_SEED=" .. seed)
    end
  end)
end)

-- A server with one entry in every stream, which asks `seen()` when that is acknowledged.
local function serve_stream(seen)
  local ENTRY = "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$6\r\n7423-5\r\n*2\r\n$7\r\nmessage\r\n$2\r\n41\r\n"
  local given = false
  serve(function(data, client)
    if data:find "XAUTOCLAIM" then return "*2\r\n$3\r\n0-0\r\n*0\r\n" end
    if data:find "XREADGROUP" then
      server.asked = (server.asked or 0) + 1
      if given then return nil end
      given = true
      return ENTRY
    end
    if data:find "XACK" then
      if seen() == "late" then
        local timer = uv.new_timer()
        timer:start(100, 0, function()
          timer:close()
          client:write ":1\r\n"
        end)
        return nil
      end
      return ":1\r\n"
    end
    return "+OK\r\n"
  end)
end

describe("an entry of a stream", function()
  local NODES = {
    ["redis.stream_read"] = [[flow.redis.stream_read { port = %d, stream = "s", group = "g" }]],
    ["redis.stream_read in a worker"] =
      [[flow.redis.stream_read { strategy = "thread", port = %d, stream = "s", group = "g" }]],
    ["bus.wait"] = [[flow.bus.wait { topic = "s", group = "g" } -- port %d]],
    ["bus.wait in a worker"] = [[flow.bus.wait { strategy = "thread", topic = "s", group = "g" } -- port %d]],
  }

  it("is the only one that is asked for, however often its handler runs", function()
    local here <close> = place.new()
    serve_stream(function() return "late" end)
    local rt = flow.runtime { bus = "redis://127.0.0.1:" .. server.port,
      store = ("sqlite:%s/runs.db"):format(here.folder) }
    local w, tries = flow.workflow { name = "w", output = "${nodes.it}" }, 0
    w.it = { retry = { max = 3, delay = 0 }, run = function()
      tries = tries + 1
      local got = flow.receive("s", { group = "g" })
      if tries < 3 then flow.error "again" end
      return got.message
    end }
    assert.same({ 41, 3 }, { flow.run(w, { runtime = rt }).output, tries })
    rt:close()
    assert.equal(1, server.asked)
  end)

  for what, node in pairs(NODES) do
    for _, durability in ipairs { "strict", "relaxed" } do
      it(("is acknowledged when the store has it: %s, %s"):format(what, durability), function()
        local here <close> = place.new()
        local kept
        serve_stream(function()
          local log = here:read ".orrery/runs.db-wal" -- first: what leaves it is in the other file by then
          kept = (log .. here:read ".orrery/runs.db"):find("7423-5", 1, true)
        end)
        here:write("w.lua", ([[local flow = require "orrery"
          local w = flow.workflow { name = "w", output = "${nodes.it}" }
          w.it = %s
          return w]]):format(node:format(server.port)))
        local done = here:finish(here:start({ "run", "w.lua", "--durability", durability },
          { ORRERY_BUS = "redis://127.0.0.1:" .. server.port }))
        assert.equal(0, done.code, done.err)
        assert.is_truthy(kept, "it was acknowledged before it was in the store")
      end)
    end
  end
end)

describe("settings of Redis", function()
  it("are read from a URL and from fields, which come first", function()
    local s = settings.read { url = "redis://us%40er:pass%2Fword@a.example.org:1234/5" }
    assert.same({ "a.example.org", 1234, 5, "us@er", "pass/word", "a.example.org:1234/5" },
      { s.host, s.port, s.database, s.user, s.password, s.shown })
    s = settings.read { url = "redis://[::1]:5" }
    assert.same({ "::1", 5, 0, "[::1]:5" }, { s.host, s.port, s.database, s.shown })
    s = settings.read { url = "redis://:p@h/", host = "x", port = 7, user = "u", database = 2 }
    assert.same({ "x", 7, 2, "u", "p" }, { s.host, s.port, s.database, s.user, s.password })
    s = settings.read { url = "unix:///run/redis%20a.sock?db=3" }
    assert.same({ "/run/redis a.sock", 3, "/run/redis a.sock/3" }, { s.path, s.database, s.shown })
    s = settings.read {}
    assert.equal("127.0.0.1:6379", s.shown)
  end)

  it("that are wrong are told without the password", function()
    for _, url in ipairs { "http://u:hidden@h/0", "redis://u:hidden@h:x/0", "redis://u:hidden@[::1/0",
      "redis://u:hidden@h/zero", "redis://u:hidden@h/0?x=1", "redis://u:hidden@h:99999/0", "redis:hidden",
      "rediss://u:hidden@h/0", "unix:///a?hidden=1", "redis://u:hidden@h%0a/0" } do
      local ok, e = pcall(settings.read, { url = url })
      assert.is_false(ok, url)
      assert.equal("config_error", e.code)
      assert.is_nil(e.message:find("hidden", 1, true), e.message)
    end
    local _, e = pcall(settings.read, { url = "rediss://h" })
    one.contains(e.message, "rediss:// is not spoken: hiredis, as Debian 12 has it, knows no TLS")
  end)

  it("lead only where the loader of a definition that is data allows", function()
    local function code(config, options)
      config.key = "k"
      options.source = flow.json.encode { name = "w", nodes = { { id = "a", type = "redis.get",
        with = config } } }
      options.types = { "redis.*" }
      return flow.run(flow.load(options)).error.code
    end
    assert.equal("not_allowed", code({}, {}))
    assert.equal("not_allowed", code({ url = "redis://127.0.0.1:1" }, { hosts = { "example.org" } }))
    assert.equal("redis_connection", code({ url = "redis://127.0.0.1:1" }, { hosts = { "127.0.0.1" } }))
    assert.equal("redis_connection", code({ host = "::1", port = 1 }, { hosts = { "[::1]" } }))
    assert.equal("not_allowed", code({ host = "/tmp/nowhere" }, { hosts = { "*" }, paths = { "/srv" } }))
    assert.equal("redis_connection", code({ url = "unix:///tmp/nowhere" }, { paths = { "/tmp" } }))
  end)

  it("need hiredis only when they are used, and say so where it is absent", function()
    if uv.getuid() ~= 0 then return pending "only root can hide a library" end
    local here <close> = place.new { ["s.lua"] = [[local flow = require "orrery"
      local w = flow.workflow { name = "w" }
      w.it = flow.redis.get { host = "127.0.0.1", port = 1, key = "k" }
      local e = flow.run(w).error
      print(e.code, e.message)]] }
    local said = command.shell(([[cd %s; lib=$(ldconfig -p | sed -n 's/.*libhiredis.so.0.14 .*=> //p' | head -1)
      unshare -m true 2>/dev/null || echo "no mount"
      lib=$(readlink -f $lib) unshare -m sh -c 'mount --bind /dev/null $lib && %s s.lua || echo "no mount"']])
      :format(here.folder, uv.fs_realpath(command.path))).out
    if said:find "no mount" then return pending "no file system can be mounted here" end
    one.contains(said, "redis_unavailable\t127.0.0.1:1: Redis needs libhiredis.so.0.14 (Debian's package "
      .. "libhiredis0.14)")
  end)
end)
