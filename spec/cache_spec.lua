-- The `cache` key: what makes a hit, what makes a miss, and what is reported of it.
local flow = require "orrery"
local command = require "spec.support.command"
local uv = require "luv"

-- A workflow of one node, and a function that runs it and returns: its output, hit or miss, and the
-- reason.
local function one(node, options)
  options = options or {}
  local w = flow.workflow { name = "one", env = options.env }
  w.it = node
  local rt = options.runtime or flow.runtime { clock = "virtual" }
  return function(run_options)
    local given = { runtime = rt }
    for key, value in pairs(run_options or {}) do given[key] = value end
    local done = flow.run(w, given)
    assert.equal("completed", done.state, done.error and done.error.message)
    local why = done:why "it"
    return done:outputs().it, why.cache, why.cache_reason
  end, w, rt
end

local function counter()
  local n = 0
  return function()
    n = n + 1
    return { n = n }
  end
end

describe("cache", function()
  it("gives a Lua node its earlier output for the same input, inputs and item", function()
    local run = one { cache = true, run = counter() }
    assert.same({ { n = 1 }, "miss", "no entry" }, { run { input = { a = 1, b = { 2 } } } })
    assert.same({ { n = 1 }, "hit" }, { run { input = { b = { 2 }, a = 1 } } })
    assert.same({ { n = 2 }, "miss", "no entry" }, { run { input = { a = 2 } } })
  end)

  it("keeps the output of each item and of each node for itself", function()
    local w, calls = flow.workflow {}, 0
    local function call(ctx)
      calls = calls + 1
      return ctx.node .. " " .. tostring(ctx.item)
    end
    w.one = { cache = true, run = call }
    w.two = { cache = true, run = call }
    w.each = { cache = true, each = { "x", "y" }, run = call }
    local rt = flow.runtime { clock = "virtual" }
    for _ = 1, 2 do
      assert.same({ one = "one nil", two = "two nil", each = { "each x", "each y" } },
        flow.run(w, { runtime = rt }):outputs())
    end
    assert.equal(4, calls)
  end)

  it("follows what the nodes before it gave", function()
    local calls = 0
    local w = flow.workflow {}
    w.before = { run = function(ctx) return ctx.input % 2 end }
    w.it = { after = "before", cache = { key = "${nodes.before}" }, run = function()
      calls = calls + 1
      return calls
    end }
    local rt, outputs = flow.runtime { clock = "virtual" }, {}
    for i = 1, 4 do outputs[i] = flow.run(w, { runtime = rt, input = i }):outputs().it end
    assert.same({ 1, 2, 1, 2 }, outputs)
  end)

  it("ends after its ttl", function()
    local run, _, rt = one { cache = "1h", run = counter() }
    local function pass(duration)
      local w = flow.workflow {}
      w.it = flow.delay { duration }
      flow.run(w, { runtime = rt })
    end
    assert.equal("miss", (select(2, run())))
    pass "59m"
    assert.equal("hit", (select(2, run())))
    pass "1m"
    assert.same({ { n = 2 }, "miss", "expired" }, { run() })
    assert.same({ { n = 2 }, "hit" }, { run() })
  end)

  it("looks for nothing where the key is nil", function()
    local run = one { cache = { key = "${input.day}" }, run = counter() }
    assert.same({ { n = 1 }, "miss", "key is nil" }, { run() })
    assert.same({ { n = 2 }, "miss", "key is nil" }, { run() })
    assert.same({ { n = 3 }, "miss", "no entry" }, { run { input = { day = 1, noise = 1 } } })
    assert.same({ { n = 3 }, "hit" }, { run { input = { day = 1, noise = 2 } } })
    local computed = one { cache = { key = function(ctx) return { ctx.input % 10 } end }, run = counter() }
    computed { input = 3 }
    assert.equal("hit", (select(2, computed { input = 13 })))
  end)

  it("goes by the resolved config of a node type", function()
    local calls = 0
    local T = flow.type { name = "cachespec.count",
      config = flow.schema { city = "string", unit = { type = "string", default = "C" } },
      run = function(_, config)
        calls = calls + 1
        return config.city .. calls
      end }
    local run = one(T { city = "${input.city}", cache = true })
    assert.same({ "Bonn1", "miss", "no entry" }, { run { input = { city = "Bonn", other = 1 } } })
    assert.same({ "Bonn1", "hit" }, { run { input = { city = "Bonn", other = 2 } } })
    assert.same({ "Ulm2", "miss", "no entry" }, { run { input = { city = "Ulm" } } })
  end)

  it("asks the inputs of a typed node whose function takes them, and no others", function()
    local calls = { takes = 0, leaves = 0 }
    local Takes = flow.type { name = "cachespec.takes", config = flow.schema {}, run = function(_, _, inputs)
      calls.takes = calls.takes + 1
      return inputs.before
    end }
    local Leaves = flow.type { name = "cachespec.leaves", config = flow.schema {}, run = function()
      calls.leaves = calls.leaves + 1
      return "same"
    end }
    local w = flow.workflow {}
    w.before = { run = function(ctx) return ctx.input end }
    w.takes = Takes { after = "before", cache = true }
    w.leaves = Leaves { after = "before", cache = true }
    local rt, given = flow.runtime { clock = "virtual" }, {}
    for i, input in ipairs { 1, 2, 1 } do given[i] = flow.run(w,
      { runtime = rt, input = input }):outputs().takes end
    assert.same({ 1, 2, 1 }, given)
    assert.same({ takes = 2, leaves = 1 }, calls)
  end)

  it("does not keep what was made from the environment", function()
    local T = flow.type { name = "cachespec.env", config = flow.schema { token = "any?" }, run = counter() }
    local run = one(T { token = "${env.HOME}", cache = true }, { env = { "HOME" } })
    run()
    assert.same({ { n = 2 }, "miss", "its config reads env.HOME, which may be a secret" }, { run() })
  end)

  it("keeps nil, outcomes and what looks like one", function()
    local calls = 0
    local function once(value)
      return function()
        calls = calls + 1
        return value
      end
    end
    local run = one { cache = true, run = once(nil) }
    assert.same({ nil, "miss", "no entry" }, { run() })
    assert.same({ nil, "hit" }, { run() })
    run = one { cache = true, run = once { ["$outcome"] = "gold" } }
    run()
    assert.same({ { ["$outcome"] = "gold" }, "hit" }, { run() })
    assert.equal(2, calls)
    local w = flow.workflow {}
    w.it = flow.switch { value = "${input}", map = { a = "gold", b = "plain" }, cache = true }
    w.gold = { after = "it:gold", run = function() return true end }
    local rt = flow.runtime { clock = "virtual" }
    for _ = 1, 2 do
      assert.same({ it = "gold", gold = true }, flow.run(w, { runtime = rt, input = "a" }):outputs())
    end
    assert.equal("hit", flow.run(w, { runtime = rt, input = "a" }):why("it").cache)
    assert.same({ it = "plain" }, flow.run(w, { runtime = rt, input = "b" }):outputs())
  end)

  it("keeps items one by one, and iterations", function()
    local calls = {}
    local w = flow.workflow {}
    w.it = { each = "${input}", cache = { key = "${item}" }, run = function(ctx)
      calls[#calls + 1] = ctx.item
      return ctx.item * 2
    end }
    local rt = flow.runtime { clock = "virtual" }
    flow.run(w, { runtime = rt, input = { 1, 2 } })
    local done = flow.run(w, { runtime = rt, input = { 2, 3, 1 } })
    assert.same({ 4, 6, 2 }, done:outputs().it)
    assert.same({ 1, 2, 3 }, calls)
    assert.equal("hit", done:why("it", 1).cache)
    assert.equal("miss", done:why("it", 2).cache)
    local run = one { cache = true, loop = { max = 5, ["until"] = "output.n >= 3" }, run = counter() }
    assert.same({ { n = 3 }, "miss", "no entry" }, { run() })
    assert.same({ { n = 3 }, "hit" }, { run() })
  end)

  it("keeps nothing of a failure", function()
    local tries = 0
    local run = one { cache = true, retry = { max = 1, delay = 0 }, run = function()
      tries = tries + 1
      if tries == 1 then error "not yet" end
      return tries
    end }
    assert.equal(2, (run()))
    assert.same({ 2, "hit" }, { run() })
  end)

  it("is another one for another workflow, even of the same words", function()
    local rt = flow.runtime { clock = "virtual" }
    local function make(value)
      return one({ cache = true, run = function() return value end }, { runtime = rt })
    end
    assert.equal("a", (make "a" ()))
    assert.equal("b", (make "b" ()))
  end)

  it("reports a hit in the node's event, and undoes nothing that was taken from it", function()
    local w, fails, undone = flow.workflow {}, false, {}
    w.it = { cache = true, run = counter(), compensate = function() undone[#undone + 1] = "it" end }
    w.last = { after = "it", run = function() if fails then error "no" end end, compensate = function() end }
    local rt, cached = flow.runtime { clock = "virtual" }, {}
    local function run()
      return flow.run(w, { runtime = rt, on_event = function(event)
        if event.event == "node_completed" and event.node == "it" then
          cached[#cached + 1] = event.cached or false
        end
      end })
    end
    run()
    fails = true
    assert.equal("failed", run().state)
    assert.same({ false, true }, cached)
    assert.same({}, undone)
  end)

  it("is checked when the workflow is compiled", function()
    local w = flow.workflow {}
    local function quiet() end
    w.a = { run = quiet, cache = { ttl = "soon" } }
    w.b = { run = quiet, cache = { keys = "x" } }
    w.c = { run = quiet, cache = { key = 3 } }
    w.d = { run = quiet, cache = "0s" }
    w.e = { run = quiet, cache = { key = "${nodes.zz}" } }
    w.f = { run = quiet, cache = quiet }
    w.g = { run = quiet, cache = false }
    local lines = {}
    for i, problem in ipairs(flow.check(w)) do lines[i] = problem.message end
    local found = table.concat(lines, "\n")
    for _, part in ipairs { 'node "a": cache.ttl: ', 'node "b": cache: unknown field "keys"',
      'node "c": cache.key: expected a text, a template', 'node "d": cache: nothing is kept for no time',
      'node "e": ',
      'node "f": cache: expected true, a duration such as "1h" or a table' } do
      assert.truthy(found:find(part, 1, true), part .. "\n\nin\n\n" .. found)
    end
    assert.is_nil(found:find('node "g"', 1, true))
  end)

  it("outlives the process in a store, as long as the source is the same", function()
    local folder = assert(uv.fs_mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/orrery-cache-XXXXXX"))
    local function write(text)
      local file <close> = assert(io.open(folder .. "/w.lua", "w"))
      file:write(text)
    end
    local SOURCE = [[
      local flow = require "orrery"
      local w = flow.workflow { name = "kept", output = "${nodes.it}" }
      w.it = { cache = "1d", run = function() return VERSION .. " at "
        .. flow.json.encode(require("luv").hrtime()) end }
      return w]]
    local function run()
      local result = command.run { "run", "--store", "sqlite:" .. folder .. "/runs.db", folder .. "/w.lua" }
      assert.equal(0, result.code, result.err)
      return result.out, result.err:find("from the cache", 1, true) ~= nil
    end
    write((SOURCE:gsub("VERSION", '"one"')))
    local first, hit = run()
    assert.is_false(hit)
    local second, again = run()
    assert.is_true(again)
    assert.equal(first, second)
    local store = { "--store", "sqlite:" .. folder .. "/runs.db" }
    local function said(id) return command.run { "why", id, "it", table.unpack(store) }.out end
    local ids = {}
    for line in command.run({ "runs", "--json", table.unpack(store) }).out:gmatch "[^\n]+" do
      table.insert(ids, 1, flow.json.decode(line).id)
    end
    assert.truthy(said(ids[1]):find("the cache was missed: no entry", 1, true), said(ids[1]))
    assert.truthy(said(ids[2]):find("its output came from the cache", 1, true), said(ids[2]))
    write((SOURCE:gsub("VERSION", '"two"')))
    local third, changed = run()
    assert.is_false(changed)
    assert.truthy(third:find("two", 1, true))
    os.execute("rm -r " .. command.quote(folder))
  end)
end)
