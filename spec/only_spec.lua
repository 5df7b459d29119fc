-- A part of a workflow: what `--only` and `--from` leave of it.
local fake = require "spec.support.fake_core"

describe("a part of a workflow", function()
  local flow, only

  setup(function()
    flow = fake.load()
    only = require "orrery.definition.only"
  end)

  local function work() end

  -- a -> b -> c -> d, where c is a group of two, and x beside them all, which only d takes too.
  local function compiled()
    local w = flow.workflow {}
    w.a = { run = work }
    w.b = { after = "a", run = work }
    w.c = flow.parallel { after = "b", { run = work }, { run = work } }
    w.x = { run = work }
    w.d = { after = { "c", "x" }, join = { need = 2 }, run = work }
    return assert(flow.compile(w))
  end

  local function names(def)
    local list = {}
    for i, node in ipairs(def.nodes) do list[i] = node.name end
    return table.concat(list, " ")
  end

  it("from a node on is all that follows, however far", function()
    local it = compiled()
    assert.equal("b c_1 c_2 c d", names(only.from(it.def, "b", it.groups)))
    assert.equal("x d", names(only.from(it.def, "x", it.groups)))
    assert.equal("a b c_1 c_2 c x d", names(only.from(it.def, { "x", "a" }, it.groups)))
  end)

  it("of some nodes is all that they depend on", function()
    local it = compiled()
    assert.equal("a b", names(only.only(it.def, "b", it.groups)))
    assert.equal("a b c_2", names(only.only(it.def, "c_2", it.groups)))
    assert.equal("a b c_1 c_2 c x d", names(only.only(it.def, "d", it.groups)))
  end)

  it("takes a group with its members", function()
    local it = compiled()
    assert.equal("c_1 c_2 c d", names(only.from(it.def, "c", it.groups)))
    assert.equal("a b c_1 c_2 c", names(only.only(it.def, "c", it.groups)))
  end)

  it("wants no more dependencies than are left, and none where none is", function()
    local it = compiled()
    local nodes = only.from(it.def, "c", it.groups).nodes
    assert.same({ "need", 1 }, { nodes[4].join, nodes[4].need })
    assert.same({ { node = 3 } }, nodes[4].deps)
    nodes = only.from(it.def, "d", it.groups).nodes
    assert.is_nil(nodes[1].deps or nodes[1].join or nodes[1].need)
    assert.same({ "need", 2 }, { it.def.nodes[7].join, it.def.nodes[7].need })
  end)
end)
