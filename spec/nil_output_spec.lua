-- Outputs that are nil: one replaces what was there before it, in memory and in what a store gives
-- back.
local core = require "orrery.core"
local place = require "spec.support.place"

local null = core.json.null

-- A loop that returns these values, one an iteration; `n` of them, as some are nil.
local function turns(n, values, more)
  local node = { name = "turns", type = "lua", where = "spec:1",
    loop = { max = n, until_ = function(ctx) return ctx.iteration == n end },
    run = function(ctx) return values[ctx.iteration] end }
  for key, value in pairs(more or {}) do node[key] = value end
  return node
end

-- Plan of a node, and of one behind it that gives what it sees of the first; in a store it waits
-- before.
local function plan_of(node, waits)
  return assert(core.plan { name = "nils", on_error = "stop",
    output = function(ctx) return ctx.nodes.turns end, nodes = {
    node,
    { name = "after", type = "lua", where = "spec:2", deps = { { node = 1 } }, run = function(ctx, inputs)
      if waits then ctx:wait "go" end
      return { seen = inputs.turns == nil and "nil" or inputs.turns }
    end },
  } })
end

local function run(node)
  local rt = core.runtime { clock = "virtual" }
  local r = rt:start(plan_of(node), {})
  rt:wait(r)
  rt:close()
  assert.equal("completed", r.state, r.error and r.error.message)
  return r
end

local function assert_nil(r)
  assert.is_nil(r:outputs().turns)
  assert.same({ seen = "nil" }, r:outputs().after)
  assert.is_nil(r.output)
end

describe("an iteration that returns nil", function()
  it("replaces the output of the one before", function()
    assert_nil(run(turns(2, { "first" })))
    assert_nil(run(turns(4, { "first", nil, "third" })))
    assert_nil(run(turns(3, {})))
  end)

  it("is replaced by the next one", function()
    assert.equal("third", run(turns(3, { "first", nil, "third" })).output)
    assert.equal("second", run(turns(2, { nil, "second" })).output)
    assert.is_false(run(turns(2, { "first", false })).output)
  end)

  it("is nil to `until`", function()
    local asked = {}
    run(turns(3, { 1, nil, 3 }, { loop = { max = 3, until_ = function(ctx, output)
      asked[ctx.iteration] = tostring(output)
      return ctx.iteration == 3
    end } }))
    assert.same({ "1", "nil", "3" }, asked)
  end)

  it("is nil to what undoes the node", function()
    local undone = {}
    local rt = core.runtime { clock = "virtual" }
    for _, last in ipairs { "none", "second" } do
      local node = turns(2, { "first", last ~= "none" and last or nil }, {
        compensate = { fn = function(ctx) undone[#undone + 1] = tostring(ctx.output) end } })
      rt:wait(rt:start(assert(core.plan { name = "undone", on_error = "stop", nodes = { node,
        { name = "bad", type = "lua", where = "spec:3", deps = { { node = 1 } },
          run = function() error "x" end } } }), {}))
    end
    rt:close()
    assert.same({ "nil", "second" }, undone)
  end)

  it("replaces it where it is a fallback that returns nil", function()
    assert_nil(run(turns(2, nil, { fallback = { fn = function() end }, run = function(ctx)
      if ctx.iteration == 2 then error "x" end
      return "first"
    end })))
  end)

  it("replaces that of its own item alone", function()
    local node = turns(2, nil, { each = function() return { "a", "b", "c" } end, run = function(ctx)
      if ctx.item ~= "b" or ctx.iteration == 1 then return ctx.item .. ctx.iteration end
    end })
    assert.same({ "a2", null, "c2" }, run(node).output)
  end)
end)

describe("an item that returns nil", function()
  local function each(values, n)
    return { name = "turns", type = "lua", where = "spec:1",
      each = function()
        local list = {}
        for i = 1, n do list[i] = i end
        return list
      end,
      run = function(ctx)
        ctx:sleep(n - ctx.index)
        return values[ctx.index]
      end }
  end

  it("has null in its place", function()
    assert.same({ null, 2, null }, run(each({ nil, 2 }, 3)).output)
    assert.same({ null, null }, run(each({}, 2)).output)
    assert.same({ false, null, 3 }, run(each({ false, nil, 3 }, 3)).output)
  end)
end)

-- ---- stores -------------------------------------------------------------------------------------

-- A run in a store is left when that node waits for a signal, and restored; its outputs are those
-- that it would have had.
local function restored(node, waiting)
  local here <close> = place.new()
  local plan = plan_of(node, waiting == "after")
  local rt = core.runtime { clock = "virtual", store = here.folder .. "/nils.db" }
  local first = rt:start(plan, {})
  here:until_true(function() return first:why(waiting).kind == "signal" end, "the wait")
  first:suspend()
  rt:sync()
  local again = rt:restore(plan, first.id, {})
  again:signal("go", true)
  rt:wait(again)
  assert.equal("completed", again.state)
  rt:sync()
  rt:store():project()
  local row = rt:store():query("SELECT output FROM runs WHERE id = ?", first.id)[1]
  assert.are.same(again.output, row.output and core.json.decode(row.output))
  rt:close()
  return again
end

describe("a run that goes on", function()
  it("has nil where the last iteration returned nil", function()
    assert_nil(restored(turns(2, { "first" }), "after"))
    assert_nil(restored(turns(3, { "first", "second" }), "after"))
  end)

  it("has the last value where an iteration before it returned nil", function()
    assert.equal("third", restored(turns(3, { "first", nil, "third" }), "after").output)
  end)

  it("has null for items that returned nil", function()
    local node = turns(2, nil, { each = function() return { "a", "b", "c" } end, run = function(ctx)
      if ctx.item ~= "b" or ctx.iteration == 1 then return ctx.item .. ctx.iteration end
    end })
    assert.same({ "a2", null, "c2" }, restored(node, "after").output)
  end)

  it("has what the last iteration returned where it is left before that", function()
    for _, values in ipairs { { "first" }, { "first", "second" }, { nil, "second" },
        { "first", nil, "third" } } do
      local again = restored(turns(3, nil, { run = function(ctx)
        if ctx.iteration == 3 then ctx:wait "go" end
        return values[ctx.iteration]
      end }), "turns")
      assert.equal(values[3], again.output)
      assert.same({ seen = values[3] or "nil" }, again:outputs().after)
    end
  end)
end)

describe("a run that is retried", function()
  it("forgets what the iterations before its failure returned", function()
    local here <close> = place.new()
    here:write("w.lua", ([[
local flow = require "orrery"
local w = flow.workflow { name = "w", output = function(ctx) return { n = ctx.nodes.n } end }
local function mended() return io.open(%q .. "/mended") ~= nil end
w.n = { loop = { max = 2, ["until"] = function(ctx) return mended() or ctx.iteration == 2 end }, run = function(ctx)
  if mended() then return nil end
  if ctx.iteration == 2 then flow.error { code = "broken", message = "x", retryable = false } end
  return "first"
end }
return w]]):format(here.folder))
    local failed = here:ends(1, "run", "w.lua", "-q")
    local id = here:query("SELECT id FROM runs")[1].id
    assert.equal("", failed.out)
    here:write("mended", "")
    assert.equal("{}\n", here:ends(0, "retry", id, "-q").out)
  end)
end)
