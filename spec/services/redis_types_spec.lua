-- The types redis.* with a real server.
local flow = require "orrery"
local one = require "spec.support.one_node"
local place = require "spec.support.place"
local redis = require "spec.support.redis"
local uv = require "luv"

local server
local NAME = "ORRERY_SPEC_REDIS"
uv.os_setenv(NAME, redis.PASSWORD)

setup(function() server = redis.start() end)
teardown(function() server.remove() end)

local function failure(node, code, words)
  local e = one.failure(node)
  assert.equal(code, e.code, e.message)
  one.contains(e.message, words)
  assert.is_nil(flow.json.encode { e.message, e.details }:find("pass.word"))
  return e
end

describe("redis.get and redis.set", function()
  local function get(config) return one.output(flow.redis.get(server.fields(config))) end
  local function set(config) return one.output(flow.redis.set(server.fields(config))).set end

  it("keep texts as they are, and other data as JSON", function()
    local bytes = "\0\r\n$5\r\n\xff" .. ("x"):rep(100000)
    assert.is_true(set { key = "bytes", value = bytes })
    assert.equal(bytes, get({ key = "bytes" }).value)
    assert.is_true(set { key = "data", value = { n = 1, f = 1.0, list = flow.json.array {} } })
    assert.same({ value = { n = 1, f = 1.0, list = {} }, found = true }, get { key = "data", parse = "json" })
    assert.is_true(set { key = "n", value = 5 })
    assert.equal("5", get({ key = "n" }).value)
    assert.is_true(set { key = "", value = "" })
    assert.equal("", get({ key = "" }).value)
  end)

  it("know what is not there", function()
    assert.same({ found = false }, get { key = "none" })
    assert.same({ found = false, value = 0 }, get { key = "none", default = 0 })
    assert.is_false(set { key = "absent", value = 1, only_if = "present" })
    assert.is_true(set { key = "absent", value = 1, only_if = "absent" })
    assert.is_false(set { key = "absent", value = 2, only_if = "absent" })
    assert.is_true(set { key = "absent", value = 3, only_if = "present" })
    assert.equal("3", get({ key = "absent" }).value)
  end)

  it("forget what has a time to live", function()
    assert.is_true(set { key = "soon", value = 1, ttl = "50ms" })
    server.until_says("0", "EXISTS", "soon")
    assert.is_false(get({ key = "soon" }).found)
    set { key = "later", value = 1, ttl = "1h" }
    assert.is_true(tonumber(server.call("PTTL", "later")) > 3500000)
  end)

  it("say what is wrong with a value", function()
    server.call("LPUSH", "list", "x")
    local e = failure(flow.redis.get(server.fields { key = "list" }), "redis_error", "WRONGTYPE")
    assert.same({ error = "WRONGTYPE" }, e.details)
    assert.is_false(e.retryable)
    server.call("SET", "broken", "{")
    failure(flow.redis.get(server.fields { key = "broken", parse = "json" }), "invalid_content",
      'the value of "broken" is no JSON')
  end)

  it("reach a server by URL, name, socket and database", function()
    server.call("SET", "where", "zero")
    server.call("-n", "3", "SET", "where", "three")
    local function where(config)
      config.key = "where"
      return one.output(flow.redis.get(config)).value
    end
    assert.equal("zero", where { url = server.url() })
    assert.equal("three", where { url = server.url(3) })
    assert.equal("zero", where(server.fields { host = "localhost" }))
    assert.equal("three", where { url = ("unix://%s?db=3"):format(server.socket),
      password = flow.secret(NAME) })
    assert.equal("three", where { host = server.socket, password = flow.secret(NAME), database = 3 })
    assert.equal("zero", where { url = ("redis://default:pass%%2Fword@127.0.0.1:%d"):format(server.port) })
  end)

  it("share a connection, and close it when nobody has used it for a while", function()
    local function connections()
      local _, n = server.call("CLIENT", "LIST"):gsub("db=7", "")
      return n
    end
    local w = flow.workflow { name = "w", output = "${nodes.it}" }
    w.it = { each = (function()
      local list = {}
      for i = 1, 200 do list[i] = i end
      return list
    end)(), run = function(ctx)
      local at = flow.resp { url = server.url(7), keep = 1 }
      at:call("SET", "k" .. ctx.item, ctx.item)
      return at:call("GET", "k" .. ctx.item)
    end }
    local output = flow.run(w).output
    for i = 1, 200 do assert.equal(tostring(i), output[i]) end
    assert.equal(1, connections())
    redis.until_true(function() return connections() == 0 end, "the end of the connection")
    assert.equal("200", flow.resp({ url = server.url(7) }):call("GET", "k200"))
  end)
end)

