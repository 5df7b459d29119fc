-- State between runs across a kill of the process: right before and right after each commit of a
-- run that counts up a value and goes on. Wherever it dies, each write is made once.
local story = require "spec.support.story"

-- Two ways to write, and a failure that is tried again.
local WORKFLOW = [[
local flow = require "orrery"
local w = flow.workflow { name = "w", output = "${nodes.it}" }
w.first = flow.state.update { key = "n", change = "(value or 0) + 1" }
w.it = { after = "first", retry = { max = 1, delay = 0 }, run = function(ctx)
  local state = ctx:state()
  local n, version = state:get "n"
  state:set("n", n + 10, { version = version })
  flow.gather { function() state:update("n", function(value) return value + 100 end) end }
  if ctx.attempt == 1 then error "tried again" end
  return (state:get "n")
end }
return w]]

-- Runs it until it ends with the n-th commit, resumes it, and says what it left.
local LINES = [[
at=%s
ORRERY_CRASH=$at orrery run w.lua -q --store sqlite:s.db >out 2>/dev/null
first=$?
if [ $first = 0 ]; then echo "ended"; else orrery resume --store sqlite:s.db -q >out 2>&1; fi
id=$(sqlite3 s.db "SELECT count(*) FROM runs")
if [ $id = 0 ]; then echo "not begun"; orrery run w.lua -q --store sqlite:s.db >out 2>&1; fi
sqlite3 s.db "SELECT state, output FROM runs; SELECT key, value FROM state ORDER BY key"
sqlite3 s.db "SELECT count(*) FROM steps WHERE name LIKE 'state.set %%' AND value <> 'false'"]]

local function tell(at)
  local done = story.tell(WORKFLOW, LINES:format(at))
  return (done.out:gsub("%s+", " ")), done
end

describe("a write of state", function()
  -- Right after one, the process does not know yet what was decided.
  for where, suffix in pairs { before = "", ["right after"] = ":after" } do
    it("is made once where the process is killed " .. where .. " a commit", function()
      local n = 0
      repeat
        n = n + 1
        local out, done = tell(n .. suffix)
        assert.equal("completed|111 n|111 3 ", out:gsub("^not begun ", ""):gsub("^ended ", ""),
          ("killed at %d%s: %s%s"):format(n, suffix, out, done.err))
      until out:find "^ended"
      assert.is_true(n > 5, "it was never killed")
    end)
  end
end)
