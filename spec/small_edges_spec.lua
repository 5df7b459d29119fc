-- Edges of what handlers see and of what a definition says: one line each, in virtual time.
local flow = require "orrery"
local core = require "orrery.core"
local uv = require "luv"

local json = core.json

local function run(w, options)
  local given = { runtime = flow.runtime { clock = "virtual" } }
  for key, value in pairs(options or {}) do given[key] = value end
  return flow.run(w, given)
end

describe("what is left of a node that has ended", function()
  it("is no context of the next, and no traceback of its error", function()
    local kept
    local w = flow.workflow { name = "left", output = "${nodes.b}", on_error = "continue", concurrency = 1 }
    w.a = { run = function(ctx) kept = ctx end }
    w.b = { after = "a", run = function() return (pcall(kept.now, kept)) end }
    assert.is_false(run(w).output)
    w = flow.workflow { name = "traces", on_error = "continue", concurrency = 1 }
    w.a = { run = function() error "with a line" end }
    w.b = { after = "a", join = "done", run = function() flow.error { code = "odd", message = "m" } end }
    w.c = { after = "b", join = "done", run = function() return nil, print end }
    local errors = run(w):errors()
    assert.truthy(errors.a.traceback)
    assert.is_nil((errors.b.traceback or ""):find("with a line", 1, true))
    assert.are_not.equal(errors.a.traceback, errors.b.traceback)
  end)
end)

describe("a handler that was in C when its timeout passed", function()
  it("has not completed, whoever listens", function()
    for _, listens in ipairs { false, true } do
      local w = flow.workflow { name = "late" }
      -- after it no code of the handler runs
      w.a = { timeout = "50ms", run = function() return uv.sleep(200) end }
      local rt = flow.runtime {}
      if listens then rt:on(function() end) end
      local done = flow.run(w, { runtime = rt })
      assert.equal("timeout", done.error and done.error.code)
      rt:close()
    end
  end)
end)

describe("the inputs of a handler", function()
  it("have no output of a dependency that gave none, and no others", function()
    local w = flow.workflow { name = "inputs", output = "${nodes.c}" }
    w.a = { on_error = "ignore", run = function() error "no" end }
    w.b = { run = function() return 1 end }
    w.c = { after = { "a", "b" }, join = "done", run = function(_, inputs)
      return { none = inputs.a == nil, b = inputs.b, ok = pcall(function() return inputs.d end) }
    end }
    assert.same({ none = true, b = 1, ok = false }, run(w).output)
  end)
end)

describe("numbers of JSON", function()
  it("are integers as far as 64 bits go, and floats beyond", function()
    local cases = {
      { "9223372036854775807", math.maxinteger }, { "-9223372036854775808", math.mininteger },
      { "9223372036854775806", math.maxinteger - 1 }, { "-9223372036854775807", -math.maxinteger },
      { "9223372036854775800", 9223372036854775800 }, { "922337203685477580", 922337203685477580 },
      { "9007199254740993", 9007199254740993 }, { "-9007199254740993", -9007199254740993 },
      { "9223372036854775808", 0x1p63 }, { "-9223372036854775809", -0x1p63 },
        { "18446744073709551616", 0x1p64 },
      { "9223372036854775807.0", 0x1p63 }, { "9007199254740993.0", 0x1p53 }, { "0", 0 }, { "-0.0", -0.0 },
    }
    for _, case in ipairs(cases) do
      local value = json.decode(case[1])
      assert.equal(case[2], value, case[1])
      assert.equal(math.type(case[2]), math.type(value), case[1])
    end
  end)

  it("are written so that they read back as they are", function()
    for _, x in ipairs { math.maxinteger, math.mininteger, 0, -1, 9007199254740993, 0x1p53, 0x1p63,
      -0x1p63, 3.0, 0.1, 1e300, 5e-324 } do
      local back = json.decode(json.encode(x))
      assert.equal(x, back)
      assert.equal(math.type(x), math.type(back))
    end
    assert.equal("-9223372036854775808", json.encode(math.mininteger))
    assert.equal("9007199254740992.0", json.encode(0x1p53))
  end)

  it("have neighbours in text: the first and the last surrogate of each kind", function()
    assert.equal("\u{10000}", json.decode '"\\uD800\\uDC00"')
    assert.equal("\u{103FF}", json.decode '"\\uD800\\uDFFF"')
    assert.equal("\u{10FC00}", json.decode '"\\uDBFF\\uDC00"')
    assert.equal("\u{10FFFF}", json.decode '"\\uDBFF\\uDFFF"')
    assert.equal("\u{D7FF}\u{E000}", json.decode '"\\uD7FF\\uE000"')
    for _, text in ipairs { '"\\uDC00\\uDC00"', '"\\uDFFF\\uDC00"', '"\\uD800\\uE000"', '"\\uD800\\uDBFF"',
      '"\\uD800"' } do
      assert.is_false(pcall(json.decode, text), text)
    end
  end)
end)

