-- What is silent in durable runs is reported, once for each silence, and nothing else is done. All
-- times are virtual and exact.
local flow = require "orrery"

local folder

before_each(function()
  folder = os.tmpname()
  os.remove(folder)
  os.execute("mkdir -p " .. folder)
end)

after_each(function() os.execute("rm -rf " .. folder) end)

-- A runtime of its own, with what it reported of silences, each with `at`, seconds since it began.
local function watched(options)
  options = options or {}
  options.clock, options.store = "virtual", options.store or "sqlite:" .. folder .. "/runs.db"
  local rt, reported = flow.runtime(options), {}
  local began = rt:now()
  rt:on(function(event)
    if event.event ~= "node_silent" and event.event ~= "run_blocked" then return end
    event.at = event.time - began
    reported[#reported + 1] = event
  end)
  return rt, reported
end

-- A node that runs as long as another run, whose only node sleeps: it waits, and yet keeps its
-- slot.
local function long(rt, duration, keys, body)
  local other = flow.workflow { name = "other" }
  other.nap = flow.delay { duration }
  local w = flow.workflow { name = "long" }
  local node = { run = function(ctx)
    if body then body(ctx) end
    rt:wait(flow.start(other, { runtime = rt }))
    return "done"
  end }
  for key, value in pairs(keys or {}) do node[key] = value end
  w.a = node
  local run = flow.run(w, { runtime = rt })
  return run
end

describe("a node that gives no sign of life", function()
  it("is reported after 30 s, once, and goes on", function()
    local rt, reported = watched()
    local run = long(rt, "5m")
    assert.equal("completed", run.state)
    assert.equal(1, #reported)
    assert.same({ "node_silent", "a", 1, 30.0, 30.0 },
      { reported[1].event, reported[1].node, reported[1].attempt, reported[1].seconds, reported[1].at })
    assert.equal(run.id, reported[1].run)
    rt:sync()
    local lines = rt:store():query "SELECT level, message, node FROM logs"
    assert.equal(1, #lines)
    assert.same({ "warn", "a" }, { lines[1].level, lines[1].node })
    assert.truthy(lines[1].message:find "30", lines[1].message)
    rt:close()
  end)

  it("is reported again after a sign of life", function()
    local rt, reported = watched { watch = "10s" }
    local w = flow.workflow { name = "signs" }
    local naps = {}
    for i, nap in ipairs { "25s", "25s", "4s" } do
      naps[i] = flow.workflow { name = "nap" .. i }
      naps[i].nap = flow.delay { nap }
    end
    w.a = { run = function(ctx)
      rt:wait(flow.start(naps[1], { runtime = rt }))
      ctx:progress(0.5) -- at 25 s
      rt:wait(flow.start(naps[2], { runtime = rt }))
      ctx:log("info", "half") -- at 50 s
      rt:wait(flow.start(naps[3], { runtime = rt }))
    end }
    assert.equal("completed", flow.run(w, { runtime = rt }).state)
    local at = {}
    for i, event in ipairs(reported) do at[i] = { event.node, event.at, event.seconds } end
    assert.same({ { "a", 10.0, 10.0 }, { "a", 35.0, 10.0 } }, at)
    rt:close()
  end)

  for name, options in pairs { ["an interval of 0"] = { watch = 0 }, ["false"] = { watch = false },
      ["a longer one"] = { watch = "6m" } } do
    it("is not reported with " .. name, function()
      local rt, reported = watched(options)
      assert.equal("completed", long(rt, "5m").state)
      assert.same({}, reported)
      rt:close()
    end)
  end

  it("is left to its own heartbeat, where it has one", function()
    local rt, reported = watched()
    local run = long(rt, "5m", { heartbeat = "50s" })
    assert.equal("failed", run.state)
    assert.equal("heartbeat", run.error.code)
    for _, event in ipairs(reported) do assert.equal(50.0, event.at) end
    rt:close()
  end)

  it("is not one that sleeps, or waits", function()
    local rt, reported = watched()
    local w = flow.workflow { name = "sleeps" }
    w.a = { run = function(ctx) ctx:sleep "1h" end }
    assert.equal("completed", flow.run(w, { runtime = rt }).state)
    assert.same({}, reported)
    rt:close()
  end)

  it("costs nothing in memory, and nothing is reported", function()
    local rt, reported = watched { store = "memory:" }
    assert.equal("completed", long(rt, "5m").state)
    assert.same({}, reported)
  end)

  it("is no reason to wait: a run that cannot end still says so at once", function()
    local rt = flow.runtime { store = "sqlite:" .. folder .. "/runs.db" }
    assert.has_error(function() flow.runtime { watch = "soon" } end)
    local began = os.time()
    local w = flow.workflow { name = "quick" }
    w.a = { run = function() return 1 end }
    assert.equal("completed", flow.run(w, { runtime = rt }).state)
    assert.is_true(os.time() - began < 25)
    rt:close()
  end)
end)

describe("a run that only waits for a pool that nobody holds", function()
  it("is reported, with why", function()
    local rt, reported = watched()
    rt:pool("shut", { max = 1 })
    flow.pool("shut", { max = 1 })
    rt:pause_pool("shut", true)
    local w = flow.workflow { name = "blocked" }
    w.first = { run = function(ctx) ctx:sleep "10s" end }
    w.second = { after = "first", pool = "shut", run = function() return "in" end }
    local other = flow.workflow { name = "other" }
    other.nap = flow.delay { "10m" }
    local run, nap = flow.start(w, { runtime = rt }), flow.start(other, { runtime = rt })
    rt:wait(nap)
    assert.equal("running", run.state)
    assert.equal(1, #reported)
    local event = reported[1]
    assert.same({ "run_blocked", run.id, 40.0, 30.0 }, { event.event, event.run, event.at, event.seconds })
    assert.equal(1, #event.nodes)
    assert.equal("second", event.nodes[1].node)
    assert.same({ "pool", "shut" }, { event.nodes[1].why.kind, event.nodes[1].why.name })
    rt:pause_pool("shut", false)
    rt:wait(run)
    assert.equal("completed", run.state)
    rt:close()
  end)
end)
