-- Opening a large store whose last process was killed, up to the first handler.
-- usage: build/orrery bench/opening.lua make FILE MB   makes a store of so many megabytes
--        build/orrery bench/opening.lua open FILE [cold]  opens it and runs one node in it
--
-- Both are this program again as a child that kills itself: the first writes runs until the file is
-- that large, and dies while the next one is under way. The second says after how long the store is
-- open (`opened`), the first line of a handler is reached (`first`) and the run is over
-- (`seconds`). `cold` drops what the system has in memory of the file before that.

package.path = arg[0]:gsub("[^/]*$", "") .. "?.lua;" .. package.path
local flow = require "orrery"
local process = require "process"
local uv = require "luv"

local VALUE = 32 << 10 -- bytes of the output of a node
local NODES = 64 -- of a run

local function workflow()
  local w = flow.workflow { name = "large" }
  for i = 1, NODES do
    w["n" .. i] = { run = function(ctx) return ctx.run.id .. ("x"):rep(VALUE) end }
  end
  return flow.compile(w)
end

local function size_of(file)
  local stat = uv.fs_stat(file)
  return stat and stat.size or 0
end

local function hold(file, size)
  local megabytes = math.tointeger(size)
  local rt, compiled = flow.runtime { store = "sqlite:" .. file, durability = "relaxed" }, workflow()
  while size_of(file) < megabytes << 20 do
    for _ = 1, 8 do rt:wait(flow.start(compiled, { runtime = rt })) end
    rt:sync()
  end
  flow.start(compiled, { runtime = rt })
  rt:step(0.01)
  rt:sync()
  uv.kill(uv.os_getpid(), "sigkill")
end

-- The killed child is what is wanted; any other end of it is a mistake.
local function killed(...)
  local signal
  uv.spawn(uv.exepath(), { args = { arg[0], ... }, stdio = { nil, 1, 2 } }, function(_, by) signal = by end)
  while not signal do uv.run "once" end
  assert(signal == 9, "the process that has the store ended before it was killed")
end

local function make(file, megabytes)
  process.remove_store(file)
  killed("hold", file, megabytes)
end

-- The pages that are not written yet stay, so they are written first. The log stays in memory.
local function forget(file)
  local done = os.execute(("sync -d '%s' && dd if='%s' iflag=nocache count=0 status=none"):format(file, file))
  assert(done, "the file cannot be dropped from memory")
end

local function open(file, how)
  if how == "cold" then forget(file) end
  killed("look", file)
end

local function look(file)
  local start, first = uv.hrtime(), nil
  local function since() return (uv.hrtime() - start) / 1e9 end
  local w = flow.workflow { name = "hello" }
  w.hello = { run = function() first = since() end }
  local rt = flow.runtime { store = "sqlite:" .. file, durability = "strict" }
  process.say("opened", since())
  local run = flow.start(flow.compile(w), { runtime = rt })
  rt:wait(run)
  assert(run.state == "completed")
  process.say("first", first)
  process.say("seconds", since())
  io.stdout:flush()
  uv.kill(uv.os_getpid(), "sigkill")
end

local DO = { make = make, hold = hold, open = open, look = look }
local action, file = DO[arg[1]], arg[2]
assert(action and file, "usage: opening.lua make FILE MB | open FILE [cold]")
action(file, arg[3])
