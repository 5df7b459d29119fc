-- Drawings of workflows: what people see is kept in spec/golden; UPDATE_GOLDEN=1 writes it anew.
local formats = require "orrery.cli.display.formats"
local golden = require "spec.golden.compare"
local layout = require "orrery.history.graph.layout"
local plan = require "orrery.cli.plan"
local view_of = require "orrery.history.graph.view"

-- A definition and the layers its plan would have, from { name, type, deps = { … } } rows.
local function graph_of(name, rows)
  local def, layers, index = { name = name, nodes = {} }, {}, {}
  for i, row in ipairs(rows) do
    local node, layer = { name = row[1], type = row[2] }, 1
    for key, value in pairs(row) do
      if type(key) == "string" and key ~= "deps" then node[key] = value end
    end
    for _, dep in ipairs(row.deps or {}) do
      local from, port = dep:match("^([^:]+):?(.*)$")
      node.deps = node.deps or {}
      node.deps[#node.deps + 1] = { node = index[from], port = port ~= "" and port or nil }
      layer = math.max(layer, layers[index[from]] + 1)
    end
    def.nodes[i], layers[i], index[row[1]] = node, layer, i
  end
  return view_of.of(def, layers), def
end

local function shop()
  return graph_of("shop", {
    { "list", "file.list" },
    { "route", "switch", deps = { "list" } },
    { "audit", "log", deps = { "list" }, when = function() end },
    { "gold", "lua", deps = { "route:gold" }, retry = { max = 3 } },
    { "plain", "lua", deps = { "route:plain" }, each = function() end },
    { "send", "exec", deps = { "gold", "plain", "audit" }, join = "need", need = 2 },
    { "cleanup", "lua", deps = { "send", "list" }, join = "done" },
  })
end

local function odd_names()
  return graph_of('a "quoted" <name> & more', {
    { "first", "lua" }, { "naïve-节点", 'x"y', deps = { "first" } },
  })
end

describe("graph", function()
  it("lists layers as text", function() golden("graph_shop.txt", formats.text((shop()))) end)
  it("draws small workflows only, and only where they fit", function()
    local drawing = require "orrery.cli.display.drawing"
    local view = shop()
    assert.is_string(drawing.draw(view, 110))
    assert.is_nil(drawing.draw(view, 20))
    local rows = { { "n1", "lua" } }
    for i = 2, 61 do rows[i] = { "n" .. i, "lua", deps = { "n" .. (i - 1) } } end
    assert.is_nil(drawing.draw(graph_of("long", rows), 110))
  end)

  it("draws every node of random graphs once, within the width", function()
    local drawn = 0
    for seed = 1, 60 do
      math.randomseed(seed)
      local rows = {}
      for i = 1, math.random(2, 14) do
        local deps, seen = {}, {}
        for _ = 1, math.random(0, 2) do
          local from = i > 1 and math.random(i - 1)
          if from and not seen[from] then
            seen[from] = true
            deps[#deps + 1] = "node" .. from
          end
        end
        rows[i] = { "node" .. i, "lua", deps = deps }
      end
      local text = require("orrery.cli.display.drawing").draw(graph_of("random", rows), 110)
      for line in (text or ""):gmatch("[^\n]+") do
        assert.is_true(require("orrery.cli.display.term").width(line) <= 112, ("seed %d"):format(seed))
      end
      for i = 1, text and #rows or 0 do
        assert.equal(1, select(2, text:gsub("node" .. i .. " ", "")), ("seed %d, node %d"):format(seed, i))
      end
      drawn = drawn + (text and 1 or 0)
    end
    assert.is_true(drawn > 30)
  end)

  it("writes DOT", function() golden("graph_shop_dot.txt", formats.dot((shop()))) end)
  it("writes Mermaid", function() golden("graph_shop_mermaid.txt", formats.mermaid((shop()))) end)
  it("draws SVG", function() golden("graph_shop_svg.txt", formats.svg((shop()))) end)

  it("draws to a cleanup node only the edges that no other of them implies", function()
    local view = graph_of("tidy", {
      { "tmp", "file.temp" }, { "a", "lua", deps = { "tmp" } }, { "b", "lua", deps = { "tmp" } },
      { "first", "lua", deps = { "a", "b" }, join = "any" }, { "beside", "lua", deps = { "b" } },
      { "tidy", "lua", deps = { "tmp", "a", "b", "first", "beside" }, join = "done" },
      { "last", "lua", deps = { "tmp", "a" } },
    })
    local drawn = {}
    for _, edge in ipairs(view.edges) do
      drawn[#drawn + 1] = view.nodes[edge.from].name .. ">" .. view.nodes[edge.to].name
    end
    assert.equal("tmp>a tmp>b a>first b>first b>beside a>tidy first>tidy beside>tidy tmp>last a>last",
      table.concat(drawn, " "))
  end)

  it("escapes names in every format", function()
    local view = odd_names()
    local svg = formats.svg(view)
    assert.is_nil(svg:find("<name>", 1, true))
    assert.is_truthy(svg:find("a &quot;quoted&quot; &lt;name&gt; &amp; more", 1, true))
    assert.is_truthy(formats.dot(view):find([[digraph "a \"quoted\" <name> & more" {]], 1, true))
    assert.is_truthy(formats.mermaid(view):find("x#34;y", 1, true))
  end)

  it("keeps every opened SVG element closed", function()
    local stack = {}
    for close, name, rest in formats.svg((shop())):gsub("<%?.-%?>", ""):gmatch("<(/?)([%a]+)([^>]*)>") do
      if close == "/" then
        assert.equal(name, table.remove(stack))
      elseif rest:sub(-1) ~= "/" then
        stack[#stack + 1] = name
      end
    end
    assert.same({}, stack)
  end)

  it("draws a workflow of one node", function()
    local view = graph_of("one", { { "only", "lua" } })
    assert.is_truthy(formats.svg(view):find(">only<", 1, true))
    assert.equal("one: 1 node, 0 edges, 1 layer\n\n1 ── only  lua\n", formats.text(view))
  end)
end)

describe("layout", function()
  local options = { size_of = function() return 60 end, gap = 20 }

  it("removes crossings that the order of creation has", function()
    local view = graph_of("crossed", {
      { "a", "lua" }, { "b", "lua" }, { "c", "lua" },
      { "z", "lua", deps = { "c" } }, { "y", "lua", deps = { "b" } }, { "x", "lua", deps = { "a" } },
    })
    assert.equal(0, layout.of(view, options).crossings)
  end)

  it("never lets boxes of a layer overlap, on random graphs", function()
    for seed = 1, 40 do
      math.randomseed(seed)
      local rows = {}
      for i = 1, 60 do
        local deps, seen = {}, {}
        for _ = 1, math.random(0, 3) do
          local from = i > 1 and math.random(i - 1)
          if from and not seen[from] then
            seen[from] = true
            deps[#deps + 1] = "n" .. from
          end
        end
        rows[i] = { "n" .. i, "lua", deps = deps }
      end
      local g = layout.of(graph_of("random", rows), options)
      for _, list in ipairs(g.layers) do
        for i = 2, #list do
          local a, b = g.vertices[list[i - 1]], g.vertices[list[i]]
          local free = (b.x - b.size / 2) - (a.x + a.size / 2)
          assert.is_true(free >= options.gap - 1e-6, ("seed %d: %f"):format(seed, free))
        end
      end
      assert.is_true(g.width < math.huge)
    end
  end)

  it("lays 2,000 nodes out in no long time", function()
    local rows = {}
    for i = 1, 2000 do
      rows[i] = { "n" .. i, "lua", deps = i > 40 and { "n" .. (i - 37), "n" .. (i - 23 - i % 11) } or nil }
    end
    local view = graph_of("wide", rows)
    local before = os.clock()
    local text = formats.svg(view)
    assert.is_true(os.clock() - before < 20)
    assert.is_true(#text > 100000)
  end)

  it("draws the longest edges straight where leading them through every layer costs too much", function()
    local rows = { { "n1", "lua" } }
    for i = 2, 400 do rows[i] = { "n" .. i, "lua", deps = i > 2 and { "n" .. (i - 1), "n1" } or { "n1" } } end
    local g = layout.of(graph_of("ladder", rows), options)
    assert.is_true(#g.vertices <= 20400)
    assert.equal(797, #g.paths)
  end)
end)

describe("plan", function()
  local function data(extra)
    local base = {
      name = "shop", nodes = 4, edges = 3, layers = { { "a" }, { "b", "c" }, { "d" } },
      widest = { layer = 2, nodes = 2 },
      critical_path = { nodes = { "a", "b", "d" }, seconds = 12.5, estimated = 3 }, bytes = 2048,
    }
    for key, value in pairs(extra or {}) do base[key] = value end
    return base
  end

  it("shows layers, the widest, and the critical path", function() golden("plan.txt", plan.text(data())) end)

  it("says when there are no estimates", function()
    local text = plan.text(data { critical_path = { nodes = { "a", "b", "d" }, seconds = 0, estimated = 0 } })
    assert.is_truthy(text:find("no node has an `estimate`", 1, true))
  end)

  it("stays short for a chain of 10,000 layers", function()
    local layers, path = {}, {}
    for i = 1, 10000 do layers[i], path[i] = { "n" .. i }, "n" .. i end
    local text = plan.text(data { layers = layers, nodes = 10000,
      critical_path = { nodes = path, seconds = 0, estimated = 0 } })
    assert.is_true(#text < 3000)
    assert.is_truthy(text:find("n10000", 1, true))
  end)
end)
