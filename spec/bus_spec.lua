-- The bus inside a process: messages to all who wait, and streams, of which each group gets each
-- message once. What is the same with a server stands in spec/services/bus_redis_spec.lua.
local flow = require "orrery"
local one = require "spec.support.one_node"
local place = require "spec.support.place"

-- Topics are those of the process, so each test has names of its own.
local n_topics = 0
local function topic()
  n_topics = n_topics + 1
  return "spec.bus." .. n_topics
end

local function waiter(config, options)
  local w = flow.workflow { name = "waiter", output = "${nodes.it}" }
  w.it = flow.bus.wait(config)
  return flow.start(w, options)
end

local function wait(run) return flow.runtime():wait(run) end

-- Until the run waits for its signal, and the bus knows that.
local function joined(run)
  for _ = 1, 1000 do
    if run:why("it").kind == "signal" then
      flow.sleep(0.002)
      return
    end
    flow.sleep(0.001)
  end
  error("it does not wait: " .. flow.json.encode(run:why "it"))
end

describe("a message on the bus", function()
  it("goes to all who wait for its topic then, and to nobody else", function()
    local name, other = topic(), topic()
    assert.equal(0, flow.publish(name, "nobody is there").receivers)
    local runs = { waiter { name }, waiter { name }, waiter { other } }
    for _, run in ipairs(runs) do joined(run) end
    local sent = flow.publish(name, { x = 1, list = flow.json.array {}, f = 1.0 })
    assert.equal(2, sent.receivers)
    for i = 1, 2 do
      local output = wait(runs[i]).output
      assert.same({ x = 1, list = {}, f = 1.0 }, output.message)
      assert.equal(sent.id, output.id)
    end
    assert.equal("waiting", runs[3].state)
    assert.equal(0, flow.publish(name, "they have gone on").receivers)
    runs[3]:cancel()
    wait(runs[3])
  end)

  it("comes from a node, and each has an id of its own", function()
    local name = topic()
    local w = flow.workflow { name = "w" }
    w.it = flow.bus.wait { name }
    w.slow = flow.delay { "1s" }
    w.send = flow.bus.publish { after = "slow", topic = name, message = { at = "${states.slow}" } }
    w.again = flow.bus.publish { after = "send", topic = name, message = "again" }
    local outputs = flow.run(w, { clock = "virtual" }):outputs()
    assert.same({ at = "completed" }, outputs.it.message)
    assert.equal(outputs.send.id, outputs.it.id)
    assert.are_not.equal(outputs.send.id, outputs.again.id)
    assert.same({ 1, 0 }, { outputs.send.receivers, outputs.again.receivers })
  end)

  it("may be sent by hand, as any signal", function()
    for _, case in ipairs { { { message = "by hand" }, "by hand" }, { 5, 5 }, { {}, nil } } do
      local name = topic()
      local run = waiter { topic = name, group = "g" }
      joined(run)
      run:signal(("bus %s for g: it"):format(name), case[1])
      assert.same({ message = case[2] }, wait(run).output)
    end
  end)

  it("is what it was when it was sent", function()
    local name = topic()
    local run = waiter { topic = name, group = "g" }
    joined(run)
    local message = { n = 1 }
    local other = topic()
    flow.publish(other, message, { stream = true })
    flow.publish(name, message, { stream = true })
    message.n = 2
    assert.same({ n = 1 }, wait(run).output.message)
    assert.same({ n = 1 }, wait(waiter { topic = other, group = "g" }).output.message)
  end)

  it("is waited for without a slot, and within virtual time", function()
    local name = topic()
    local w = flow.workflow { name = "w", concurrency = 1, output = "${nodes.a}" }
    w.a = flow.bus.wait { topic = name, timeout = "3d", on_timeout = "continue" }
    w.b = flow.delay { "2d" }
    local run = flow.run(w, { clock = "virtual" })
    assert.equal("completed", run.state, run.error and run.error.message)
    assert.same({ timed_out = true }, run.output)
    local e = flow.run((function()
      local x = flow.workflow { name = "x" }
      x.it = flow.bus.wait { topic = name, timeout = "1h" }
      return x
    end)(), { clock = "virtual" }).error
    assert.same({ "wait_timeout", true }, { e.code, e.retryable })
    one.contains(e.message, ("no message of %q came in time"):format(name))
  end)
end)

