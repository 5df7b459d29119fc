-- What a run is after it was read back from its journal: to its handlers, and to who holds it, the
-- same as if it had never left.
local flow = require "orrery"
local place = require "spec.support.place"
local uv = require "luv"

local FILE = [[
local flow = require "orrery"
local w = flow.workflow { name = "seen", output = "${nodes.see}", env = { "SEEN" }, on_error = "continue" }
w.fails = { on_error = "ignore", run = function()
  flow.error { code = "odd", message = "not today", retryable = false, retry_after = 7.5,
    details = { id = 3, list = { 1, 2 } } }
end }
w.breaks = { on_error = "ignore", run = function() error "a line of code" end }
w.items = { each = function() return { 1, 2, 3 } end, run = function(ctx)
  if ctx.index == 1 then return { a = 1 } end
  if ctx.index == 3 then return false end
end }
w.part = { each = function() return { "x", "y", "z" } end, run = function(ctx)
  if ctx.index == 2 then return ctx:wait "part" end
  if ctx.index == 1 then return { z = false } end
end }
w.none = { each = function() return {} end, run = function() end }
w.gate = { after = { "fails", "breaks", "items", "none" }, run = function(ctx)
  local chance = { ctx:random(1000000000), ctx:uuid() }
  return { before = ctx:step("chance", function() return chance end), now = chance, sent = ctx:wait "go" }
end }
w.see = { after = { "gate", "part" }, run = function(ctx)
  local e, b = ctx.errors.fails, ctx.errors.breaks
  return {
    error = { e.code, e.message, e.node, e.details, e.retryable, e.retry_after, type(e),
      tostring(e):match "^[^\n]*" },
    breaks = { b.code, (b.traceback or "none"):match "stack traceback" },
    items = flow.json.encode(ctx.nodes.items), none = flow.json.encode(ctx.nodes.none),
    part = flow.json.encode(ctx.nodes.part),
    states = { ctx.states.fails, ctx.states.items, ctx.states.gate },
    gate = ctx.nodes.gate, input = ctx.input, context = ctx.context, env = ctx.env.SEEN,
  }
end }
return w
]]

describe("a run that was read back", function()
  local here, rt

  before_each(function()
    here = place.new()
    here:write("w.lua", FILE)
    uv.fs_mkdir(here.folder .. "/.orrery", 493)
    rt = flow.runtime { store = "sqlite:" .. here.db }
  end)

  after_each(function()
    rt:close()
    uv.os_unsetenv "SEEN"
    getmetatable(here).__close(here)
  end)

  local function begun()
    local run = flow.start(here.folder .. "/w.lua", { runtime = rt, input = { n = 1,
      none = flow.json.null }, context = { t = "x" },
      labels = { suite = "a" }, concurrency = 3 })
    here:until_true(function() return run.state == "waiting" end, "the wait")
    return run
  end

  local function over(run)
    run:signal("part", "late")
    run:signal("go", { 1, "two" })
    rt:wait(run)
    assert.equal("completed", run.state, run.error and run.error.message)
    return run.output
  end

  it("shows its handlers what it showed them before", function()
    uv.os_setenv("SEEN", "first")
    local stayed = over(begun())
    local run = begun()
    run:suspend()
    local came = over(flow.resume(run.id, { runtime = rt }))
    local gate = came.gate
    stayed.gate, came.gate = nil, nil
    assert.same(stayed, came)
    assert.same({ 1, "two" }, gate.sent)
    assert.same(gate.before, gate.now, "its chance is that of the run")
    assert.same({ "odd", "not today", "fails", { id = 3, list = { 1, 2 } }, false, 7.5, "table" },
      { table.unpack(came.error, 1, 7) })
    assert.same({ "handler_error", "stack traceback" }, came.breaks)
    assert.equal('[{"a":1},null,false]', came.items)
    assert.equal("[]", came.none)
    assert.equal('[{"z":false},"late",null]', came.part)
    assert.equal("first", came.env)
  end)

  it("does so after any number of times", function()
    local run = begun()
    for _ = 1, 3 do
      run:suspend()
      run = flow.resume(run.id, { runtime = rt })
      here:until_true(function() return run.state == "waiting" end, "the wait")
    end
    assert.equal('[{"a":1},null,false]', over(run).items)
  end)
end)

