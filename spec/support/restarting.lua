-- A run whose handler begins anew many times, in a store; the process kills itself at a given place
-- of the last life but two. It is started, or resumed where it exists. Arguments: the store, a file
-- to which side effects are written, the place, and the number of the last life.
local flow, uv = require "orrery", require "luv"

local store, path, place = arg[1], arg[2], arg[3]
local last = tonumber(arg[4])
local ID = "018f3c7e-1b2a-7c3d-8e4f-5a6b7c8d9e0f"

local function did(what)
  local file <close> = assert(io.open(path, "a"))
  file:write(what, "\n")
end

local w = flow.workflow { name = "w", output = "${nodes.a}" }
w.a = { run = function(ctx)
  local life = ctx.restarted and ctx.restarted.life or 0
  local function at(name)
    if life == last - 2 and name == place then uv.kill(uv.os_getpid(), "sigkill") end
  end
  did("begins " .. life)
  at "at its beginning"
  local sum = ctx:step("add", function()
    did("adds " .. life)
    return (ctx.restarted and ctx.restarted.sum or 0) + life
  end)
  at "after a step"
  if last < 10 then ctx:sleep(0.01) end
  at "after a sleep"
  if life == last then return { sum, ctx.attempt } end
  if life == last - 2 and place == "while its record is written" then
    uv.new_timer():start(0, 0, function() uv.kill(uv.os_getpid(), "sigkill") end)
  end
  ctx:restart { life = life + 1, sum = sum }
end }

local rt = flow.runtime { store = store }
local there, run = pcall(rt.restore, rt, flow.compile(w).plan, ID)
if not there then run = flow.start(w, { runtime = rt, id = ID, seed = 7 }) end
rt:wait(run)
print(run.state, flow.json.encode(run.output or run.error))
rt:sync()
io.stdout:flush()
os.exit(0, false)
