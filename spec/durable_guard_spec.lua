-- Where runs of a store may not be dropped, what is left of one that was, and errors that say why
-- one cannot go on.
local core = require "orrery.core"

local flow = require "orrery"
local place = require "spec.support.place"

local function path()
  local name = os.tmpname()
  os.remove(name)
  return name .. ".db"
end

local function plan_of(run, extra)
  local node = { name = "a", run = run }
  for key, value in pairs(extra or {}) do node[key] = value end
  return core.plan { name = "w", nodes = { node } }
end

local function message_of(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return type(err) == "table" and err.message or err, type(err) == "table" and err.code or nil
end

describe("a runtime with a store", function()
  local db = path()
  local rt = core.runtime { store = db, clock = "virtual" }

  local function ended(run, extra, options)
    local started = rt:start(plan_of(run, extra), options)
    rt:wait(started)
    return started
  end

  it("is not closed by a handler of a run that it keeps, nor is that run suspended by itself", function()
    local closing, suspending
    local started
    started = rt:start(plan_of(function()
      closing = message_of(rt.close, rt)
      suspending = message_of(started.suspend, started)
    end))
    rt:wait(started)
    assert.equal("completed", started.state)
    assert.matches("rt:close cannot be called by a handler of the run", closing)
    assert.matches("run:suspend cannot be called by a handler of the run", suspending)
  end)

  it("is not closed inside the engine", function()
    local said
    local started = ended(function() end,
      { when = function() said = message_of(rt.close, rt) return true end })
    assert.equal("completed", started.state)
    assert.matches("rt:close cannot be called here", said)
  end)

  it("refuses an input that no journal could keep before anything is kept", function()
    local before = #rt:store():query "SELECT id FROM runs"
    assert.matches("function", (message_of(rt.start, rt, plan_of(function() end), { input = { f = print } })))
    rt:sync()
    assert.equal(before, #rt:store():query "SELECT id FROM runs")
  end)

  it("fails a run whose own output cannot be kept, instead of losing it", function()
    local started = rt:start(core.plan { name = "w", output = function() return { ["\xff"] = 1 } end,
      nodes = {
      { name = "a", run = function() end } } })
    rt:wait(started)
    assert.equal("failed", started.state)
    assert.equal("invalid_output", started.error.code)
  end)

  it("keeps values of any depth that is allowed", function()
    local function deep(n) return n == 0 and "\xff" or { ["$object"] = deep(n - 1) } end
    local plan = plan_of(function(ctx)
      ctx:step("s", function() return deep(1000) end)
      ctx:wait "go"
      return deep(1000)
    end)
    local started = rt:start(plan, { input = deep(1000) })
    core.sleep(0.001)
    started:suspend()
    local again = rt:restore(plan, started.id, {})
    again:signal("go", deep(1000))
    rt:wait(again)
    assert.equal("completed", again.state)
    local output = again:outputs().a
    for _ = 1, 1000 do output = output["$object"] end
    assert.equal("\xff", output)
  end)

  it("says why an ended run cannot go on, and lets go of it", function()
    local started = ended(function() return 1 end)
    local plan = plan_of(function() return 1 end)
    for _ = 1, 2 do
      local why, code = message_of(rt.restore, rt, plan, started.id, {})
      assert.equal(("run %s is completed: it has ended already"):format(started.id), why)
      assert.equal("run_ended", code)
    end
    rt:sync()
    assert.is_nil(rt:store():query("SELECT owner FROM runs WHERE id = ?", started.id)[1].owner)
  end)

  it("lets go of a run that was suspended or could not be restored, so that another process can have it at "
    .. "once", function()
    local plan = plan_of(function(ctx) ctx:wait "go" end)
    local started = rt:start(plan)
    core.sleep(0.001)
    started:suspend()
    message_of(rt.restore, rt, plan, started.id, { mode = "no such mode" })
    assert.matches("not retried", (message_of(rt.restore, rt, plan, started.id, { mode = "retry" })))
    local other <close> = setmetatable({ rt = core.runtime { store = db, clock = "virtual" } },
      { __close = function(o) o.rt:close() end })
    rt:sync()
    local taken = other.rt:restore(plan, started.id, {})
    taken:signal("go")
    other.rt:wait(taken)
    assert.equal("completed", taken.state)
  end)

  it("answers for its runs when it is closed, and starts none", function()
    local plan = plan_of(function(ctx) ctx:wait "go" end)
    local live, over = rt:start(plan), ended(function() return 1 end)
    rt:close()
    assert.equal("interrupted", live.state)
    assert.equal("suspended", live.error.code)
    assert.matches("cannot be read here", (message_of(over.journal, over)))
    assert.matches("this runtime is closed", (message_of(rt.start, rt, plan)))
    os.execute("rm -f " .. db .. "*")
  end)
end)

describe("a process whose runs were taken by force", function()
  it("tells each of them who has taken it", function()
    local here <close> = place.new { ["w.lua"] = [[
local flow = require "orrery"
local w = flow.workflow { name = "waits" }
w.a = { run = function(ctx) ctx:wait "go" end }
return w]] }
    local file, url = here.folder .. "/w.lua", "sqlite:" .. here.folder .. "/runs.db"
    local rt, other = flow.runtime { store = url }, flow.runtime { store = url }
    local runs = {}
    for i = 1, 3 do runs[i] = flow.start(file, { runtime = rt }) end
    rt:sync()
    local taken = flow.resume(runs[1].id, { runtime = other, force = true })
    for _, run in ipairs(runs) do
      rt:wait(run)
      assert.equal("ownership_lost", run.error.code)
      assert.matches("were taken over by process %d+", run.error.message)
    end
    taken:cancel()
    other:wait(taken)
    rt:close()
    other:close()
  end)
end)
