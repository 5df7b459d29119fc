-- What handlers publish of their runs: in memory, in a store, across a crash, and in workers.
local core = require "orrery.core"
local flow = require "orrery"
local Place = require "spec.support.place"
local uv = require "luv"
local served = require "spec.support.served"

local function workflow(run)
  local w = flow.workflow { name = "w" }
  w.it = { run = run }
  return w
end

describe("what is published", function()
  it("is the last value of each name, as it was then", function()
    local list = { 1, 2 }
    local run = flow.run(workflow(function(ctx)
      ctx:publish("step", "first")
      ctx:publish("rows", list)
      list[3] = 3
      ctx:publish("step", "last")
      ctx:publish("bytes", "\xff")
      ctx:publish("nothing", nil)
    end))
    assert.equal("last", run:published "step")
    assert.same({ 1, 2 }, run:published "rows")
    assert.is_nil(run:published "other")
    assert.same({ step = "last", rows = { 1, 2 }, bytes = "\xff", nothing = core.json.null }, run:published())
    run:published "rows"[1] = 9 -- nobody else's
    assert.same({ 1, 2 }, run:published "rows")
  end)

  it("can be read while the run goes on", function()
    local seen
    local w = flow.workflow { name = "w" }
    w.it = { run = function(ctx)
      ctx:publish("n", 1)
      ctx:wait "go"
      ctx:publish("n", 2)
    end }
    local run = flow.start(w)
    flow.gather { function()
      for _ = 1, 1000 do
        seen = run:published "n"
        if seen then break end
        flow.sleep(0.01)
      end
      run:signal "go"
    end }
    for _ = 1, 1000 do
      if run.ended then break end
      flow.sleep(0.01)
    end
    assert.same({ 1, 2 }, { seen, run:published "n" })
  end)

  it("has a name and a value that fit", function()
    for _, case in ipairs {
      { "a name of 1 to 128 bytes", function(ctx) ctx:publish("", 1) end },
      { "a name of 1 to 128 bytes", function(ctx) ctx:publish(("x"):rep(129), 1) end },
      { "value expected", function(ctx) ctx:publish "x" end },
      { "at most 64 KiB", function(ctx) ctx:publish("x", ("x"):rep(65536)) end },
      { "function", function(ctx) ctx:publish("x", { print }) end },
    } do
      local run = flow.run(workflow(case[2]))
      assert.equal("failed", run.state)
      Place.has(run.error.message, case[1])
      assert.same({}, run:published())
    end
  end)

  it("comes from workers too", function()
    local here <close> = Place.new { ["w.lua"] = [[
local flow = require "orrery"
local w = flow.workflow { name = "w" }
w.it = { strategy = "thread", run = function(ctx) ctx:publish("from", { worker = true }) end }
return w]] }
    local run = flow.run(here.folder .. "/w.lua")
    assert.equal("completed", run.state, run.error and run.error.message)
    assert.same({ worker = true }, run:published "from")
  end)

  it("is without what is secret", function()
    local name = os.tmpname()
    local file <close> = assert(io.open(name, "w"))
    file:write "s3cret-value"
    file:close()
    local secret = flow.secret { file = name }
    local run = flow.run(workflow(function(ctx) ctx:publish("token", { it = secret:value() }) end))
    os.remove(name)
    assert.same({ it = "•••" }, run:published "token")
  end)

  it("is kept in the store, told by show, and not taken back by a handler that runs again", function()
    local here <close> = Place.new { ["w.lua"] = [[
local flow = require "orrery"
local w = flow.workflow { name = "w" }
w.it = { run = function(ctx)
  ctx:publish("step", "old")
  ctx:step("one", function() return 1 end)
  ctx:publish("step", "new")
  ctx:publish("rows", { n = 7 })
  ctx:step("two", function() return 2 end)
  do
    local file <close> = assert(io.open("did", "a"))
    file:write "there\n"
  end
  ctx:wait "go"
end }
return w]], ["look.lua"] = [[
local flow = require "orrery"
local rt = flow.runtime { store = "sqlite:.orrery/runs.db" }
local id = rt:store():row("runs_shown", { runs = { 1 } }).id
local run = require("orrery.store.elsewhere").record(rt, rt:store():row("run", { id = id }))
print(run:published "step", run:published().rows.n)
]] }
    local process = here:start { "run", "w.lua" }
    here:until_did "there"
    here:until_true(function() return #here:query "SELECT 1 FROM published" == 2 end, "values")
    process.handle:kill "sigkill"
    here:finish(process)
    local function told()
      local data = core.json.decode(here:ends(0, "show", "@last", "--json").out)
      local made = {}
      for _, each in ipairs(data.published) do made[each.name] = each.value end
      return made, data.published
    end
    local made, list = told()
    local before
    assert.same({ step = "new", rows = { n = 7 } }, made)
    assert.same({ "it", 1 }, { list[1].node, list[1].attempt })
    Place.has(here:ends(0, "show", "@last").out, "step")
    Place.has(here:ends(0, "look.lua").out, "new\t7")
    local again = here:start { "resume", "@last" }
    here:until_true(function() return here:counts().there == 2 end, "the handler once more")
    made, before = told()
    assert.same({ step = "new", rows = { n = 7 } }, made)
    for i, each in ipairs(before) do assert.equal(list[i].time, each.time) end -- not published again
    here:ends(0, "signal", "@last", "go")
    here:finish(again)
    assert.same({ step = "new", rows = { n = 7 } }, (told()))
    here:ends(0, "prune", "--older", "0s")
    assert.same({}, here:query "SELECT * FROM published")
  end)

  it("is there in the next life of a run before anything is published in it", function()
    local here <close> = Place.new { ["w.lua"] = [[
local flow = require "orrery"
local w = flow.workflow { name = "w" }
w.it = { run = function(ctx)
  ctx:publish("a", 1)
  ctx:publish("b", 1)
  ctx:step("one", function() return 1 end)
  ctx:wait "go"
  ctx:publish("b", 2)
end }
return w]], ["begin.lua"] = [[
local flow = require "orrery"
local rt = flow.runtime { store = "sqlite:.orrery/runs.db" }
local run = flow.start("w.lua", { runtime = rt })
while run.state ~= "waiting" do flow.sleep(0.01) end
print(run.id)
run:suspend()
rt:close()
]], ["on.lua"] = [[
local flow = require "orrery"
local rt = flow.runtime { store = "sqlite:.orrery/runs.db" }
local run = require("orrery.store.resume").resume(arg[1], { runtime = rt })
print(run:published "a", run:published "b")
run:signal "go"
rt:wait(run)
print(run.state, run:published "a", run:published "b")
]] }
    uv.fs_mkdir(here.folder .. "/.orrery", 493)
    local id = here:ends(0, "begin.lua").out:match "%S+"
    local said = here:ends(0, "on.lua", id).out
    assert.equal("1\t1\ncompleted\t1\t2\n", said)
  end)

  it("is told by the API", function()
    local s <close> = served.new { ["w.lua"] = [[
local flow = require "orrery"
local w = flow.workflow { name = "w", output = 1 }
w.it = { run = function(ctx) ctx:publish("rows", { n = 7 }) end }
return w]] }
    local token = s:token "run"
    local id = s:expect(201, "POST", "/api/v1/runs?wait=30s", { token = token, body = { workflow = "w" } }).id
    s:until_state(id, "completed")
    local list = s:expect(200, "GET", "/api/v1/runs/" .. id .. "/published", { token = token }).published
    assert.same({ "rows", 7, "it" }, { list[1].name, list[1].value.n, list[1].node })
  end)
end)
