-- The bus in a real Redis server: between processes, of which some are killed.
local flow = require "orrery"
local one = require "spec.support.one_node"
local place = require "spec.support.place"
local redis = require "spec.support.redis"

local server
setup(function() server = redis.start() end)
teardown(function() server.remove() end)

local n_topics = 0
local function topic()
  n_topics = n_topics + 1
  return "t" .. n_topics
end

local function pending(name, group)
  return tonumber(server.call("XPENDING", ("orrery:{%s}:stream"):format(name), group):match "^%d+")
end

local rt
before_each(function() rt = flow.runtime { bus = server.url(), store = "memory:" } end)
after_each(function() rt:close() end)

local function start(node)
  local w = flow.workflow { name = "w", output = "${nodes.it}" }
  w.it = node
  return flow.start(w, { runtime = rt })
end

local function publish(name, message, options)
  return one.output({ run = function() return flow.publish(name, message, options) end }, { runtime = rt })
end

local function subscribed(name, n)
  server.until_says(("orrery:{%s}\n%d"):format(name, n), "PUBSUB", "NUMSUB", ("orrery:{%s}"):format(name))
end

describe("a message on a bus in Redis", function()
  it("goes to all who wait, by one connection for a topic", function()
    local name = topic()
    local runs = { start(flow.bus.wait { name }), start(flow.bus.wait { name }) }
    subscribed(name, 1)
    local sent = publish(name, { n = 1 })
    for _, run in ipairs(runs) do
      assert.same({ message = { n = 1 }, id = sent.id }, rt:wait(run).output)
    end
    subscribed(name, 0)
    assert.equal(0, publish(name, "nobody").receivers)
  end)

  it("may come from any program", function()
    for _, case in ipairs { { "plain text", "plain text" }, { '{"n":1}', { n = 1 } }, { "41", 41 },
      { '{"id":"x","message":[1]}', { 1 } } } do
      local name = topic()
      local run = start(flow.bus.wait { name })
      subscribed(name, 1)
      server.call("PUBLISH", ("orrery:{%s}"):format(name), case[1])
      assert.same(case[2], rt:wait(run).output.message)
    end
    local name = topic()
    server.call("XADD", ("orrery:{%s}:stream"):format(name), "*", "a", "1", "b", "2")
    local run = start(flow.bus.wait { topic = name, group = "g" })
    assert.same({ a = "1", b = "2" }, rt:wait(run).output.message)
  end)

  it("is no longer waited for by who was cancelled, or is late", function()
    local name = topic()
    local run = start(flow.bus.wait { name })
    subscribed(name, 1)
    run:cancel()
    assert.equal("cancelled", rt:wait(run).state)
    subscribed(name, 0)
    local late = start(flow.bus.wait { topic = name, timeout = "100ms", on_timeout = "continue" })
    assert.is_true(rt:wait(late).output.timed_out)
    subscribed(name, 0)
  end)
end)

describe("a stream of a bus in Redis", function()
  it("gives each message to one of each group, and then has it acknowledged", function()
    local name, got = topic(), { a = {}, b = {} }
    for i = 1, 5 do publish(name, i, { stream = true }) end
    for group, list in pairs(got) do
      local runs = {}
      for i = 1, 5 do runs[i] = start(flow.bus.wait { topic = name, group = group }) end
      for i = 1, 5 do list[i] = rt:wait(runs[i]).output.message end
      table.sort(list)
      assert.same({ 1, 2, 3, 4, 5 }, list)
      assert.equal(0, pending(name, group))
    end
  end)

  it("keeps what is published once, however often that is tried", function()
    local name, tries = topic(), 0
    local bus = require "orrery.bus.redis".new(server.url())
    one.output({ run = function()
      for _ = 1, 3 do bus:append(name, { id = "same", message = 1 }, 100) end
    end })
    assert.equal("1", server.call("XLEN", ("orrery:{%s}:stream"):format(name)))
    local run = start { retry = { max = 3, delay = 0 }, run = function()
      tries = tries + 1
      flow.publish(name, tries, { stream = true })
      if tries < 3 then flow.error "again" end
    end }
    assert.equal("completed", rt:wait(run).state)
    assert.equal("2", server.call("XLEN", ("orrery:{%s}:stream"):format(name))) -- the first, and a step's
  end)

  it("gives a handler that runs again what it has, and no other message", function()
    local name, tries = topic(), 0
    publish(name, "first", { stream = true })
    publish(name, "second", { stream = true })
    local here <close> = place.new()
    local kept = flow.runtime { bus = server.url(), store = "sqlite:" .. here.folder .. "/runs.db" }
    local w = flow.workflow { name = "w", output = "${nodes.it}" }
    w.it = { retry = { max = 5, delay = 0 }, run = function()
      tries = tries + 1
      local got = flow.receive(name, { group = "g" })
      if tries < 5 then flow.error "again" end
      return got.message
    end }
    assert.same({ "first", 5 }, { flow.run(w, { runtime = kept }).output, tries })
    kept:close()
    assert.equal(0, pending(name, "g"))
    assert.equal("second", rt:wait(start(flow.bus.wait { topic = name, group = "g" })).output.message)
  end)

  it("gives what a reader has left to another", function()
    local name = topic()
    local key = ("orrery:{%s}:stream"):format(name)
    publish(name, "left", { stream = true })
    server.call("XGROUP", "CREATE", key, "g", "0")
    local id = server.call("XREADGROUP", "GROUP", "g", "gone", "STREAMS", key, ">"):match "%d+%-%d+"
    server.call("XCLAIM", key, "g", "gone", "0", id, "IDLE", "3600000", "JUSTID") -- as if an hour ago
    assert.equal("left", rt:wait(start(flow.bus.wait { topic = name, group = "g" })).output.message)
    assert.equal(0, pending(name, "g"))
  end)
end)

