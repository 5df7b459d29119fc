-- Pools: declared by a workflow and by the program, held by nodes that wait, and the waits that can
-- never end.
local flow = require "orrery"
local command = require "spec.support.command"
local place = require "spec.support.place"
local uv = require "luv"

local count = 0

-- A name that no other test has declared.
local function fresh()
  count = count + 1
  return "pools_spec_" .. count
end

local function sentences(source, name)
  local list = {}
  for i, problem in ipairs(flow.check { source = source, name = name or "bad.lua" }) do
    list[i] = problem.message
  end
  return list
end

local HEAD = 'local flow = require "orrery"\n'

-- The mistakes of a workflow with these options.
local function mistakes_of(options)
  return sentences(HEAD .. 'local w = flow.workflow { name = "w", ' .. options
    .. " }\nw.a = { run = print }\nreturn w")
end

-- ---- declaring ----------------------------------------------------------------------------------

describe("pools of a workflow", function()
  it("are declared in Lua, for the nodes that name them", function()
    local one, two = fresh(), fresh()
    local w = flow.workflow { name = one,
      pools = { [one] = 4, [two] = { max = 2, rate = "10/s", burst = 5 } } }
    w.a = { pool = one, run = function() return 1 end }
    w.b = { pool = two, run = function() return 2 end }
    assert.equal("completed", flow.run(w).state)
    assert.same({ max = 4 }, flow.pool(one))
    assert.same({ max = 2, rate = 10, per = 1, burst = 5 }, flow.pool(two))
  end)

  it("are declared in JSON", function()
    local name = fresh()
    local w = flow.load { source = ([[{ "name": "%s", "pools": { "%s": 1, "other_%s": { "rate": "5/1m" } },
      "nodes": [ { "id": "a", "type": "const", "value": 1, "pool": { "name": "%s", "hold": true } },
                 { "id": "b", "type": "const", "value": 1, "pool": "other_%s" } ] }]])
      :format(name, name, name, name, name), name = "flow.json" }
    assert.equal("completed", flow.run(w).state)
    assert.same({ max = 1 }, flow.pool(name))
    assert.same({ rate = 5, per = 60 }, flow.pool("other_" .. name))
  end)

  it("bound how many run at a time, over runs", function()
    local name = fresh()
    local rt = flow.runtime { clock = "virtual" }
    local w = flow.workflow { name = name, pools = { [name] = 2 } }
    for i = 1, 6 do
      w["n" .. i] = { pool = { name = name, hold = true }, run = function(ctx) ctx:sleep "1s" end }
    end
    local began = rt:now()
    flow.run(w, { runtime = rt })
    assert.equal(3, rt:now() - began)
  end)

  it("give way to what the program declares, before and after", function()
    local name = fresh()
    local function load(max)
      local w = flow.workflow { name = name, pools = { [name] = max } }
      w.a = { pool = name, run = function() return 1 end }
      return flow.run(w)
    end
    load(3)
    assert.same({ max = 3 }, flow.pool(name))
    load(4) -- the same workflow, loaded again
    assert.same({ max = 4 }, flow.pool(name))
    flow.pool(name, { max = 9 })
    load(5)
    assert.same({ max = 9 }, flow.pool(name))
  end)

  it("hold over a default, which is there where nobody else says anything", function()
    local name = fresh()
    flow.pool(name, { max = 1, default = true })
    flow.pool(name, { max = 2, default = true })
    assert.same({ max = 1 }, flow.pool(name))
    flow.compile(flow.workflow { name = name, pools = { [name] = 3 } })
    assert.same({ max = 3 }, flow.pool(name))
    flow.pool(name, { max = 4, default = true })
    assert.same({ max = 3 }, flow.pool(name))
  end)

  it("must be the same in two workflows", function()
    local name = fresh()
    local text = HEAD .. 'local w = flow.workflow { name = "%s", pools = { ' .. name .. " = %s } }\n"
      .. "w.a = { run = print }\nreturn w"
    assert.same({}, sentences(text:format("one", "4"), "one.lua"))
    assert.same({}, sentences(text:format("two", "{ max = 4 }"), "two.lua"))
    assert.same({ ('workflow "two": pools.%s: workflow "one" of one.lua declares this pool with other '
      .. "numbers, and there is one of a name; say the same in both, declare it with flow.pool, or give "
      .. "one of them another name"):format(name) }, sentences(text:format("two", "5"), "two.lua"))
    assert.same({ max = 4 }, flow.pool(name))
  end)

  it("have mistakes that are told, all of them", function()
    assert.same({
      'workflow "w": pools.a: max: expected a whole number of places, got -1',
      'workflow "w": pools.b: unknown field "brust"; did you mean "burst"?',
      'workflow "w": pools.c: burst: it is how many starts a rate saves up; give it a rate, or leave '
        .. "burst out",
      'workflow "w": pools.d: burst: expected a whole number of starts of at least 1, got 0',
      'workflow "w": pools.e: give it max, rate or both',
      'workflow "w": pools.f: expected { max = n, rate = … }, got the string "4"',
      'workflow "w": pools.g: rate: expected a number a second or a string like "10/s" or "100/1m", got the '
        .. 'string "often"',
    }, mistakes_of [[pools = { a = -1, b = { rate = "1/s", brust = 2 },
        c = { max = 1, burst = 2 }, d = { rate = "1/s", burst = 0 }, e = {}, f = "4", g = { rate = "often" } }]])
    assert.same({ 'workflow "w": pools: expected pools by name, { db = 4, api = { max = 2, rate = "10/s" } }'
      .. ", got 4" }, mistakes_of "pools = 4")
    assert.same({ 'workflow "w": pools: expected names with their places, { db = 4 }, got 1' },
      mistakes_of 'pools = { "db" }')
  end)

  it("are named where a node names none of them, with the nearest", function()
    local name = fresh()
    local found = sentences(HEAD .. ([[local w = flow.workflow { name = "w", pools = { %s = 1 } }
      w.a = { pool = "%sx", run = print }
      w.b = { pool = { name = "%sy-z" }, run = print }
      return w]]):format(name, name, name))
    assert.same({
      ('node "a": pool: no pool "%sx" is declared; did you mean "%s"?; declare it with the workflow, '
        .. 'pools = { %sx = 4 }, or with flow.pool("%sx", { max = 4 }) before it is loaded')
        :format(name, name, name, name),
      ('node "b": pool: no pool "%sy-z" is declared; declare it with the workflow, '
        .. 'pools = { ["%sy-z"] = 4 }, or with flow.pool("%sy-z", { max = 4 }) before it is loaded')
        :format(name, name, name),
    }, { (found[1]:gsub('did you mean "[^"]*"', ('did you mean "%s"'):format(name))),
      (found[2]:gsub("; did you mean .-%?", "")) })
  end)
end)

