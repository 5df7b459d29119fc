-- The `wait` node type: for a signal, for a time, for a decision. Time is virtual.
local flow = require "orrery"

-- Starts a workflow of one node and sends it signals {name, data}; its run and its events.
local function wait_for(node, signals, options)
  local w = flow.workflow { name = "one", output = "${nodes.it}" }
  w.it = node
  local rt, reported = flow.runtime { clock = "virtual" }, {}
  options = options or {}
  options.runtime = rt
  function options.on_event(event) reported[#reported + 1] = event end
  local run = flow.start(w, options)
  for _, signal in ipairs(signals or {}) do run:signal(signal[1], signal[2]) end
  rt:wait(run)
  return run, reported, rt
end

local function logged(reported)
  local list = {}
  for _, event in ipairs(reported) do
    if event.event == "log" then list[#list + 1] = event.message end
  end
  return list
end

local function mistake(node)
  local w = flow.workflow {}
  w.it = node
  local found = flow.check(w)
  return found[1] and found[1].message
end

describe("wait for a signal", function()
  it("outputs its data", function()
    assert.same({ sum = 3 }, wait_for(flow.wait { signal = "paid" }, { { "paid", { sum = 3 } } }).output)
    assert.is_nil(wait_for(flow.wait { signal = "${input}" }, { { "x" } }, { input = "x" }).output)
  end)

  it("fails when its time is over, or goes on", function()
    local run, _, rt = wait_for(flow.wait { signal = "paid", timeout = "3d" })
    assert.equal("failed", run.state)
    assert.equal("signal_timeout", run.error.code)
    assert.is_true(rt:now() >= run:stats().started + 3 * 86400)
    assert.same({ timed_out = true },
      wait_for(flow.wait { signal = "paid", timeout = 5, on_timeout = "continue" }).output)
  end)

  it("reads its timeout as config, with templates", function()
    local run, _, rt = wait_for(flow.wait { signal = "paid", timeout = "${input}", on_timeout = "continue" },
      nil, { input = "2h" })
    assert.same({ timed_out = true }, run.output)
    assert.equal(7200, math.floor(rt:now() - run:stats().started))
    local named = { type = "wait", with = { signal = "paid", timeout = "1h", on_timeout = "continue" } }
    assert.same({ timed_out = true }, wait_for(named).output)
  end)

  it("works inside a handler too", function()
    local w = flow.workflow { output = "${nodes.it}" }
    w.it = { run = function() return flow.wait { signal = "go", timeout = "1h" } end }
    local rt = flow.runtime { clock = "virtual" }
    local run = flow.start(w, { runtime = rt })
    run:signal("go", "now")
    rt:wait(run)
    assert.equal("now", run.output)
  end)
end)

describe("wait for a time", function()
  local FIRST = 1000000000 -- where virtual time begins: 2001-09-09T01:46:40Z

  it("ends at it, and at once where it has passed", function()
    for text, seconds in pairs {
      ["2001-09-09T02:46:40Z"] = 3600, ["2001-09-09T04:46:40+02:00"] = 3600, ["2001-09-08 21:47-0400"] = 20,
      ["2001-09-09T01:46:41.5Z"] = 1.5, ["1969-12-31T23:59:59Z"] = 0, ["2004-02-29T00:00:00Z"] = 78012800 - 0,
      ["2001-09-09T08:16:40+05:30"] = 3600, ["2100-03-01T00:00:00Z"] = 3107542400,
    } do
      local run, _, rt = wait_for(flow.wait { time = text })
      assert.equal("completed", run.state, text)
      assert.equal(seconds, math.floor((rt:now() - FIRST) * 10 + 0.5) / 10, text)
      assert.equal(rt:now(), run.output)
    end
    local _, _, rt = wait_for(flow.wait { time = FIRST + 90 })
    assert.equal(90, math.floor(rt:now() - FIRST + 0.5))
    _, _, rt = wait_for(flow.wait { time = "${input.at}" }, nil, { input = { at = FIRST + 7 } })
    assert.equal(7, math.floor(rt:now() - FIRST + 0.5))
  end)

  it("refuses what is no time", function()
    for _, text in ipairs { "tomorrow", "2001-09-09T02:46:40", "2001-13-01T00:00:00Z", "2001-02-30T00:00:00Z",
      "2001-09-09",
      "2001-09-09T25:00:00Z", "2001-09-09T24:00:00Z", "2001-09-09T23:60:00Z",
      "2001-09-31T00:00:00Z", "2001-09-09T02:46:40+99:00" } do
      assert.truthy(mistake(flow.wait { time = text }):find("time: expected a time with its zone", 1, true),
        text)
    end
    local run = wait_for(flow.wait { time = "${input}" }, nil, { input = "soon" })
    assert.equal("config_error", run.error.code)
  end)
end)

describe("wait for an approval", function()
  it("outputs who decided and why, by a signal of the node's name", function()
    local run, reported = wait_for(flow.wait { approval = "Deploy?" },
      { { "it", { approved = true, by = "ada", why = "green" } } })
    assert.same({ approved = true, by = "ada", why = "green" }, run.output)
    for _, event in ipairs(reported) do
      if event.event == "approval_requested" then
        assert.same({ signal = "it", message = "Deploy?" }, event.data)
        return
      end
    end
    error "nobody was asked"
  end)

  it("takes who may decide by one name, and checks what templates give", function()
    local run = wait_for(flow.wait { approval = { by = "ada" } },
      { { "it", { approved = true, by = "eve" } }, { "it", { approved = true } },
        { "it", { approved = true, by = "ada" } } })
    assert.same({ approved = true, by = "ada" }, run.output)
    run = wait_for(flow.wait { approval = "${input}" }, { { "it", { approved = true } } },
      { input = { who = "ada" } })
    assert.equal("config_error", run.error and run.error.code)
    run = wait_for(flow.wait { approval = "${input}" }, { { "it", { approved = true } } },
      { input = { message = "?" } })
    assert.same({ approved = true }, run.output)
  end)

  it("fails when it is rejected, and is not tried again; or outputs that", function()
    local no = { { "go", { approved = false, by = "bob", why = "friday" } } }
    local run = wait_for(flow.wait { approval = true, signal = "go", retry = 3 }, no)
    assert.equal("rejected", run.error.code)
    assert.equal("bob said no: friday", run.error.message)
    assert.equal("bob", run.error.details.by)
    assert.equal(1, run:stats().attempts)
    run = wait_for(flow.wait { approval = true, signal = "go", on_reject = "output" }, no)
    assert.same({ approved = false, by = "bob", why = "friday" }, run.output)
  end)

  it("waits past signals that decide nothing, within the one timeout", function()
    local node = function(timeout)
      return flow.wait { approval = { message = "Deploy?", by = { "ada", "joan" } }, timeout = timeout }
    end
    local run, reported = wait_for(node "1d", { { "it", "yes" }, { "it", { approved = true, by = "eve" } },
      { "it", { approved = true, by = "joan" } } })
    assert.same({ approved = true, by = "joan" }, run.output)
    local warnings = logged(reported)
    assert.equal(2, #warnings)
    assert.truthy(warnings[1]:find("is no decision", 1, true))
    assert.truthy(warnings[2]:find("eve may not decide", 1, true))
    local late, _, rt = wait_for(node "1h", { { "it", { approved = true, by = "eve" } } })
    assert.equal("signal_timeout", late.error.code)
    assert.equal(3600, math.floor(rt:now() - late:stats().started + 0.5))
  end)

  it("counts its one timeout on when a signal that decides nothing comes late", function()
    local w, rt = flow.workflow {}, flow.runtime { clock = "virtual" }
    w.it = flow.wait { approval = { by = "ada" }, timeout = "1h" }
    local run = flow.start(w, { runtime = rt })
    local other = flow.workflow {}
    other.it = { run = function(ctx)
      for _ = 1, 3 do
        ctx:sleep(900)
        run:signal("it", { approved = true }) -- by nobody, who may not decide where somebody is named
      end
    end }
    flow.run(other, { runtime = rt })
    assert.equal("waiting", run.state)
    rt:wait(run)
    assert.equal("signal_timeout", run.error.code)
    assert.equal(3600, math.floor(rt:now() - run:stats().started + 0.5))
  end)

  it("goes on without a decision only where none came in time", function()
    local no = { { "it", { approved = false, by = "bob" } } }
    local run = wait_for(flow.wait { approval = true, timeout = 5, on_timeout = "continue" }, no)
    assert.equal("rejected", run.error.code)
    assert.same({ timed_out = true }, wait_for(flow.wait { approval = true, timeout = 5,
      on_timeout = "continue" }).output)
  end)
end)

describe("a wait's config", function()
  it("is checked", function()
    for _, case in ipairs {
      { {}, "it has nothing to wait for" }, { { signal = "a", time = 3 }, "for a time or for a signal" },
      { { time = 3, timeout = 1 }, "a wait for a time ends at that time" },
      { { signal = "" }, "signal: expected a name" },
      { { signal = "a", on_reject = "output" }, "only an approval can be rejected" },
      { { approval = 3 }, "approval: expected true, a text" },
      { { approval = { who = "ada" } }, "what is wrong is who" },
      { { signal = "a", on_timeout = "retry" }, "on_timeout" },
      { { signal = "a", timeout = "soon" }, "timeout" },
    } do
      local message = mistake(flow.wait(case[1]))
      assert.truthy(message and message:find(case[2], 1, true), case[2] .. ": " .. tostring(message))
    end
  end)

  it("may have `timeout` for its own because its type says so", function()
    local T = flow.type { name = "waitspec.own", own_timeout = true,
      config = flow.schema { timeout = "duration?" },
      run = function(_, config) return config.timeout end }
    assert.equal(60, wait_for(T { timeout = "1m" }).output)
    local ok, e = pcall(flow.type,
      { name = "waitspec.other", config = flow.schema { timeout = "duration?" }, run = function() end })
    assert.is_false(ok)
    assert.truthy(tostring(e):find('config key "timeout" is a key of every node', 1, true))
  end)
end)
