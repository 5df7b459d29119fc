-- data.template and flow.template: texts from templates in config and in files.
local command = require "spec.support.command"
local flow = require "orrery"
local one = require "spec.support.one_node"

local function with_file(text, fn)
  local path = command.file(text, ".txt")
  local ok, e = pcall(fn, path)
  os.remove(path)
  if not ok then error(e, 0) end
end

describe("data.template", function()
  it("makes a text of config, and waits for the nodes that it reads", function()
    local w = flow.workflow { name = "w", input = { name = "string" }, output = "${nodes.text}" }
    w.text = flow.data.template { "Hello ${input.name}:\n${for i, x in nodes.list}\n${i}. ${x.t}\n${end}\n" }
    w.list = flow.const { value = { { t = "a" }, { t = "b" } } }
    local run = flow.run(w, { input = { name = "Ada" } })
    assert.equal("Hello Ada:\n1. a\n2. b\n", run.output)
  end)

  it("makes a text of a file and values", function()
    with_file("${for o in values.orders}\n${o.id}: ${if o.paid}paid${else}open since ${input.day}${end}\n"
      .. "${end}\n$${x} ${values.name}", function(path)
      local node = flow.data.template { path = path, values = { name = 7, orders = { { id = 1, paid = true },
        { id = 2 } } } }
      assert.equal("1: paid\n2: open since Monday\n${x} 7", one.output(node, { input = { day = "Monday" } }))
    end)
    with_file("${values}", function(path)
      assert.equal("5", one.output(flow.data.template { path = path, values = 5 }))
      one.contains(one.failure(flow.data.template { path = path, values = { 5 } }).message,
        "values is an array")
    end)
    with_file("", function(path) assert.equal("", one.output(flow.data.template { path = path })) end)
  end)

  it("says where a file is no template, and what it may not read", function()
    with_file("one\ntwo ${valuse.x}\n", function(path)
      local e = one.failure(flow.data.template { path = path })
      assert.same({ "template_error", false }, { e.code, e.retryable })
      one.contains(e.message, path .. ': line 2, column 7: there is no name "valuse"; did you mean "values"?')
    end)
    with_file("${for x in values}\n", function(path)
      one.contains(one.failure(flow.data.template { path = path, values = {} }).message,
        'line 1, column 1: this "${for …}" is not closed')
    end)
    with_file("${nodes.x}", function(path)
      one.contains(one.failure(flow.data.template { path = path }).message,
        "it reads the node x, and nothing")
    end)
    with_file("a ${values.x}", function(path)
      local e = one.failure(flow.data.template { path = path, values = {} })
      assert.equal("config_error", e.code)
      one.contains(e.message, "values.x is nil, which has no text")
    end)
    assert.equal("file_error", one.failure(flow.data.template { path = "/nowhere/x" }).code)
  end)

  it("says what is wrong with its config", function()
    for message, config in pairs { ["give it text, or path"] = { values = 1 },
      ["values are for a file"] = { text = "x", values = 1 },
        ["is not closed"] = { text = "${for x in input}" } } do
      local w = flow.workflow { name = "w" }
      w.it = flow.data.template(config)
      one.contains(flow.check(w)[1].message, message)
    end
  end)

  it("reads files that the loader of a definition allows, and no others", function()
    with_file("x", function(path)
      local function run_with(paths)
        local source = '{"name":"w","nodes":[{"id":"a","type":"data.template","with":{"path":"%s"}}]}'
        local w = flow.load { source = source:format(path), types = { "data.template" }, paths = paths }
        return flow.run(w)
      end
      assert.equal("not_allowed", run_with({}).error.code)
      assert.equal("completed", run_with({ "/tmp" }).state)
    end)
  end)
end)

describe("flow.template", function()
  it("is called with a context and a value, as often as one likes", function()
    local render = flow.template("${row.a} of ${input}", { root = "row" })
    assert.equal("1 of 9", render({ input = 9 }, { a = 1 }))
    assert.equal("2 of 9", render({ input = 9 }, { a = 2 }))
    assert.equal("plain", flow.template "plain"())
    local ok, e = pcall(flow.template, "${row.a}")
    assert.is_false(ok)
    assert.equal("template_error", e.code)
    one.contains(e.message, 'template: line 1, column 3: there is no name "row"')
  end)
end)
