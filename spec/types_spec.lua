-- Node types: declaring them, calling them while building and inside a handler.
local fake = require "spec.support.fake_core"

describe("flow.type", function()
  local flow, core

  before_each(function() flow, core = fake.load() end)

  local function message_of(fn, ...)
    local ok, e = pcall(fn, ...)
    assert.is_false(ok)
    return (tostring(e):gsub("%S*types_spec%.lua:%d+: ", ""))
  end

  local function greeter()
    return flow.type {
      name = "test.greet", doc = "Greets.",
      config = flow.schema { whom = "string", times = "integer?" },
      run = function(_, config, inputs) return { config = config, inputs = inputs } end,
    }
  end

  it("registers the type by its dotted name", function()
    local T = greeter()
    assert.equal(T, flow.test.greet)
    local found
    for _, other in ipairs(flow.types()) do found = found or other == T end
    assert.is_true(found)
  end)

  it("lists the standard library, sorted", function()
    local names = {}
    for i, T in ipairs(flow.types()) do names[i] = T.name end
    local sorted = table.move(names, 1, #names, 1, {})
    table.sort(sorted)
    assert.same(sorted, names)
    local set = {}
    for _, name in ipairs(names) do set[name] = true end
    for name in ("const delay log condition switch data.merge workflow file.read file.write file.list")
        :gmatch "%S+" do
      assert.is_true(set[name], name)
    end
  end)

  it("has some types by a second name, unless somebody declares a type of that name", function()
    local function type_of(name) return flow.type_of { type = name } end
    for name in ("dedupe filter map merge validate"):gmatch "%S+" do
      assert.equal(flow.data[name], flow[name])
      assert.equal(flow.data[name], type_of(name))
    end
    assert.equal(type_of "workflow", flow.call)
    local mine = flow.type { name = "filter", run = print }
    assert.equal(mine, flow.filter)
    assert.equal(mine, type_of "filter")
    assert.equal("data.filter", flow.data.filter.name)
    local inner = flow.type { name = "map.tiles", run = print }
    assert.equal(inner, flow.map.tiles)
  end)

  it("loads no more of the standard library than is used", function()
    local command = require "spec.support.command"
    local result = command.run_with({ ["s.lua"] = [[
      local flow = require "orrery"
      local function loaded(name) return package.loaded["orrery.stdlib." .. name] ~= nil end
      local file = flow.file
      assert(not loaded "file.read")
      assert(file.read and loaded "file.read" and not loaded "file.write")
      assert(flow.now { type = "file.stat", with = { path = "." } }.exists)
      assert(loaded "file.stat" and not loaded "file.list")
      print(select(2, pcall(function() return file.raed end)))
      print(select(2, pcall(function() return flow.file.shared end)))
      print(select(2, pcall(flow.type, { name = "file.copy", run = print })))
      local mine = flow.type { name = "file.mine", run = print }
      assert(flow.file.mine == mine and flow.file.copy.name == "file.copy")
    ]] }, { "s.lua" })
    assert.equal("", result.err)
    assert.matches('flow.file has no "raed"; did you mean "read"?', result.out, 1, true)
    assert.matches('flow.file has no "shared"', result.out, 1, true)
    assert.matches('node type "file.copy": it is already declared at', result.out, 1, true)
  end)

  it("reports all that is wrong with a declaration", function()
    assert.equal(table.concat({
      'node type "bad name": "bad name" is not a type\'s name; it is words of letters, digits and _ joined '
        .. 'by dots',
      'node type "bad name": config key "retry" is a key of every node; give the config another name',
      'node type "bad name": run is missing; it is the function(ctx, config, inputs) that does the work',
      'node type "bad name": unknown field "confg"; did you mean "config"?',
    }, "\n"), message_of(flow.type,
    { name = "bad name", confg = {}, config = flow.schema { retry = "integer" } }))
  end)

  it("refuses every key of a node as a config key", function()
    for key in ([[after when join retry timeout deadline heartbeat on_error fallback compensate pool priority breaker cache
      each each_failures loop estimate strategy run doc with]]):gmatch "%S+" do
      assert.matches('config key "' .. key .. '" is a key of every node',
        message_of(flow.type, { name = "test.reserved", config = flow.schema { [key] = "any?" },
          run = print }))
    end
  end)

  it("refuses a name that is taken", function()
    greeter()
    assert.matches('^node type "test.greet": it is already declared at .*types_spec%.lua:%d+; give this one '
      .. 'another name$',
      message_of(flow.type, { name = "test.greet", run = print }))
  end)

  it("passes the same table each time where the config is fixed", function()
    local T = greeter()
    local w = flow.workflow {}
    w.hello = T { whom = "moon" }
    local run = assert(flow.compile(w)).def.nodes[1].run
    local first, second = run({}, { a = 1 }), run({}, {})
    assert.equal("moon", first.config.whom)
    assert.equal(first.config, second.config)
    assert.same({ a = 1 }, first.inputs)
  end)

  it("resolves templates for each attempt and checks what comes out", function()
    local T = greeter()
    local w = flow.workflow {}
    w.hello = T { whom = "${input.name}", times = "${input.times}" }
    local run = assert(flow.compile(w)).def.nodes[1].run
    assert.same({ whom = "moon", times = 2 }, run({ input = { name = "moon", times = 2 } }, {}).config)
    local ok, e = pcall(run, { input = { name = 5 } }, {})
    assert.is_false(ok)
    assert.equal("config_error", e.code)
    assert.is_false(e.retryable)
    assert.matches("^test.greet: .*whom", e.message)
  end)

  it("takes inputs only where the type's function does", function()
    local T = flow.type { name = "test.lean", config = {}, run = function(_, config) return config end }
    local w = flow.workflow {}
    w.a = T {}
    w.b = greeter() { whom = "x" }
    local nodes = assert(flow.compile(w)).def.nodes
    assert.equal(1, debug.getinfo(nodes[1].run, "u").nparams)
    assert.equal(2, debug.getinfo(nodes[2].run, "u").nparams)
  end)

  it("runs right there when it is called inside a handler", function()
    local T = greeter()
    core.handler = { attempt = 1 }
    local result = T { whom = "here" }
    assert.equal("here", result.config.whom)
    assert.matches('^config_error: test.greet: "retry" is a key of a node; a call inside a handler takes '
      .. 'config only, flow.now '
      .. '{ type = "test.greet", with = { … }, retry = … } takes both$',
      message_of(T, { whom = "x", retry = 3 }))
    assert.matches("^config_error: test.greet: .*whom", message_of(T, {}))
  end)

  it("makes nodes inside a handler while a file is being loaded", function()
    core.handler = { attempt = 1 }
    local w = flow.load { name = "child.lua",
      source = 'local flow = ... or _G.test_flow\nlocal w = flow.workflow {}\nw.a = flow.delay { "1s" }\n'
        .. 'return w' }
    core.handler = nil
    assert.equal(1, #w)
    assert.equal("delay", assert(flow.compile(w)).def.nodes[1].type)
  end)

  before_each(function() _G.test_flow = flow end)
  after_each(function() _G.test_flow = nil end)
end)
