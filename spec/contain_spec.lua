-- Whatever becomes of the process that runs commands, nothing that they have started outlives it:
-- real processes, ended in every way.
local story = require "spec.support.story"

-- Each command writes down what it has started, in the ways in which processes get away. PIDS says
-- how many lines that makes.
local WORKFLOW = [[
local flow, uv = require "orrery", require "luv"
flow.pool("exec", { max = 20 })
local SLEEPER = "sh -c 'echo $$ >>pids; exec sleep 60'"
local STUBBORN = [=[sh -c 'trap "" TERM HUP INT; echo $$ >>pids; while :; do sleep 0.05; done']=]

local shapes = {
  child = SLEEPER .. " & wait",
  session = "setsid " .. SLEEPER .. " & wait",
  daemon = "(setsid " .. SLEEPER .. " &); sleep 60",
  stubborn = "(setsid " .. STUBBORN .. " &); trap '' TERM; while :; do sleep 0.05; done",
  stopped = SLEEPER .. " & sleep 0.1; kill -STOP $!; wait",
  holder = "(setsid " .. SLEEPER .. " &)", -- keeps the output open
}
if os.getenv "UNMARKED" then
  shapes.unmarked = "(env -i PATH=$PATH setsid " .. SLEEPER .. " &); sleep 60"
end

local function commands(w)
  for name, shell in pairs(shapes) do
    w[name] = flow.exec { shell = shell, grace = 0.3, timeout = tonumber(os.getenv "TIMEOUT") }
  end
end

local function wait_for(file)
  while not uv.fs_stat(file) do flow.sleep(0.01) end
end

local function main()
  local w = flow.workflow { name = "w", on_error = "continue" }
  if os.getenv "CHILD" then
    local child = flow.workflow { name = "child", on_error = "continue" }
    commands(child)
    w.child = { run = function(ctx) return ctx:call(child) end }
  else
    commands(w)
  end
  if not os.getenv "UNMARKED" then -- else nothing would tell them apart
    w.build_daemon = flow.exec { detach = true,
      shell = "setsid sh -c 'echo $$ >daemon; exec sleep 60' >/dev/null 2>&1 &" }
  end
  w.act = { run = function(ctx)
    wait_for "go"
    local how = os.getenv "ACT"
    if how == "exit" then os.exit(7) end
    if how == "close" then os.exit(7, true) end
    if how == "crash" then uv.kill(uv.os_getpid(), "sigsegv") end
    if how == "fail" then error "no" end
  end }
  if os.getenv "ACT" == "fail" then w.after = { after = "act", run = function() end } end
  return w
end

return main()
]]

-- Starts the workflow, waits until all that there is to be ended has begun, does the lines, and
-- waits for the end of it all.
local function ended(lines, settings, expected)
  local unmarked = settings:find "UNMARKED"
  local done = story.tell(WORKFLOW, ([[
    want=%d; daemon=%s
    count() { cat pids 2>/dev/null | wc -l; }
    %s env --default-signal=INT,HUP,TERM "$command" run w.lua -q --store memory: >out 2>&1 & pid=$!
    begun() { [ $(count) -ge $want ] && { [ -z "$daemon" ] || [ -s daemon ]; }; }
    for i in $(seq 3000); do begun && break; sleep 0.01; done
    echo "started $(count)"
    sleep 0.2
    touch go
    %s
    wait $pid 2>/dev/null; echo "code $?"
    lives() { grep -qs '^[0-9]* ([^)]*) [^ZX]' /proc/$1/stat; }
    left=none
    for i in $(seq 300); do
      left=; for p in $(cat pids); do lives $p && left="$left $p"; done
      [ -z "$left" ] && break; sleep 0.1
    done
    echo "left:$left."
    [ -z "$daemon" ] || { lives $(cat daemon) && echo "the daemon lives"; kill $(cat daemon); }
    kill -9 $left 2>/dev/null; cat out]]):format(unmarked and 7 or 6, unmarked and "" or "yes", settings, lines))
  story.has(done, "left:.", expected)
  if not unmarked then story.has(done, "the daemon lives") end
end

describe("what commands have started ends", function()
  it("on Ctrl-C", function() ended("kill -INT $pid", "UNMARKED=1", "code 3") end)
  it("on SIGTERM", function() ended("kill -TERM $pid", "UNMARKED=1", "code 3") end)
  it("on SIGHUP", function() ended("kill -HUP $pid", "UNMARKED=1", "code 3") end)
  it("on SIGTERM in a child run", function() ended("kill -TERM $pid", "UNMARKED=1 CHILD=1", "code 3") end)
  it("when they are killed by a second signal", function()
    ended("kill -INT $pid; sleep 0.05; kill -INT $pid", "", "code 3")
  end)
  it("when the process is killed", function() ended("kill -KILL $pid", "", "code 137") end)
  it("when it crashes", function() ended("", "ASAN_OPTIONS=handle_segv=0 ACT=crash", "code 139") end)
  it("when a script calls os.exit", function() ended("", "ACT=exit", "code 7") end)
  it("when a script closes the state and exits", function() ended("", "ACT=close", "code 7") end)
  it("at their nodes' timeouts", function() ended("", "TIMEOUT=2 UNMARKED=1", "code 1") end)
end)

describe("a process namespace", function()
  it("whose processes belong to a session outside of it loses no status that is asked for later", function()
    local unshare = "unshare --user --map-root-user --pid --fork --mount-proc"
    if not os.execute(unshare .. " true 2>/dev/null") then pending "none can be made here" end
    local done = story.tell([[
      local flow = require "orrery"
      local w = flow.workflow { name = "w", output = "${nodes.a}" }
      w.a = { run = function()
        local program = io.popen "exit 7"
        flow.exec { "sleep", "2.5" } -- orphans are looked for meanwhile
        return select(3, program:close())
      end }
      return w]], unshare .. [[ "$command" run w.lua --json --store memory:]])
    story.has(done, '"output":7')
  end)
end)
