-- What a run keeps, what one value makes and what one decode makes have a budget in bytes.
local flow = require "orrery"
local template = require "orrery.expr.template"

local MEGABYTE = 1024 * 1024

local function run_of(limit, build)
  local w = flow.workflow { name = "budget" }
  build(w)
  return flow.run(w, { runtime = flow.runtime { memory_limit = limit } })
end

describe("a run's outputs", function()
  it("end it with memory_limit where they would take more than its budget", function()
    local run = run_of(5 * MEGABYTE, function(w)
      w.a = { run = function() return ("a"):rep(3 * MEGABYTE) end }
      w.b = { after = "a", run = function() return ("b"):rep(3 * MEGABYTE) end }
    end)
    assert.equal("failed", run.state)
    assert.equal("b", run.error.node)
    assert.equal("memory_limit", run.error.code)
    assert.matches("5242880 is the most for one run", run.error.message, 1, true)
  end)

  it("count tables as well", function()
    local run = run_of(MEGABYTE, function(w)
      w.a = { run = function()
        local list = {}
        for i = 1, 20000 do list[i] = {} end
        return list
      end }
    end)
    assert.equal("memory_limit", run.error.code)
  end)

  it("count once what is passed on", function()
    local run = run_of(2 * MEGABYTE, function(w)
      w.a = { run = function() return { ("a"):rep(MEGABYTE) } end }
      for i = 1, 20 do
        w["copy" .. i] = { after = "a", run = function(_, inputs) return inputs.a end }
      end
    end)
    assert.equal("completed", run.state)
  end)

  it("count no longer what was replaced", function()
    local run = run_of(3 * MEGABYTE, function(w)
      w.a = { loop = { ["until"] = "output.done", max = 20 }, run = function(ctx)
        return { done = ctx.iteration == 20, text = tostring(ctx.iteration):rep(MEGABYTE // 2) }
      end }
    end)
    assert.equal("completed", run.state)
  end)

  it("refuse a budget that is none", function()
    assert.has_error(function() flow.runtime { memory_limit = -1 } end)
  end)
end)

describe("the texts of one value", function()
  it("have one budget together", function()
    local list = {}
    for i = 1, 80 do list[i] = "x${input.text}" end
    local compiled = template.compile { deep = { list = list } }
    local ok, e = pcall(compiled.fn, { input = { text = ("a"):rep(MEGABYTE) } })
    assert.is_false(ok)
    assert.equal("config_error", e.code)
    assert.matches("longer than 64 MiB together", e.message, 1, true)
    for _ = 1, 3 do compiled.fn { input = { text = ("a"):rep(MEGABYTE // 2) } } end -- each has its own
  end)

  it("count their steps together", function()
    local list, expressions = {}, {}
    for i = 1, 100000 do list[i] = i end
    for i = 1, 200 do expressions[i] = "${contains(input.list, 0)}" end
    local compiled = template.compile(expressions)
    local ok, e = pcall(compiled.fn, { input = { list = flow.json.array(list) } })
    assert.is_false(ok)
    assert.matches("more than 16000000 items", e.message, 1, true)
  end)
end)

describe("one decode", function()
  it("has a budget", function()
    local text = "[" .. ("[],"):rep(100000) .. "{}]"
    assert.equal(100001, #flow.json.decode(text))
    local ok, message = pcall(flow.json.decode, text, { limit = MEGABYTE })
    assert.is_false(ok)
    assert.matches("^JSON:1:%d+: the value takes more than 1048576 bytes of memory", message)
  end)

  it("counts names and texts", function()
    assert.is_false(pcall(flow.json.decode, '["' .. ("a"):rep(MEGABYTE) .. '"]', { limit = MEGABYTE }))
    local parts = {}
    for i = 1, 20000 do parts[i] = ('"k%d":1'):format(i) end
    assert.is_false(pcall(flow.json.decode, "{" .. table.concat(parts, ",") .. "}", { limit = MEGABYTE }))
    assert.is_true(pcall(flow.json.decode, '["' .. ("a"):rep(MEGABYTE // 2) .. '"]', { limit = MEGABYTE }))
  end)
end)
