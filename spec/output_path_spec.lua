-- Templates that are known without the expression language mean what it makes of them.
local json = require "orrery.core".json
local output_path = require "orrery.expr.output_path"
local template = require "orrery.expr.template"

local NAMES = { "a", "fetch", "_x9", "A_b_C", "nodes", "input", "f0", "nilly", "in", "end" }
local OTHERS = { "${nodes.and}", "${nodes.or}", "${nodes.not}", "${nodes.nil}", "${nodes.true}",
  "${nodes.false}", "${nodes.a.b}", "${ nodes.a }", "${nodes.a} ", "x${nodes.a}", "$${nodes.a}", "${nodes}",
  "${nodes.}",
  "${nodes.9}", "${nodes.a-b}", "${nodes.é}", "${input.a}", "${nodes.a", "${nodes.a}\n", "",
  "${nodes." .. ("a"):rep(300) .. "}" }

describe("a template that is the output of a node", function()
  it("is compiled as the expression language compiles it", function()
    for _, name in ipairs(NAMES) do
      local text = "${nodes." .. name .. "}"
      local quick, full = output_path(text), template.compile(text)
      local outputs = { { [name] = 1 }, { [name] = json.null }, { [name] = false }, {}, json.null, "text", 5 }
      for i = 1, #outputs + 1 do
        local ctx = { nodes = outputs[i] }
        assert.equal(full.fn(ctx), quick.fn(ctx), text .. " with " .. tostring(outputs[i]))
      end
      full.fn, quick.fn = nil, nil
      assert.same(full, quick, text)
    end
  end)

  it("reads outputs that are a proxy", function()
    local asked
    local ctx = { nodes = setmetatable({}, { __index = function(_, name)
      asked = name
      return 7
    end }) }
    assert.equal(7, output_path "${nodes.fetch}".fn(ctx))
    assert.equal("fetch", asked)
  end)

  it("is nothing else", function()
    for _, text in ipairs(OTHERS) do assert.is_nil(output_path(text), text) end
    for _, value in ipairs { 5, true, {}, print } do assert.is_nil(output_path(value)) end
  end)
end)
