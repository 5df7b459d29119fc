-- A run goes on in the folder that it was begun in, or it is said that it does not.

local stories = require "spec.support.story"
local has = stories.has

local WORKFLOW = [[
local flow = require "orrery"
local w = flow.workflow { name = "w" }
w.wait = { run = function(ctx) ctx:wait("go", { timeout = "1h" }) end }
w.write = flow.file.write { after = "wait", path = "out.txt", content = "x" }
w.fail = flow.exec { "test", "-e", "fixed", after = "write" }
return w]]

-- Begins a run in folder a, which is killed while it waits, and stands in folder b.
local BEGIN = [[
  mkdir a b; cp w.lua a; cd a
  orrery run w.lua --store ../s.db >../out 2>&1 & await ../out 'wait  waits'; kill -9 $(pid_of ../s.db); wait
  cd ../b; id=$(sqlite3 ../s.db 'SELECT id FROM runs'); orrery signal --store ../s.db $id go
]]

describe("a run that goes on from another folder", function()
  it("goes on where it was begun: resumed, retried and forked", function()
    local done = stories.tell(WORKFLOW, BEGIN .. [[
      orrery resume --store ../s.db $id >res 2>&1; echo "code $?"; grep -c 'goes on in .*/a, where it was begun' res
      ls ../a; rm ../a/out.txt; touch ../a/fixed
      orrery retry --store ../s.db $id -q; echo "code $?"; orrery fork --store ../s.db $id --from write -q; echo "code $?"
      ls ../a ../b]])
    has(done, "code 1\n1\nout.txt\nw.lua\ncode 0\ncode 0\n../a:\nfixed\nout.txt\nw.lua\n\n../b:\nres\n")
  end)

  it("goes on there also among others", function()
    local done = stories.tell(WORKFLOW, BEGIN .. [[touch ../a/fixed
      orrery resume --store ../s.db; echo "code $?"; ls ../a ../b]])
    has(done, "a, where it was begun", "code 0\n../a:\nfixed\nout.txt\nw.lua\n\n../b:\n")
  end)

  it("says so where the folder is gone", function()
    local done = stories.tell(WORKFLOW, BEGIN .. [[rm -r ../a; touch fixed
      orrery resume --store ../s.db $id -q; echo "code $?"; ls]])
    has(done, "/a, which is not there any more: relative paths mean ", "code 0\nfixed\nout.txt\n")
  end)

  it("says so where another run of another folder goes on as well", function()
    local done = stories.tell(WORKFLOW, BEGIN .. [[touch ../a/fixed fixed; cp ../w.lua .
      orrery run w.lua --store ../s.db >../out2 2>&1 & await ../out2 'wait  waits'; kill -9 $(pid_of ../s.db); wait
      orrery resume --store ../s.db --no-wait >/dev/null; echo "code $?"]])
    has(done, "was begun in ", "/b and goes on in ", "where relative paths mean other files", "code 5\n")
  end)
end)
