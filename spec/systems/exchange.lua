-- exchange.lua: `orrery spec/systems/exchange.lua OTHER`, OTHER being a command for another system.
-- A run of this command is killed, OTHER reads its store and lets the run go on; this one reads the
-- copy that OTHER then makes of the store.
package.path = "./?.lua;" .. package.path
local core = require "orrery.core"
local command = require "spec.support.command"

local other = arg[1] or error "exchange.lua: expected the other command as its argument"
local function absolute(path)
  if path:match "^/" then return path end
  return require "luv".cwd() .. "/" .. path
end
local this, theirs = absolute(command.path), absolute(other)

-- All kinds of values go through the store: numbers at their codecs' limits, text of any bytes.
local FLOW = [[
local flow = require "orrery"
local w = flow.workflow { name = "exchange", input = { n = { type = "integer", default = 0 } },
  output = "${nodes.after}" }
w.first = { run = function(ctx)
  local file <close> = io.open("did", "a")
  file:write "first\n"
  return { 1, -1, 255, 256, 65537, math.maxinteger, math.mininteger, 0.1, -1e300, 2.5e-308, true,
    "\u{00e4}\u{20ac}", { deep = { list = {}, text = ("x"):rep(70000) } } }
end }
w.steps = { after = "first", run = function(ctx, inputs)
  local sum = 0
  for i = 1, 5 do
    sum = sum + ctx:step("step " .. i, function() return { i, i / 3 } end)[2]
  end
  ctx:step("in front of the end", function()
    local file <close> = io.open("did", "a")
    file:write "steps\n"
    return true
  end)
  if os.getenv "HANG" then flow.sleep(600) end
  return { sum, inputs.first }
end }
w.after = { after = "steps", run = function(ctx, inputs)
  local got = inputs.steps[2]
  return { inputs.steps[1], got[6] == math.maxinteger, got[7] == math.mininteger, got[8] == 0.1,
    got[9] == -1e300, got[10] == 2.5e-308, got[12], #got[13].deep.text }
end }
return w
]]

local folder = os.tmpname()
os.remove(folder)
assert(os.execute("mkdir " .. folder))
local function write(name, text)
  local file <close> = assert(io.open(folder .. "/" .. name, "wb"))
  file:write(text)
end
local function read(name)
  local file <close> = io.open(folder .. "/" .. name, "rb")
  return file and file:read "a" or ""
end

local function shell(line)
  local done = command.shell(("cd %s && export ORRERY_STORE=$PWD/runs.db; %s"):format(folder, line))
  if done.code ~= 0 then
    error(("%s\nended with code %d\n%s%s"):format(line, done.code, done.out, done.err), 0)
  end
  return done.out
end

local function same(got, expected, what)
  if got ~= expected then error(("%s: expected %s, got %s"):format(what, expected, got), 0) end
end

-- What a run that was shown as JSON, an event a line, has put out; as text.
local function output_of(lines)
  for line in lines:gmatch "[^\n]+" do
    local event = core.json.decode(line)
    if event.event == "run_completed" then return core.json.encode(event.output) end
  end
  error("the run did not complete:\n" .. lines, 0)
end

local function exchange()
  write("flow.lua", FLOW)
  local expected = output_of(shell(this .. " run flow.lua --json --store memory: 2>&1"))
  os.remove(folder .. "/did")
  -- It is killed by its id when it has done all that stands in front of its sleep.
  shell(("HANG=1 %s run flow.lua >out 2>&1 & pid=$!; i=0; until grep -q steps did 2>/dev/null; do "
    .. "i=$((i+1)); [ $i -lt 1200 ] || { kill -9 $pid; cat out; exit 1; }; sleep 0.1; done; sleep 1; "
    .. "kill -9 $pid; wait $pid || true"):format(this))
  local id = core.json.decode(shell(theirs .. " runs --json")).id
  same(output_of(shell(("%s resume %s --json 2>&1"):format(theirs, id))), expected, "the run's output")
  same(read "did", "first\nsteps\n", "what was done, once by whichever of the two")
  shell(theirs .. " backup copy.db 2>&1")
  local shown = "%s show %s --json --store copy.db 2>&1"
  same(shell(shown:format(this, id)), shell(shown:format(theirs, id)), "a copy of the store, as both show it")
end

local fine, why = pcall(exchange)
os.execute("rm -r " .. folder)
if not fine then
  io.stderr:write("exchange.lua: ", why, "\n")
  os.exit(1, true)
end
print(("%s: a run of this command was killed, and went on there"):format(other))
