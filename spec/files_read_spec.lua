-- Files that a workflow reads while it is loaded: what dofile and loadfile run is kept with its
-- runs; what io reads is not, and that is said.

local stories = require "spec.support.story"
local has = stories.has

local WORKFLOW = [[
local flow = require "orrery"
local n = dofile "lib.lua"
local m = loadfile("lib2.lua")()
local f = io.open "data.txt"
local t = f:read "l"
f:close()
for l in io.lines "more.txt" do t = t .. l end
local w = flow.workflow { name = "w", output = "${nodes.b}" }
w.a = { run = function(ctx) ctx:wait("go", { timeout = "1h" }) end }
w.b = { after = "a", run = function() return n .. m .. t end }
return w]]

local FILES = [[echo 'return "one"' >lib.lua; echo '#!/usr/bin/lua
return "two"' >lib2.lua; echo D >data.txt; echo E >more.txt
]]
local BEGIN = FILES .. [[
  orrery run w.lua --store s.db >out 2>&1 & await out 'a  waits'; kill -9 $(pid_of s.db); wait
  orrery signal --store s.db @last go
]]

describe("files that a workflow reads while it is loaded", function()
  it("are code that is kept with its runs", function()
    local done = stories.tell(WORKFLOW, BEGIN .. [[echo 'return "another"' >lib.lua; rm lib2.lua
      orrery resume --store s.db @last -q; echo "code $?"]])
    has(done, '"onetwoDE"\ncode 0\n')
    assert(not done.err:find "warning" and not done.err:find "another file now", done.err)
  end)

  it("are reported where they are no code and have changed", function()
    local done = stories.tell(WORKFLOW, BEGIN .. [[echo F >more.txt; orrery resume --store s.db @last -q; echo "code $?"]])
    has(done, '"onetwoDF"\ncode 0\n',
      'workflow "w" read more.txt when it was loaded, which is another file now')
    assert(not done.err:find "data.txt", done.err)
  end)

  it("are reported by check where they are no code", function()
    local done = stories.tell(WORKFLOW, FILES .. "orrery check w.lua")
    has(done, "w.lua: no mistakes", "w.lua:4: warning: reads data.txt while the workflow is loaded",
      "w.lua:7: warning: reads more.txt while the workflow is loaded")
    assert(not done.err:find "lib", done.err)
  end)

  it("make another bundle when they change, so that a cache has other outputs", function()
    local cached = [[
      local t = require("orrery").glob and io.open("data.txt"):read "l"
      local w = require("orrery").workflow { name = "c", output = "${nodes.a}" }
      w.a = { cache = { key = "k", ttl = "1h" }, run = function() io.open("did", "a"):write "did\n" return t end }
      return w]]
    local done = stories.tell(cached, FILES .. "run s.db; run s.db; echo X >data.txt; run s.db; cat did")
    has(done, '"D"\ncode 0\n"D"\ncode 0\n"X"\ncode 0\ndid\ndid\n')
    assert(not done.out:find "did\ndid\ndid", done.out)
  end)

  it("leave dofile, loadfile and io as they were", function()
    local done = stories.tell("return nil", [[echo 'return 7' >l.lua; cat >t.lua <<'END'
      local d, o, l, i = dofile, io.open, loadfile, io.lines
      local flow = require "orrery"
      print(pcall(flow.load, { source = "dofile 'l.lua' return 1", format = "lua" }))
      print(d == dofile, o == io.open, l == loadfile, i == io.lines, dofile "l.lua", (loadfile "l.lua")())
END
      orrery t.lua]])
    has(done, "true\ttrue\ttrue\ttrue\t7\t7\n")
  end)
end)
