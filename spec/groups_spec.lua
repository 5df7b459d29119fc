-- Groups: what they become, and what comes out of them.
local fake = require "spec.support.fake_core"

describe("a group", function()
  local flow

  setup(function() flow = fake.load() end)

  local function work() end

  -- Nodes as "name <- what it comes after", in order.
  local function shape(w)
    local compiled, problems = flow.compile(w)
    assert(compiled, problems and problems[1] and problems[1].message)
    local nodes, lines = compiled.def.nodes, {}
    for i, node in ipairs(nodes) do
      local after = {}
      for k, dep in ipairs(node.deps or {}) do
        after[k] = nodes[dep.node].name .. (dep.port and ":" .. dep.port or "")
      end
      lines[i] = node.name .. " <- " .. table.concat(after, " ")
    end
    return lines, nodes
  end

  it("in parallel: members side by side, then a node of the group's name", function()
    local w = flow.workflow {}
    w.start = { run = work }
    w.all = flow.parallel { after = "start", { run = work }, flow.delay { "1s" } }
    w.last = { after = "all", run = work }
    local lines, nodes = shape(w)
    assert.same({ "start <- ", "all_1 <- start", "all_2 <- start", "all <- all_1 all_2", "last <- all" },
      lines)
    assert.equal("parallel", nodes[4].type)
    assert.equal("delay", nodes[3].type)
  end)

  it("in sequence: one after another", function()
    local w = flow.workflow {}
    w.start = { run = work }
    w.steps = flow.sequence { after = w.start, { fetch = { run = work } }, { run = work },
      { store = flow.delay { "1s" } } }
    assert.same({ "start <- ", "steps_fetch <- start", "steps_2 <- steps_fetch", "steps_store <- steps_2",
      "steps <- steps_store" }, (shape(w)))
  end)

  it("nests", function()
    local w = flow.workflow {}
    w.build = flow.sequence {
      { run = work },
      flow.parallel { docs = { run = work }, code = flow.sequence { { run = work }, { run = work } } },
      { run = work },
    }
    assert.same({ "build_1 <- ", "build_2_code_1 <- build_1", "build_2_code_2 <- build_2_code_1",
      "build_2_code <- build_2_code_2", "build_2_docs <- build_1", "build_2 <- build_2_code build_2_docs",
      "build_3 <- build_2", "build <- build_3" }, (shape(w)))
  end)

  it("outputs an array, an object, or what the last one gave", function()
    local w = flow.workflow {}
    w.list = flow.parallel { { run = work }, { run = work } }
    w.named = flow.parallel { a = { run = work }, b = { run = work } }
    w.steps = flow.sequence { { run = work }, { run = work } }
    local _, nodes = shape(w)
    assert.same({ 1, flow.json.null }, nodes[3].run({}, { list_1 = 1 }))
    assert.same({ a = 1, b = false }, nodes[6].run({}, { named_a = 1, named_b = false }))
    assert.equal(2, nodes[9].run({}, { steps_2 = 2 }))
  end)

  it("keeps a false output of a member", function()
    local w = flow.workflow {}
    w.list = flow.parallel { { run = work } }
    local _, nodes = shape(w)
    assert.same({ false }, nodes[2].run({}, { list_1 = false }))
  end)

  it("passes on when, join, priority and pool", function()
    flow.pool("db", { max = 1 })
    local w = flow.workflow {}
    w.a = { run = work }
    w.b = { run = work }
    w.g = flow.sequence { after = { "a", "b" }, join = "any", when = function(ctx) return ctx.input.go end,
      pool = "db",
      priority = "high", { run = work, when = function(ctx) return ctx.input.first end },
      { run = work, priority = "low" } }
    local _, nodes = shape(w)
    assert.equal("any", nodes[3].join)
    assert.is_nil(nodes[4].join)
    assert.equal("high", nodes[3].priority)
    assert.equal("low", nodes[4].priority)
    assert.equal("db", nodes[4].pool)
    assert.is_nil(nodes[4].when)
    assert.is_true(nodes[3].when { input = { go = true, first = true } } and true)
    assert.is_falsy(nodes[3].when { input = { go = false, first = true } })
    assert.is_falsy(nodes[3].when { input = { go = true, first = false } })
  end)

  it("lets those that wait for a failure see its members", function()
    local w = flow.workflow {}
    w.g = flow.sequence { { run = work }, { run = work } }
    w.alarm = { after = "g", join = "failed", run = work }
    w.done = { after = { "g" }, join = "done", run = work }
    local lines = shape(w)
    assert.equal("alarm <- g g_1 g_2", lines[4])
    assert.equal("done <- g g_1 g_2", lines[5])
  end)

  it("leaves the tables of its members alone", function()
    local member = { run = work }
    local w = flow.workflow {}
    w.a = { run = work }
    w.g = flow.parallel { after = "a", member }
    shape(w)
    assert.same({ run = work }, member)
  end)
end)