describe("a burst", function()
  -- When each of `n` nodes starts, in ms from the first on.
  local function starts(pool, n)
    local name, at = fresh(), {}
    local rt = flow.runtime { clock = "virtual" }
    local w = flow.workflow { name = name, pools = { [name] = pool } }
    for i = 1, n do
      w["n" .. i] = { pool = name, run = function(ctx) at[#at + 1] = ctx:now() end }
    end
    flow.run(w, { runtime = rt })
    for i = n, 1, -1 do at[i] = math.floor((at[i] - at[1]) * 1000 + 0.5) end
    return at
  end

  it("is how many start at once", function()
    assert.same({ 0, 0, 0, 500, 1000 }, starts({ rate = "2/s", burst = 3 }, 5))
    assert.same({ 0, 0, 500, 1000 }, starts({ rate = "2/s" }, 4))
    assert.same({ 0, 500, 1000 }, starts({ rate = "2/s", burst = 1 }, 3))
    assert.same({ 0, 0, 2000 }, starts({ rate = 0.5, burst = 2 }, 3))
  end)
end)

describe("a definition that is given as a text", function()
  local function load(name, places)
    local w = flow.load { name = "stranger.json", source =
      ([[{ "name": "s", "pools": { "%s": %d }, "nodes": [ { "id": "a", "type": "const", "value": 1, "pool": "%s" } ] }]])
      :format(name, places, name) }
    return flow.run(w).state
  end

  it("declares pools for itself, and changes none of others", function()
    local name = fresh()
    assert.equal("completed", load(name, 3))
    assert.same({ max = 3 }, flow.pool(name))
    assert.equal("completed", load(name, 4)) -- as another stranger's
    assert.same({ max = 3 }, flow.pool(name))
    flow.pool(name, { max = 5, default = true }) -- what a node type brings along
    assert.same({ max = 5 }, flow.pool(name))
    assert.equal("completed", load(name, 0))
    local w = flow.workflow { name = name, pools = { [name] = 6 } }
    w.a = { run = print }
    assert.is_truthy(flow.compile(w))
    assert.equal("completed", load(name, 0))
    assert.same({ max = 6 }, flow.pool(name))
  end)
end)

-- ---- a place that is held -----------------------------------------------------------------------

-- Each waits in another way for a second and more, and completes.
local ways = {
  sleep = { run = function(ctx) ctx:sleep "2s" end },
  step = { run = function(ctx) ctx:step("wait", function() flow.sleep "2s" end) end },
  signal = { run = function(ctx) ctx:wait "go" end, signal = true },
  timeout = { run = function(ctx) pcall(ctx.wait, ctx, "never", { timeout = "2s" }) end },
  gather = { run = function(ctx)
    flow.gather { function() ctx:sleep "1s" end, function() ctx:sleep "2s" end }
  end },
  child = { run = function(ctx)
    local child = flow.workflow { name = "child" }
    child.slow = { run = function(inner) inner:sleep "2s" end }
    ctx:call(child)
  end },
  retry = { run = function(ctx) if ctx.attempt == 1 then error "again" end end,
    retry = { max = 1, delay = "2s", jitter = "none" } },
  loop = { run = function() end, loop = { times = 2, delay = "2s" } },
  fallback = { run = function() error "no" end, fallback = function(ctx) ctx:sleep "2s" end },
}

-- Two runs of a runtime: a node that waits in one of these ways, and another that wants its place.
-- The runs, and when the other began, in seconds. `meddle(ctx, first, rt, pool)` is called beside.
local function beside(way, hold, meddle)
  local name = fresh()
  local rt = flow.runtime { clock = "virtual" }
  local w = flow.workflow { name = name, pools = { [name] = 1 } }
  w.first = { pool = { name = name, hold = hold }, run = way.run, retry = way.retry, loop = way.loop,
    fallback = way.fallback }
  local v = flow.workflow { name = name .. "-other" }
  v.other = { pool = name, run = function() return rt:now() end }
  local began = rt:now()
  local first, other = flow.start(w, { runtime = rt }), flow.start(v, { runtime = rt })
  local beside_them = flow.workflow { name = "meddler" }
  beside_them.m = { run = function(ctx)
    if meddle then return meddle(ctx, first, rt, name) end
    ctx:sleep "2s"
    if way.signal then first:signal("go", true) end
  end }
  local third = flow.start(beside_them, { runtime = rt })
  for _, run in ipairs { first, other, third } do rt:wait(run) end
  return first, other, other.state == "completed" and other:outputs().other - began
end

describe("a node with hold", function()
  for kind, way in pairs(ways) do
    it("keeps its place over: " .. kind, function()
      local first, _, began = beside(way, true)
      assert.equal("completed", first.state)
      assert.is_true(began >= 2, began)
    end)

    it("gives it back without hold over: " .. kind, function()
      local first, _, began = beside(way, false)
      assert.equal("completed", first.state)
      assert.is_true(began < 1, began)
    end)
  end

  for _, kind in ipairs { "sleep", "signal", "child", "retry" } do
    local way = ways[kind]
    it("gives it back when it is cancelled in: " .. kind, function()
      local first, _, began = beside(way, true, function(ctx, run)
        ctx:sleep "1s"
        run:cancel()
      end)
      assert.equal("cancelled", first.state)
      assert.is_true(began >= 1 and began < 2, began)
    end)

    it("keeps it while its run is paused in: " .. kind, function()
      local first, _, began = beside(way, true, function(ctx, run)
        ctx:sleep "1s"
        run:pause()
        ctx:sleep "100s"
        run:resume()
        if way.signal then run:signal("go", true) end
      end)
      assert.equal("completed", first.state)
      assert.is_true(began >= 100, began)
    end)

    it("goes on in a pool that is paused, in: " .. kind, function()
      local first, _, began = beside(way, true, function(ctx, run, rt, pool)
        ctx:sleep "1s"
        rt:pause_pool(pool, true)
        if way.signal then run:signal("go", true) end
        ctx:sleep "5s"
        assert.equal("completed", run.state)
        rt:pause_pool(pool, false)
      end)
      assert.equal("completed", first.state)
      assert.is_true(began >= 6, began)
    end)
  end

  it("is what why names", function()
    local first, _, began = beside(ways.sleep, true, function(ctx, run)
      ctx:sleep "1s"
      assert.equal("timer", run:why("first").kind)
    end)
    assert.equal("completed", first.state)
    assert.equal(2, began)
  end)
end)

-- ---- operating ----------------------------------------------------------------------------------

local function named(list, name)
  for _, each in ipairs(list) do
    if each.name == name then return each end
  end
end

describe("an operator", function()
  it("sees what pools are at, and changes their places while runs go on", function()
    local rt, name = flow.runtime { clock = "virtual" }, fresh()
    flow.pool(name, { max = 1, rate = "600/1m", burst = 20 })
    local w = flow.workflow { name = name }
    w.work = { each = { 1, 2, 3, 4 }, pool = { name = name, hold = true }, run = function(ctx)
      ctx:sleep "1s"
    end }
    w.watch = { run = function(ctx)
      ctx:sleep "500ms"
      assert.same({ name = name, max = 1, used = 1, waiting = 3, keyed = false, paused = false, rate = 10,
        burst = 20, tokens = 20 }, named(rt:pools(), name))
      rt:pause_pool(name, true)
      assert.is_true(named(rt:pools(), name).paused)
      rt:limit_pool(name, 3)
      ctx:sleep "100ms"
      assert.equal(1, named(rt:pools(), name).used)
      rt:pause_pool(name, false)
      ctx:sleep "1ms"
      local pool = named(rt:pools(), name)
      assert.same({ 3, 3, 1 }, { pool.max, pool.used, pool.waiting })
      assert.is_true(pool.tokens >= 18 and pool.tokens < 19, pool.tokens)
    end }
    local run = flow.run(w, { runtime = rt })
    assert.equal("completed", run.state, run.error and run.error.message)
  end)

  it("is told of a pool that is not there, and of places that are none", function()
    local rt = flow.runtime { clock = "virtual" }
    assert.error_matches(function() rt:limit_pool("nowhere", 1) end, "no pool is called nowhere")
    assert.error_matches(function() rt:pause_pool("nowhere", true) end, "no pool is called nowhere")
    rt:pool("here", { rate = 1 })
    assert.error_matches(function() rt:limit_pool("here", -1) end, "pool here: max is not negative")
    assert.is_nil(named(rt:pools(), "here").max)
    rt:limit_pool("here", 4)
    assert.equal(4, named(rt:pools(), "here").max)
  end)

  it("sees what breakers are at, and closes one", function()
    local rt, name = flow.runtime { clock = "virtual" }, fresh()
    local w = flow.workflow { name = name, on_error = "continue" }
    local breaker = { name = name, threshold = 2, window = "1m", cooldown = "1h", probes = 3 }
    local works = false
    local function call()
      if not works then flow.error { code = "down", message = "no answer" } end
    end
    w.one = { breaker = breaker, retry = { max = 5, delay = "1s", jitter = "none" }, run = call }
    w.watch = { run = function(ctx)
      ctx:sleep "500ms"
      assert.same({ name = name, state = "closed", failures = 1, probing = 0, waiting = 0, threshold = 2,
        window = 60, cooldown = 3600, probes = 3 }, named(rt:breakers(), name))
      ctx:sleep "10s"
      local seen = named(rt:breakers(), name)
      assert.equal("open", seen.state)
      assert.equal(1, seen.waiting)
      assert.is_true(seen["until"] > ctx:now() + 3500, seen["until"])
      works = true
      assert.is_true(rt:reset_breaker(name))
      seen = named(rt:breakers(), name)
      assert.equal("closed", seen.state)
      assert.equal(0, seen.waiting)
      assert.is_nil(seen["until"])
    end }
    local run = flow.run(w, { runtime = rt })
    assert.equal("completed", run.state, run.error and run.error.message)
    assert.is_true(run:stats().ended - run:stats().started < 60)
  end)
end)

-- ---- after a crash ------------------------------------------------------------------------------

local CRASH = [[
local flow = require "orrery"
local function did(what)
  local file <close> = io.open("did", "a")
  file:write(what, "\n")
end
local function await(name) while not io.open(name) do flow.sleep "10ms" end end
local w = flow.workflow { name = "w", pools = { lock = 1 } }
w.other = { after = "gate", pool = "lock", priority = "critical", run = function() did "other" end }
w.gate = { run = function(ctx) did "gate" end }
w.first = { priority = "critical", pool = { name = "lock", hold = true }, KEYS run = function(ctx) BODY end }
return w
]]

local crashes = {
  { "runs", body = [[did "begun" await "go" did "first"]] },
  { "sleeps", body = [[did "begun" ctx:sleep "300ms" await "go" did "first"]] },
  { "waits for a signal", body = [[did "begun" ctx:wait "go" did "first"]], signal = true },
  { "waits for a child", body = [[did "begun" local child = flow.workflow { name = "child" }
      child.c = { run = function() await "go" end } ctx:call(child) did "first"]] },
  { "waits out a backoff", keys = [[retry = { max = 1, delay = "300ms" },]],
    body = [[if ctx.attempt == 1 then did "begun" error "again" end await "go" did "first"]] },
}

describe("a node with hold whose process was killed while it", function()
  for _, way in ipairs(crashes) do
    it(way[1] .. " has its place again before others", function()
      local here <close> = place.new()
      here:write("w.lua", (CRASH:gsub("KEYS", way.keys or ""):gsub("BODY", function() return way.body end)))
      local process = here:start { "run", "w.lua", "-q" }
      here:until_true(function() return here:counts().begun and here:counts().gate end, "the beginning")
      here:until_true(function()
        return #here:query "SELECT 1 FROM nodes WHERE node = 'gate' AND state = 'completed'" == 1
      end, "the gate")
      process.handle:kill "sigkill"
      here:finish(process)
      local again = here:start { "resume", "-q" }
      if way.signal then
        here:until_true(function() return here:counts().begun == 2 end, "the second beginning")
        local id = here:query("SELECT id FROM runs WHERE parent IS NULL")[1].id
        here:ends(0, "signal", id, "go")
      end
      here:write("go", "")
      assert.equal(0, here:finish(again).code, here:read(again.err))
      local done = here:did()
      assert.same({ "first", "other" }, { done[#done - 1], done[#done] })
    end)
  end
end)

-- ---- waits that can never end -------------------------------------------------------------------

describe("a wait that can never end", function()
  local function workflows(name, pools)
    return flow.workflow { name = name, pools = pools }
  end

  local function deepest(problem)
    while problem.details and problem.details.error or problem.cause do
      problem = problem.details and problem.details.error or problem.cause
    end
    return problem
  end

  it("is that of a child for the place of its parent", function()
    local name = fresh()
    local child = workflows("inner", { [name] = 1 })
    child.wants = { pool = name, run = print, retry = 5 }
    local w = workflows "outer"
    w.has = { pool = { name = name, hold = true }, run = function(ctx) return ctx:call(child) end }
    flow.compile(child)
    local run = flow.run(w, { runtime = flow.runtime { clock = "virtual" } })
    assert.equal("failed", run.state)
    local problem = deepest(run.error)
    assert.equal("deadlock", problem.code)
    assert.equal(("no place in pool '%s' ever comes free for it: node 'has' of workflow 'outer' holds it and "
      .. "waits for this run; give one of them another pool, raise the pool's max, or leave out hold")
      :format(name), problem.message)
  end)

  it("can be mended by a fallback that needs no place, in the parent", function()
    local name = fresh()
    local child = workflows("inner", { [name] = 1 })
    child.wants = { pool = name, run = print }
    flow.compile(child)
    local w = workflows "outer"
    w.has = { pool = { name = name, hold = true }, run = function(ctx) return ctx:call(child) end,
      fallback = "as it was" }
    local run = flow.run(w, { runtime = flow.runtime { clock = "virtual" } })
    assert.equal("completed", run.state)
    assert.equal("as it was", run:outputs().has)
  end)

  it("is that of a grandchild, also among other strands", function()
    local name = fresh()
    local inner = workflows("inner", { [name] = 1 })
    inner.wants = { pool = name, run = print }
    flow.compile(inner)
    local middle = workflows "middle"
    middle.calls = { run = function(ctx)
      flow.gather { function() ctx:sleep "1m" end, function() ctx:call(inner) end }
    end }
    local w = workflows "outer"
    w.has = { pool = { name = name, hold = true }, run = function(ctx) return ctx:call(middle) end }
    local run = flow.run(w, { runtime = flow.runtime { clock = "virtual" } })
    assert.equal("failed", run.state)
    assert.equal("deadlock", deepest(run.error).code)
  end)

  it("is that of two for the place of each other, and one of them goes on", function()
    local p, q = fresh(), fresh()
    local rt = flow.runtime { clock = "virtual" }
    local function pair(name, has, wants)
      local child = workflows(name .. "s")
      child.wants = { pool = wants, run = function() return name end }
      local w = workflows(name, { [p] = 1, [q] = 1 })
      w.has = { pool = { name = has, hold = true }, run = function(ctx)
        ctx:sleep "1s"
        return ctx:call(child)
      end }
      return flow.start(w, { runtime = rt })
    end
    local function both(a, b)
      rt:wait(a)
      rt:wait(b)
      return a.state .. " " .. b.state
    end
    flow.compile(workflows("first", { [p] = 1, [q] = 1 }))
    local a, b = pair("a", p, q), pair("b", q, p)
    local states = both(a, b)
    assert.is_true(states == "failed completed" or states == "completed failed", states)
    local problem = deepest((a.state == "failed" and a or b).error)
    assert.equal("deadlock", problem.code)
    assert.is_truthy(problem.message:find("node 'has' of workflow 'a'", 1, true))
    assert.is_truthy(problem.message:find("node 'has' of workflow 'b'", 1, true))
  end)

  it("is none where the parent does not hold its place", function()
    local name = fresh()
    local child = workflows("inner", { [name] = 1 })
    child.wants = { pool = name, run = function() return 1 end }
    flow.compile(child)
    local w = workflows "outer"
    w.has = { pool = name, run = function(ctx) ctx:call(child) return 1 end }
    assert.equal("completed", flow.run(w, { runtime = flow.runtime { clock = "virtual" } }).state)
  end)

  it("is none while somebody may still send a signal", function()
    local name = fresh()
    local rt = flow.runtime { clock = "virtual" }
    local w, v = workflows(name, { [name] = 1 }), workflows(name .. "-other")
    w.has = { pool = { name = name, hold = true }, run = function(ctx) ctx:wait "go" return 1 end }
    v.calls = { run = function(ctx)
      local child = workflows "child"
      child.wants = { pool = name, run = function() return 1 end }
      return ctx:call(child)
    end }
    local first, other = flow.start(w, { runtime = rt }), flow.start(v, { runtime = rt })
    local m = workflows "meddler"
    m.m = { run = function(ctx) ctx:sleep "1h" first:signal("go", true) end }
    flow.start(m, { runtime = rt })
    rt:wait(first)
    rt:wait(other)
    assert.equal("completed completed", first.state .. " " .. other.state)
  end)
end)

-- ---- the command --------------------------------------------------------------------------------

describe("orrery run -j", function()
  -- The most commands at a time.
  local function most(here, ...)
    os.remove(here.folder .. "/did")
    here:ends(0, "run", "w.lua", "-q", "--store", "memory:", ...)
    local now, peak = 0, 0
    for _, line in ipairs(here:did()) do
      now = now + (line == "begin" and 1 or -1)
      peak = math.max(peak, now)
    end
    return peak
  end

  local width = uv.available_parallelism()
  local FILE = HEAD .. [[
    POOL
    local w = flow.workflow { name = "w" OPTIONS }
    for i = 1, %d do
      w["n" .. i] = flow.exec { shell = "echo begin >> did; touch at.]] .. "$$" .. [[; for i in $(seq 500); do "
        .. "[ $(ls at.* | wc -l) -ge WANT ] && break; sleep 0.01; done; echo end >> did" }
    end
    return w]]

  local function write(here, want, pool, options)
    here:write("w.lua", (FILE:format(width + 2):gsub("WANT", want):gsub("POOL", pool or "")
      :gsub("OPTIONS", options or "")))
  end

  it("lets as many commands run as it says, where that is more than processors", function()
    local here <close> = place.new()
    write(here, width + 2)
    assert.equal(width + 2, most(here, "-j", width + 2))
  end)

  it("gives way to a pool that is declared", function()
    local here <close> = place.new()
    write(here, 1, 'flow.pool("exec", { max = 1 })')
    assert.equal(1, most(here, "-j", width + 2))
    write(here, 1, nil, ", pools = { exec = 1 }")
    assert.equal(1, most(here, "-j", width + 2))
  end)

  it("is told where people look for it", function()
    local help = command.run { "run", "--help" }
    assert.is_truthy(help.out:gsub("%s+", " "):find("as many commands", 1, true), help.out)
  end)
end)
