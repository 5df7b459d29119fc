-- Values that outlive runs: ctx:state, and the types state.get, state.set and state.update.
local core = require "orrery.core"
local flow = require "orrery"
local one = require "spec.support.one_node"
local story = require "spec.support.story"
local uv = require "luv"

local here -- a store in memory, that the runs of a test share

before_each(function() here = { runtime = flow.runtime {} } end)

local function output(node) return one.output(node, here) end

local function handler(fn)
  return { run = function(ctx) return fn(ctx:state(), ctx) end }
end

local function failure(fn)
  local r = one.run(handler(fn), here)
  assert.equal("failed", r.state)
  return r.error
end

describe("state between runs", function()
  it("is what an earlier run has kept", function()
    assert.same({ value = 0, found = false, version = "" }, output(flow.state.get { "n", default = 0 }))
    local kept = output(flow.state.set { key = "n", value = { a = { 1, 2.5, "x" } } })
    assert.same({ value = { a = { 1, 2.5, "x" } }, found = true, version = kept.version },
      output(flow.state.get { "n", default = 0 }))
  end)

  it("is a workflow's own, unless it is shared", function()
    output(flow.state.set { key = "k", value = "mine" })
    output(flow.state.set { key = "k", value = "ours", shared = true })
    local other = flow.workflow { name = "other", output = "${nodes.it}" }
    other.it = { run = function(ctx)
      return { own = ctx:state():get "k", shared = ctx:state { shared = true }:get "k" }
    end }
    assert.same({ shared = "ours" }, flow.run(other, here).output)
    assert.equal("mine", output(flow.state.get "k").value)
  end)

  it("has another version after each write, and no write of another version is made", function()
    assert.same({ true, true, false, false, false, true, true, "3" }, output(handler(function(state)
      local first = state:set("k", "1", { version = "" })
      local second = state:set("k", "2", { version = first })
      local late, new = state:set("k", "x", { version = first }), state:set("k", "x", { version = "" })
      local kept = state:remove("k", { version = first })
      local third = state:set("k", "3")
      return { first ~= false, second ~= first, late, new, kept, third ~= false, third ~= second,
        (state:get "k") }
    end)))
  end)

  it("can be removed", function()
    assert.same({ true, true, true }, output(handler(function(state)
      state:set("k", 1)
      local removed = state:remove "k"
      local value, version = state:get "k"
      return { removed, value == nil and version == nil, state:remove "k" }
    end)))
  end)

  it("is over with its time to live", function()
    local rt = flow.runtime { clock = "virtual" }
    local w = flow.workflow { name = "w", output = "${nodes.it}" }
    w.it = { run = function(ctx)
      local state, seen = ctx:state(), {}
      state:set("k", 1, { ttl = "1h" })
      ctx:sleep "59m"
      seen[1] = state:get "k"
      ctx:sleep "1m"
      seen[2] = state:get "k" == nil
      seen[3] = state:set("k", 2, { version = "" }) ~= false -- what is over is not there
      ctx:sleep "1000d"
      seen[4] = state:get "k"
      return seen
    end }
    assert.same({ 1, true, true, 2 }, flow.run(w, { runtime = rt }).output)
  end)

  it("comes back as it was, whatever it is", function()
    local values = { false, "", "a\0b", "\xff\xfe", 1, 1.0, math.mininteger, core.json.null,
      { ["$bytes"] = "x" },
      core.json.array {}, {}, { x = { y = { "z" } } } }
    output(handler(function(state)
      for i, value in ipairs(values) do state:set("v" .. i, value) end
    end))
    local text = function(value) return core.json.encode(value, { binary = true }) end
    output(handler(function(state)
      for i, value in ipairs(values) do assert.equal(text(value), text((state:get("v" .. i)))) end
    end))
  end)

  it("takes any key that can be read", function()
    local keys = { "a b", "ü/ß", "x'y\"; --", "%s", "a", "A", ("k"):rep(512), "日本語", " " }
    output(handler(function(state)
      for i, key in ipairs(keys) do state:set(key, i) end
    end))
    output(handler(function(state)
      for i, key in ipairs(keys) do assert.equal(i, (state:get(key))) end
    end))
    for key, why in pairs { [""] = "is empty", [("k"):rep(513)] = "513 bytes, and may have 512",
      ["a\0b"] = "cannot be printed", ["a\nb"] = "cannot be printed", ["\xff"] = "cannot be printed",
      ["a\xc2\x85"] = "cannot be printed" } do
      for _, call in ipairs { "get", "set", "update", "remove" } do
        local e = failure(function(state) state[call](state, key, call == "update" and tostring or 1) end)
        assert.equal("invalid_state", e.code)
        assert.is_false(e.retryable)
        one.contains(e.message, why)
      end
    end
  end)

  it("is refused where it is too large or no plain data", function()
    local most = ("x"):rep(1024 * 1024 - 2) -- and its quotes
    output(handler(function(state) state:set("k", most) end))
    assert.equal(most, output(handler(function(state) return (state:get "k") end)))
    local e = failure(function(state) state:set("k", most .. "x") end)
    assert.equal("state_too_large", e.code)
    one.contains(e.message, 'the value of "k" has more than 1048576 bytes as JSON')
    e = failure(function(state) state:set("k", { f = print }) end)
    assert.equal("invalid_state", e.code)
    one.contains(e.message, 'the value of "k" cannot be kept: value.f')
    one.contains(failure(function(state) state:set "k" end).message, "state:remove(key) removes one")
    one.contains(failure(function(state) state:set("k", 1, { ttl = 0 }) end).message, "more than no time")
    one.contains(failure(function(state) state:set("k", 1, { tll = 1 }) end).message, 'did you mean "ttl"')
    one.contains(failure(function(state) state:set("k", 1, { version = 1 }) end).message,
      "version: expected a text")
    one.contains(failure(function(_, ctx) ctx:state { share = true } end).message, 'did you mean "shared"')
    one.contains(failure(function(_, ctx) ctx:state "x" end).message, "expected a table of options")
  end)

  it("is written once where who waits for that is cut off, and does it again", function()
    local w = flow.workflow { name = "w", output = "${nodes.it}" }
    w.it = { retry = { max = 1, delay = 0 }, run = function(ctx)
      local state = ctx:state()
      local set = flow.gather {
        function() return state:set("k", ctx.attempt) end,
        function() if ctx.attempt == 1 then error "the other is cut off" end end,
      }
      local value, version = state:get "k"
      return { value, version == set[1], ctx.attempt }
    end }
    local folder = assert(uv.fs_mkdtemp "/tmp/orrery-state-XXXXXX")
    for _, store in ipairs { "memory:", "sqlite:" .. folder .. "/s.db" } do
      assert.same({ 1, true, 2 }, flow.run(w, { store = store, journal = true }).output)
    end
    os.execute("rm -r " .. folder)
  end)

  it("cannot be written inside a step, but read", function()
    assert.equal(1, output(handler(function(state, ctx)
      state:set("k", 1)
      return ctx:step("read", function() return (state:get "k") end)
    end)))
    one.contains(failure(function(state, ctx) ctx:step("w", function() state:set("k", 2) end) end).message,
      "cannot be used inside ctx:step")
  end)

  it("does not show secrets", function()
    uv.os_setenv("STATE_SPEC_TOKEN", "very-secret-value")
    local w = flow.workflow { name = "w", output = "${nodes.it}" }
    w.it = flow.state.set { key = "k", value = flow.secret "STATE_SPEC_TOKEN" }
    w.got = flow.state.get { "k", after = "it" }
    assert.equal("•••", flow.run(w, here):outputs().got.value)
  end)
end)

