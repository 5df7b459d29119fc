-- Steps: what a handler does once, whatever becomes of its attempts; and what it decides by.

local flow = require "orrery"
local place = require "spec.support.place"
local uv = require "luv"

local DURABLE = { journal = true, clock = "virtual" }

-- A run of one node `a`, whose handler fails at the end of its first attempt. What `body` returned,
-- by attempt.
local function twice(body, options, keys)
  local seen, w = {}, flow.workflow { name = "twice" }
  local node = { retry = { max = 1, delay = "1s", jitter = "none" }, run = function(ctx)
    seen[ctx.attempt] = table.pack(body(ctx))
    if ctx.attempt == 1 then error("again", 0) end
  end }
  for key, value in pairs(keys or {}) do node[key] = value end
  w.a = node
  local run = flow.run(w, options or DURABLE)
  return seen, run
end

local function once(body, options)
  local w = flow.workflow { name = "once", output = "${nodes.a}" }
  w.a = { run = body }
  return flow.run(w, options or DURABLE)
end

local function steps_of(run)
  local found = {}
  for _, record in ipairs(run:journal()) do
    if record.kind == "step" then found[#found + 1] = record.value end
  end
  return found
end

local function counter()
  local n = {}
  return n, function(name, value)
    return function()
      n[name] = (n[name] or 0) + 1
      return value
    end
  end
end

describe("steps in a store", function()
  it("raise their errors when their records are on disk, and count anew in each node", function()
    local here <close> = place.new {}
    local rt = flow.runtime { store = "sqlite:" .. here.db }
    local w = flow.workflow { name = "stored", output = "${nodes.b}" }
    local function failing(ctx, name)
      local ok, e = pcall(ctx.step, ctx, name, function() flow.error { code = "odd", message = name } end)
      return { ok, e.code, e.message }
    end
    w.a = { run = function(ctx)
      local first = ctx:step("first", function() return 1 end)
      local waits = { pcall(ctx.step, ctx, "waits", function()
        ctx:sleep(0.01)
        flow.error { code = "odd", message = "waits" }
      end) }
      return { first, failing(ctx, "second"), waits[1], (flow.gather {
        function() return failing(ctx, "third") end,
        function() return ctx:step("fourth", function() end) end })[1] }
    end }
    w.b = { after = "a", run = function(ctx, inputs)
      return { inputs.a, ctx:step("first", function() return 5 end) }
    end }
    local run = flow.run(w, { runtime = rt })
    assert.equal("completed", run.state, run.error and run.error.message)
    assert.same({ { 1, { false, "odd", "second" }, false, { false, "odd", "third" } }, 5 }, run.output)
    local firsts = {}
    for _, record in ipairs(run:journal()) do
      if record.kind == "step" and record.value.n == "first" then firsts[#firsts + 1] = record.value.o end
    end
    assert.same({ 1, 1 }, firsts)
    rt:close()
  end)
end)

describe("ordinals", function()
  it("count anew in each node and in each of its attempts", function()
    local w = flow.workflow { name = "ordinals", concurrency = 1 }
    local function body(ctx)
      for _, name in ipairs { "x", "y" } do ctx:step(name, function() return ctx.node end) end
      if ctx.node == "b" and ctx.attempt == 1 then error "again" end
    end
    w.a = { run = body }
    w.b = { after = "a", run = body, retry = { max = 1, delay = 0 } }
    w.c = { after = "b", run = body }
    local run = flow.run(w, DURABLE)
    local ordinals = {}
    for i, step in ipairs(steps_of(run)) do ordinals[i] = step.n .. step.o end
    assert.equal("x1 y2 x1 y2 x1 y2", table.concat(ordinals, " "))
  end)
end)

describe("a compensation and a fallback", function()
  it("take steps of their own, whatever those of the attempts were called", function()
    local taken = {}
    local function step(as)
      return function(ctx) taken[as] = ctx:step("x", function() return as end) end
    end
    local w = flow.workflow { name = "own" }
    w.a = { timeout = "1s", compensate = step "undone", run = function(ctx)
      step "done" (ctx)
      flow.await(function(resume)
        local timer = uv.new_timer()
        timer:start(5000, 0, resume)
        return function() timer:close() end
      end)
    end }
    assert.equal("compensated", flow.run(w, DURABLE).state)
    w = flow.workflow { name = "other" }
    w.a = { fallback = step "instead", run = function(ctx)
      step "tried" (ctx)
      error "no"
    end }
    assert.equal("completed", flow.run(w, DURABLE).state)
    assert.same({ done = "done", undone = "undone", tried = "tried", instead = "instead" }, taken)
  end)
end)

describe("what a step ends with", function()
  it("fails it where it cannot be kept, and loses its details where these are too large", function()
    local run = once(function(ctx)
      local ok, e = pcall(ctx.step, ctx, "function", function() return print end)
      local _, large = pcall(ctx.step, ctx, "large", function()
        flow.error { code = "odd", message = "large", details = { ("x"):rep(5000) } }
      end)
      return { ok, type(e) == "table" and e.code or "none", large.code, large.details == nil }
    end, { journal = true, runtime = flow.runtime { clock = "virtual", output_limit = 1000 } })
    assert.equal("completed", run.state, run.error and run.error.message)
    assert.is_false(run.output[1])
    assert.are_not.equal("none", run.output[2])
    assert.same({ "odd", true }, { run.output[3], run.output[4] })
  end)
end)

describe("a third attempt", function()
  it("may leave a step of the first behind one of the second, and what it does anew is told", function()
    local logged, w = {}, flow.workflow { name = "third", output = "${nodes.a}" }
    w.a = { retry = { max = 2, delay = 0 }, run = function(ctx)
      local n = ctx.attempt
      ctx:step("s", function() end)
      pcall(ctx.step, ctx, "r", function()
        ctx:log("info", "in attempt " .. n)
        if n == 1 then error "no" end
      end)
      if n == 2 then error "again" end
      ctx:step(n == 1 and "y" or "z", function() end)
      if n == 1 then error "again" end
      return n
    end }
    local run = flow.run(w, { journal = true, clock = "virtual",
      on_event = function(e) if e.event == "log" then logged[#logged + 1] = e.message end end })
    assert.equal("completed", run.state, run.error and run.error.message)
    assert.same({ "in attempt 1", "in attempt 2" }, logged)
  end)
end)

describe("keys", function()
  it("are another in each item and each iteration", function()
    local seen, n = {}, 0
    local function note(ctx)
      if not seen[ctx.idempotency_key] then n = n + 1 end
      seen[ctx.idempotency_key] = true
    end
    local w = flow.workflow { name = "keys" }
    w.items = { each = { 1, 2, 3 }, run = note }
    w.loops = { loop = { times = 3 }, run = note }
    assert.equal("completed", flow.run(w, DURABLE).state)
    assert.equal(6, n)
  end)
end)

describe("a step of the same name and of another kind", function()
  it("is another step", function()
    local seen = twice(function(ctx)
      if ctx.attempt == 1 then return ctx:step("x", function() return 1 end) end
      local _, e = pcall(ctx.wait, ctx, "x", { timeout = 1 })
      return e.code
    end)
    assert.same({ 1, "nondeterminism" }, { seen[1][1], seen[2][1] })
  end)
end)

describe("ctx:step", function()
  it("is done once, whatever becomes of its attempts", function()
    local calls, count = counter()
    local seen, run = twice(function(ctx)
      return ctx:step("one", count("one", { n = 1 })), ctx:step("two", count("two")),
        ctx:step("three", count("three", false))
    end)
    assert.equal("completed", run.state)
    assert.same({ one = 1, two = 1, three = 1 }, calls)
    assert.same(seen[1], seen[2])
    assert.same({ { k = "step", n = "one", o = 1, v = { n = 1 } }, { k = "step", n = "two", o = 2 },
      { k = "step", n = "three", o = 3, v = false } }, steps_of(run))
  end)

  it("calls its function with the arguments, and may wait in it", function()
    local run = once(function(ctx)
      return ctx:step("sum", function(a, b, c)
        ctx:sleep("1h")
        flow.gather { function() ctx:sleep(5) end, function() ctx:sleep(6) end }
        return { a, b, c == nil }
      end, 1, 2, nil)
    end)
    assert.same({ 1, 2, true }, run.output)
    assert.equal(1, #steps_of(run)) -- the step stands for all that happens in it
  end)

  it("takes a node type, and all else that can be called", function()
    local seen = twice(function(ctx)
      return ctx:step("const", flow.const, { value = { ctx.attempt } }).value or ctx.attempt,
        ctx:step("other", setmetatable({}, { __call = function(_, n) return n + ctx.attempt end }), 40)
    end)
    assert.equal(41, seen[2][2])
    local run = once(function(ctx) return ctx:step("told", flow.const, { value = 5 }) end)
    assert.equal(5, run.output)
  end)

  it("gives back what it recorded, not what became of it", function()
    local seen = twice(function(ctx)
      local t = ctx:step("table",
        function() return { list = { 1, 2 }, empty = flow.json.array {}, n = 1.0, bytes = "\xff" } end)
      local was = flow.json.encode { t.list, t.empty, t.n }
      t.list[3], t.n = 3, 2
      return was, t.bytes
    end)
    assert.equal("[[1,2],[],1.0]", seen[1][1])
    assert.same(seen[1], seen[2])
  end)

  it("that fails is done again in the next attempt, and those before it are not", function()
    local calls, count = counter()
    local w = flow.workflow { name = "fails" }
    w.a = { retry = { max = 2, delay = "1s" }, run = function(ctx)
      ctx:step("before", count "before")
      ctx:step("fails", function()
        count "fails" ()
        if ctx.attempt < 3 then
          flow.error { code = "shy", message = "not yet", details = { attempt = ctx.attempt } }
        end
      end)
      return ctx:step("after", count("after", "done"))
    end }
    local run = flow.run(w, DURABLE)
    assert.equal("completed", run.state)
    assert.same({ before = 1, fails = 3, after = 1 }, calls)
    assert.same({ code = "shy", message = "not yet", details = { attempt = 1 } }, steps_of(run)[2].e)
  end)

  it("raises a structured error, with a journal and without", function()
    for _, options in ipairs { DURABLE, { clock = "virtual" } } do
      local run = once(function(ctx)
        local ok, e = pcall(ctx.step, ctx, "odd", function() error("plain", 0) end)
        local _, e2 = pcall(ctx.step, ctx, "odder",
          function() flow.error { code = "mine", retryable = false } end)
        return { ok, e.code, e.message, type(e.traceback), e2.code, e2.retryable, tostring(e) }
      end, options)
      assert.same({ false, "handler_error", "plain", "string", "mine", false },
        { table.unpack(run.output, 1, 6) })
      assert.matches("plain", run.output[7])
    end
  end)

  it("returns plain data, with a journal and without", function()
    for _, options in ipairs { DURABLE, { clock = "virtual" } } do
      local run = once(function(ctx) return ctx:step("bad", function() return { print } end) end, options)
      assert.equal("failed", run.state)
      assert.equal("invalid_output", run.error.code)
      assert.matches("step%[1%]", run.error.message)
    end
  end)

  it("inside a step is a plain call", function()
    local calls, count = counter()
    local _, run = twice(function(ctx)
      return ctx:step("outer", function()
        return ctx:step("inner", count("inner", 1)) + ctx:step("inner too", count("inner", 2))
      end)
    end)
    assert.equal(2, calls.inner)
    assert.same({ { k = "step", n = "outer", o = 1, v = 3 } }, steps_of(run))
  end)

  it("does not contain what is recorded by itself", function()
    local child = flow.workflow { name = "child" }
    child.c = { run = function() end }
    for name, call in pairs { ["ctx:wait"] = function(ctx) ctx:wait "x" end,
        ["ctx:call"] = function(ctx) ctx:call(child) end } do
      for _, options in ipairs { DURABLE, { clock = "virtual" } } do
        local run = once(function(ctx) return ctx:step("s", call, ctx) end, options)
        assert.matches(name .. " cannot be used inside ctx:step", run.error.message)
      end
    end
  end)

  it("is free again after a step that failed", function()
    local run = once(function(ctx)
      pcall(ctx.step, ctx, "s", function() error "x" end)
      return ctx:wait("none", { timeout = 1 })
    end)
    assert.equal("signal_timeout", run.error.code)
  end)

  it("wants a name and a function", function()
    local run = once(function(ctx)
      local _, a = pcall(ctx.step, ctx, 7, print)
      local _, b = pcall(ctx.step, ctx, "x")
      return { a, b }
    end)
    assert.matches("string expected", run.output[1])
    assert.matches("function expected", run.output[2])
  end)

  it("in a run without a journal only calls its function", function()
    local calls, count = counter()
    local _, run = twice(function(ctx) return ctx:step("one", count "one") end, { clock = "virtual" })
    assert.equal(2, calls.one)
    assert.equal("completed", run.state)
  end)

  it("cannot be begun in a callback or where nothing can wait", function()
    local run = once(function(ctx)
      local _, e = pcall(table.sort, { 2, 1 }, function() ctx:step("s", function() end) end)
      local late = flow.await(function(resume)
        local timer = require("luv").new_timer()
        timer:start(0, 0, function()
          timer:close()
          resume(select(2, pcall(ctx.step, ctx, "s", function() end)))
        end)
      end)
      return { tostring(e), tostring(late) }
    end)
    assert.matches("cannot wait here", run.output[1])
    assert.matches("ctx:step cannot be used in a callback", run.output[2])
  end)
end)

describe("a sequence of steps", function()
  it("that no longer matches is nondeterminism, and both are shown", function()
    local _, run = twice(function(ctx)
      ctx:step(ctx.attempt == 1 and "charge" or "refund", function() end)
    end)
    assert.equal("failed", run.state)
    assert.equal("nondeterminism", run.error.code)
    assert.is_false(run.error.retryable)
    assert.matches('step 1 of node a was ctx:step%("charge"%) when it was recorded and is '
      .. 'ctx:step%("refund"%) now', run.error.message)
    assert.same({ step = 1, path = "", recorded = { kind = "step", name = "charge" },
      asked = { kind = "step", name = "refund" } },
      run.error.details)
  end)

  it("fails its attempt, also where the handler catches the error and goes on", function()
    local calls, count = counter()
    local _, run = twice(function(ctx)
      ctx:step("one", function() end)
      pcall(ctx.step, ctx, ctx.attempt == 1 and "charge" or "refund", function() end)
      flow.gather { function() pcall(ctx.step, ctx, "strand", count("strand " .. ctx.attempt)) end }
      pcall(ctx.step, ctx, "last " .. ctx.attempt, count("last " .. ctx.attempt))
      return "fine"
    end)
    assert.same({ ["strand 1"] = 1, ["last 1"] = 1 }, calls)
    assert.equal("failed", run.state)
    assert.matches('step 2 of node a was ctx:step%("charge"%) when it was recorded', run.error.message)
    assert.same({}, run:outputs())
  end)

  it("names the strand and the kind", function()
    local _, run = twice(function(ctx)
      flow.gather { function() if ctx.attempt == 1 then ctx:sleep(1) else ctx:now() end end }
    end)
    assert.matches("step 1 of strand /1%.1 of node a was ctx:sleep when it was recorded and is ctx:now now",
      run.error.message)
  end)

  it("may take another course after a step that had failed", function()
    local calls, count = counter()
    local seen, run = twice(function(ctx)
      local first = ctx.attempt
      if not pcall(ctx.step, ctx, "try", function() assert(first == 2) end) then
        ctx:step("other way", count "other")
        flow.gather { function() ctx:step("deep", count "deep") end }
        return ctx:step("last", count "last")
      end
      ctx:step("this way", count "this")
      flow.gather { function() ctx:step("not so deep", count "this") end }
      return ctx:step("last", count("last", "new"))
    end)
    assert.equal("completed", run.state)
    assert.same({ other = 1, deep = 1, last = 2, this = 2 }, calls)
    assert.equal("new", seen[2][1])
  end)

  it("is one for each coroutine of a gather, whatever their order", function()
    local calls, count = counter()
    local seen, run = twice(function(ctx)
      local delays = ctx.attempt == 1 and { 3, 2, 1 } or { 1, 2, 3 }
      local strands = {}
      for i, delay in ipairs(delays) do
        strands[i] = function()
          flow.exec { "true" }
          ctx:step("a", function() ctx:sleep(delay) count "a" () end)
          return ctx:step("b", count("b", i))
            + flow.gather { function() return ctx:step("c", count("c", 10 * i)) end }[1]
        end
      end
      return table.concat(flow.gather(strands), " "), ctx:step("end", count("end", 1))
    end)
    assert.equal("completed", run.state)
    assert.same({ a = 3, b = 3, c = 3, ["end"] = 1 }, calls)
    assert.equal("11 22 33", seen[1][1])
    assert.same(seen[1], seen[2])
  end)

  it("is another one for each item, iteration and fallback", function()
    local calls, count = counter()
    local w = flow.workflow { name = "each", on_error = "continue" }
    w.items = { each = function() return { "x", "y" } end, retry = { max = 1, delay = 1 }, run = function(ctx)
      local v = ctx:step("s", count(ctx.item, ctx.item))
      if ctx.attempt == 1 then error "again" end
      return v
    end }
    w.loop = { loop = { ["until"] = function(ctx) return ctx.iteration == 3 end, max = 5 },
      run = function(ctx)
      return ctx:step("s", count("loop", ctx.iteration))
    end }
    w.falls = { run = function(ctx) ctx:step("run", count "run") error "no" end,
      fallback = function(ctx) return ctx:step("fallback", count("fallback", "fell")) end }
    local run = flow.run(w, DURABLE)
    assert.same({}, run:errors())
    assert.same({ "x", "y" }, run:outputs().items)
    assert.same({ x = 1, y = 1, loop = 3, run = 1, fallback = 1 }, calls)
    assert.equal("fell", run:outputs().falls)
  end)

  it("hides what was reported before the point that has been reached", function()
    local told = {}
    twice(function(ctx)
      ctx:log("info", "begin")
      ctx:step("one", function() ctx:log("info", "in one") end)
      ctx:emit("mine", 1)
      ctx:progress(0.5)
      flow.gather { function()
        ctx:log("info", "strand")
        ctx:step("s", function() end)
        ctx:log("info", "strand ends")
      end }
      ctx:step("two", function() end)
      ctx:log("info", "live")
    end, { journal = true, clock = "virtual", on_event = function(e)
      if e.event == "log" or e.event == "mine" or e.event == "progress" then
        told[#told + 1] = e.attempt .. " " .. (e.message or e.event)
      end
    end })
    assert.same({ "1 begin", "1 in one", "1 mine", "1 progress", "1 strand", "1 strand ends", "1 live",
      "2 live" }, told)
  end)
end)

describe("implicit steps", function()
  it("ctx:now is recorded, ctx:random and ctx:uuid need no record", function()
    local seen, run = twice(function(ctx)
      ctx:sleep(ctx.attempt == 1 and "1m" or "3m")
      return ctx:now(), ctx:random(), ctx:random(6), ctx:random(-3, -2), ctx:random(0), ctx:uuid(), ctx:uuid()
    end)
    assert.same(seen[1], seen[2])
    assert.equal(2, #steps_of(run))
    local _, float, six, two, any, id, other = table.unpack(seen[1])
    assert.is_true(float >= 0 and float < 1 and six >= 1 and six <= 6 and two >= -3 and two <= -2)
    assert.equal("integer", math.type(any))
    assert.matches("^%x+%-%x+%-4%x+%-[89ab]%x+%-%x+$", id)
    assert.are_not.equal(id, other)
  end)

  it("chance differs by run, node, item, strand, place and within a step", function()
    local w = flow.workflow { name = "chance" }
    local function draw(ctx)
      local all = flow.gather { function() return ctx:uuid() end, function() return ctx:uuid() end }
      all[3], all[4] = ctx:uuid(), ctx:uuid()
      ctx:step("in", function()
        all[5], all[6] = ctx:uuid(), ctx:uuid()
        local deep = flow.gather { function() return ctx:uuid() end, function() return ctx:uuid() end }
        local more = flow.gather { function() return ctx:uuid() end }
        all[7], all[8], all[9] = deep[1], deep[2], more[1]
      end)
      return all
    end
    w.a, w.b, w.c = { run = draw }, { run = draw }, { each = function() return { 1, 2 } end, run = draw }
    local seen, n = {}, 0
    local function add(list)
      for _, v in ipairs(list) do
        if type(v) == "table" then add(v) else
          assert.is_nil(seen[v])
          seen[v], n = true, n + 1
        end
      end
    end
    for seed = 1, 2 do
      local out = flow.run(w, { clock = "virtual", seed = seed }):outputs()
      add { out.a, out.b, out.c }
    end
    assert.equal(2 * 4 * 9, n)
  end)

  it("chance is spread evenly", function()
    local run = once(function(ctx)
      local counts, sum = { 0, 0, 0, 0, 0 }, 0
      for _ = 1, 10000 do
        local i = ctx:random(5)
        counts[i] = counts[i] + 1
        sum = sum + ctx:random()
      end
      return { counts, sum }
    end, { clock = "virtual", seed = 7 })
    for _, n in ipairs(run.output[1]) do assert.is_true(n > 1850 and n < 2150) end
    assert.is_true(run.output[2] > 4900 and run.output[2] < 5100)
    local failed = once(function(ctx) return ctx:random(2, 1) end)
    assert.matches("interval is empty", failed.error.message)
  end)

  it("a sleep goes on where it was", function()
    local rt = flow.runtime { clock = "virtual" }
    local w = flow.workflow { name = "sleep", output = "${nodes.a}" }
    local begun = rt:now()
    w.a = { retry = { max = 1, delay = 0 }, run = function(ctx)
      local strands = { function() ctx:sleep("1h") end }
      if ctx.attempt == 1 then strands[2] = function() ctx:sleep("20m") error "fails meanwhile" end end
      flow.gather(strands)
      ctx:sleep(0)
      return rt:now() - begun
    end }
    local run = flow.run(w, { journal = true, runtime = rt })
    assert.equal(3600, run.output)
  end)

  it("flow.sleep in a handler is ctx:sleep", function()
    local run = once(function() flow.sleep("2s") end)
    assert.equal("sleep", steps_of(run)[1].k)
  end)
end)

describe("ctx:call as a step", function()
  local function parent(body, options)
    local child = flow.workflow { name = "child", output = "${nodes.c}" }
    local seen = {}
    child.c = { run = function(ctx)
      seen[#seen + 1] = ctx.run.id
      return body(ctx, #seen)
    end }
    local _, run = twice(function(ctx) return ctx:call(child, ctx.attempt) end, options)
    return run, seen
  end

  it("keeps the result of a child that completed", function()
    local run, seen = parent(function(ctx) return { input = ctx.input } end)
    assert.equal("completed", run.state)
    assert.equal(1, #seen)
    local begun, ended = table.unpack(steps_of(run))
    assert.same({ k = "call", n = "child", o = 1, c = seen[1] }, begun)
    assert.same({ k = "call", n = "child", o = 1, v = { input = 1 } }, ended)
    assert.matches("^%x+%-%x+%-8", seen[1])
  end)

  it("starts another child in the next attempt where it failed", function()
    local run, seen = parent(function(_, n) if n == 1 then error "first" end return n end)
    assert.equal("completed", run.state)
    assert.equal(2, #seen)
    assert.are_not.equal(seen[1], seen[2])
    assert.equal("child_failed", steps_of(run)[2].e.code)
  end)

  it("derives the same id from the same place", function()
    local ids = {}
    for i = 1, 2 do
      local child = flow.workflow { name = "child" }
      child.c = { run = function(ctx) ids[i] = ctx.run.id end }
      local w = flow.workflow { name = "p" }
      w.a = { run = function(ctx) ctx:call(child) end }
      flow.run(w, { journal = true, clock = "virtual", id = "018f3c7e-1b2a-7c3d-8e4f-5a6b7c8d9e0f" })
    end
    assert.equal(ids[1], ids[2])
  end)

  it("is cancelled with its parent, and that is no result of it", function()
    local child = flow.workflow { name = "child" }
    child.c = { run = function(ctx) ctx:sleep("1d") end }
    local w = flow.workflow { name = "p", timeout = "1m" }
    w.a = { run = function(ctx) ctx:call(child) end }
    local run = flow.run(w, DURABLE)
    assert.equal("failed", run.state)
    assert.equal(1, #steps_of(run))
  end)
end)
