-- What `orrery serve` says of two runs beside each other.
local served = require "spec.support.served"

local FLOW = [[
local flow = require "orrery"
local w = flow.workflow { name = "made", input = { n = "integer" }, output = "${nodes.sum}", on_error = "continue" }
w.list = { run = function(ctx) return { a = 1, b = { 1, 2 }, n = ctx.input.n } end }
w.wide = { run = function(ctx) return ("w"):rep(20000) .. ctx.input.n end }
w.even = { run = function() return ("e"):rep(20000) end }
w.steady = { run = function() return "hello" end }
w.maybe = { run = function(ctx) if ctx.input.n == 2 then flow.error { code = "much", message = "too much" } end end }
w.sum = { after = { "list", "wide" }, run = function(ctx) return ctx.input.n end }
return w
]]
local CHANGED = FLOW:gsub('return "hello"', 'return "goodbye"'):gsub("return w\n$",
  'w.extra = { run = function() return 1 end }\nreturn w\n'):gsub("w%.even = [^\n]*\n", "")

local function start(s, n)
  local id = s:expect(201, "POST", "/api/v1/runs", { token = s:token "run",
    body = { workflow = "made", input = { n = n } } }).id
  s:until_state(id, "completed", "failed")
  return id
end

describe("two runs beside each other", function()
  local function asker(s)
    local token = s:token "read"
    return function(path) return s:expect(200, "GET", "/api/v1/runs/" .. path, { token = token }) end
  end

  -- What differs by node, from pages of that many.
  local function differing(get, one, other, limit)
    local found, order, cursor = {}, {}, nil
    repeat
      local page = get(("%s/compare/%s/nodes?limit=%d%s"):format(one, other, limit,
        cursor and "&cursor=" .. cursor or ""))
      assert.is_true(#page.nodes <= limit)
      for _, node in ipairs(page.nodes) do
        assert.is_nil(found[node.name])
        found[node.name], order[#order + 1] = table.concat(node.differs, " "), node.name
      end
      cursor = page.next
    until not cursor
    return found, order
  end

  it("differ in nothing where they did the same", function()
    local s <close> = served.new { ["made.lua"] = FLOW }
    local get, one, other = asker(s), start(s, 1), start(s, 1)
    local made = get(one .. "/compare/" .. other)
    assert.same({ one, other }, { made.one.id, made.other.id })
    assert.same({ true, true, true, true },
      { made.input.same, made.output.same, made.context.same, made.code.same })
    assert.same({ n = 1 }, made.input.other)
    assert.same({ list = "", wide = "", even = "", steady = "", maybe = "", sum = "" },
      (differing(get, one, other, 100)))
  end)

  it("differ in input, states, outputs and errors", function()
    local s <close> = served.new { ["made.lua"] = FLOW }
    local get, one, other = asker(s), start(s, 1), start(s, 2)
    local made = get(one .. "/compare/" .. other)
    assert.same({ false, { n = 1 }, { n = 2 } }, { made.input.same, made.input.one, made.input.other })
    assert.is_true(made.code.same)
    for limit = 1, 7 do
      local found, order = differing(get, one, other, limit)
      assert.same({ list = "output", wide = "output", even = "", steady = "", maybe = "state error",
        sum = "output" }, found)
      assert.same({ "list", "wide", "even", "steady", "maybe", "sum" }, order)
    end
    local wide = get(("%s/compare/%s/nodes"):format(one, other)).nodes[2]
    assert.same({ nil, 20003, 20003 }, { wide.one.output, wide.one.output_bytes, wide.other.output_bytes })
  end)

  it("differ in their code, by what the definition says and by lines", function()
    local s <close> = served.new { ["made.lua"] = FLOW }
    local get, one = asker(s), start(s, 1)
    s:write("made.lua", CHANGED)
    s:expect(200, "POST", "/api/v1/workflows/reload", { token = s:token("operate") })
    local other = start(s, 1)
    local code = get(one .. "/compare/" .. other).code
    assert.same({ false, true, false }, { code.same, code.known, code.more })
    local said = table.concat(code.definition, "\n")
    assert.is_truthy(said:find('node "extra" is new', 1, true), said)
    assert.is_truthy(said:find('node "even" is gone', 1, true), said)
    assert.equal(1, #code.sources)
    assert.same({ "changed", true }, { code.sources[1].change, code.sources[1].main })
    local lines = table.concat(code.sources[1].lines, "\n")
    assert.is_truthy(lines:find('\n- w.steady = { run = function() return "hello" end }', 1, true), lines)
    assert.is_truthy(lines:find('\n+ w.steady = { run = function() return "goodbye" end }', 1, true), lines)
    for limit = 1, 8 do
      local found, order = differing(get, one, other, limit)
      assert.same({ list = "", wide = "", even = "presence", steady = "output", maybe = "", sum = "",
        extra = "presence" }, found)
      assert.same({ "list", "wide", "even", "steady", "maybe", "sum", "extra" }, order)
    end
  end)
end)
