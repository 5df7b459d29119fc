-- What a start loads: a workflow of one Lua node pays for nothing that only others need.
local command = require "spec.support.command"

-- What only some workflows need, in the folders of `orrery`.
local OTHERS = {
  "cli.display.live_watcher", "cli.display.watch", "cli.shared.left", "cli.shared.options",
  "definition.deps", "definition.json", "definition.json_edges", "definition.load_problems",
  "definition.node_keys", "definition.node_values", "definition.options", "definition.pool_fields",
  "definition.singleton", "definition.threaded", "definition.type_call", "definition.type_declare",
  "definition.type_registry", "definition.typed_node", "definition.workflow_problems", "duration",
  "expr.template", "history.pauses", "nearest", "now", "schema", "secret", "url", "wording",
}

local WORKFLOW = [[
local flow = require "orrery"
local w = flow.workflow { name = "hello", output = "${nodes.hello}" }
w.hello = { run = function()
  local names = {}
  for name in pairs(package.loaded) do names[#names + 1] = name end
  return names
end }
return w
]]

describe("a start", function()
  local loaded

  setup(function()
    local result = command.run_with({ ["hello.lua"] = WORKFLOW },
      { "run", "--json", "--store", "memory:", "hello.lua" })
    assert.equal("", result.err)
    local last = result.out:match "[^\n]+\n$"
    loaded = require("orrery").json.decode(last).output
  end)

  it("loads nothing that its workflow does not need", function()
    local found = {}
    for _, name in ipairs(OTHERS) do
      for _, other in ipairs(loaded) do
        if other == "orrery." .. name then found[#found + 1] = other end
      end
    end
    assert.same({}, found)
  end)

  it("unpacks nothing", function()
    local plain, packed = {}, {}
    for _, name in ipairs(dofile "runtime/host/start_modules.lua") do plain[name] = true end
    for _, name in ipairs(loaded) do
      local native = name:find "^orrery%.core" or name == "orrery.host"
      if name:find "^orrery%." and not native and not plain[name] then packed[#packed + 1] = name end
    end
    assert.same({}, packed, "runtime/host/start_modules.lua does not name them")
  end)

  it("names modules that there are", function()
    for _, name in ipairs(OTHERS) do
      assert.is_true((pcall(require, "orrery." .. name)), name)
    end
  end)
end)
