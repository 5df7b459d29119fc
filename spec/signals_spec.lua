-- What ends a run from outside, on real processes: signals that the loop does not get to see, and readers that go away.
-- The waits are real because signals and pipes are.

local command = require "spec.support.command"

local STUCK = [[
local flow = require "orrery"
local w = flow.workflow { name = "stuck" }
w.a = { run = function() io.stderr:write("begun\n") while true do end end }
return w]]

local PIPED = [[
local flow = require "orrery"
local w = flow.workflow { name = "piped" }
w.a = flow.exec { shell = "echo $$ >pid; exec sleep 4747" }
w.b = { run = function(ctx) for i = 1, 200 do ctx:sleep("10ms") ctx:log("info", "tick") end end }
w.c = { after = { "a", "b" }, join = "done", run = function() io.stderr:write("cleaned up\n") end }
return w]]

local function in_folder(text, line)
  return command.shell(([[
    dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
    cat >$dir/w.lua <<'END'
%s
END
    %s]]):format(text, line:gsub("ORRERY", (command.quote(command.path):gsub("%%", "%%%%")))))
end

describe("a second signal", function()
  it("ends the command even while a handler that never waits keeps the loop from turning", function()
    local done = in_folder(STUCK, [[
      ORRERY run $dir/w.lua 2>$dir/err &
      pid=$!
      while ! grep -q begun $dir/err; do sleep 0.01; done
      kill -INT $pid; sleep 0.05; kill -INT $pid
      wait $pid; echo "code $?"]])
    assert.truthy(done.out:find("code 130", 1, true), done.out .. done.err)
  end)
end)

describe("a reader that goes away", function()
  it("cancels the run: commands are ended, cleanup nodes run", function()
    local done = in_folder(PIPED, [[
      case ORRERY in /*) orrery=ORRERY ;; *) orrery=$PWD/ORRERY ;; esac; cd $dir
      { $orrery run w.lua --json; echo "code $?" >&2; } | head -1
      test -s pid && ! kill -0 $(cat pid) 2>kill.err && echo "no command is left"]])
    assert.truthy(done.out:find('"event":"run_started"', 1, true), done.out)
    assert.truthy(done.out:find("no command is left", 1, true), done.out)
    assert.truthy(done.err:find("cleaned up\n", 1, true), done.err)
    assert.truthy(done.err:find("could not be written: Broken pipe", 1, true), done.err)
    assert.truthy(done.err:find("code 3", 1, true), done.err)
  end)
end)
