-- Building workflows: assignment, reading back, order, places, names.
local fake = require "spec.support.fake_core"

describe("a workflow", function()
  local flow

  setup(function() flow = fake.load() end)

  local function work() end

  local function names(w)
    local list = {}
    for name in pairs(w) do list[#list + 1] = name end
    return list
  end

  it("keeps its nodes in the order of assignment", function()
    local w = flow.workflow { name = "order" }
    for _, name in ipairs { "zeta", "alpha", "mid", "beta" } do w[name] = { run = work } end
    assert.same({ "zeta", "alpha", "mid", "beta" }, names(w))
    assert.equal(4, #w)
    assert.equal('workflow "order" (4 nodes)', tostring(w))
  end)

  it("reads a node back as the table that was assigned", function()
    local w = flow.workflow {}
    local node = { run = work }
    w.fetch = node
    assert.equal(node, w.fetch)
    w.next = { after = w.fetch, run = work }
    local compiled = assert(flow.compile(w))
    assert.equal(1, compiled.def.nodes[2].deps[1].node)
  end)

  it("raises the nearest name when a node that is not there is read", function()
    local w = flow.workflow { name = "near" }
    w.fetch = { run = work }
    local ok, e = pcall(function() return w.fecth end)
    assert.is_false(ok)
    assert.matches('workflow_spec%.lua:%d+: workflow "near" has no node "fecth" so far; did you mean '
      .. '"fetch"%?$', tostring(e))
  end)

  it("takes its name from the file where it has none", function()
    assert.equal("workflow_spec", assert(flow.compile((function()
      local w = flow.workflow {}
      w.a = { run = work }
      return w
    end)())).name)
  end)

  it("knows where each node was made", function()
    local w = flow.workflow {}
    local line = debug.getinfo(1, "l").currentline
    w.short = { run = work }
    w.typed = flow.delay {
      duration = "1s",
    }
    w.long = {
      run = function()
        return 1
      end }
    local nodes = assert(flow.compile(w)).def.nodes
    local function at(i) return tonumber(nodes[i].where:match ":(%d+)$") - line end
    assert.matches("workflow_spec%.lua:", nodes[1].where)
    assert.equal(1, at(1))
    assert.equal(6, at(3))
  end)

  it("builds a graph in a loop, the handler being passed as it is", function()
    local w = flow.workflow {}
    local count = 20000
    for i = 1, count do w["n" .. i] = { after = i > 1 and "n" .. (i - 1) or nil, run = work } end
    local nodes = assert(flow.compile(w)).def.nodes
    assert.equal(count, #nodes)
    assert.equal(work, nodes[count].run)
    assert.equal(count - 1, nodes[count].deps[1].node)
    assert.is_nil(nodes[1].deps)
  end)

  it("compiles again only after another assignment", function()
    local w = flow.workflow {}
    w.a = { run = work }
    local first = flow.compile(w)
    assert.equal(first, flow.compile(w))
    w.b = { run = work }
    assert.equal(2, #flow.compile(w).def.nodes)
  end)
end)

describe("names of this module", function()
  local flow

  setup(function() flow = fake.load() end)

  it("are found by dots", function()
    assert.equal("file.read", flow.file.read.name)
    assert.equal("workflow", flow.call.name)
    assert.equal("node type delay", tostring(flow.delay))
  end)

  it("cannot be set, which a slip of the pen for a workflow's field would do", function()
    local ok, e = pcall(function() flow.fetch = { run = print } end)
    assert.is_false(ok)
    assert.matches("flow.fetch cannot be set; a node is assigned to a workflow, w.fetch = …$", e)
    assert.is_nil(rawget(flow, "fetch"))
  end)

  it("raise the nearest one where they are wrong", function()
    local ok, e = pcall(function() return flow.dealy end)
    assert.is_false(ok)
    assert.matches('flow has no "dealy"; did you mean "delay"%?$', e)
  end)
end)
