-- flow.now: one node, performed where the call stands.
local flow = require "orrery"

-- What `fn` gives inside a handler.
local function inside(fn)
  local w = flow.workflow { name = "outer", output = "${nodes.a}" }
  w.a = { run = fn }
  local run = flow.run(w)
  assert(run.state == "completed", run.error and run.error.message)
  return run.output
end

local function error_of(node)
  local ok, e = pcall(flow.now, node)
  assert.is_false(ok)
  return e
end

describe("flow.now", function()
  it("performs a typed node, a Lua node, a group, and a node that names its type", function()
    assert.equal("hello\n", flow.now(flow.exec { "echo", "hello" }).stdout)
    assert.equal(7, flow.now { run = function() return 7 end })
    assert.is_nil(flow.now { run = function() end })
    assert.same({ 1, 2 }, flow.now(flow.parallel { flow.const { 1 }, flow.const { 2 } }))
    assert.equal("x", flow.now { type = "const", with = { value = "x" } })
  end)

  it("obeys the node's keys", function()
    assert.equal(3, flow.now { retry = { max = 3, delay = 0 }, run = function(ctx)
      if ctx.attempt < 3 then error "not yet" end
      return ctx.attempt
    end })
    assert.equal("instead", flow.now(flow.exec { "false", fallback = "instead" }))
    assert.equal("timeout", error_of { timeout = 0.02, run = function() flow.await(function() end) end }.code)
    assert.same({ 2, 4 }, flow.now { each = { 1, 2 }, run = function(ctx) return ctx.item * 2 end })
  end)

  it("raises the node's error with its fields", function()
    local e = error_of(flow.exec { "false" })
    assert.equal("exit_status", e.code)
    assert.equal("exec", e.node)
    assert.matches("^exit_status: `false` exited", tostring(e))
    e = error_of { run = function() flow.error { code = "mine", message = "no", details = { n = 1 } } end }
    assert.same({ "mine", { n = 1 } }, { e.code, e.details })
  end)

  it("raises mistakes with the line of the call", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local e = error_of(flow.exec { argvv = { "x" } })
    assert.equal("definition_error", e.code)
    assert.matches('node "exec": exec: argvv is not known; did you mean "argv"', tostring(e))
    local _, at = pcall(function() return (flow.now { after = "x", run = print }) end)
    assert.matches(("now_spec.lua:%d: .*there is no node \"x\""):format(line + 3), tostring(at))
    assert.matches("expected a node .*, got 3", tostring(error_of(3)))
  end)

  it("performs in a handler what is still a node, and gives back what is done", function()
    local got = inside(function()
      return {
        flow.now(flow.exec { "echo", "done" }).stdout,
        flow.now { type = "exec", with = { argv = { "echo", "now" } } }.stdout,
        flow.now { retry = { max = 1, delay = 0 }, run = function(ctx)
          if ctx.attempt == 1 then error "once" end
          return ctx.attempt
        end },
      }
    end)
    assert.same({ "done\n", "now\n", 2 }, got)
  end)

  it("finds a pool that is declared only there, as a type that is first used there does", function()
    assert.equal(5, inside(function()
      flow.pool("only.here", { max = 1 })
      return flow.now { pool = "only.here", run = function() return 5 end }
    end))
  end)

  it("raises in a handler the node's own error, and what is wrong with it", function()
    local got = inside(function()
      local _, e = pcall(flow.now, { type = "exec", with = { argv = { "false" } } })
      local _, mistake = pcall(flow.now, { rum = print })
      return { e.code, tostring(e), tostring(mistake) }
    end)
    assert.equal("exit_status", got[1])
    assert.matches("^exit_status: `false`", got[2])
    assert.matches('unknown key "rum"; did you mean "run"', got[3])
  end)

  it("is cancelled with the handler it is called in", function()
    local seen
    local w = flow.workflow { name = "outer" }
    w.a = { run = function()
      flow.now { run = function()
        local ok, e = pcall(flow.await, function() end)
        seen = not ok and e.code
        error(e, 0)
      end }
    end }
    local run = flow.start(w)
    flow.sleep(0.02)
    run:cancel()
    flow.runtime():wait(run)
    assert.equal("cancelled", run.state)
    assert.equal("cancelled", seen)
  end)

  it("is what the text of a node says", function()
    assert.equal("orrery.node: exec (flow.now(node) runs it here)", tostring(flow.exec { "x" }))
  end)
end)

describe("flow.sleep", function()
  it("waits in a script and in a handler, by durations", function()
    local before = flow.runtime():now()
    flow.sleep "20ms"
    assert.is_true(flow.runtime():now() - before >= 0.02)
    local w = flow.workflow { name = "long", output = "${nodes.a}" }
    w.a = { run = function() flow.sleep "1w" return "a week" end }
    local run = flow.run(w, { clock = "virtual" })
    assert.equal("a week", run.output)
    assert.equal(7 * 86400, run:stats().ended - run:stats().started)
    assert.has_error(function() flow.sleep "soon" end)
  end)
end)

describe("a fallback", function()
  local function events_of(node)
    local w, events = flow.workflow { name = "fall" }, {}
    w.a = node
    local run = flow.run(w, { on_event = function(e) events[#events + 1] = e end })
    local reported = {}
    for _, e in ipairs(events) do
      if e.event == "node_started" or e.event == "node_retrying" then
        reported[#reported + 1] = e.event .. (e.fallback and " fallback" or "")
      end
    end
    return reported, run
  end

  it("is told apart from retries in events, and is none", function()
    local reported, run = events_of { retry = { max = 1, delay = 0 }, fallback = 1,
      run = function() error "x" end }
    assert.same({ "node_started", "node_retrying", "node_started", "node_retrying fallback",
      "node_started fallback" }, reported)
    assert.equal(1, run:stats().retries)
    reported = events_of { retry = { max = 1, delay = 0 },
      run = function(ctx) if ctx.attempt == 1 then error "x" end end }
    assert.same({ "node_started", "node_retrying", "node_started" }, reported)
  end)
end)