describe("retries", function()
  -- When the attempts of a node that always fails were made, in seconds from the start.
  local function attempts(retry, code)
    local w, at = flow.workflow {}, {}
    w.a = { retry = retry, run = function(ctx)
      at[#at + 1] = math.floor(ctx:now() - ctx.run.started + 0.5)
      flow.error { code = code or "odd", message = "no" }
    end }
    assert.equal("failed", run(w).state)
    return at
  end

  it("grow by the factor that is given, one of them too", function()
    local function grown(factor)
      return attempts { max = 3, delay = 10, max_delay = 1000, strategy = "exponential", jitter = "none",
        factor = factor }
    end
    assert.same({ 0, 10, 20, 30 }, grown(1))
    assert.same({ 0, 10, 30, 70 }, grown(2))
    assert.same({ 0, 10, 30, 70 }, grown(nil))
    assert.same({ 0, 10, 40, 130 }, grown(3))
    assert.same({ 0, 10, 30, 60 }, attempts { max = 3, delay = 10, strategy = "linear", jitter = "none",
      max_delay = 100 })
    assert.same({ 0, 10, 30, 55 }, attempts { max = 3, delay = 10, strategy = "linear", jitter = "none",
      max_delay = 25 })
  end)

  it("are for the codes of `on`, and not for those of `unless`", function()
    local function n(on, unless, code)
      return #attempts({ max = 2, delay = 1, jitter = "none", on = on, unless = unless }, code)
    end
    assert.same({ 3, 1, 3 }, { n({ "a" }, nil, "a"), n({ "a" }, nil, "b"), n(nil, nil, "b") })
    assert.same({ 1, 3 }, { n(nil, { "a" }, "a"), n(nil, { "a" }, "b") })
    assert.same({ 3, 1, 1 }, { n({ "a", "b" }, { "b" }, "a"), n({ "a", "b" }, { "b" }, "b"),
      n({ "a", "b" }, { "b" }, "c") })
  end)
end)

describe("a list of which items fail", function()
  local function state(each_failures, n, failing)
    local w = flow.workflow {}
    local items = {}
    for i = 1, n do items[i] = i end
    w.a = { each = items, each_failures = each_failures, run = function(ctx)
      if ctx.index <= failing then flow.error { code = "odd", message = "no" } end
    end }
    return run(w).state
  end

  it("fails beyond the number or the share that may", function()
    assert.same({ "completed", "failed" }, { state(2, 5, 2), state(2, 5, 3) })
    assert.same({ "completed", "failed" }, { state("40%", 5, 2), state("40%", 5, 3) })
    assert.same({ "completed", "failed" }, { state("0.5%", 400, 2), state("0.5%", 400, 3) })
    assert.same({ "completed", "failed" }, { state("39%", 5, 1), state("39%", 5, 2) })
    assert.same({ "completed", "failed" }, { state("100%", 3, 3), state(nil, 3, 1) })
  end)
end)

describe("a handler", function()
  it("that passes its deadline hears so", function()
    local w, heard = flow.workflow {}, nil
    w.a = { deadline = 5, run = function(ctx)
      local _, problem = pcall(ctx.sleep, ctx, 10)
      heard = problem.code
      error(problem, 0)
    end }
    assert.equal("deadline", run(w).error.code)
    assert.equal("deadline", heard)
  end)

  it("has chance of its own in each of its phases and halves", function()
    local w, seen = flow.workflow {}, {}
    local function draw(ctx, name)
      local id = ctx:uuid()
      seen[name] = { ctx:random(math.maxinteger), id }
      assert.is_truthy(id:match "^%x+%-%x+%-4%x%x%x%-[89ab]%x%x%x%-%x+$")
      assert.are_not.equal(id:sub(1, 8), id:sub(20, 23) .. id:sub(25, 28))
      assert.are_not.equal(id:sub(10, 13), id:sub(29, 32))
    end
    w.a = { run = function(ctx)
      draw(ctx, "run")
      error "no"
    end, fallback = function(ctx) draw(ctx, "fallback") end }
    w.b = { run = function(ctx) draw(ctx, "other") end }
    assert.equal("completed", run(w).state)
    assert.are_not.equal(seen.run[1], seen.fallback[1])
    assert.are_not.equal(seen.run[1], seen.other[1])
    assert.are_not.equal(seen.run[2], seen.fallback[2])
  end)

  it("draws every number of an interval, its ends too, and nothing beyond", function()
    local w, low, high, halves = flow.workflow {}, {}, {}, 0
    w.a = { run = function(ctx)
      for _ = 1, 400 do
        local x, y, f = ctx:random(3), ctx:random(-1, 1), ctx:random()
        low[x], high[y] = true, true
        assert.is_true(f >= 0 and f < 1)
        if f >= 0.5 then halves = halves + 1 end
      end
    end }
    local done = run(w)
    assert.equal("completed", done.state, done.error and done.error.message)
    assert.same({ true, true, true }, low)
    assert.same({ [-1] = true, [0] = true, [1] = true }, high)
    assert.is_true(halves > 120 and halves < 280)
  end)

  it("gives a child the context that it has, or another", function()
    local child = flow.workflow { name = "child", output = "${nodes.c}" }
    child.c = { run = function(ctx) return { ctx.context, ctx.input } end }
    local w = flow.workflow {}
    w.a = { run = function(ctx)
      return { ctx:call(child, 1), ctx:call(child, 2, { context = { t = "own" } }),
        (ctx:call(child, nil, { context = "text" })) }
    end }
    local done = run(w, { context = { t = "parent" } })
    assert.same({ { { t = "parent" }, 1 }, { { t = "own" }, 2 }, { "text" } }, done:outputs().a)
  end)
end)

describe("a node that can do without the rest", function()
  it("cancels it, where it says so, and lets it end otherwise", function()
    for _, cancels in ipairs { true, false } do
      local w, ended = flow.workflow {}, nil
      w.quick = { run = function(ctx) ctx:sleep(1) end }
      w.slow = { run = function(ctx)
        ctx:sleep(100)
        ended = true
      end }
      w.first = { after = { "quick", "slow" }, join = { need = 1, cancel_rest = cancels },
        run = function() end }
      local done = run(w)
      assert.equal("completed", done.state)
      assert.equal(cancels and "cancelled" or "completed", done:states().slow)
      assert.equal(not cancels, ended == true)
    end
  end)
end)
