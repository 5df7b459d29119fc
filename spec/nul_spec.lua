-- A NUL in what an error says, and names as long as they may be, are kept whole: in the store, and
-- in a run that another process goes on with.

local stories = require "spec.support.story"
local has = stories.has

local WORKFLOW = [[
local flow = require "orrery"
local LONG = ("n"):rep(255)
local w = flow.workflow { name = ("w"):rep(255), output = "${nodes.told}" }
w[LONG] = { run = function() error "before\0after" end }
w.coded = { run = function() flow.error { code = "my\0code", message = "x\0y" } end }
w.wait = { join = "done", after = { LONG, "coded" }, run = function(ctx) ctx:wait("go", { timeout = "1h" }) end }
w.told = { join = "failed", after = { LONG, "coded", "wait" }, run = function(ctx)
  return { ctx.errors[LONG].message, ctx.errors.coded.code, ctx.errors.coded.message }
end }
w.last = { after = "told", run = function() error("the end\0of it", 0) end }
return w]]

describe("errors with a NUL in them and long names", function()
  it("are kept whole", function()
    local done = stories.tell(WORKFLOW, [[
      orrery run w.lua --store s.db >out 2>&1 & await out 'wait  waits'; kill -9 $(pid_of s.db); wait
      orrery signal --store s.db @last go; orrery resume --store s.db @last -q 2>/dev/null; echo "code $?"
      sqlite3 s.db 'SELECT error FROM runs; SELECT length(workflow) FROM runs; SELECT DISTINCT length(node) FROM attempts
        WHERE length(node) > 100'
      sqlite3 s.db "SELECT output FROM nodes WHERE node = 'told'"
      sqlite3 s.db "SELECT substr(error, 1, 70) FROM nodes WHERE node = 'coded' OR length(node) = 255"]])
    has(done, [[code 1
{"code":"handler_error","message":"the end\u0000of it"}
255
255
["w.lua:4: before\u0000after","my\u0000code","x\u0000y"]
{"code":"handler_error","message":"w.lua:4: before\u0000after","traceb
{"code":"my\u0000code","message":"x\u0000y"}
]])
  end)
end)
