-- A run of every kind of step in a store, which kills its own process at a given place. The run is
-- started, or resumed where it exists. Arguments: the store, a file to which side effects are
-- written, and the place (a name) at which to die.
local flow, uv = require "orrery", require "luv"

local store, path, place = arg[1], arg[2], arg[3]
local ID = "018f3c7e-1b2a-7c3d-8e4f-5a6b7c8d9e0f"

local function did(what)
  local file <close> = assert(io.open(path, "a"))
  file:write(what, "\n")
  return what
end

local function at(name)
  if name == place then uv.kill(uv.os_getpid(), "sigkill") end
end

-- Dies a little later, while the handler waits.
local function soon(name)
  if name == place then uv.new_timer():start(10, 0, function() at(name) end) end
end

local child = flow.workflow { name = "child", output = "${nodes.c}" }
child.c = { run = function(ctx)
  local v = ctx:step("in child", function() return did "in child" end)
  at "in the child"
  ctx:sleep(0.02)
  return { v, ctx.input, ctx.run.id }
end }

local w = flow.workflow { name = "w", output = "${nodes.a}" }
w.a = { run = function(ctx)
  local first = ctx:step("first", function() at "in a step" return { did "first" } end)
  at "after a step"
  local now, chance, id = ctx:now(), ctx:random(100), ctx:uuid()
  ctx:step("now", function() did("now " .. now) end)
  local _, bad = pcall(ctx.step, ctx, "bad",
    function() did "bad" flow.error { code = "bad", message = "x" } end)
  at "after an error"
  ctx:log("info", "told")
  soon "in a sleep"
  ctx:sleep(0.05)
  at "after a sleep"
  local both = flow.gather {
    function() return ctx:step("g", function() ctx:sleep(0.01) return did "g1" end) end,
    function() return ctx:step("g", function() return did "g2" end) end }
  at "after a gather"
  local called = ctx:call(child, 7)
  at "after a call"
  local signal = ctx:wait("go", { timeout = 60 })
  at "after a signal"
  soon "in a wait"
  local _, late = pcall(ctx.wait, ctx, "never", { timeout = 0.05 })
  at "after a timeout"
  return { first, now == tonumber(now), chance, id, bad.code, bad.message, tostring(bad), both, called,
    signal, late.code }
end }

local rt = flow.runtime { store = store }
rt:on(function(event)
  if event.event == "log" then did(event.message) end
  if event.event == "run_completed" and event.workflow == "child" then at "after the child" end
end)
local there, run = pcall(rt.restore, rt, flow.compile(w).plan, ID)
if not there then
  run = flow.start(w, { runtime = rt, id = ID, seed = 7 })
  run:signal("go", { by = "ann" })
end
rt:wait(run)
print(run.state, flow.json.encode(run.output or run.error))
rt:sync()
io.stdout:flush()
os.exit(0, false)
