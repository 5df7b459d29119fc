-- uv.walk on a loop where the engine has handles too.
local command = require "spec.support.command"
local flow = require "orrery"
local uv = require "luv"

local function close_all()
  uv.walk(function(handle)
    if not handle:is_closing() then handle:close() end
  end)
end

describe("uv.walk", function()
  it("visits the handles that a script has made, open or closing", function()
    local timer, idle = uv.new_timer(), uv.new_idle()
    local seen = {}
    uv.walk(function(handle) seen[handle] = true end)
    assert.is_true(seen[timer] and seen[idle])
    timer:close()
    uv.walk(function(handle) seen[handle] = handle:is_closing() end)
    assert.is_true(seen[timer])
    assert.is_false(seen[idle])
    idle:close()
    assert.has_error(function() uv.walk() end)
  end)

  it("does no harm where a script closes all it finds", function()
    local w = flow.workflow { name = "closing", output = "${nodes.said}" }
    w.sleeps = { run = function(ctx) ctx:sleep(0.02) return 1 end }
    w.closes = { run = close_all }
    w.said = { after = { "sleeps", "closes" }, run = function()
      local call = flow.exec { argv = { "echo", "said" } }
      close_all()
      return call.stdout
    end }
    for _, options in ipairs { {}, { clock = "virtual" }, { store = "memory:" } } do
      local run = flow.run(w, options)
      assert.equal("completed", run.state)
      assert.equal("said\n", run.output)
    end
  end)

  it("does none to the command either", function()
    local result = command.run_with({ ["w.lua"] = [[
      local flow, uv = require "orrery", require "luv"
      local w = flow.workflow { name = "closing" }
      w.a = { run = function(ctx)
        uv.walk(function(handle) print(handle) handle:close() end)
        ctx:sleep(0.01)
      end }
      w.b = flow.exec { after = "a", argv = { "true" } }
      return w
    ]] }, { "run", "--store", "sqlite:runs.db", "w.lua" })
    assert.equal(0, result.code, result.err)
    assert.equal("", result.out)
  end)

  it("goes on after an error of the function, which is reported", function()
    local result = command.run_with({ ["w.lua"] = [[
      local flow, uv = require "orrery", require "luv"
      local one, two, n = uv.new_timer(), uv.new_timer(), 0
      uv.walk(function() n = n + 1 error "no" end)
      print(n)
      one:close() two:close()
    ]] }, { "-W", "w.lua" })
    assert.equal("2\n", result.out)
    assert.equal(0, result.code)
    assert.truthy(result.err:find("no", 1, true), result.err)
  end)
end)