describe("an update", function()
  it("makes the new value of the present one", function()
    for i = 1, 3 do
      assert.equal(i, output(flow.state.update { key = "n", change = "(value or 0) + 1" }).value)
    end
    local function twice(_, value) return value * 2 end
    assert.equal(6, output(flow.state.update { key = "n", change = twice }).value)
    assert.equal("x", output(flow.state.update { key = "n", change = "'x'" }).value)
    assert.equal(1, output(handler(function(state)
      return (state:update("n", function(value) return value == "x" and 1 or 2 end, { ttl = "1h" }))
    end)))
    assert.is_nil((output(flow.state.update { key = "n", change = function() return nil end }).value))
    assert.is_false(output(flow.state.get "n").found)
  end)

  it("is not made where another version is there", function()
    local kept = output(flow.state.set { key = "k", value = 1 })
    assert.equal(2, output(flow.state.update { key = "k", value = 2, version = kept.version }).value)
    local r = one.run(flow.state.update { key = "k", value = 3, version = kept.version, retry = 3 }, here)
    assert.equal("state_conflict", r.error.code)
    one.contains(r.error.message, 'the value of "k" is no longer the one that was read')
    assert.same({ key = "k", version = kept.version }, r.error.details)
    r = one.run(flow.state.update { key = "k", value = 3, version = "" }, here)
    one.contains(r.error.message, 'there is a value of "k" already')
    assert.equal(2, output(flow.state.get "k").value)
  end)

  it("is made once for each of many that go on at once", function()
    local w = flow.workflow { name = "w" }
    local list = {}
    for i = 1, 20 do list[i] = i end
    w.many = { each = list, run = function(ctx)
      ctx:state():update("sum", function(sum)
        ctx:sleep(0.001)
        return (sum or 0) + ctx.item
      end)
    end }
    w.sum = flow.state.get { "sum", after = "many" }
    assert.equal(210, flow.run(w, here):outputs().sum.value)
  end)

  it("gives up where others are quicker a hundred times", function()
    local w = flow.workflow { name = "w", on_error = "continue" }
    local done, sets = false, 0
    w.quick = { run = function(ctx)
      while not done do
        ctx:state():set("k", ctx:uuid())
        sets = sets + 1
      end
    end }
    w.slow = { run = function(ctx)
      local _ <close> = setmetatable({}, { __close = function() done = true end })
      ctx:state():update("k", function(value)
        local before = sets
        while sets < before + 2 do ctx:sleep(0.001) end -- the second has begun since it was read
        return value
      end)
    end }
    local e = flow.run(w, here).error
    assert.equal("state_conflict", e.code)
    assert.is_true(e.retryable)
  end)

  it("fails with what its function raises, and changes nothing", function()
    local e = failure(function(state)
      state:update("k", function() flow.error { code = "never", message = "x" } end)
    end)
    assert.equal("never", e.code)
    assert.is_false(output(flow.state.get "k").found)
  end)

  it("says what is wrong with its config", function()
    local function wrong(config, part)
      local w = flow.workflow { name = "w" }
      w.it = flow.state.update(config)
      local problems = flow.check(w)
      assert.is_truthy(problems[1], part)
      one.contains(problems[1].message, part)
    end
    wrong({ key = "k" }, "either change, or value and version")
    wrong({ key = "k", change = "1", version = "v" }, "either change, or value and version")
    wrong({ key = "k", change = "1", value = 2 }, "leave value out")
    wrong({ key = "k", version = "v" }, "value is what is to be kept")
    wrong({ key = "k", change = "valu + 1" }, "valu")
    wrong({ change = "1" }, "key")
  end)
end)

