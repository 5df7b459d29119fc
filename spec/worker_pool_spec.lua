-- The workers of a runtime: what waits for them, what they did, and that nothing is lost.
local flow = require "orrery"
local place = require "spec.support.place"
local story = require "spec.support.story"

-- A workflow whose handlers in workers go on when a file is there, and a script that runs it.
local BUSY = [[
local flow = require "orrery"
local w = flow.workflow { name = "w" }
local function until_go()
  while not io.open "go" do require("luv").sleep(10) end -- which blocks its thread
  return 1
end
w.x = { strategy = "thread", run = until_go }
w.y = { after = "x", join = "done", strategy = "thread", run = until_go }
w.z = { strategy = "thread", run = until_go }
w.each = { each = { "a", "b", "c" }, strategy = "thread", run = until_go }
return w]]

local SCRIPT = [[cat >m.lua <<'END'
      local flow = require "orrery"
      local rt = flow.runtime { store = arg[1], workers = { max = 1 } }
      local run = flow.start(flow.load "w.lua", { runtime = rt })
      %s
END
]]

describe("a node that waits for a worker", function()
  it("says so, and what keeps the workers busy", function()
    local done = story.tell(BUSY, SCRIPT:format [[
      while rt:workers() == nil or rt:workers().queued < 4 or run:why("z").count == 0 do flow.sleep(0.01) end
      local z, item, all, x = run:why "z", run:why("each", 2), run:why "each", run:why "x"
      print(x.kind, z.kind, z.count, z.limit, #z.busy, z.busy[1].node, z.busy[1].item, z.busy[1].run)
      print(item.kind, item.busy[1].node, all.kind, all.limit, all.worker.waiting, #all.worker.items, all.worker.items[3])
      local other = flow.start(flow.load "w.lua", { runtime = rt })
      while other:why("x").kind ~= "worker" do flow.sleep(0.01) end
      print(other:why("x").busy[1].node, other:why("x").busy[1].run == run.id)
      io.open("go", "w"):close()
      rt:wait(run) rt:wait(other)
      print(run.state, run:why("z").kind, rt:workers().done, rt:workers().queued)
]] .. "orrery m.lua memory:")
    assert.equal("running\tworker\t1\t1\t1\tx\tnil\tnil\nworker\tx\titems\t3\t3\t3\t3\nx\ttrue\n"
      .. "completed\tsettled\t12\t0\n", done.out, done.err)
  end)

  it("is known to other processes, until it has one", function()
    local done = story.tell(BUSY, SCRIPT:format "rt:wait(run)" .. [[
      orrery m.lua sqlite:s.db & for i in $(seq 600); do
        orrery why --store sqlite:s.db >out 2>/dev/null
        grep -q 'z waits for a worker' out && grep -q 'done; 3' out && break; sleep 0.1
      done
      cat out; orrery why 'each[2]' --store sqlite:s.db; orrery why z --json --store sqlite:s.db
      orrery stats --store sqlite:s.db; touch go; wait
      orrery why --store sqlite:s.db; orrery why z --store sqlite:s.db
      orrery stats --store sqlite:s.db; orrery stats --store sqlite:s.db --json]])
    story.has(done, "x is running",
      "z waits for a worker: 1 of 1 is busy with x\n  raise `workers.max` of the runtime, or wait",
      "each has 0 of 3 items done; 3 of them wait for a worker: 1 of 1 is busy with x",
      "each[2] waits for a worker: 1 of 1 is busy with x",
      '"busy":[{"node":"x"}],"count":1,"kind":"worker","limit":1',
      "1 worker of at most 1, 4 in line, 0 done", "z completed",
      "which has ended: 1 worker of at most 1, 0 in line, 6 done, 100.0 % of them well",
      '"max":1,', '"queued":0')
    assert.matches("PROCESS%s+WORKER%s+UTILISATION%s+UNDER WAY%s+AGE\n%d+%s+1%s+[%d.]+ %%%s+1%s", done.out)
    assert.matches("UTILISATION%s+DONE%s+SUCCESS%s+AGE\n%d+%s+1%s+[%d.]+ %%%s+6%s+100.0 %%", done.out)
  end)

  it("is not taken for a stall, nor for one that runs", function()
    local done = story.tell(BUSY, SCRIPT:format [[
      while rt:workers() == nil or rt:workers().queued < 4 do flow.sleep(0.01) end
      for _ = 1, 50 do flow.sleep(0.01) end
      print(run.state, run.error)
      run:cancel()
      rt:wait(run)
      print(run.state, rt:workers().queued, rt:workers().live)
]] .. "orrery m.lua memory:")
    assert.equal("running\tnil\ncancelled\t0\t0\n", done.out, done.err)
  end)
end)

describe("what workers have done", function()
  it("is told with shares, of each and of all", function()
    local done = story.tell([[
      local flow = require "orrery"
      local w = flow.workflow { name = "w", on_error = "continue" }
      for i = 1, 4 do
        w["n" .. i] = { strategy = "thread", run = function() if i == 4 then error "no" end end }
      end
      return w]], SCRIPT:format [[
      print(rt:workers())
      rt:wait(run)
      local s = rt:workers()
      local one = s.workers[1]
      print(s.done, s.failed, s.success, one.done, one.success, one.utilisation > 0 and one.utilisation <= 1)
      print(one.busy / one.age == one.utilisation)
]] .. "orrery m.lua memory:")
    assert.equal("nil\n3\t1\t0.75\t3\t0.75\ttrue\ntrue\n", done.out, done.err)
  end)

  it("goes with its process when that is pruned", function()
    local done = story.tell(BUSY, SCRIPT:format "rt:wait(run)" .. [[
      touch go; orrery m.lua sqlite:s.db; orrery m.lua sqlite:s.db
      sqlite3 s.db "SELECT count(*) FROM meta WHERE name LIKE 'workers.%'"
      orrery prune --older 0s --store sqlite:s.db >/dev/null
      sqlite3 s.db "UPDATE owners SET started = started - 1e8"; orrery prune --older 0s --store sqlite:s.db >/dev/null
      sqlite3 s.db "SELECT count(*) FROM meta WHERE name LIKE 'workers.%'"]])
    assert.equal("2\n1\n", done.out, done.err)
  end)
end)

-- ---- pools ------------------------------------------------------------------------------------

local JOBS = [[
local flow = require "orrery"
local w = flow.workflow { name = "w", input = { kinds = "array" }, on_error = "continue" }
w.a = { each = "${input.kinds}", each_failures = "100%", strategy = "thread", run = function(ctx)
  local kind, index = ctx.item, ctx.index
  if kind == "fails" then flow.error { code = "meant", message = "no", retryable = false } end
  if kind == "waits" then ctx:sleep(0.002) end
  if kind == "sleeps" then flow.sleep(0.002) end
  if kind == "steps" then ctx:step("s", function() return index end) end
  if kind == "computes" then for i = 1, 20000 do index = index + 0 end end
  if kind == "logs" then ctx:log("info", "x") warn "y" end
  if kind == "large" then return { index = index, text = ("x"):rep(100000) } end
  return { index = index }
end }
return w]]

local KINDS = { "fails", "waits", "sleeps", "steps", "computes", "logs", "large", "plain" }

describe("a pool of workers", function()
  local seed = tonumber(os.getenv "ORRERY_SEED") or os.time()
  it(("grows under load, shrinks when idle, and loses nothing (seed %d)"):format(seed), function()
    local here <close> = place.new { ["w.lua"] = JOBS }
    local w = flow.load(here.folder .. "/w.lua")
    math.randomseed(seed)
    for _ = 1, 8 do
      local min, kinds, failed = math.random(0, 1), {}, 0
      local max = min + math.random(3)
      for i = 1, math.random(60) do
        kinds[i] = KINDS[math.random(#KINDS)]
        failed = failed + (kinds[i] == "fails" and 1 or 0)
      end
      local rt = flow.runtime { workers = { min = min, max = max, idle = 0.001 * math.random(4) } }
      local run = flow.run(w, { runtime = rt, input = { kinds = kinds } })
      local output, stats = run:outputs().a, rt:workers()
      for i, kind in ipairs(kinds) do
        if kind ~= "fails" then assert.equal(i, output[i].index) end
      end
      assert.same({ #kinds - failed, failed, 0, 0 }, { stats.done, stats.failed, stats.queued, stats.live })
      assert.truthy(stats.most_threads <= max)
      here:until_true(function() return rt:workers().threads == min end)
    end
  end)
end)

-- ---- stopping ---------------------------------------------------------------------------------

-- What a handler does when it is cancelled, and what then is to be seen.
local PHASES = {
  { "in line", "" },
  { "computing", "begun() while true do end" },
  { "computing under pcall", "begun() while true do pcall(function() while true do end end) end" },
  { "waiting on the loop's clock", "begun() ctx:sleep(600)" },
  { "waiting on its own loop", "begun() flow.sleep(600)" },
  { "waiting again after it was told", "begun() pcall(flow.sleep, 600) flow.sleep(600)" },
  { "in a step", "ctx:step('s', function() begun() flow.sleep(600) end)" },
  { "gathering", "flow.gather { function() begun() ctx:sleep(600) end, function() flow.sleep(600) end }" },
  { "waiting for a signal", "begun() ctx:wait 'never'" },
  { "in a child run", "begun() ctx:call(child)" },
}

describe("a handler in a worker that is cancelled", function()
  for _, phase in ipairs(PHASES) do
    it(("while %s ends, and its worker goes on"):format(phase[1]), function()
      local here <close> = place.new()
      here:write("w.lua", ([[
        local flow = require "orrery"
        local child = flow.workflow { name = "child" }
        child.x = { run = function(ctx) ctx:sleep(600) end }
        local w = flow.workflow { name = "w" }
        local function begun() io.open("%s/begun", "w"):close() end
        w.a = { strategy = "thread", run = function(ctx) %s end }
        w.tidy = { after = "a", join = "done", handles = false, strategy = "thread", run = function(ctx)
          return ctx.states.a end }
        return w]]):format(here.folder, phase[2]))
      here:write("busy.lua", ([[
        local flow = require "orrery"
        local w = flow.workflow { name = "busy" }
        w.a = { strategy = "thread", run = function()
          while not io.open "%s/go" do require("luv").sleep(10) end
        end }
        return w]]):format(here.folder))
      local rt = flow.runtime { workers = { max = 1 } }
      local busy = phase[2] == "" and flow.start(flow.load(here.folder .. "/busy.lua"), { runtime = rt })
      local run = flow.start(flow.load(here.folder .. "/w.lua"), { runtime = rt })
      if busy then
        here:until_true(function() return run:why "a".kind == "worker" end)
      else
        here:until_true(function() return io.open(here.folder .. "/begun") end)
      end
      run:cancel()
      if busy then
        here:until_true(function() return run:states().a == "cancelled" end)
        here:write("go", "")
        rt:wait(busy)
      end
      rt:wait(run)
      assert.same({ "cancelled", "cancelled", "completed", "cancelled" },
        { run.state, run:states().a, run:states().tidy, run:outputs().tidy })
      here:until_true(function() return rt:workers().live == 0 end)
      assert.equal(0, rt:workers().queued)
    end)
  end
end)

describe("a process that ends", function()
  it("while its workers are busy does not wait for them", function()
    for _, ending in ipairs { "os.exit(0, true)", "error 'out'", "return" } do
      local done = story.tell([[
        local flow = require "orrery"
        local w = flow.workflow { name = "w" }
        w.loops = { strategy = "thread", run = function() io.open("loops", "w"):close() while true do end end }
        w.again = { strategy = "thread", run = function()
          io.open("again", "w"):close()
          while true do pcall(flow.sleep, 600) end
        end }
        w.waits = { strategy = "thread", run = function(ctx) io.open("waits", "w"):close() ctx:sleep(600) end }
        w.line = { strategy = "thread", run = function() end }
        return w]], [[cat >m.lua <<'END'
        local flow = require "orrery"
        local rt = flow.runtime { workers = { max = 3 } }
        local run = flow.start(flow.load "w.lua", { runtime = rt })
        while not (io.open "loops" and io.open "again" and io.open "waits") do flow.sleep(0.01) end
        print "begun"
        run:cancel()
        ]] .. ending .. "\nEND\norrery m.lua 2>/dev/null; test $? -lt 124 && echo ended")
      assert.equal("begun\nended\n", done.out, ending .. done.err)
    end
  end)
end)
