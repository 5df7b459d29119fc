-- What ends a run from outside, on real processes: signals that the loop does not get to see, and
-- readers that go away. The waits are real because signals and pipes are.

local command = require "spec.support.command"

-- It blocks in C, where nothing can stop it.
local STUCK = [[
local flow = require "orrery"
local w = flow.workflow { name = "stuck" }
w.a = { run = function() io.stderr:write("begun\n") io.open(os.getenv "FIFO"):read() end }
return w]]

local PIPED = [[
local flow = require "orrery"
local w = flow.workflow { name = "piped" }
w.a = flow.exec { shell = "echo $$ >pid; exec sleep 4747" }
w.b = { run = function(ctx) while true do ctx:sleep("10ms") ctx:log("info", "tick") end end }
w.c = { after = { "a", "b" }, join = "done", run = function() io.stderr:write("cleaned up\n") end }
return w]]

local function in_folder(text, line)
  return command.shell(([[
    dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
    runs() { [ -n "$(cat /proc/$1/cmdline 2>/dev/null | tr '\0' ' ')" ]; } # not so one that none has reaped
    cat >$dir/w.lua <<'END'
%s
END
    %s]]):format(text, line:gsub("ORRERY", (command.quote(command.path):gsub("%%", "%%%%")))))
end

describe("a second signal", function()
  it("ends the command even while a handler that never waits keeps the loop from turning", function()
    local done = in_folder(STUCK, [[
      mkfifo $dir/fifo
      FIFO=$dir/fifo ORRERY run $dir/w.lua 2>$dir/err &
      pid=$!
      while ! grep -q begun $dir/err; do sleep 0.01; done
      kill -INT $pid
      while grep -q '^ShdPnd:.*[2367abef]$' /proc/$pid/status; do sleep 0.01; done # it has not got it yet
      kill -INT $pid
      wait $pid; echo "code $?"]])
    assert.truthy(done.out:find("code 130", 1, true), done.out .. done.err)
  end)
end)

local function spinning(more)
  return ([[
local flow = require "orrery"
local w = flow.workflow { name = "spins", output = "${nodes.a}" }
w.a = { %s run = function(ctx)
  local file = io.open("begun", "a") file:write "x" file:close()
  while not io.open "go" do pcall(function() for _ = 1, 1e7 do end end) end
  return "went on"
end }
w.tidy = { after = "a", join = "done", run = function() io.stderr:write "tidied\n" end }
return w]]):format(more or "")
end