describe("in a store", function()
  local COUNT = [[
    local flow = require "orrery"
    local w = flow.workflow { name = "count", output = "${nodes.n.value}" }
    w.n = flow.state.update { key = "n", change = "(value or 0) + 1" }
    return w]]

  it("later processes see it", function()
    local done = story.tell(COUNT, [[run s.db; run s.db; orrery run w.lua -q --store memory:; run s.db]])
    assert.equal("1code02code01" .. "3code0", (done.out:gsub("%s", "")))
  end)

  it("runs of several processes update it at once, and none of them is lost", function()
    local done = story.tell([[
      local flow = require "orrery"
      local w = flow.workflow { name = "count" }
      w.n = { each = function() return { 1, 2, 3, 4, 5, 6, 7, 8 } end, -- some are overtaken too often
        retry = { max = 50, delay = 0.01, max_delay = 0.1, on = { "state_conflict" } }, run = function(ctx)
        for _ = 1, 5 do ctx:state():update("n", function(n) return (n or 0) + 1 end) end
      end }
      return w]], [[
      run s.db >/dev/null # makes it
      for i in 1 2 3; do run s.db >out$i 2>&1 & done; wait; cat out1 out2 out3
      sqlite3 s.db "SELECT value FROM state"]])
    assert.equal("code0code0code0160", (done.out:gsub("%s", "")))
  end)

  it("runs that keep no journal, or a relaxed one, write it too", function()
    local done = story.tell(COUNT, [[
      for how in none relaxed strict; do orrery run w.lua -q --store sqlite:s.db --durability $how; done
      sqlite3 s.db "SELECT count(*) FROM runs; SELECT value FROM state"]])
    assert.equal("12323", (done.out:gsub("%s", "")))
  end)

  it("a run that is resumed sees what it has read", function()
    local done = story.tell([[
      local flow = require "orrery"
      local w = flow.workflow { name = "w", output = "${nodes.a}" }
      w.a = { run = function(ctx)
        local before = ctx:state():get "k"
        local made, version = ctx:state():update("k", function(k) return (k or 0) + 1 end)
        ctx:wait("go", { timeout = 300 })
        return { before = before, made = made, after = (ctx:state():get "k") }
      end }
      return w]], [[
      orrery run w.lua -q --store sqlite:s.db --no-wait >/dev/null 2>&1
      id=$(sqlite3 s.db "SELECT id FROM runs"); sqlite3 s.db "SELECT value FROM state"
      cat >other.lua <<'END'
        local flow = require "orrery"
        local w = flow.workflow { name = "w" }
        w.a = flow.state.set { key = "k", value = 50 }
        return w
END
      orrery run other.lua -q --store sqlite:s.db; orrery signal $id go --store sqlite:s.db >/dev/null
      orrery resume $id -q --store sqlite:s.db]])
    assert.equal('1{"after":50,"made":1}', (done.out:gsub("%s", "")))
  end)

  it("it goes on as a copy does", function()
    local done = story.tell(COUNT, [[run s.db; orrery backup b.db --store sqlite:s.db >/dev/null; run s.db
      orrery restore b.db --store sqlite:t.db >/dev/null; run t.db]])
    assert.equal("1code02code02code0", (done.out:gsub("%s", "")))
  end)

  it("a worker's handler has it as well", function()
    local done = story.tell([[
      local flow = require "orrery"
      local w = flow.workflow { name = "w", output = "${nodes.a}" }
      w.a = { strategy = "thread", run = function(ctx)
        local state = ctx:state()
        state:set("k", { 1 })
        local made = state:update("k", function(k) return { k[1] + 1, ctx.node } end)
        local ok, e = pcall(state.set, state, "k", ("x"):rep(2000000))
        return { made, (state:get "k"), e.code, state:set("k", 1, { version = "" }),
          (ctx:state { shared = true }:get "k") == nil }
      end }
      return w]], [[run s.db]])
    assert.equal('[[2,"a"],[2,"a"],"state_too_large",false,true]code0', (done.out:gsub("%s", "")))
  end)

  it("it is listed, removed, and pruned where it is over", function()
    local done = story.tell([[
      local flow = require "orrery"
      local w = flow.workflow { name = "etl" }
      w.a = flow.state.set { key = "watermark", value = { at = 17, of = "x" } }
      w.b = flow.state.set { key = "rates\u{e9}", value = ("y"):rep(200), shared = true, after = "a" }
      w.c = flow.state.set { key = "short", value = 1, ttl = "1ms", after = "b" }
      w.d = flow.state.set { key = "long", value = 1, ttl = "1h", after = "c" }
      return w]], [[
      export ORRERY_STORE=sqlite:s.db; orrery run w.lua -q; orrery state; orrery state list watermark --json
      orrery state --shared --json | sed 's/"version":"[^"]*"/V/; s/yy*y/y/; s/"run":"[^"]*"/R/'
      orrery state remove; orrery state remove --shared --workflow etl; orrery state remove nothing --json
      orrery prune --older 1d --dry; orrery prune --older 1d
      orrery state remove --shared; orrery state remove watermark --workflow etl; orrery state list watermark
      orrery state | grep -c .; orrery state empty]])
    story.has(done, "WORKFLOW  KEY        WRITTEN", "expired", 'etl       long', 'etl       watermark',
      '{"at":17,"of":"x"}',
      "shared    ratesé", ("y"):rep(59) .. "…", '"value":{"at":17,"of":"x"}', '"workflow":"etl"',
      '{"key":"ratesé","node":"b",R,"shared":true,"size":202,"value":"y",V,"written":',
      "which values? Name a key", "give --workflow or --shared", '{"removed":0}',
      "would remove 0 runs, 1 expired value of state", "removed 0 runs, 1 expired value of state",
      "removed 1 value",
      "nothing is kept: state.set", "none of list, remove")
    assert.matches("\n2\n$", done.out) -- the head and `long`
  end)
end)
