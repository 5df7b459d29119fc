-- `orrery resume`: runs that stopped go on, shown as `orrery run` shows them.
local core = require "orrery.core"
local place = require "spec.support.place"

local json, has = core.json, place.has

local HEAD = [[
local flow = require "orrery"
local function did(what)
  local file <close> = io.open("did", "a")
  file:write(what, "\n")
  return what
end
local function hang() -- no step, which a run that goes on would have to take again
  if not os.getenv "HANG" then return end
  flow.await(function(resume)
    local timer = require "luv".new_timer()
    timer:start(600000, 0, resume)
    return function() timer:close() end
  end)
end
]]

-- Stops in its second node where HANG is set.
local SLOW = HEAD .. [[
local w = flow.workflow { name = "slow", output = "${nodes.c}" }
w.a = { run = function() did "a" return { 1, "x" } end }
w.b = { after = "a", run = function(ctx, inputs) did "b" hang() did "b done" return inputs.a[1] + 1 end }
w.c = { after = { "a", "b" }, run = function(ctx, inputs) did "c" return { inputs.a, inputs.b } end }
return w
]]

local OTHER = SLOW:gsub('name = "slow"', 'name = "other"')

local function events_of(text)
  local list = {}
  for line in text:gmatch "[^\n]+" do list[#list + 1] = json.decode(line) end
  return list
end

-- Starts a run, kills its process while node b hangs, and returns the run's id.
local function killed(here, file, ...)
  local n = here:counts().b or 0
  local process = here:start({ "run", file or "slow.lua", ... }, { HANG = "1" })
  here:until_true(function() return (here:counts().b or 0) > n end)
  process.handle:kill "sigkill"
  here:finish(process)
  return here:newest()
end

local function new(files)
  files = files or {}
  files["slow.lua"], files["other.lua"] = files["slow.lua"] or SLOW, OTHER
  return place.new(files)
end

describe("orrery resume", function()
  it("lets one run go on and shows it as run does", function()
    local here <close> = new()
    local id = killed(here)
    local result = here:ends(0, "resume", id:sub(1, 13))
    assert.are.same({ { 1, "x" }, 2 }, json.decode(result.out))
    has(result.err, "slow completed")
    has(result.err, "3 completed")
    assert.are.same({ a = 1, b = 2, ["b done"] = 1, c = 1 }, here:counts())
    assert.are.equal("completed", here:query("SELECT state FROM runs")[1].state)
  end)

  it("prints events with --json, and nothing but the output with -q", function()
    local here <close> = new()
    local id = killed(here)
    local quiet = killed(here)
    local result = here:ends(0, "resume", id, "--json")
    local events = events_of(result.out)
    assert.are.equal("run_recovered", events[1].event)
    assert.are.equal("run_completed", events[#events].event)
    assert.are.same({ { 1, "x" }, 2 }, events[#events].output)
    result = here:ends(0, "resume", quiet, "-q")
    assert.are.equal("", result.err)
    assert.are.same({ { 1, "x" }, 2 }, json.decode(result.out))
  end)

  it("takes several ids", function()
    local here <close> = new()
    local one, two, three = killed(here), killed(here), killed(here)
    local result = here:ends(0, "resume", one, two)
    has(result.err, one)
    has(result.err, two)
    has(result.err, "2 runs resumed")
    assert.are.same({ { id = three } }, here:query "SELECT id FROM runs WHERE ended IS NULL")
  end)

  it("resumes all that are unfinished, and says when there are none", function()
    local here <close> = new()
    killed(here)
    killed(here, "other.lua")
    local result = here:ends(0, "resume")
    has(result.err, "2 runs resumed")
    assert.are.equal(2, here:query("SELECT count(*) AS n FROM runs WHERE state = 'completed'")[1].n)
    result = here:ends(0, "resume")
    assert.are.equal("", result.out)
    has(result.err, "nothing to resume")
    assert.are.equal("", here:ends(0, "resume", "--json").out)
  end)

  it("has nothing to do where there is no store yet", function()
    local here <close> = new()
    has(here:ends(0, "resume").err, "no runs yet")
    has(here:ends(2, "resume", "0192").err, "no runs yet")
    has(here:ends(2, "resume", "--store", "nowhere.db").err, "nowhere.db")
  end)

  it("reports each with --json when there are several", function()
    local here <close> = new()
    local one, two = killed(here), killed(here)
    local ended = {}
    for _, event in ipairs(events_of(here:ends(0, "resume", "--json").out)) do
      if event.event == "run_completed" then ended[event.run] = event.state end
    end
    assert.are.same({ [one] = "completed", [two] = "completed" }, ended)
  end)

  it("says nothing with -q, and works a few at a time", function()
    local here <close> = new()
    for _ = 1, 3 do killed(here) end
    local result = here:ends(0, "resume", "-q", "--jobs", "1")
    assert.are.equal("", result.err .. result.out)
    assert.are.equal(3, here:query("SELECT count(*) AS n FROM runs WHERE state = 'completed'")[1].n)
  end)

  it("leaves what waits with --no-wait", function()
    local here <close> = new { ["gate.lua"] = HEAD .. [[
local w = flow.workflow { name = "gate", output = "${nodes.b}" }
w.b = { run = function(ctx) return ctx:wait "go" end }
return w]] }
    here:ends(5, "run", "gate.lua", "--no-wait")
    local told = here:newest()
    here:ends(5, "run", "gate.lua", "--no-wait")
    here:ends(0, "signal", told, "go", "1")
    killed(here)
    local result = here:ends(5, "resume", "--no-wait")
    has(result.err, "3 runs resumed, 1 left, to be resumed")
    assert.are.same({ { id = told }, { id = here:newest() } },
      here:query "SELECT id FROM runs WHERE state = 'completed'")
  end)

  it("chooses by workflow", function()
    local here <close> = new()
    killed(here)
    local other = killed(here, "other.lua")
    has(here:ends(0, "resume", "--workflow", "slow").err, "1 run resumed")
    assert.are.same({ { id = other } }, here:query "SELECT id FROM runs WHERE ended IS NULL")
    has(here:ends(2, "resume", "--workflow", "slwo").err, "did you mean 'slow'")
  end)

  it("exits with 1 where a run fails", function()
    local here <close> = new { ["bad.lua"] = HEAD .. [[
local w = flow.workflow { name = "bad" }
w.b = { run = function() did "b" hang() flow.error { code = "broken", message = "it is broken" } end }
return w]] }
    local one = killed(here, "bad.lua")
    has(here:ends(1, "resume", one).err, "it is broken")
    local two = killed(here, "bad.lua")
    killed(here)
    local result = here:ends(1, "resume")
    has(result.err, two)
    has(result.err, "it is broken")
    has(result.err, "2 runs resumed, 1 did not complete")
  end)
end)

describe("orrery resume refuses", function()
  it("what is no run, several runs, or a run that has ended", function()
    local here <close> = new()
    here:ends(0, "run", "slow.lua", "-q")
    local id = here:newest()
    here:ends(0, "run", "slow.lua", "-q")
    has(here:ends(2, "resume", "ffff").err, "no run begins with 'ffff'")
    has(here:ends(2, "resume", id:sub(1, 4)).err, "2 runs begin with")
    local result = here:ends(2, "resume", id)
    has(result.err, "completed")
    has(result.err, id)
    assert.are.equal(1, select(2, result.err:gsub("\n", "\n")), result.err)
    has(here:ends(2, "resume", "no-id!").err, "no id of a run")
  end)

  it("a run that a living process runs, unless it is forced", function()
    local here <close> = new()
    local process = here:start({ "run", "slow.lua" }, { HANG = "1" })
    here:until_did "b"
    local id = here:newest()
    local result = here:ends(0, "resume", id)
    has(result.err, tostring(process.pid))
    assert.is_nil(process.code)
    assert.are.same({ { 1, "x" }, 2 }, json.decode(here:ends(0, "resume", id, "--force", "-q").out))
    process.handle:kill "sigterm"
    here:finish(process)
    assert.are.same({ a = 1, b = 2, ["b done"] = 1, c = 1 }, here:counts())
    assert.are.equal("completed", here:query("SELECT state FROM runs")[1].state)
  end)

  it("a run of a workflow without source", function()
    local here <close> = new { ["odd.lua"] = HEAD .. [==[
local odd = load([[return require("orrery").type { name = "odd", run = function() return 1 end }]], "=somewhere")()
local w = flow.workflow { name = "odd" }
w.a = odd {}
w.b = { after = "a", run = function() did "b" hang() end }
return w]==] }
    local id = killed(here, "odd.lua")
    local result = here:ends(2, "resume", id)
    has(result.err, "cannot be resumed")
    assert.are.equal(1, select(2, result.err:gsub("\n", "\n")), result.err)
    has(here:ends(0, "resume").err, "nothing to resume")
  end)

  it("a workflow that its source, loaded again, makes otherwise", function()
    local here <close> = new { ["env.lua"] = HEAD .. [[
local w = flow.workflow { name = "env" }
w.b = { run = function() did "b" hang() end }
if os.getenv "MORE" then w.more = { after = "b", run = function() end } end
return w]] }
    local id = killed(here, "env.lua")
    local result = here:with({ MORE = "1" }, "resume", id)
    assert.are.equal(2, result.code, result.err)
    has(result.err, "more")
    has(result.err, "makes another workflow")
    here:ends(0, "resume", id)
  end)
end)

describe("orrery resume --with-current-code", function()
  it("goes on with today's code where the journal fits it", function()
    local here <close> = new()
    local id, again = killed(here), killed(here)
    here:write("slow.lua", (SLOW:gsub("inputs%.a%[1%] %+ 1", "inputs.a[1] + 100")))
    assert.are.same({ { 1, "x" }, 101 }, json.decode(here:ends(0, "resume", id, "--with-current-code").out))
    assert.are.same({ { 1, "x" }, 2 }, json.decode(here:ends(0, "resume", again).out))
    assert.are.equal(2, #here:query "SELECT DISTINCT bundle FROM runs")
  end)

  it("says where it does not fit", function()
    local here <close> = new()
    local id = killed(here)
    here:write("slow.lua", (SLOW:gsub("w%.a =", "w.first ="):gsub('"a"', '"first"')
      :gsub("inputs%.a", "inputs.first")))
    local result = here:ends(2, "resume", id, "--with-current-code")
    has(result.err, '"a"')
    has(result.err, "slow.lua")
    here:write("slow.lua", "return 7")
    has(here:ends(2, "resume", id, "--with-current-code").err, "slow.lua")
    here:ends(0, "resume", id)
  end)

  it("takes the file that is named", function()
    local here <close> = new()
    local id = killed(here)
    os.rename(here.folder .. "/slow.lua", here.folder .. "/moved.lua")
    has(here:ends(2, "resume", id, "--with-current-code").err, "slow.lua")
    here:ends(0, "resume", id, "--code", "moved.lua")
  end)
end)

describe("orrery resume of what keeps ending its process", function()
  it("ends it as a crash loop, unless it is forced", function()
    local here <close> = new { ["crash.lua"] = HEAD .. [[
local w = flow.workflow { name = "crash", output = "${nodes.b}" }
w.b = { run = function() did "b" if os.getenv "CRASH" then require "luv".kill(require "luv".os_getpid(), "sigkill") end return 5 end }
return w]] }
    local function crash(...)
      local result = here:with({ CRASH = "1" }, ...)
      assert.are.equal(137, result.code, result.err)
    end
    crash("run", "crash.lua")
    local id = here:newest()
    crash("resume", id)
    crash("resume", id)
    has(here:query("SELECT group_concat(interrupted) AS n FROM attempts")[1].n, "2")
    local forced = here:ends(0, "resume", id, "--force")
    assert.are.equal("5\n", forced.out)
    crash("run", "crash.lua")
    id = here:newest()
    crash("resume", id)
    crash("resume", id)
    local result = here:ends(1, "resume", id)
    has(result.err, "crash_loop")
    has(result.err, "orrery resume --force")
    crash("run", "crash.lua")
    id = here:newest()
    has(here:ends(1, "resume", id, "--crash-limit", "1").err, "crash_loop")
  end)

  it("takes a run from a process that was stopped, when it is forced", function()
    local here <close> = new()
    local process = here:start({ "run", "slow.lua" }, { HANG = "1" })
    here:until_did "b"
    here:stop(process)
    local id = here:newest()
    assert.are.same({ { 1, "x" }, 2 }, json.decode(here:ends(0, "resume", id, "--force", "-q").out))
    process.handle:kill "sigcont"
    process.handle:kill "sigterm"
    local result = here:finish(process)
    assert.are_not.equal(0, result.code)
    assert.are.equal("completed", here:query("SELECT state FROM runs")[1].state)
    assert.are.same({ a = 1, b = 2, ["b done"] = 1, c = 1 }, here:counts())
  end)
end)

describe("orrery resume of what was paused", function()
  it("lets a run go on in the process that has it", function()
    local here <close> = new { ["two.lua"] = HEAD .. [[
local w = flow.workflow { name = "two", output = "${nodes.c}" }
w.b = { run = function() did "b" while not io.open "go" do flow.sleep(0.01) end end }
w.c = { after = "b", run = function() did "c" return 3 end }
return w]] }
    local process = here:start { "run", "two.lua" }
    here:until_did "b"
    local id = here:newest()
    here:ends(0, "pause", id)
    here:until_true(function() return here:read(process.err):find("paused", 1, true) end, "the pause")
    here:write("go", "")
    here:until_true(function() return here:query("SELECT state FROM runs")[1].state == "paused" end,
      "the state")
    assert.are.same({ "b" }, here:did())
    has(here:ends(0, "resume", id).err, "asked to go on")
    assert.are.equal("3\n", here:finish(process).out)
  end)

  it("lets it go on here where its process is gone, and a workflow with all its runs", function()
    local here <close> = new()
    killed(here)
    here:ends(0, "pause", "--workflow", "slow")
    local result = here:ends(5, "run", "slow.lua", "--no-wait")
    has(result.err, "orrery resume")
    here:ends(0, "resume", "--workflow", "slow")
    assert.are.equal(2, here:query("SELECT count(*) AS n FROM runs WHERE state = 'completed'")[1].n)
    assert.are.equal(0, here:query("SELECT paused FROM workflows WHERE name = 'slow'")[1].paused)
    local id = killed(here)
    here:ends(0, "pause", id)
    here:ends(0, "resume", id)
  end)
end)

describe("orrery resume without ids", function()
  it("removes at its start what is kept no longer", function()
    local here <close> = new()
    here:ends(0, "run", "slow.lua", "-q")
    here:ends(0, "prune", "--keep", "1s")
    require("orrery").sleep(1.1)
    here:ends(0, "resume")
    assert.are.equal(0, here:query("SELECT count(*) AS n FROM runs")[1].n)
  end)
end)