-- Runs a line in the background, which creates the file `begun`, and sends it a signal then.
local function struck(text, line, signal, more, test)
  return in_folder(text, ([[
    cp $dir/w.lua $dir/flow.lua; cat >$dir/t_test.lua <<'END'
%s
END
    case ORRERY in /*) orrery=ORRERY ;; *) orrery=$PWD/ORRERY ;; esac; cd $dir
    env --default-signal=INT,TERM $orrery %s 2>err & run=$!
    i=0; while [ ! -s begun ] && [ $i -lt 6000 ]; do sleep 0.01; i=$((i + 1)); done
    kill -%s $run; (sleep 60; kill -KILL $run) 2>none & guard=$!
    wait $run; echo "code $?"; kill $guard; %s
    cat err >&2]]):format(test or "", line, signal, more or ""))
end

describe("a handler that never waits", function()
  for _, case in ipairs { { "TERM", "x.db", 5 }, { "INT", "x.db", 3 }, { "TERM", "memory:", 3 },
    { "INT", "memory:", 3 } } do
    for where, more in pairs { here = "", ["in a worker"] = 'strategy = "thread",' } do
      it(("is stopped by %s in %s, %s"):format(case[1], case[2], where), function()
        local done = struck(spinning(more), "run w.lua -q --store " .. case[2], case[1])
        assert.truthy(done.out:find(("code %d\n"):format(case[3]), 1, true), done.out .. done.err)
        assert.equal(case[3] == 3, done.err:find("tidied", 1, true) ~= nil, done.err)
      end)
    end
  end

  it("has not failed where its run was suspended, and begins anew", function()
    local done = struck(spinning(), "run w.lua -q --store x.db", "TERM",
      "touch go; $orrery resume -q --store x.db; echo \"resumed $?\"; cat begun")
    assert.truthy(done.out:find("code 5\n", 1, true), done.out .. done.err)
    assert.truthy(done.out:find("resumed 0\nxx", 1, true), done.out .. done.err)
  end)

  it("is stopped in a test, and so is a test that never ends", function()
    local HANDLER = [[
      local testing = require "orrery.testing"
      it("spins", function() testing.run("flow.lua", { limit = 600 }) end)]]
    local BODY = [[it("spins", function() local f = io.open("begun", "w") f:write "x" f:close() while true do end end)]]
    for _, text in ipairs { HANDLER, BODY } do
      local done = struck(spinning(), "test t_test.lua", "INT", nil, text)
      assert.truthy(done.out:find("code 1\n", 1, true), done.out .. done.err)
    end
  end)

  it("is cancelled in a script, which goes on", function()
    local done = struck([[
      local flow = require "orrery"
      local w = flow.workflow { name = "spins" }
      w.a = { run = function() local f = io.open("begun", "w") f:write "x" f:close() while true do end end }
      print(flow.run(w).state)]], "w.lua >said", "INT", "cat said")
    assert.truthy(done.out:find("code 0\n", 1, true), done.out .. done.err)
    assert.truthy(done.out:find("cancelled\n", 1, true), done.out .. done.err)
  end)

  it("is stopped in a simulation", function()
    local done = struck([[
      local flow = require "orrery"
      local w = flow.workflow { name = "spins" }
      w.a = { run = function() local f = io.open("begun", "w") f:write "x" f:close() while true do end end }
      return w]], "sim w.lua", "INT")
    assert.truthy(done.out:find("code 130\n", 1, true), done.out .. done.err)
  end)
end)

describe("a second signal that nobody can hear", function()
  it("ends the command", function()
    local done = in_folder([[
      local flow = require "orrery"
      local w = flow.workflow { name = "blocks" }
      w.a = { run = function(ctx) io.open("begun", "w"):write("x"):close() ctx:sleep "1h" end }
      w.tidy = { after = "a", join = "done", run = function()
        io.open("cleaning", "w"):write("x"):close()
        io.open("fifo"):read()
      end }
      return w]], [[
      case ORRERY in /*) orrery=ORRERY ;; *) orrery=$PWD/ORRERY ;; esac; cd $dir; mkfifo fifo
      env --default-signal=INT $orrery run w.lua -q 2>err & run=$!
      while [ ! -s begun ]; do sleep 0.01; done; kill -INT $run
      while [ ! -s cleaning ]; do sleep 0.01; done; kill -INT $run
      (sleep 60; kill -KILL $run) 2>none & guard=$!
      wait $run; echo "code $?"; kill $guard; cat err >&2]])
    assert.truthy(done.out:find("code 130\n", 1, true), done.out .. done.err)
  end)
end)

local HELLO = [[
local w = require("orrery").workflow { name = "hello" }
w.a = { run = function() end }
return w]]

describe("a Ctrl-C at any moment", function()
  -- A shell has its background jobs ignore it.
  it("ends a command with a word, and no traceback", function()
    local done = in_folder(HELLO, [[
      for i in 1 2 3 4 5 6 7 8; do ORRERY run $dir/w.lua -q --store $dir/x.db; done
      for i in 0 1 2 3 4 5 6 7 8 9; do
        for j in 0 3 6; do
          env --default-signal=INT ORRERY runs --store $dir/x.db >$dir/out 2>>$dir/err & pid=$!
          sleep 0.00$i$j; kill -INT $pid 2>/dev/null; wait $pid; echo "code $?"
        done
      done
      cat $dir/err]])
    local out = done.out:gsub("code 0\n", ""):gsub("code 130\n", "")
      :gsub("orrery[ runs]*: interrupted\n", "")
    assert.equal("", out)
  end)
end)

-- Runs $dir/w.lua with options and sends it a signal once its command has begun.
local function signalled(text, options, signal)
  return in_folder(text, ([[
    case ORRERY in /*) orrery=ORRERY ;; *) orrery=$PWD/ORRERY ;; esac; cd $dir
    env --default-signal=HUP,INT,TERM $orrery run w.lua -q %s 2>err & run=$!
    i=0; while [ ! -s begun ] && [ $i -lt 6000 ]; do sleep 0.01; i=$((i + 1)); done
    kill -%s $run; wait $run; echo "code $?"; cat log 2>none
    i=0; while runs $(cat begun) && [ $i -lt 3000 ]; do sleep 0.01; i=$((i + 1)); done
    runs $(cat begun) || echo "no command is left"; cat err >&2]]):format(options, signal))
end

local TRAPPED = [[
local flow = require "orrery"
local w = flow.workflow { name = "trapped" }
w.a = flow.exec { shell = "trap 'sleep 0.2; echo cleaned >>log; exit 1' TERM; sleep 60 & echo $$ >begun; wait" }
return w]]

local ESCAPED = [[
local flow = require "orrery"
local w = flow.workflow { name = "escaped" }
w.a = flow.exec { shell = "setsid sh -c 'echo $$ >begun; exec sleep 60' & wait" }
w.b = { run = function(ctx) while true do ctx:sleep("10ms") if io.open "leave" then os.exit(7) end end end }
return w]]

describe("a signal", function()
  for _, case in ipairs { { "TERM", "x.db", 5 }, { "TERM", "memory:", 3 }, { "HUP", "x.db", 5 },
    { "HUP", "memory:", 3 }, { "INT", "x.db", 3 } } do
    it(case[1] .. " gives the commands of a run in " .. case[2] .. " the time to end", function()
      local done = signalled(TRAPPED, "--store " .. case[2], case[1])
      assert.truthy(done.out:find(("code %d\ncleaned\n"):format(case[3]), 1, true), done.out .. done.err)
      assert.truthy(done.out:find("no command is left", 1, true), done.out .. done.err)
    end)
  end

  it("HUP leaves a run alone that was started under nohup", function()
    local done = in_folder(TRAPPED, [[
      case ORRERY in /*) orrery=ORRERY ;; *) orrery=$PWD/ORRERY ;; esac; cd $dir
      (trap '' HUP; exec $orrery run w.lua -q --store memory: 2>err) & run=$!
      while [ ! -s begun ]; do sleep 0.01; done
      kill -HUP $run; sleep 0.1; kill -0 $run && echo "it runs"; kill -INT $run; wait $run; echo "code $?"]])
    assert.truthy(done.out:find("it runs\ncode 3", 1, true), done.out .. done.err)
  end)

  it("that kills the program ends its commands, in sessions of their own too", function()
    local done = signalled(ESCAPED, "--store x.db", "KILL")
    assert.truthy(done.out:find("code 137", 1, true), done.out .. done.err)
    assert.truthy(done.out:find("no command is left", 1, true), done.out .. done.err)
  end)
end)

describe("an exit in the middle of a script", function()
  it("ends its commands", function()
    local done = signalled(ESCAPED, "--store memory:", "0 $run; touch leave; :")
    assert.truthy(done.out:find("code 7", 1, true), done.out .. done.err)
    assert.truthy(done.out:find("no command is left", 1, true), done.out .. done.err)
  end)
end)

describe("a reader that goes away", function()
  it("cancels the run: commands are ended, cleanup nodes run", function()
    local done = in_folder(PIPED, [[
      case ORRERY in /*) orrery=ORRERY ;; *) orrery=$PWD/ORRERY ;; esac; cd $dir
      { $orrery run w.lua --json; echo "code $?" >&2; } | {
        read -r line; echo "$line"; while [ ! -s pid ]; do sleep 0.01; done; }
      test -s pid && ! runs $(cat pid) && echo "no command is left"]])
    assert.truthy(done.out:find('"event":"run_started"', 1, true), done.out)
    assert.truthy(done.out:find("no command is left", 1, true), done.out)
    assert.truthy(done.err:find("cleaned up\n", 1, true), done.err)
    assert.truthy(done.err:find("could not be written: Broken pipe", 1, true), done.err)
    assert.truthy(done.err:find("code 3", 1, true), done.err)
  end)
end)