describe("redis.command", function()
  local function reply(...) return one.output(flow.redis.command(server.fields { args = { ... } })).reply end

  it("does what its words say, whatever stands in them", function()
    assert.equal(2, reply("HSET", "h", "a\r\nDEL h\r\n", "1", "b", { x = 1 }))
    assert.same({ "a\r\nDEL h\r\n", "1", "b", '{"x":1}' }, reply("HGETALL", "h"))
    assert.same({ "1", flow.json.null }, reply("HMGET", "h", "a\r\nDEL h\r\n", "none"))
    assert.same({ 1, { 2, { "three" } } }, reply("EVAL", "return {1, {2, {'three'}}}", 0))
    assert.equal("OK", reply("SET", "x", 1))
  end)

  it("refuses what would hold up or change the connection that others use", function()
    for _, args in ipairs { { "subscribe", "c" }, { "BLPOP", "l", 0 }, { "SELECT", 1 }, { "multi" },
      { "XREAD", "block", 0, "STREAMS", "s", "$" } } do
      assert.equal("config_error", one.failure(flow.redis.command(server.fields { args = args })).code)
    end
    failure(flow.redis.command(server.fields { args = { "NONSENSE" } }), "redis_error", "unknown command")
  end)
end)

describe("redis.publish and redis.subscribe", function()
  it("give messages to all who are there", function()
    local w = flow.workflow { name = "w" }
    w.a = flow.redis.subscribe(server.fields { channels = { "news.a", "other" }, parse = "json", count = 2 })
    w.b = flow.redis.subscribe(server.fields { patterns = { "news.*" } })
    local run = flow.start(w)
    server.until_says("news.a\n1", "PUBSUB", "NUMSUB", "news.a")
    server.until_says("1", "PUBSUB", "NUMPAT")
    local sent = one.output(flow.redis.publish(server.fields { channel = "news.a", message = { n = 1 } }))
    assert.same({ receivers = 2 }, sent)
    server.call("PUBLISH", "other", "[]")
    local outputs = flow.runtime():wait(run):outputs()
    assert.same({ messages = { { channel = "news.a", message = { n = 1 } },
      { channel = "other", message = {} } } }, outputs.a)
    assert.same({ messages = { { channel = "news.a", message = '{"n":1}', pattern = "news.*" } } }, outputs.b)
    server.until_says("0", "PUBSUB", "NUMPAT")
  end)

  it("wait as long as they are told, and are cancelled at once", function()
    local config = { channels = { "silent" }, timeout = "50ms" }
    local e = failure(flow.redis.subscribe(server.fields(config)), "wait_timeout", "within 0.05 s, timeout")
    assert.is_true(e.retryable)
    config = { channels = { "silent" }, timeout = "50ms", on_timeout = "continue" }
    assert.same({ messages = {}, timed_out = true },
      one.output(flow.redis.subscribe(server.fields(config))))
    local w = flow.workflow { name = "w" }
    w.it = flow.redis.subscribe(server.fields { channels = { "cancelled" } })
    local run = flow.start(w)
    server.until_says("cancelled\n1", "PUBSUB", "NUMSUB", "cancelled")
    run:cancel()
    assert.equal("cancelled", flow.runtime():wait(run).state)
    server.until_says("cancelled\n0", "PUBSUB", "NUMSUB", "cancelled")
  end)

  it("take from a server that publishes for ever what they asked for", function()
    local w = flow.workflow { name = "w", output = "${nodes.it}" }
    w.it = flow.redis.subscribe(server.fields { channels = { "flood" }, count = 5000 })
    local run = flow.start(w)
    server.until_says("flood\n1", "PUBSUB", "NUMSUB", "flood")
    server.call("EVAL", "for i = 1, 50000 do redis.call('PUBLISH', 'flood', i) end", 0)
    local messages = flow.runtime():wait(run).output.messages
    assert.equal(5000, #messages)
    for i = 1, 5000 do assert.equal(tostring(i), messages[i].message) end
  end)
end)

describe("redis.stream_add and redis.stream_read", function()
  local function add(stream, fields)
    return one.output(flow.redis.stream_add(server.fields { stream = stream, fields = fields })).id
  end
  local function read(config, options)
    return one.output(flow.redis.stream_read(server.fields(config)), options)
  end

  it("go through a stream, and wait at its end", function()
    local ids = { add("s", { a = 1, b = { x = 1 } }), add("s", { a = "two" }) }
    local got = read { stream = "s", from = "0" }
    assert.same({ entries = { { id = ids[1], fields = { a = "1", b = '{"x":1}' } },
      { id = ids[2], fields = { a = "two" } } }, last = ids[2] }, got)
    assert.same({ entries = {}, last = ids[2], timed_out = true },
      read { stream = "s", from = got.last, timeout = "30ms", on_timeout = "continue" })
    local w = flow.workflow { name = "w", output = "${nodes.it}" }
    w.it = flow.redis.stream_read(server.fields { stream = "s", from = "$" })
    local run = flow.start(w)
    redis.until_true(function() return server.call("CLIENT", "LIST"):find "cmd=xread" end)
    local id = add("s", { a = 3 })
    assert.same({ { id = id, fields = { a = "3" } } }, flow.runtime():wait(run).output.entries)
    for _ = 1, 300 do one.output(flow.redis.stream_add(server.fields { stream = "short", fields = { a = 1 },
      max_length = 10 })) end
    assert.is_true(tonumber(server.call("XLEN", "short")) < 300)
  end)

  it("give each entry to one reader of a group, and acknowledge it", function()
    for i = 1, 6 do add("jobs", { i = i }) end
    local w, seen = flow.workflow { name = "w", output = "${nodes.it}" }, {}
    w.it = flow.redis.stream_read(server.fields { each = { 1, 2, 3 }, stream = "jobs", group = "g",
      count = 2 })
    for _, got in ipairs(flow.run(w).output) do
      for _, entry in ipairs(got.entries) do seen[#seen + 1] = entry.fields.i end
    end
    table.sort(seen)
    assert.same({ "1", "2", "3", "4", "5", "6" }, seen)
    one.contains(server.call("XPENDING", "jobs", "g"), "0")
    failure(flow.redis.stream_read(server.fields { stream = "jobs", group = "g", timeout = "30ms" }),
      "wait_timeout", "an entry of the stream did not come")
    assert.equal("1", read({ stream = "jobs", group = "other", count = 1 }).entries[1].fields.i)
  end)

  it("take over what a reader has left", function()
    add("left", { n = 1 })
    server.call("XGROUP", "CREATE", "left", "g", "0")
    server.call("XREADGROUP", "GROUP", "g", "gone", "STREAMS", "left", ">")
    local got = read { stream = "left", group = "g", claim = "10ms", count = 1 }
    assert.equal("1", got.entries[1].fields.n)
    assert.equal("0", (server.call("XPENDING", "left", "g"):match "^%d+"))
  end)

  it("acknowledge nothing before its record is on disk, and then no entry comes twice", function()
    local here <close> = place.new()
    here:write("w.lua", ([[local flow = require "orrery"
      local w = flow.workflow { name = "w", output = "${nodes.take.entries}" }
      w.take = flow.redis.stream_read { url = %q, stream = "durable", group = "g", count = 1, claim = "1ms" }
      w.mark = { after = "take", run = function(ctx, inputs)
        local file <close> = io.open("did", "a")
        file:write(inputs.take.entries[1].fields.n, "\n")
        flow.sleep(file:seek "end" > 2 and 0 or 1000)
      end }
      return w]]):format(server.url()))
    add("durable", { n = 1 })
    add("durable", { n = 2 })
    local first = here:start { "run", "w.lua" }
    here:until_true(function() return #here:did() == 1 end)
    first.handle:kill "sigkill"
    here:until_true(function() return first.code end)
    assert.equal("0", (server.call("XPENDING", "durable", "g"):match "^%d+"))
    assert.equal(0, here:finish(here:start { "resume", "@last" }).code)
    assert.same({ "1", "1" }, here:did()) -- the entry that the run has, not the next
    assert.equal("2", read({ stream = "durable", group = "g", count = 1 }).entries[1].fields.n)
  end)

  it("work in a worker, too", function()
    local here <close> = place.new()
    here:write("w.lua", ([[local flow = require "orrery"
      local w = flow.workflow { name = "w", output = "${nodes.it.entries[1].fields.n}" }
      w.add = flow.redis.stream_add { strategy = "thread", url = %q, stream = "worker", fields = { n = 41 } }
      w.it = flow.redis.stream_read { strategy = "thread", after = "add", url = %q, stream = "worker", group = "g" }
      return w]]):format(server.url(), server.url()))
    for _, store in ipairs { "memory:", "runs.db" } do
      local done = here:finish(here:start { "run", "w.lua", "--store", store, "--durability", "relaxed" })
      assert.equal('"41"\n', done.out, done.err)
    end
  end)
end)