describe("a bus in Redis that fails", function()
  it("fails who waits, and another try finds it again", function()
    local name = topic()
    local retry = { max = 100, delay = "50ms", max_delay = "200ms" }
    local a = start(flow.bus.wait { topic = name, retry = retry })
    local b = start(flow.bus.wait { topic = name, group = "g", retry = retry })
    subscribed(name, 1)
    redis.until_true(function() return server.call("CLIENT", "LIST"):find "cmd=xreadgroup" end)
    server.kill()
    server.go()
    subscribed(name, 1)
    publish(name, "to all")
    publish(name, "kept", { stream = true })
    assert.equal("to all", rt:wait(a).output.message)
    assert.equal("kept", rt:wait(b).output.message)
  end)

  it("denies a wrong password at once, and shows none", function()
    local other = flow.runtime { bus = ("redis://:wrong-word@127.0.0.1:%d"):format(server.port) }
    local w = flow.workflow { name = "w" }
    w.it = flow.bus.wait { "t", retry = 3 }
    local e = flow.run(w, { runtime = other }).error
    assert.same({ "redis_denied", false }, { e.code, e.retryable })
    assert.is_nil(e.message:find("wrong-word", 1, true))
    other:close()
  end)
end)

describe("processes on one bus", function()
  local WAITS = [[local flow = require "orrery"
    local w = flow.workflow { name = "w", output = "${nodes.got.message}" }
    w.got = flow.bus.wait { topic = "%s", group = "g" }
    w.mark = { after = "got", run = function(ctx, inputs)
      local file <close> = io.open("did", "a")
      file:write(ctx.run.id, " ", inputs.got.message, "\n")
    end }
    return w]]

  it("give each other messages by --bus and by ORRERY_BUS, and the password is nowhere", function()
    local here <close> = place.new { ["w.lua"] = WAITS:format "processes",
      ["p.lua"] = [[local flow = require "orrery"
        local w = flow.workflow { name = "p" }
        w.it = flow.bus.publish { topic = "processes", stream = true, message = 41 }
        return w]] }
    local waiting = here:start { "run", "w.lua", "--bus", server.url() }
    local sent = here:finish(here:start({ "run", "p.lua" }, { ORRERY_BUS = server.url() }))
    assert.equal(0, sent.code, sent.err)
    local done = here:finish(waiting)
    assert.equal("41\n", done.out, done.err)
    local all = io.popen("cat " .. here.folder .. "/.orrery/* " .. here.folder .. "/*.err"):read "a"
    assert.is_nil(all:find("pass/word", 1, true))
    assert.is_nil(all:find("pass%2Fword", 1, true))
  end)

  -- Whoever dies, no message is lost; none is done twice but by a run that had it when it died.
  it("that are killed at any moment lose nothing", function()
    local here <close> = place.new { ["w.lua"] = WAITS:format "killed" }
    local n, seed = 12, tonumber(os.getenv "BUS_SEED") or os.time()
    math.randomseed(seed)
    for i = 1, n do publish("killed", i, { stream = true }) end
    local function seen()
      local set, count = {}, 0
      for _, line in ipairs(here:did()) do
        local message = line:match " (%d+)$"
        if message and not set[message] then
          set[message] = true
          count = count + 1
        end
      end
      return count
    end
    local url, key = server.url(), "orrery:{killed}:stream"
    local function leave_all() -- what readers that are gone have taken is old at once
      for id in server.call("XPENDING", key, "g", "-", "+", "100"):gmatch "%d+%-%d+" do
        server.call("XCLAIM", key, "g", "gone", "0", id, "IDLE", "3600000", "JUSTID")
      end
    end
    for _ = 1, 8 do
      local process = here:start { "run", "w.lua", "--bus", url }
      flow.sleep(math.random(80) / 1000)
      process.handle:kill "sigkill"
      here:until_true(function() return process.code end)
    end
    here:finish(here:start { "resume", "--bus", url, "--no-wait" })
    local rounds = 0
    while seen() < n do
      rounds = rounds + 1
      assert.is_true(rounds < 60, ("%d of %d messages; BUS_SEED=%d"):format(seen(), n, seed))
      leave_all()
      local process = here:start { "run", "w.lua", "--bus", url }
      here:until_true(function() return process.code or seen() >= n end, "a message")
      if not process.code then process.handle:kill "sigkill" end
      here:until_true(function() return process.code end)
    end
    local by = {}
    for _, line in ipairs(here:did()) do
      local run, message = line:match "^(%S+) (%d+)$"
      by[run] = by[run] or message
      assert.equal(by[run], message, "one run has seen two messages; BUS_SEED=" .. seed)
    end
  end)
end)
