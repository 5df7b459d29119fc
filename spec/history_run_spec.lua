-- The history of runs as the command made them: what a person reads of a run that was cut off, that
-- waits, that was forked.
local core = require "orrery.core"
local flow = require "orrery"
local place = require "spec.support.place"

local json, has = core.json, place.has

local function lacks(text, part)
  if text:find(part, 1, true) then error(("%q is in:\n%s"):format(part, text), 2) end
end

local function lines_of(text)
  local list = {}
  for line in text:gmatch "[^\n]+" do list[#list + 1] = json.decode(line) end
  return list
end

local SLOW = [[
local flow = require "orrery"
local w = flow.workflow { name = "slow", output = "${nodes.c}" }
w.a = { run = function() return 1 end }
w.b = { after = "a", run = function(ctx)
  local file <close> = io.open("did", "a")
  file:write("b\n")
  file:flush()
  if os.getenv "HANG" then -- no step, which would let the node wait
    flow.await(function(resume)
      local timer = require "luv".new_timer()
      timer:start(600000, 0, resume)
      return function() timer:close() end
    end)
  end
  return 2
end }
w.c = { after = "b", run = function() return 3 end }
return w
]]

local GATE = [[
local flow = require "orrery"
local w = flow.workflow { name = "release", output = "${nodes.gate}" }
w.gate = flow.wait { approval = { message = "may v1 go out?", by = { "ada", "joan" } }, timeout = "3d" }
w.pay = flow.wait { signal = "payment" }
w.after = { after = { "gate", "pay" }, run = function() end }
return w
]]

-- Items that hang where HANG is set, but for the first.
local MANY = [[
local flow = require "orrery"
local w = flow.workflow { name = "many", concurrency = 2 }
w.b = { each = { 1, 2, 3, 4 }, run = function(ctx)
  if ctx.index == 1 then return 1 end
  local file <close> = io.open("did", "a")
  file:write("b\n")
  file:flush()
  if os.getenv "HANG" then
    flow.await(function(resume)
      local timer = require "luv".new_timer()
      timer:start(600000, 0, resume)
      return function() timer:close() end
    end)
  end
  return ctx.index
end }
return w
]]

-- Its undoing hangs where HANG is set.
local UNDONE = [[
local flow = require "orrery"
local w = flow.workflow { name = "undone" }
w.a = { run = function() return 1 end, compensate = function()
  local file <close> = io.open("did", "a")
  file:write("b\n")
  file:flush()
  if os.getenv "HANG" then
    flow.await(function(resume)
      local timer = require "luv".new_timer()
      timer:start(600000, 0, resume)
      return function() timer:close() end
    end)
  end
end }
w.z = { after = "a", run = function() error "no" end }
return w
]]

local VALUES = [[
local flow = require "orrery"
local w = flow.workflow { name = "values", output = "${nodes.a}" }
w.a = { run = function() return { ["$blob"] = "0123", size = 5, member = "x" } end }
w.b = { run = function(ctx) return ctx.input and #ctx.input.text .. " " .. ctx.input.x end }
return w
]]

-- A run whose process was killed while node b ran.
local function killed(here, ...)
  local n = here:counts().b or 0
  local process = here:start({ "run", "slow.lua", ... }, { HANG = "1" })
  here:until_true(function() return (here:counts().b or 0) > n end)
  process.handle:kill "sigkill"
  here:finish(process)
  return here:newest()
end

local function suspended(here)
  local n = here:counts().b or 0
  local process = here:start({ "run", "slow.lua" }, { HANG = "1" })
  here:until_true(function() return (here:counts().b or 0) > n end)
  process.handle:kill "sigterm"
  assert.are.equal(5, here:finish(process).code)
  return here:newest()
end

describe("a run that nobody runs", function()
  for how, stop in pairs { ["was killed"] = killed, ["was suspended"] = suspended } do
    it(("is interrupted where it %s, and so is the node that ran"):format(how), function()
      local here <close> = place.new { ["slow.lua"] = SLOW }
      local id = stop(here)
      has(here:ends(0, "runs").out, "interrupted")
      local text = here:ends(0, "show", id).out
      has(text, "slow interrupted  " .. id)
      assert.truthy(text:find "b +interrupted +cut off: runs again when the run goes on")
      lacks(text, "running")
      local row = lines_of(here:ends(0, "runs", "--json").out)[1]
      assert.are.same({ "running", false }, { row.state, row.owned })
      local run = json.decode(here:ends(0, "show", id, "--json").out)
      assert.are.same({ "running", true }, { run.nodes[2].state, run.nodes[2].interrupted })
      assert.is_nil(run.nodes[1].interrupted)
      has(here:ends(0, "why", id, "b").out,
        "b was cut off while it ran, and runs again when its run goes on; nobody runs its run")
      assert.are.equal("interrupted", json.decode(here:ends(0, "why", id, "b", "--json").out).kind)
    end)
  end

  it("is undone again where its undoing was cut off", function()
    local here <close> = place.new { ["slow.lua"] = UNDONE }
    local id = killed(here)
    assert.truthy(here:ends(0, "show",
      id).out:find "a +interrupted +cut off: is undone again when the run goes on")
    here:ends(1, "resume", id)
    assert.truthy(here:ends(0, "show", id).out:find "a +compensated")
  end)

  it("tells items that were cut off from those that are done", function()
    local here <close> = place.new { ["slow.lua"] = MANY }
    local process = here:start({ "run", "slow.lua" }, { HANG = "1" })
    here:until_true(function() return (here:counts().b or 0) > 1 end)
    process.handle:kill "sigkill"
    here:finish(process)
    has(here:ends(0, "show", here:newest()).out, "4 items: 1 completed, 1 ready, 2 cut off")
    here:ends(0, "resume", here:newest())
    has(here:ends(0, "show", here:newest()).out, "4 items: 4 completed; interrupted 2 times")
  end)

  it("is found by --state interrupted, as long as nobody runs it", function()
    local here <close> = place.new { ["slow.lua"] = SLOW }
    local id = killed(here)
    local going = here:start({ "run", "slow.lua" }, { HANG = "1" })
    here:until_true(function() return here:counts().b == 2 end)
    local rows = lines_of(here:ends(0, "runs", "--state", "interrupted", "--json").out)
    assert.are.same({ id }, { rows[1] and rows[1].id, rows[2] and rows[2].id })
    assert.are.equal(2, #lines_of(here:ends(0, "runs", "--state", "running,interrupted", "--json").out))
    here:ends(0, "resume", "--state", "interrupted")
    assert.are.equal("", here:ends(0, "runs", "--state", "interrupted", "--json").out)
    assert.are.equal("completed", here:query("SELECT state FROM runs WHERE id = ?", id)[1].state)
    going.handle:kill "sigterm"
    here:finish(going)
  end)

  it("is advised to go on in the same store", function()
    local here <close> = place.new { ["slow.lua"] = SLOW }
    here.db = here.folder .. "/a b.db"
    local id = killed(here, "--store", "a b.db")
    has(here:ends(0, "show", id, "--store", "a b.db").out, "` lets it go on")
    has(here:ends(0, "show", id, "--store", "a b.db").out, " --store 'a b.db'`")
    has(here:ends(0, "why", id, "--store", "a b.db").out, " --store 'a b.db'\n")
  end)
end)

describe("why without a node", function()
  it("reports all nodes that did not simply complete, an object for each with --json", function()
    local here <close> = place.new { ["slow.lua"] = SLOW }
    local id = killed(here)
    local text = here:ends(0, "why", id).out
    has(text, "b was cut off")
    has(text, "c waits for b")
    lacks(text, "a completed")
    local rows = lines_of(here:ends(0, "why", id, "--json").out)
    assert.are.same({ "b", "c" }, { rows[1].node, rows[2].node })
    here:ends(0, "resume", id)
    local result = here:ends(0, "why", id)
    assert.are.equal("", result.out)
    has(result.err, "is completed")
    assert.are.same({ "", "" },
      { here:ends(0, "why", id, "--json").out, here:ends(0, "why", id, "--json").err })
  end)
end)

describe("a run that was left waiting", function()
  it("says what it waits for, and what to type", function()
    local here <close> = place.new { ["gate.lua"] = GATE }
    local err = here:ends(5, "run", "gate.lua", "--no-wait").err
    local id = here:newest()
    has(err, "gate  asks for approval (may v1 go out?) by ada or joan, signal 'gate'")
    has(err, ("it waits for signal 'gate': orrery signal %s gate --approve --by WHO\n"):format(id))
    has(err, ("it waits for signal 'payment': orrery signal %s payment [JSON]\n"):format(id))
    has(err, "go on with: orrery resume " .. id)
    local events = lines_of(here:ends(5, "resume", id, "--no-wait", "--json").out)
    assert.are.same({ "gate", "payment" }, events[#events].signals)
    assert.are.equal("orrery resume " .. id, events[#events].resume)
    local text = here:ends(0, "show", id).out
    has(text, "release waiting")
    has(text, "waits for approval (may v1 go out?) by ada or joan, until ")
    has(here:ends(0, "why", id, "gate").out, "waits for approval (may v1 go out?) by ada or joan, until ")
    has(here:ends(0, "why", id, "gate").out, "gate --approve --by WHO --why TEXT; then let it go on")
    assert.are.same({ "ada", "joan" }, json.decode(here:ends(0, "why", id, "gate", "--json").out).approval.by)
  end)

  it("keeps who decided and why, and waits past what is no decision", function()
    local here <close> = place.new { ["gate.lua"] = GATE }
    here:ends(5, "run", "gate.lua", "--no-wait")
    local id = here:newest()
    lacks(here:ends(0, "why", id, "gate").out, "was left")
    has(here:ends(0, "signal", id, "gate", "false").err, "it will be waited past: it is no decision")
    has(here:ends(0, "signal", id, "gate", '{"approved":true,"by":{"name":"ada"}}').err,
      "only ada or joan may decide")
    has(here:ends(0, "signal", id, "gate", "--approve", "--by", "eve").err,
      "it will be waited past: only ada or joan may decide, and this is by eve; --by says whose decision it "
        .. "is")
    lacks(here:ends(0, "signal", id, "gate", "--approve", "--by", "joan", "--why", "tests are green").err,
      "waited past")
    has(here:ends(0, "why", id, "gate").out,
      "one was left for it and is taken when the run goes on; nobody runs its run now\n  let it go on: ")
    lacks(here:ends(0, "why", id, "pay").out, "was left")
    here:ends(0, "signal", id, "payment", "false")
    assert.are.same({ approved = true, by = "joan", why = "tests are green" },
      json.decode(here:ends(0, "resume", id).out))
    local run = json.decode(here:ends(0, "show", id, "--json").out)
    assert.is_false(run.nodes[2].output)
    assert.are.equal("tests are green", run.nodes[1].output.why)
    has(here:ends(0, "logs", id).out, "eve may not decide")
  end)

  it("writes what is to be typed as a shell wants it", function()
    local here <close> = place.new { ["gate.lua"] = GATE:gsub('"payment"', '"it\'s paid"')
      :gsub('"release"', '"my release"') }
    has(here:ends(5, "run", "gate.lua", "--no-wait").err, [[ 'it'\''s paid' [JSON]
]])
    has(here:ends(0, "why", here:newest(), "pay").out, [[ 'it'\''s paid' [JSON];]])
    has(here:ends(0, "pause", "--workflow", "my release").out, "`orrery resume --workflow 'my release'`")
  end)

  it("takes a signal with an id once, and says so", function()
    local here <close> = place.new { ["gate.lua"] = GATE }
    here:ends(5, "run", "gate.lua", "--no-wait")
    local id = here:newest()
    assert.is_false(json.decode(here:ends(0, "signal", id, "payment", "1", "--id", "x",
      "--json").out).duplicate)
    assert.is_true(json.decode(here:ends(0, "signal", id, "payment", "2", "--id", "x",
      "--json").out).duplicate)
    has(here:ends(0, "signal", id, "payment", "2", "--id", "x").out, "was left for run " .. id .. " before")
    assert.are.equal(1, #json.decode(here:ends(0, "show", id, "--json").out).inbox)
    has(here:ends(2, "signal", id, "").err, "a signal has a name")
  end)
end)

describe("values that look like the store's own", function()
  it("are shown as they were returned", function()
    local here <close> = place.new { ["values.lua"] = VALUES }
    here:ends(0, "run", "values.lua", "-q")
    local id = here:newest()
    for _, more in ipairs { "--json", "--outputs" } do
      local run = json.decode(here:ends(0, "show", id, "--json", more ~= "--json" and more or nil).out)
      assert.are.same({ ["$blob"] = "0123", size = 5, member = "x" }, run.output)
      assert.are.same(run.output, run.nodes[1].output)
    end
    lacks(here:ends(0, "show", id).out, "$object")
  end)

  it("come through a signal as they were sent", function()
    local here <close> = place.new { ["gate.lua"] = GATE }
    here:ends(5, "run", "gate.lua", "--no-wait")
    local id = here:newest()
    here:ends(0, "signal", id, "payment", '{"$object":{"a":1}}')
    here:ends(0, "signal", id, "gate", "--approve", "--by", "ada")
    here:ends(0, "resume", id)
    assert.are.same({ ["$object"] = { a = 1 } },
      json.decode(here:ends(0, "show", id, "--json").out).nodes[2].output)
  end)
end)

describe("orrery fork", function()
  it("reads new input as the schema of the workflow says", function()
    local here <close> = place.new { ["typed.lua"] = [[
local flow = require "orrery"
local w = flow.workflow { name = "typed", input = { month = "integer", day = "integer?" },
  output = "${nodes.a}" }
w.a = { run = function(ctx) return { ctx.input.month, ctx.input.day or 0 } end }
return w]] }
    here:ends(0, "run", "typed.lua", "-q", "-i", "month=6")
    assert.are.same({ 6, 3 },
      json.decode(here:ends(0, "fork", here:newest(), "--from", "a", "-i", "day=3", "-q").out))
    assert.are.same({ 7, 3 },
      json.decode(here:ends(0, "fork", here:newest(), "--from", "a", "-i", "month=7", "-q").out))
  end)

  it("takes an output as JSON or as text, and refuses JSON that is broken", function()
    local here <close> = place.new { ["slow.lua"] = SLOW }
    here:ends(0, "run", "slow.lua", "-q")
    local id = here:newest()
    for text, value in pairs { ['{"a":1}'] = { a = 1 }, ["hello there"] = "hello there", ["3"] = 3,
        ['"x"'] = "x" } do
      assert.are.same(value, json.decode(here:ends(0, "fork", id, "-q", "--set", "nodes.c=" .. text).out))
    end
    for _, text in ipairs { '{"a":1', "[1,", '"x' } do
      has(here:ends(2, "fork", id, "--set", "nodes.c=" .. text).err, "--set nodes.c:1:")
    end
  end)

  it("keeps an input that is too large for its row, and says what was taken over", function()
    local here <close> = place.new { ["values.lua"] = VALUES }
    here:write("input.json", json.encode { text = ("x"):rep(1200000), x = 1 })
    here:ends(0, "run", "values.lua", "-q", "-i", "@input.json")
    local id = here:newest()
    local result = here:ends(0, "fork", id, "--from", "b", "-i", "x:=2")
    has(result.err, "1 completed, 1 taken over\n")
    local run = json.decode(here:ends(0, "show", here:newest(), "--json", "--outputs").out)
    assert.are.equal("1200000 2", run.nodes[2].output)
    assert.are.equal("fork", run.nodes[1].source)
    assert.are.equal(1200000, #run.input.text)
    lacks(here:ends(0, "show", here:newest()).out, "more ran")
  end)
end)

describe("what is taken back", function()
  it("is reported: a workflow, a pool, a run that another process has", function()
    local here <close> = place.new { ["slow.lua"] = SLOW }
    here:ends(0, "run", "slow.lua", "-q")
    here:ends(0, "pause", "--workflow", "slow")
    assert.are.equal("workflow slow goes on\n", here:ends(0, "resume", "--workflow", "slow").out)
    assert.are.same({ workflow = "slow", paused = false, changed = false },
      json.decode(here:ends(0, "resume", "--workflow", "slow", "--json").out))
    assert.are.equal("pool db was not paused\n", here:ends(0, "resume", "--pool", "db").out)
    has(here:ends(2, "resume", "--pool", "db", here:newest()).err, "give one of them")
    has(here:ends(2, "resume", here:newest(), "--workflow", "slow").err, "not both")
    has(here:ends(2, "retry", here:newest(), "--state", "failed").err, "not both")
    local going = here:start({ "run", "slow.lua" }, { HANG = "1" })
    here:until_true(function() return here:counts().b == 2 end)
    local id = here:newest()
    has(here:ends(0, "resume", id).err,
      ("process %d runs %s and was asked to go on with it"):format(going.pid, id))
    assert.are.equal(id, json.decode(here:ends(0, "resume", id, "--json").out).sent[1].id)
    going.handle:kill "sigterm"
    here:finish(going)
  end)
end)

describe("orrery resume of several runs", function()
  it("leaves them in good order at a signal, with exit code 5", function()
    local here <close> = place.new { ["slow.lua"] = SLOW }
    killed(here)
    killed(here)
    local n = here:counts().b
    local process = here:start({ "resume" }, { HANG = "1" })
    here:until_true(function() return here:counts().b == n + 2 end)
    process.handle:kill "sigterm"
    local result = here:finish(process)
    assert.are.equal(5, result.code)
    has(result.err, "2 runs resumed, 2 left, to be resumed")
    assert.are.equal(2, here:query(
      "SELECT count(*) AS n FROM runs WHERE owner IS NULL AND state = 'running'")[1].n)
    local events = lines_of(here:ends(0, "resume", "--json").out)
    assert.are.equal(3, events[#events].output)
  end)

  it("says what went wrong also with -q", function()
    local here <close> = place.new { ["slow.lua"] = SLOW:gsub("return 3", "error 'no luck'") }
    killed(here)
    killed(here)
    local result = here:ends(1, "resume", "-q")
    has(result.err, "no luck")
    lacks(result.err, "running")
  end)
end)

describe("what the store has to say", function()
  it("is said also where nothing else is", function()
    local watch, board = require "orrery.cli.display.watch", require "orrery.cli.display.board"
    local said = {}
    local quiet = watch.quiet(board.new { nodes = 1, name = "w" }, function(text) said[#said + 1] = text end)
    quiet.take { event = "run_started", run = "r", nodes = 1, time = 1 }
    quiet.take { event = "log", run = "r", node = "a", level = "info", message = "hello", time = 1 }
    quiet.take { event = "log", level = "error", message = "the disk is full", time = 1 }
    assert.are.same({ "orrery: the disk is full\n" }, said)
  end)
end)

describe("a run with a key that another process runs", function()
  it("can be waited for", function()
    local here <close> = place.new { ["slow.lua"] = SLOW }
    local going = here:start({ "run", "slow.lua", "--key", "k" }, { HANG = "1" })
    here:until_did "b"
    local script = 'local flow = require "orrery"\nlocal r = flow.start("slow.lua", { key = "k", store = '
      .. '".orrery/runs.db" })\n'
      .. 'print(r.ended, r.state, r.existing)\nio.stdout:flush()\nlocal e = r:wait()\nprint(e.ended, '
        .. 'e.state, e.output, e:wait() == e)\n'
    here:write("start.lua", script)
    local waiting = here:start { "start.lua" }
    here:until_true(function() return here:read(waiting.out):find "\n" end)
    going.handle:kill "sigkill" -- it goes on where it is waited for
    local result = here:finish(waiting)
    assert.are.equal("false\trunning\ttrue\ntrue\tcompleted\t3\ttrue\n", result.out)
  end)
end)

describe("what is stored among the blobs", function()
  local store = require "orrery.history.column"
  local kept = { data = '{"input":{"$object":{"$x":1}}}' }
  local db = { get = function(_, kind, hash) return kind == "blob" and hash == "ab" and kept or nil end }

  it("is found by the text of its column alone", function()
    assert.are.same({ ["$blob"] = "ab", size = 3 }, store.place '{"$blob":"ab","size":3}')
    assert.is_nil(store.place '{"$object":{"$blob":"ab","size":3}}')
    assert.is_nil(store.place '{"a":{"$blob":"ab"}}')
    assert.is_nil(store.place(nil))
  end)

  it("is a value, a member of one, or its place where it is gone", function()
    assert.are.same({ input = { ["$x"] = 1 } }, store.value(db, '{"$blob":"ab","size":3}'))
    assert.are.same({ ["$x"] = 1 }, store.value(db, '{"$blob":"ab","member":"input","size":3}'))
    assert.are.equal('{"$object":{"$x":1}}', store.text(db, '{"$blob":"ab","member":"input","size":3}'))
    local value, missing = store.value(db, '{"$blob":"cd","size":3}')
    assert.are.same({ ["$blob"] = "cd", size = 3 }, value)
    assert.are.equal(value, missing)
    assert.are.same({ ["$blob"] = "ab" }, store.value(db, '{"$object":{"$blob":"ab"}}'))
  end)

  it("is an error for a run that would go on without it", function()
    local ok, err = pcall(require("orrery.history.run_row").value, db, '{"$blob":"cd","size":3}')
    assert.is_false(ok)
    assert.are.equal("store_error", err.code)
    has(err.message, "cd")
  end)
end)

describe("lines of a log", function()
  it("say the iteration, the attempt and the item that they are of, counted from one", function()
    local here <close> = place.new { ["lines.lua"] = [[
local flow = require "orrery"
local w = flow.workflow { name = "lines" }
w.loop = { loop = { max = 3, ["until"] = function(ctx) return ctx.iteration == 2 end },
  retry = { max = 1, delay = 0, jitter = "none" }, run = function(ctx)
    ctx:log("info", ("%d %d"):format(ctx.iteration, ctx.attempt))
    if ctx.iteration == 2 and ctx.attempt == 1 then error "again" end
  end }
w.items = { each = { "a", "b" }, run = function(ctx) ctx:log("info", "item " .. ctx.index) end }
return w]] }
    here:ends(0, "run", "lines.lua", "-q")
    for _, row in ipairs(here:query "SELECT * FROM logs WHERE node = 'loop'") do
      assert.are.equal(("%d %d"):format(row.iteration, row.attempt), row.message)
      assert.are.equal(0, row.item)
    end
    assert.are.equal(3, #here:query "SELECT 1 FROM logs WHERE node = 'loop'")
    local rows = here:query [[SELECT item, iteration, attempt, message FROM logs
      WHERE node = 'items' ORDER BY item]]
    assert.are.same({ { item = 1, iteration = 1, attempt = 1, message = "item 1" },
      { item = 2, iteration = 1, attempt = 1, message = "item 2" } }, rows)
  end)
end)

describe("flow.wait for an approval", function()
  it("takes one name, or names that a template gives", function()
    local rt = flow.runtime { clock = "virtual" }
    for _, by in ipairs { "ada", "${input.who}" } do
      local w = flow.workflow { input = { who = "any" } }
      w.gate = flow.wait { approval = { by = by } }
      local run = flow.start(w, { runtime = rt, input = { who = { "ada" } } })
      run:signal("gate", { approved = true, by = "eve" })
      run:signal("gate", { approved = true, by = "ada" })
      assert.are.equal("ada", rt:wait(run):outputs().gate.by)
    end
    local w = flow.workflow { input = { who = "any" } }
    w.gate = flow.wait { approval = { by = "${input.who}" } }
    local run = flow.run(w, { runtime = rt, input = { who = 3 } })
    assert.are.equal("config_error", run.error.code)
    has(run.error.message, "what is wrong is by")
  end)
end)

describe("a filter that names nothing", function()
  it("does not choose everything", function()
    local here <close> = place.new { ["slow.lua"] = SLOW }
    here:ends(0, "run", "slow.lua", "-q")
    for _, words in ipairs { { "runs" }, { "cancel" }, { "pause" }, { "retry" }, { "resume" },
        { "prune", "--older", "0s" } } do
      for _, state in ipairs { "", ",", " " } do
        local arguments = table.move(words, 1, #words, 1, {})
        arguments[#arguments + 1], arguments[#arguments + 2] = "--state", state
        has(here:ends(2, table.unpack(arguments)).err, "--state names no state")
      end
    end
    assert.are.equal(1, #here:query "SELECT id FROM runs")
    has(here:ends(2, "runs", "--store", "sqlite:").err, "names no file")
    has(here:ends(2, "run", "slow.lua", "--store", "sqlite:none/at/all.db").err,
      "orrery run: the directory 'none/at' of the store cannot")
    has(here:ends(2, "backup", "").err, "name the file")
  end)
end)

describe("a pause", function()
  it("of a workflow holds its runs but those that are asked for by their ids", function()
    local here <close> = place.new { ["slow.lua"] = SLOW }
    local one = killed(here)
    local two = killed(here)
    here:ends(0, "pause", "--workflow", "slow")
    local result = here:ends(5, "resume")
    has(result.err, "paused: its workflow is; `orrery resume --workflow slow` lets it go on")
    has(result.err, "0 runs resumed, 2 left")
    assert.are.equal("paused",
      lines_of(here:ends(5, "resume", "--state", "interrupted", "--json").out)[1].state)
    here:ends(0, "resume", one)
    assert.are.same({ { id = one } }, here:query "SELECT id FROM runs WHERE state = 'completed'")
    has(here:ends(0, "resume", "--workflow", "slow").err, "1 run resumed")
    assert.are.equal("completed", here:query("SELECT state FROM runs WHERE id = ?", two)[1].state)
  end)

  it("of a run holds until it is asked for", function()
    local here <close> = place.new { ["slow.lua"] = SLOW }
    local one, two = killed(here), killed(here)
    has(here:ends(0, "pause", one).err, "nobody runs it now: it stays paused until `orrery resume ")
    local n = here:counts().b
    local result = here:ends(5, "resume")
    has(result.err, ("paused: the run itself is; `orrery resume %s` lets it go on"):format(one))
    has(result.err, "1 run resumed, 1 left, to be resumed")
    assert.are.same({ { id = two } }, here:query "SELECT id FROM runs WHERE state = 'completed'")
    local line = lines_of(here:ends(5, "resume", "--json").out)[1]
    assert.are.same({ "run_suspended", one, "paused" }, { line.event, line.run, line.state })
    assert.are.equal(n + 1, here:counts().b)
    has(here:ends(0, "resume", "--state", "interrupted").err, "1 run resumed")
    assert.are.equal(2, #here:query "SELECT id FROM runs WHERE state = 'completed'")
  end)

  it("of a run holds that was paused while it ran, but not against a cancel", function()
    local here <close> = place.new { ["slow.lua"] = SLOW }
    local process = here:start({ "run", "slow.lua" }, { HANG = "1" })
    here:until_did "b"
    local id = here:newest()
    here:ends(0, "pause", id)
    here:until_true(function()
      return here:query("SELECT state FROM runs WHERE id = ?", id)[1].state == "paused"
    end)
    has(here:ends(0, "resume").err, "1 is run by other processes")
    process.handle:kill "sigkill"
    here:finish(process)
    has(here:ends(5, "resume").err, "paused: the run itself is")
    here:ends(0, "cancel", id, "--why", "nobody needs it")
    here:ends(1, "resume")
    assert.are.equal("cancelled", here:query("SELECT state FROM runs WHERE id = ?", id)[1].state)
    has(here:ends(0, "show", id).out, "nobody needs it")
  end)

  local HOST = [[
local flow = require "orrery"
local rt = flow.runtime { store = ".orrery/runs.db", resume = true }
local started = rt:now()
repeat flow.sleep "20ms" until rt:now() - started > 0.4
rt:close()
]]

  it("of a pool holds in a host that learns of the pool only with the run's code", function()
    local here <close> = place.new { ["slow.lua"] =
      SLOW:gsub("w.c = {", 'flow.pool("db", { max = 1 })\nw.c = { pool = "db",'),
      ["host.lua"] = HOST }
    local id = killed(here)
    here:ends(0, "pause", "--pool", "db")
    local db <close> = core.store("sqlite:" .. here.db, "look")
    db:change { { "DELETE FROM inbox" } } -- that the pool is paused is said nowhere else now
    here:ends(0, "host.lua")
    local states = {}
    for _, row in ipairs(here:query "SELECT node, state FROM nodes") do states[row.node] = row.state end
    assert.are.same({ a = "completed", b = "completed", c = "pending" }, states)
    here:ends(0, "resume", "--pool", "db")
    here:ends(0, "resume", id)
  end)

  it("is kept by a host that takes the run up, until somebody lets it go on", function()
    local here <close> = place.new { ["slow.lua"] = SLOW, ["host.lua"] = HOST }
    for _, words in ipairs { "run", "workflow" } do
      local id = killed(here)
      if words == "run" then
        has(here:ends(0, "pause", id).err, "nobody runs it now: it stays paused until `orrery resume ")
      else
        here:ends(0, "pause", "--workflow", "slow")
      end
      local n = here:counts().b
      here:ends(0, "host.lua")
      assert.are.equal("paused", here:query("SELECT state FROM runs WHERE id = ?", id)[1].state)
      assert.are.equal(n, here:counts().b)
      here:ends(0, "resume", id)
      assert.are.equal("completed", here:query("SELECT state FROM runs WHERE id = ?", id)[1].state)
    end
  end)
end)

describe("reading a run with many items", function()

  -- Thousands of Lua instructions that it takes to read a run of so many items.
  local function cost(here, n)
    local w = flow.workflow { name = "many" .. n }
    w.each = { each = function()
      local list = {}
      for i = 1, n do list[i] = i end
      return list
    end, run = function() return 1 end }
    local rt = flow.runtime { store = "sqlite:" .. here.folder .. "/r.db" }
    local run = flow.run(w, { runtime = rt })
    local store, ticks = rt:store(), 0
    store:project()
    local row = require("orrery.history.find").one(store, run.id)
    debug.sethook(function() ticks = ticks + 1 end, "", 1000)
    local made = require("orrery.history.details").of(store, row)
    debug.sethook()
    assert.equal(n, #made.nodes[1].items)
    rt:close()
    return ticks
  end

  it("costs as much for each item, however many there are", function()
    local here <close> = require("spec.support.place").new()
    local few, many = cost(here, 500), cost(here, 4000)
    assert.is_true(many < few * 16, ("%d for 500 items, %d for 4000"):format(few, many))
  end)
end)
