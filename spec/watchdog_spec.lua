-- The watchdog, in real time: what it stops, and what has time of its own.
local flow = require "orrery"
local command = require "spec.support.command"
local patience = require "spec.support.patience"

local function busy(seconds)
  local start = os.clock()
  while os.clock() - start < seconds do end
end

local function hang() while true do end end

describe("what runs after the time of its run is over", function()
  it("is undone and cleaned up in its own time", function()
    patience.with(0.2, function(seconds)
      local did = {}
      local function work(name)
        return function() busy(0.05) did[#did + 1] = name return name end
      end
      local w = flow.workflow { name = "pay", timeout = seconds }
      w.charge = { run = function() return 1 end, compensate = work "refunded" }
      w.slow = { after = "charge", run = function(ctx) did[1] = "slow" ctx:sleep "1h" end }
      w.tidy = { after = "slow", join = "done", run = work "tidied" }
      local run = flow.run(w)
      assert.equal("run_timeout", run.error.code)
      if did[1] ~= "slow" then return false end
      assert.equal("compensated", run.state)
      assert.same({ "slow", "refunded", "tidied" }, did)
      assert.equal("completed", run:states().tidy)
      return true
    end)
  end)

  it("is undone too where the time passes meanwhile", function()
    patience.with(0.15, function(seconds)
      local w = flow.workflow { name = "late", timeout = seconds }
      w.a = { run = function() return 1 end, compensate = function(ctx)
        ctx:sleep(seconds)
        busy(0.05)
      end }
      w.b = { after = "a", run = function() return 1 end,
        compensate = function() busy(seconds) return "b" end }
      w.c = { after = "b", run = function() error "no" end }
      w.tidy = { after = "c", join = "done", run = function() busy(0.05) return 1 end }
      local run = flow.run(w)
      if run.error.code == "run_timeout" then return false end
      assert.equal("compensated", run.state)
      assert.equal("handler_error", run.error.code)
      assert.equal("completed", run:states().tidy)
      return true
    end)
  end)

  it("goes on where it is a cleanup node that began before", function()
    local w = flow.workflow { name = "early", timeout = "100ms" }
    w.tidy = { join = "done", run = function() busy(0.3) return "tidied" end }
    local run = flow.run(w)
    assert.equal("completed", run:states().tidy)
  end)

  it("is bounded: a cleanup node by cleanup_timeout, a compensation by its timeout", function()
    local w = flow.workflow { name = "bounded", cleanup_timeout = "100ms" }
    w.a = { run = function() return 1 end, compensate = { timeout = "100ms", run = hang } }
    w.b = { after = "a", run = function() error "no" end }
    w.tidy = { after = "b", join = "done", run = hang }
    local run = flow.run(w)
    assert.equal("compensation_failed", run.state)
    assert.equal("timeout", run:compensations()[1].error.code)
    assert.equal("cancelled", run:states().tidy)
  end)
end)

describe("what was asked to stop", function()
  it("is stopped after the grace where it does not wait any more", function()
    local w = flow.workflow { name = "stubborn" }
    w.a = { run = function(ctx) pcall(ctx.sleep, ctx, "1m") hang() end }
    w.b = { run = function() flow.sleep(0.05) error "no" end }
    local run = flow.run(w, { runtime = flow.runtime { grace = 0.2 } })
    assert.equal("failed", run.state)
    assert.equal("cancelled", run:states().a)
  end)
end)

-- Each calls `hang` where Lua allows no hook, or where the error of a hook is caught.
local evasions = {
  ["a message handler"] = function() xpcall(error, hang) end,
  ["a message handler within a comparator"] = function()
    table.sort({ 3, 2, 1 }, function() xpcall(error, hang) end)
  end,
  ["a message handler of what waited"] = function()
    xpcall(function() flow.sleep(0.01) error "no" end, hang)
  end,
  ["__close run by coroutine.close"] = function()
    local co = coroutine.create(function()
      local _ <close> = setmetatable({}, { __close = hang })
      coroutine.yield()
    end)
    coroutine.resume(co)
    coroutine.close(co)
  end,
  ["__close of a coroutine that was suspended under a message handler"] = function()
    local co = coroutine.create(function()
      xpcall(function()
        local _ <close> = setmetatable({}, { __close = hang })
        coroutine.yield()
      end, hang)
    end)
    coroutine.resume(co)
    coroutine.close(co)
  end,
  ["__close of a wrapped coroutine that fails"] = function()
    coroutine.wrap(function()
      local _ <close> = setmetatable({}, { __close = hang })
      error "no"
    end)()
  end,
  ["a hook that is taken away"] = function() while true do debug.sethook() end end,
  ["the text of an error"] = function() error(setmetatable({}, { __tostring = hang })) end,
  ["a callback of luv"] = function()
    flow.await(function(resume)
      local timer = require("luv").new_timer()
      timer:start(1, 0, function() timer:close() hang(resume) end)
    end)
  end,
  ["what cleans up after a wait"] = function() flow.await(function() return hang end) end,
}

describe("what never ends", function()
  for name, run in pairs(evasions) do
    it("is stopped in " .. name, function()
      local w = flow.workflow { name = "evasive", on_error = "continue" }
      w.a = { timeout = "50ms", run = run }
      w.b = { after = "a", join = "done", run = function() return "goes on" end }
      local ended = flow.run(w)
      assert.equal("failed", ended:states().a)
      assert.equal("timeout", ended.error.code)
      assert.equal("completed", ended:states().b)
    end)
  end

  it("ends the process, which says so, in a finaliser", function()
    local result = command.run_with({ ["w.lua"] = [[
      local flow = require "orrery"
      local w = flow.workflow { name = "hopeless" }
      w.a = { timeout = "50ms", run = function()
        io.write "printed"
        setmetatable({}, { __gc = function() while true do end end })
        collectgarbage()
      end }
      return w
    ]] }, { "run", "--store", "memory:", "w.lua" })
    assert.equal(1, result.code)
    assert.truthy(result.err:find "w.lua:5 did not come back after its time was over", result.err)
    assert.truthy(result.out:find "printed")
  end)
end)

describe("what cannot be cancelled", function()
  -- A thread of libuv's that stays in a system call, as one does in a file system that does not
  -- answer.
  local BLOCKED = [[
    local flow, uv = require "orrery", require "luv"
    local w = flow.workflow { name = "blocked" }
    w.a = { timeout = "50ms", run = function()
      flow.await(function(resume)
        uv.new_work(function() os.execute "sleep 60" end, resume):queue()
        CLEANUP
      end)
    end }
  ]]

  local function seconds_of(arguments, code, cleanup)
    local start = require("luv").hrtime()
    local result = command.run_with({ ["w.lua"] = BLOCKED:gsub("CLEANUP", cleanup) .. code }, arguments)
    return (require("luv").hrtime() - start) / 1e9, result
  end

  for _, cleanup in ipairs { "", "return function() return true end" } do
    it("does not keep a command from ending" .. (cleanup == "" and "" or ", nor asking to stay"), function()
      local seconds, result = seconds_of({ "run", "--store", "memory:", "w.lua" }, "return w", cleanup)
      assert.equal(1, result.code, result.err)
      assert.is_true(seconds < 50)
    end)
  end

  -- Given up while it is waited for, or while it is begun.
  for how, rest in pairs { [""] = "", [" where it was stopped as it began"] = "while true do end" } do
    it("does not keep a script from ending, nor virtual time from going on" .. how, function()
      local seconds, result = seconds_of({ "w.lua" }, [[
        print(flow.run(w).error.code)
        local v = flow.workflow { name = "v" }
        v.a = flow.delay { "1h" }
        print(flow.run(v, { clock = "virtual" }).state)
      ]], rest)
      assert.equal("timeout\ncompleted\n", result.out, result.err)
      assert.equal(0, result.code)
      assert.is_true(seconds < 50)
    end)
  end
end)

describe("what is asked of a node and never ends", function()
  local function failing(keys, options)
    local w = flow.workflow(options or {})
    w.list = { run = function() return { 1 } end }
    keys.after, keys.run = "list", keys.run or function() return 1 end
    w.a = keys
    return flow.run(w)
  end

  it("fails the node at its timeout, or that of the run", function()
    for _, keys in ipairs { { when = hang }, { each = hang }, { pool = hang },
      { each = { 1 }, item_name = hang }, { loop = { max = 2, ["until"] = hang } } } do
      keys.timeout = "150ms"
      local run = failing(keys)
      assert.same({ "failed", "timeout", "a" }, { run.state, run.error.code, run.error.node })
      assert.matches("stopped after its time was over, at .*watchdog_spec.lua:%d+", run.error.message)
    end
    local run = failing({ when = hang }, { timeout = "150ms", on_error = "continue" })
    assert.equal("failed", run.state)
    assert.equal("timeout", run:errors().a.code)
  end)

  it("cannot go on behind a pcall, and lets others go on", function()
    local w = flow.workflow { on_error = "continue" }
    w.a = { timeout = "150ms", when = function() while true do pcall(hang) end end, run = function() end }
    w.b = { run = function(ctx) ctx:sleep(0.3) return 1 end }
    local run = flow.run(w)
    assert.same({ "timeout", "completed" }, { run:errors().a.code, run:states().b })
  end)
end)

describe("a callback that nobody waits for", function()
  -- The lines that are said while a run of one node is under way, which sleeps and completes.
  local function said(code, limit)
    local result = command.run_with({ ["w.lua"] = ([[
      local flow, uv = require "orrery", require "luv"
      local rt = flow.runtime { callback_limit = %s }
      local w = flow.workflow { name = "w" }
      w.a = { run = function(ctx) ctx:sleep(0.05) return 1 end }
      local function hang() while true do end end
      local did = {}
      %s
      print(flow.run(w, { runtime = rt }).state, table.concat(did, " "))
      os.exit(0)
    ]]):format(limit or 0.2, code) }, { "-W", "w.lua" })
    assert.equal(0, result.code, result.err)
    return result
  end

  local callbacks = {
    ["a timer"] = "local t = uv.new_timer() t:start(1, 0, function() t:close() hang() end)",
    ["an idle handle"] = "local i = uv.new_idle() i:start(function() i:close() pcall(hang) hang() end)",
    ["a prepare handle"] = "local p = uv.new_prepare() p:start(function() p:close() hang() end)",
    ["a listener of events"] = 'rt:on(function(e) if e.event == "node_started" then hang() end end)',
    ["a listener of the last event"] = 'rt:on(function(e) if e.event == "run_completed" then hang() end end)',
    ["a listener with a message handler"] =
      'rt:on(function(e) if e.event == "node_started" then xpcall(error, hang) end end)',
  }
  for name, code in pairs(callbacks) do
    it("is stopped where it never ends: " .. name, function()
      local result = said(code)
      assert.matches("^completed", result.out)
      assert.matches("stopped after 0%.2 s of processor time, at w%.lua:5: "
        .. "while a callback runs, nothing else does", result.err)
    end)
  end

  it("may block, which uses no processor time, and compute below its limit", function()
    local result = said [[
      local t = uv.new_timer()
      t:start(1, 0, function()
        t:close()
        uv.sleep(300)
        local start = os.clock()
        while os.clock() - start < 0.02 do end
        did[1] = "blocked"
      end)]]
    assert.equal("completed\tblocked\n", result.out)
    assert.equal("", result.err)
  end)

  it("has no limit with false, nor where no run is live", function()
    local work = [[
      local function work(name)
        local t = uv.new_timer()
        t:start(1, 0, function()
          t:close()
          local start = os.clock()
          while os.clock() - start < 0.3 do end
          did[#did + 1] = name
        end)
      end
    ]]
    assert.equal("completed\tlong\n", said(work .. "work 'long'", "false").out)
    assert.equal("completed\talone\n", said(work .. "work 'alone' uv.run()").out)
  end)

  it("ends the process, which says so, where it cannot be stopped", function()
    local result = command.run_with({ ["w.lua"] = [[
      local flow = require "orrery"
      local rt = flow.runtime { callback_limit = 0.1 }
      local w = flow.workflow { name = "w" }
      w.a = { run = function() return 1 end }
      rt:on(function()
        setmetatable({}, { __gc = function() while true do end end })
        collectgarbage()
      end)
      flow.run(w, { runtime = rt })
    ]] }, { "w.lua" })
    assert.equal(1, result.code)
    assert.matches("w.lua:6 did not come back after its time was over", result.err)
  end)

  it("is told what limit is none", function()
    assert.error_matches(function() flow.runtime { callback_limit = "soon" } end, "callback_limit")
  end)
end)
