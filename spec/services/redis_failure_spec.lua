-- What can go wrong between redis.* and a real server.
local flow = require "orrery"
local one = require "spec.support.one_node"
local redis = require "spec.support.redis"
local uv = require "luv"

local server
local NAME = "ORRERY_SPEC_REDIS"
uv.os_setenv(NAME, redis.PASSWORD)

setup(function() server = redis.start "maxclients 20" end)
teardown(function() server.remove() end)

local function failure(node, code, words)
  local e = one.failure(node)
  assert.equal(code, e.code, e.message)
  one.contains(e.message, words)
  assert.is_nil(flow.json.encode { e.message, e.details }:find("pass.word"))
  return e
end

local function get(config)
  config.key = config.key or "k"
  return flow.redis.get(server.fields(config))
end

describe("a Redis server", function()
  it("that is refused a password, a user or a command denies", function()
    failure(get { password = "wrong" }, "redis_denied", "WRONGPASS")
    failure(flow.redis.get { key = "k", host = "127.0.0.1", port = server.port }, "redis_denied",
      "give password, a secret")
    failure(get { user = "nobody" }, "redis_denied", "WRONGPASS")
    failure(get { database = 99 }, "redis_error", "DB index is out of range")
    server.call("ACL", "SETUSER", "reader", "on", ">" .. redis.PASSWORD, "~*", "+get", "+ping")
    one.output(get { user = "reader" })
    failure(flow.redis.set(server.fields { key = "k", value = 1, user = "reader" }), "redis_denied", "NOPERM")
    failure(flow.redis.subscribe(server.fields { channels = { "c" }, user = "reader" }), "redis_denied",
      "NOPERM")
  end)

  it("that has no memory left is worth another try", function()
    server.call("CONFIG", "SET", "maxmemory", "1")
    local e = failure(flow.redis.set(server.fields { key = "k", value = 1 }), "redis_busy", "OOM")
    server.call("CONFIG", "SET", "maxmemory", "0")
    assert.is_true(e.retryable)
  end)

  it("that has too many clients says so", function()
    local held, e = {}, nil
    for i = 1, 40 do
      held[i] = flow.resp(server.fields {}):own()
      local ok, why = pcall(held[i].call, held[i], { "PING" })
      if not ok then
        e = why
        break
      end
    end
    for _, own in ipairs(held) do own:close() end
    assert.is_truthy(e)
    one.contains(e.message, "max number of clients reached")
    redis.until_true(function() return server.call "PING" == "PONG" end)
  end)

  it("that ends a connection which rests is connected to anew", function()
    one.output(get { database = 5 })
    local id = server.call("CLIENT", "LIST"):match "id=(%d+)[^\n]*db=5"
    assert.equal("1", server.call("CLIENT", "KILL", "ID", id))
    redis.until_true(function() return not server.call("CLIENT", "LIST"):find "db=5" end)
    flow.sleep(0.05) -- the loop turns, and sees the end
    one.output(get { database = 5 })
  end)

  it("that is killed while it is asked fails the node, and another try finds it again", function()
    server.call("SET", "v", "kept")
    local w = flow.workflow { name = "w", output = "${nodes.it}" }
    local calls = 0
    w.it = { retry = { max = 50, delay = "50ms", max_delay = "200ms" }, run = function()
      calls = calls + 1
      if calls == 1 then
        flow.resp(server.fields {}):own():call({ "XREAD", "BLOCK", 0, "STREAMS", "nothing", "$" }, 1000)
      end
      return flow.resp(server.fields {}):call("GET", "v")
    end }
    local errors = {}
    local off = flow.on("node_retrying", function(event) errors[#errors + 1] = event.error end)
    local run = flow.start(w)
    redis.until_true(function() return server.call("CLIENT", "LIST"):find "cmd=xread" end)
    server.kill()
    server.go()
    run = flow.runtime():wait(run)
    off()
    assert.equal("completed", run.state, run.error and run.error.message)
    assert.equal("kept", run.output)
    assert.equal("redis_connection", errors[1].code)
    one.contains(errors[1].message, "the server has closed the connection")
  end)

  it("that is killed ends who is subscribed and who reads", function()
    local w = flow.workflow { name = "w", on_error = "continue" }
    w.a = flow.redis.subscribe(server.fields { channels = { "c" } })
    w.b = flow.redis.stream_read(server.fields { stream = "s", group = "g" })
    local run = flow.start(w)
    server.until_says("c\n1", "PUBSUB", "NUMSUB", "c")
    redis.until_true(function() return server.call("CLIENT", "LIST"):find "cmd=xreadgroup" end)
    server.kill()
    run = flow.runtime():wait(run)
    for _, name in ipairs { "a", "b" } do
      assert.same({ "redis_connection", true }, { run:errors()[name].code, run:errors()[name].retryable })
    end
    server.go()
  end)

  it("that computes for ever is given up, and says that it is busy", function()
    server.call("CONFIG", "SET", "busy-reply-threshold", "50")
    local endless = { "EVAL", "while true do end", 0 }
    failure(flow.redis.command(server.fields { args = endless, max_time = "300ms" }), "redis_timeout",
      "does not answer within 0.3 s")
    redis.until_true(function()
      local ok, e = pcall(function() return flow.resp(server.fields { max_time = 1 }):call("GET", "k") end)
      return not ok and e.code == "redis_busy"
    end, "BUSY")
    server.call("SCRIPT", "KILL")
    redis.until_true(function() return server.call "PING" == "PONG" end)
  end)

  it("keeps a secret out of what is told", function()
    local e = failure(flow.redis.command(server.fields { args = { "NONSENSE", flow.secret(NAME) } }),
      "redis_error", "unknown command")
    assert.is_nil(flow.json.encode { e.message, e.details }:find("pass.word"))
  end)
end)