describe("a stream of the bus", function()
  it("keeps what nobody waits for, and gives each message to one of each group", function()
    local name, sent, got = topic(), {}, { a = {}, b = {} }
    for i = 1, 6 do sent[i] = flow.publish(name, i, { stream = true }).id end
    for group, list in pairs(got) do
      local runs = {}
      for i = 1, 6 do runs[i] = waiter { topic = name, group = group } end
      for i = 1, 6 do list[i] = wait(runs[i]).output end
      table.sort(list, function(x, y) return x.message < y.message end)
      for i = 1, 6 do assert.same({ message = i, id = sent[i] }, list[i]) end
    end
    local late = waiter { topic = name, group = "a" }
    joined(late)
    flow.publish(name, 7, { stream = true })
    assert.equal(7, wait(late).output.message)
  end)

  it("gives to another what was given to a run that was cancelled before it had it", function()
    local name = topic()
    local run = waiter { topic = name, group = "g" }
    joined(run)
    local id = flow.publish(name, "kept", { stream = true }).id
    run:cancel() -- the handler has not gone on yet
    assert.equal("cancelled", wait(run).state)
    assert.same({ message = "kept", id = id }, wait(waiter { topic = name, group = "g" }).output)
  end)

  it("keeps no more than it is told to", function()
    local name = topic()
    for i = 1, 5 do flow.publish(name, i, { stream = true, max_length = 2 }) end
    assert.equal(4, wait(waiter { topic = name, group = "g" }).output.message)
    assert.equal(5, wait(waiter { topic = name, group = "g" }).output.message)
    local empty = waiter { topic = name, group = "g", timeout = "20ms", on_timeout = "continue" }
    assert.is_true(wait(empty).output.timed_out)
  end)

  -- Readers of two groups come, are cancelled, and run out of time, while messages are published.
  it("loses nothing and gives nothing twice, whoever goes away", function()
    local seed = tonumber(os.getenv "BUS_SEED") or os.time()
    math.randomseed(seed)
    local name, n_sent, live, got = topic(), 0, {}, { a = {}, b = {} }
    local function note(group, run)
      if run.state == "completed" and not run.output.timed_out then
        local m = run.output.message
        got[group][m] = (got[group][m] or 0) + 1
      end
    end
    for _ = 1, 400 do
      local dice = math.random(6)
      if dice <= 2 then
        n_sent = n_sent + 1
        flow.publish(name, n_sent, { stream = true })
      elseif dice <= 4 then
        local group = math.random(2) == 1 and "a" or "b"
        live[#live + 1] = { group, waiter { topic = name, group = group,
          timeout = math.random(2) == 1 and "1ms" or nil, on_timeout = "continue" } }
      elseif dice == 5 and #live > 0 then
        local one_of = table.remove(live, math.random(#live))
        one_of[2]:cancel()
        wait(one_of[2])
        note(one_of[1], one_of[2])
      else
        flow.sleep(math.random(3) / 1000)
      end
    end
    for _, entry in ipairs(live) do
      local run = entry[2]
      if not run.ended then flow.sleep(0.005) end
      if not run.ended then run:cancel() end
      note(entry[1], wait(run))
    end
    for group, counts in pairs(got) do
      while true do -- what is left
        local run = wait(waiter { topic = name, group = group, timeout = "30ms", on_timeout = "continue" })
        if run.output.timed_out then break end
        note(group, run)
      end
      for i = 1, n_sent do
        assert.equal(1, counts[i] or 0, ("message %d of group %s; BUS_SEED=%d"):format(i, group, seed))
      end
    end
  end)
end)

describe("what a run has received", function()
  local function store(here) return "sqlite:" .. here.folder .. "/runs.db" end

  it("is kept for further attempts, and what it has published is published once", function()
    local here <close> = place.new()
    local name, answers, tries = topic(), topic(), 0
    flow.publish(name, "first", { stream = true })
    flow.publish(name, "second", { stream = true })
    local w = flow.workflow { name = "w", output = "${nodes.it}" }
    w.it = { retry = { max = 3, delay = 0 }, run = function()
      tries = tries + 1
      local got = flow.receive(name, { group = "g" })
      flow.publish(answers, "answer", { stream = true })
      if tries < 3 then flow.error "once more" end
      return got.message
    end }
    local rt = flow.runtime { store = store(here) }
    local run = flow.run(w, { runtime = rt })
    assert.equal("completed", run.state, run.error and run.error.message)
    assert.same({ "first", 3 }, { run.output, tries })
    assert.equal("second", wait(waiter { topic = name, group = "g" }).output.message)
    assert.equal("answer", wait(waiter { topic = answers, group = "g" }).output.message)
    local empty = waiter { topic = answers, group = "g", timeout = "20ms", on_timeout = "continue" }
    assert.is_true(wait(empty).output.timed_out)
    rt:close()
  end)

  it("is what a resumed run sees, and its timeout goes on", function()
    local here <close> = place.new { ["w.lua"] = [[local flow = require "orrery"
      local w = flow.workflow { name = "w", output = { "${nodes.got}", "${nodes.late.timed_out}" } }
      w.got = flow.bus.wait { topic = "t", group = "g" }
      w.late = flow.bus.wait { topic = "other", timeout = "1500ms", on_timeout = "continue" }
      w.sent = flow.bus.publish { topic = "t", message = { n = 41 }, stream = true }
      w.mark = { after = "got", run = function(ctx, inputs)
        local file <close> = io.open("did", "a")
        file:write(inputs.got.message.n, "\n")
      end }
      return w]] }
    local first = here:start { "run", "w.lua" }
    here:until_true(function() return #here:did() == 1 end)
    first.handle:kill "sigkill"
    here:until_true(function() return first.code end)
    local done = here:finish(here:start { "resume", "@last", "--json" })
    assert.equal(0, done.code, done.out .. done.err)
    one.contains(done.out, '"n":41')
  end)
end)

describe("the bus", function()
  local function refusal(fn, ...)
    local ok, e = pcall(fn, ...)
    assert.is_false(ok)
    assert.equal("config_error", e.code, tostring(e))
    return e.message
  end

  it("refuses what is none of its words", function()
    one.contains(refusal(flow.publish, "a{b}", 1), "1 to 512 bytes without control characters and braces")
    one.contains(refusal(flow.publish, ("x"):rep(513), 1), "1 to 512 bytes")
    one.contains(refusal(flow.publish, "t", 1, { steam = true }), 'did you mean "stream"')
    one.contains(refusal(flow.publish, "t", print), "message")
    one.contains(refusal(flow.receive, "t"), "waits in a handler")
    local bus = one.failure(flow.bus.wait { topic = "t\n" })
    assert.equal("config_error", bus.code)
  end)

  it("is the same for handlers in workers", function()
    local here <close> = place.new { ["w.lua"] = [[local flow = require "orrery"
      local w = flow.workflow { name = "w", output = "${nodes.it.message}" }
      w.it = flow.bus.wait { strategy = "thread", topic = "t", group = "g" }
      w.send = flow.bus.publish { strategy = "thread", topic = "t", message = { n = 41 }, stream = true }
      return w]] }
    for _, store in ipairs { "memory:", "runs.db" } do
      local done = here:finish(here:start { "run", "w.lua", "--store", store })
      assert.equal(0, done.code, done.err)
      one.contains(done.out, '"n": 41')
    end
  end)

  it("is named for a runtime, or for the command", function()
    one.contains(refusal(flow.runtime, { bus = "amqp://h" }), 'expected "memory:"')
    one.contains(refusal(flow.runtime, { bus = 5 }), 'expected "memory:"')
    local message = refusal(flow.runtime, { bus = "rediss://u:hidden-word@h" })
    one.contains(message, "hiredis, as Debian 12 has it, knows no TLS")
    assert.is_nil(message:find("hidden-word", 1, true))
    local name = topic()
    local rt = flow.runtime { bus = "memory:" }
    local run = waiter({ name }, { runtime = rt })
    joined(run)
    flow.publish(name, "hello")
    assert.equal("hello", rt:wait(run).output.message)
    rt:close()
    local here <close> = place.new { ["w.lua"] = [[local flow = require "orrery"
      local w = flow.workflow { name = "w" }
      w.it = flow.bus.publish { topic = "t", message = 1 }
      return w]] }
    local wrong = here:finish(here:start { "run", "w.lua", "--bus", "nowhere:" })
    assert.equal(2, wrong.code)
    one.contains(wrong.err, 'orrery run: bus: expected "memory:"')
    local nobody = here:finish(here:start({ "run", "w.lua" },
      { ORRERY_BUS = "redis://:open-sesame@127.0.0.1:1", ORRERY_STORE = "memory:" }))
    assert.equal(1, nobody.code)
    one.contains(nobody.err, "redis_connection")
    one.contains(nobody.err, "127.0.0.1:1: it cannot be reached: ECONNREFUSED")
    assert.is_nil(nobody.err:find("open-sesame", 1, true))
  end)

  it("fails who cannot be given a message, and keeps it", function()
    local here <close> = place.new()
    local name = topic()
    local rt = flow.runtime { store = "sqlite:" .. here.folder .. "/runs.db", output_limit = 1000 }
    local run = waiter({ topic = name, group = "g" }, { runtime = rt })
    joined(run)
    flow.publish(name, ("x"):rep(2000), { stream = true })
    local e = rt:wait(run).error
    assert.is_false(e.retryable)
    one.contains(e.message, "1000")
    assert.equal(2000, #wait(waiter { topic = name, group = "g" }).output.message)
    rt:close()
  end)

  it("without a server fails who waits, who may try again", function()
    local rt, retries = flow.runtime { bus = "redis://127.0.0.1:1" }, 0
    local w = flow.workflow { name = "w" }
    w.it = flow.bus.wait { "t", retry = { max = 2, delay = "1ms" } }
    local off = flow.on("node_retrying", function() retries = retries + 1 end)
    local run = flow.run(w, { runtime = rt })
    off()
    assert.same({ "redis_connection", true, 2 }, { run.error.code, run.error.retryable, retries })
    rt:close()
  end)
end)
