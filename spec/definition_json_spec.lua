-- Workflow definitions in JSON: the same plan as from Lua, and mistakes with their place in the
-- file.
local fake = require "spec.support.fake_core"

describe("a JSON definition", function()
  local flow

  before_each(function() flow = fake.load() end)

  local function load_json(text) return flow.load { source = text, name = "flow.json", types = { "*" } } end

  local function sentences(text)
    local lines = {}
    for i, problem in ipairs(flow.check { source = text, name = "flow.json" }) do
      -- json_places_spec has those
      local where = problem.where and problem.where:gsub("^(flow%.json):%d+:%d+", "%1")
      lines[i] = (where and where .. ": " or "") .. problem.message
    end
    return lines
  end

  -- The parts of a definition that can be compared.
  local function bare(def)
    local list = {}
    for i, node in ipairs(def.nodes) do
      local deps = {}
      for k, dep in ipairs(node.deps or {}) do deps[k] = { dep.node, dep.port, dep.when ~= nil } end
      list[i] = { node.name, node.type, deps, node.retry, node.timeout, node.join, node.when ~= nil,
        node.each ~= nil }
    end
    return { def.name, def.on_error, def.timeout, list }
  end

  it("gives the same plan as Lua", function()
    local from_json = load_json [[{
      "name": "weather", "timeout": "1m", "on_error": "drain", "output": "${nodes.report}",
      "nodes": [
        { "id": "list", "type": "file.list", "with": { "path": "${input.folder}" } },
        { "id": "route", "type": "switch", "with": { "cases": [ { "many": "#nodes.list > 3" } ], "default": "few" } },
        { "id": "many", "type": "log", "after": "route:many", "message": "many", "retry": "quick", "timeout": "5s" },
        { "id": "few", "type": "log", "after": [ "route:few" ], "with": { "message": "few" } },
        { "id": "each", "type": "log", "each": "${nodes.list}", "with": { "message": "${item.path}" }, "when": "input.loud" },
        { "id": "report", "type": "merge", "after": [ "many", "few" ], "join": "any", "with": { "as": "list" } }
      ] }]]
    local w = flow.workflow { name = "weather", timeout = "1m", on_error = "drain",
      output = "${nodes.report}" }
    w.list = flow.file.list { path = "${input.folder}" }
    w.route = flow.switch { cases = { { many = "#nodes.list > 3" } }, default = "few" }
    w.many = flow.log { after = "route:many", message = "many", retry = "quick", timeout = "5s" }
    w.few = flow.log { after = "route:few", message = "few" }
    w.each = flow.log { each = "${nodes.list}", message = "${item.path}", when = "input.loud" }
    w.report = flow.merge { after = { "many", "few" }, join = "any", as = "list" }
    assert.same(bare(assert(flow.compile(w)).def), bare(assert(flow.compile(from_json)).def))
  end)

  it("adds its edges to what stands in after", function()
    local def = assert(flow.compile(load_json [[{ "nodes": [
      { "id": "a", "type": "const" }, { "id": "s", "type": "condition", "with": { "test": "input.x" } },
      { "id": "b", "type": "const", "after": "a" } ],
      "edges": [ { "from": "s:true", "to": "b", "when": "input.y > 1" } ] }]])).def
    local deps = def.nodes[3].deps
    assert.same({ 1, 2, "true" }, { deps[1].node, deps[2].node, deps[2].port })
    assert.is_true(deps[2].when { input = { y = 2 } })
    assert.is_false(deps[2].when { input = { y = 1 } })
    assert.equal("flow.json: nodes[2]", def.nodes[3].where)
    assert.equal("flow", def.name)
  end)

  it("takes null for a key that is not there", function()
    assert.same({}, sentences [[{ "name": null, "nodes": [ { "id": "a", "type": "const", "retry": null, "when": null } ], "edges": null }]])
  end)

  local CASES = {
    { "Lua code", [[{ "nodes": [ { "id": "a", "type": "lua", "with": { "code": "os.exit()" } },
      { "id": "b", "type": "const", "run": "os.exit()" } ] }]], {
      "flow.json: nodes[1].run: a JSON definition is data and holds no Lua code; name a node type instead",
      'flow.json: nodes[0].type: node "a": type: a JSON definition is data and holds no Lua code; declare a '
        .. 'node type of your own '
      .. "(flow.type) and name it here, or write the workflow as a Lua file" } },
    { "an unknown type", [[{ "nodes": [ { "id": "a", "type": "cosnt" } ] }]], {
      'flow.json: nodes[0].type: node "a": type: there is no node type "cosnt"; did you mean "const"?; a '
        .. 'type of your own is known '
      .. 'once the module that declares it has been required ("require": [ "MODULE" ] or `orrery … -l '
      .. 'MODULE`)' } },
    { "a template in with", [[{ "nodes": [ { "id": "a", "type": "const" },
      { "id": "b", "type": "log", "with": { "message": "${nodes.c}" } } ] }]], {
      'flow.json: nodes[1].with.message: node "b": message mentions nodes.c, but there is no such node' } },
    { "an expression", [[{ "nodes": [ { "id": "a", "type": "const", "when": "os.exit()" } ] }]], {
      'flow.json: nodes[0].when: node "a": when: column 1: there is no name "os"; a text is written "os", '
        .. 'and names '
      .. 'are input, nodes, states, errors, context, env, item, index, item_name, '
      .. 'previous, run',
    } },
    { "the outer keys", [[{ "nam": "x", "nodes": [ { "id": "a", "type": "const" } ], "on_error": "halt" }]], {
      'flow.json: nam: unknown field "nam"; did you mean "name"?',
      'flow.json: on_error: workflow "flow": on_error: expected "stop", "drain" or "continue", got the '
        .. 'string "halt"' } },
    { "nodes that are none", [[{ "nodes": [ 5, { "type": "const" }, { "id": "a" }, { "id": "9", "type": "const" },
      { "id": "b", "type": "const" }, { "id": "b", "type": "const" }, [] ] }]], {
      'flow.json: nodes[0]: expected a node { "id", "type", … }, got 5',
      "flow.json: nodes[1].id: id is missing; it is the node's name",
      'flow.json: nodes[2].type: type is missing; name the node type, such as "http.get"',
      'flow.json: nodes[3].id: "9" is not a node\'s name; a name is a letter or _, then letters, digits, _ '
        .. 'and -',
      'flow.json: nodes[5].id: node "b" is already there, assigned at flow.json: nodes[4]; a node is '
        .. 'assigned once, give this one '
      .. "another name",
      'flow.json: nodes[6]: expected a node { "id", "type", … }, got a table' } },
    { "no nodes", [[{ "name": "x" }]], { "flow.json: nodes: nodes: expected a list, got nothing" } },
    { "an empty list", [[{ "nodes": [] }]], {
      "the workflow has no node; assign one: w.hello = { run = function(ctx) … end }" } },
    { "edges", [[{ "nodes": [ { "id": "a", "type": "const" }, { "id": "bee", "type": "const" } ],
      "edges": [ { "from": "a", "to": "be" }, { "from": "x", "to": "bee" }, { "from": "a" }, { "from": "a", "to": "bee", "wen": "1" },
        { "from": "a:no", "to": "bee" }, { "from": "a", "to": "bee", "when": "(" } ] }]], {
      "flow.json: edges[2].to: to: expected a node's id, got nothing",
      'flow.json: edges[3].wen: unknown field "wen"; did you mean "when"?',
      'flow.json: edges[0].to: edge: to: there is no node "be"; did you mean "bee"?',
      'flow.json: nodes[1]: node "bee": it depends on "a" twice; keep one',
      'flow.json: edges[1].from: edge: from: there is no node "x"',
      'flow.json: edges[4].from: edge: from: "a" has no outcomes, only nodes like switch and condition have; '
        .. 'write "a"',
      "flow.json: edges[5].when: edge: when: column 2: expected a value, got the end",
    } },
    { "an edge twice", [[{ "nodes": [ { "id": "a", "type": "const" }, { "id": "b", "type": "const", "after": "a" } ],
      "edges": [ { "from": "a", "to": "b" } ] }]], {
      'flow.json: nodes[1]: node "b": it depends on "a" twice; keep one' } },
    { "something else", "[1]",
      { 'flow.json: a definition is a JSON object { "name", "nodes", … }, got a table' } },
    { "retry", [[{ "nodes": [ { "id": "a", "type": "const", "retry": { "max": "x" } } ] }]], {
      'flow.json: nodes[0].retry.max: node "a": retry.max: expected a whole number of retries, '
        .. 'at most 32766, got the string "x"' } },
  }
  for _, case in ipairs(CASES) do
    it("with a mistake in " .. case[1] .. " says where",
      function() assert.same(case[3], sentences(case[2])) end)
  end

  it("that is no JSON says where it ends", function()
    for _, text in ipairs { '{ "nodes": [', "", '{ "nodes": [], "nodes": [] }', ("["):rep(100000),
        '{ "name": "\\ud800" }' } do
      local problems = flow.check { source = text, name = "flow.json" }
      assert.equal(1, #problems)
      assert.equal("bad_json", problems[1].kind)
      assert.matches("^flow%.json:%d+:%d+$", problems[1].where)
    end
  end)
end)