-- Each scene has something that takes a hundred seconds of virtual time, from the start of the run
-- on.
local HEAD = [[
local flow = require "orrery"
local function age(ctx) return ctx:now() - ctx.run.started end
local w = flow.workflow { name = "timed", output = "${nodes.last}" }
]]
local SCENES = {
  ["a wait with a timeout"] = [[
    w.last = { run = function(ctx)
      local _, problem = pcall(ctx.wait, ctx, "never", { timeout = 100 })
      return { problem.code == "signal_timeout" and age(ctx) }
    end }]],
  ["a sleep"] = [[w.last = { run = function(ctx) ctx:sleep(100) return { age(ctx) } end }]],
  ["a sleep in a strand"] = [[
    w.last = { run = function(ctx)
      flow.gather { function() ctx:sleep(100) end, function() ctx:sleep(10) end }
      return { age(ctx) }
    end }]],
  ["a delay"] = [[
    w.first = flow.delay { "100s" }
    w.last = { after = "first", run = function(ctx) return { age(ctx) } end }]],
  ["a delay that is cached"] = [[
    w.first = flow.delay { "100s", cache = { key = "${run.id}" } }
    w.last = { after = "first", run = function(ctx) return { age(ctx) } end }]],
  ["a backoff"] = [[
    w.last = { retry = { max = 1, delay = 100, max_delay = 100, strategy = "fixed", jitter = "none" },
      run = function(ctx)
      if ctx.attempt == 1 then error "not yet" end
      return { age(ctx) }
    end }]],
  ["the delay of a loop"] = [[
    w.last = { loop = { max = 2, delay = 100, ["until"] = function(ctx) return ctx.iteration == 2 end },
      run = function(ctx) return { age(ctx) } end }]],
  ["a deadline"] = [[
    w.last = { deadline = 100, run = function(ctx) ctx:wait "never" end,
      fallback = function(ctx) return { age(ctx) } end }]],
  ["the deadline of an item"] = [[
    w.items = { each = { 1, 2 }, deadline = 100, run = function(ctx) ctx:wait "never" end,
      fallback = function(ctx) return age(ctx) end }
    w.last = { after = "items", run = function(_, inputs) return inputs.items end }]],
  ["what is left of a timeout after a step"] = [[
    w.last = { timeout = 40, run = function(ctx)
      ctx:sleep(60)
      ctx:step("a", function() return 1 end)
      local t = age(ctx)
      ctx:sleep(40)
      return { t + 40 }
    end }]],
}

describe("time that was left when a run was suspended goes on: of", function()
  for name, body in pairs(SCENES) do
    it(name, function()
      local here <close> = place.new()
      uv.fs_mkdir(here.folder .. "/.orrery", 493)
      here:write("w.lua", HEAD .. body .. "\nreturn w\n")
      local rt = flow.runtime { store = "sqlite:" .. here.db, clock = "virtual" }
      local _ <close> = setmetatable({}, { __close = function() rt:close() end })
      local function pass(seconds)
        local other = flow.workflow { name = "other" }
        other.it = flow.delay { seconds }
        flow.run(other, { runtime = rt, durability = "none" })
      end
      for _, times in ipairs { 0, 1, 2 } do
        local run = flow.start(here.folder .. "/w.lua", { runtime = rt })
        pass(5)
        for _ = 1, times do
          pass(30)
          run:suspend()
          run = flow.resume(run.id, { runtime = rt })
        end
        rt:wait(run)
        assert.equal("completed", run.state, run.error and run.error.message)
        for _, seconds in ipairs(run.output) do
          assert.is_true(math.abs(seconds - 100) < 1,
            ("%s, suspended %d times: after %s seconds"):format(name, times, seconds))
        end
      end
    end)
  end
end)
