-- Locks of runs in a store: among processes, some of which are killed, and over the ends of runs.
local core = require "orrery.core"
local flow = require "orrery"
local place = require "spec.support.place"

local json, has = core.json, place.has

-- The first node says in `did` that it runs; it stays there as long as the file `gate-NAME` is
-- missing. While it does the file `inside` names its run, and it is an error if it names another.
local HEAD = [[
local flow, uv = require "orrery", require "luv"
local function did(what)
  local file <close> = io.open("did", "a")
  file:write(what, "\n")
end
local function stay(ctx)
  did(ctx.input.n)
  local fd = uv.fs_open("inside", "wx", tonumber("600", 8))
  if fd then
    uv.fs_write(fd, ctx.run.id)
    uv.fs_close(fd)
  else
    local file <close> = io.open("inside")
    local other = file and file:read "a" or ""
    if other ~= "" and other ~= ctx.run.id then did("TWO: " .. ctx.input.n .. " beside " .. other) end
  end
  while not (ctx.input.quick or uv.fs_stat("gate-" .. ctx.input.n)) do ctx:sleep(0.02) end
  os.remove "inside"
  did(ctx.input.n .. " done")
  return ctx.input.n
end
]]

local function file_of(name, conflict)
  return HEAD .. ([[
local w = flow.workflow { name = "%s", singleton = "${input.key}", on_conflict = "%s", output = "${nodes.a}" }
w.a = { run = stay, compensate = function(ctx)
  os.remove "inside"
  did(ctx.input.n .. " undone")
end }
w.b = { after = "a", run = function(ctx) if ctx.input.fail and not uv.fs_stat "good" then error "no" end end }
return w
]]):format(name, conflict or "queue")
end

local function new(files)
  files = files or {}
  files["w.lua"] = files["w.lua"] or file_of "w"
  return place.new(files)
end

local function begin(here, n, ...)
  return here:start { "run", "w.lua", "--input", "key=x", "--input", "n=" .. n, ... }
end

local function id_of(here, n)
  return here:query("SELECT id FROM runs WHERE json_extract(input, '$.n') = ? ORDER BY number DESC", n)[1].id
end

local function state_of(here, n)
  return here:query("SELECT state FROM runs WHERE id = ?", id_of(here, n))[1].state
end

-- A run that has the lock.
local function holding(here, n, ...)
  local process = begin(here, n, ...)
  here:until_did(n)
  return process
end

-- A run that is in line.
local function waiting(here, n, ...)
  local process = begin(here, n, ...)
  here:until_true(function() return here:read(process.err):find("waits for the lock", 1, true) end,
    n .. " waits")
  return process
end

local function open(here, n) here:write("gate-" .. n, "") end

local function ended(here, process, code)
  local result = here:finish(process)
  if result.code ~= code then error(("exit code %s: %s%s"):format(result.code, result.out, result.err), 2) end
  return result
end

local function kill(here, process)
  process.handle:kill "sigkill"
  here:finish(process)
end

local function alone(here)
  for _, line in ipairs(here:did()) do assert.is_nil(line:match "^TWO", line) end
end

local function locks(here) return #here:query "SELECT * FROM run_locks" end

describe("a lock between processes", function()
  it("is had by one after the other, in the order in which they came", function()
    local here <close> = new()
    local a = holding(here, "a")
    local b = waiting(here, "b")
    local c = waiting(here, "c")
    for _, n in ipairs { "a", "b", "c" } do open(here, n) end
    ended(here, a, 0)
    ended(here, b, 0)
    ended(here, c, 0)
    assert.are.same({ "a", "a done", "b", "b done", "c", "c done" }, here:did())
    assert.are.equal(0, locks(here))
  end)

  it("is shown: what waits, and for whom", function()
    local here <close> = new()
    local a = holding(here, "a")
    local b = waiting(here, "b")
    local first, second = id_of(here, "a"), id_of(here, "b")
    assert.are.equal("pending", here:query("SELECT state FROM runs WHERE id = ?", second)[1].state)
    has(here:ends(0, "runs").out, "pending")
    has(here:ends(0, "why", second, "a").out,
      "a waits because its run waits for the lock 'x', which run " .. first .. " has")
    has(here:ends(0, "show", second).out, "'x', for which it waits: run " .. first .. " has it")
    has(here:ends(0, "show", first).out, "'x', which it has")
    local shown = json.decode(here:ends(0, "show", second, "--json").out)
    assert.are.same({ value = "x", held = false, holder = first, has_it = true, alive = true }, shown.lock)
    local why = json.decode(here:ends(0, "why", second, "a", "--json").out)
    assert.are.same({ "lock", "x", first }, { why.kind, why.name, why.by_run })
    open(here, "a")
    open(here, "b")
    ended(here, a, 0)
    ended(here, b, 0)
    assert.is_nil(json.decode(here:ends(0, "show", second, "--json").out).lock)
  end)

  it("stays with a run whose process was killed, until that is resumed", function()
    local here <close> = new()
    kill(here, holding(here, "a"))
    local first = id_of(here, "a")
    os.remove(here.folder .. "/inside")
    local b = waiting(here, "b")
    here:until_true(function() return here:read(b.err):find("no process runs that: orrery", 1, true) end)
    has(here:ends(0, "why", id_of(here, "b"), "a").out, "and no process runs that")
    open(here, "a")
    open(here, "b")
    here:ends(0, "resume", first)
    ended(here, b, 0)
    assert.are.same({ "a", "a", "a done", "b", "b done" }, here:did())
  end)

  it("is free once such a run is cancelled", function()
    local here <close> = new()
    kill(here, holding(here, "a"))
    os.remove(here.folder .. "/inside")
    local b = waiting(here, "b")
    open(here, "b")
    here:ends(0, "cancel", id_of(here, "a"))
    here:orrery("resume", id_of(here, "a"))
    ended(here, b, 0)
    alone(here)
  end)

  it("is not waited for behind a run that was killed while it waited", function()
    local here <close> = new()
    local a = holding(here, "a")
    kill(here, waiting(here, "b"))
    local c = waiting(here, "c")
    open(here, "a")
    open(here, "c")
    ended(here, a, 0)
    ended(here, c, 0)
    assert.are.same({ "a", "a done", "c", "c done" }, here:did())
    open(here, "b")
    here:ends(0, "resume", id_of(here, "b"))
    assert.are.equal("b done", here:did()[6])
    assert.are.equal(0, locks(here))
  end)

  it("is waited for on by a run that was killed and resumed in time", function()
    local here <close> = new()
    local a = holding(here, "a")
    kill(here, waiting(here, "b"))
    local c = waiting(here, "c")
    local b = here:start { "resume", id_of(here, "b") }
    here:until_true(function() return here:read(b.err):find("waits for the lock", 1, true) end)
    for _, n in ipairs { "a", "b", "c" } do open(here, n) end
    ended(here, a, 0)
    ended(here, b, 0)
    ended(here, c, 0)
    assert.are.same({ "a", "a done", "b", "b done", "c", "c done" }, here:did())
  end)

  it("holds for runs of any durability", function()
    for _, durability in ipairs { "relaxed", "none" } do
      local here <close> = new()
      local a = holding(here, "a", "--durability", durability)
      local b = waiting(here, "b", "--durability", durability)
      open(here, "a")
      open(here, "b")
      ended(here, a, 0)
      ended(here, b, 0)
      alone(here)
      assert.are.equal(2, #here:query "SELECT * FROM runs")
    end
  end)

  it("does not make a second run of a key", function()
    local here <close> = new()
    local a = holding(here, "a", "--key", "k")
    local b = begin(here, "b", "--key", "k")
    open(here, "a")
    ended(here, a, 0)
    has(ended(here, b, 0).err, "has this key")
    assert.are.equal(1, #here:query "SELECT * FROM runs")
  end)

  it("is left in line by --no-wait", function()
    local here <close> = new()
    local a = holding(here, "a")
    local result = ended(here, begin(here, "b", "--no-wait"), 5)
    has(result.err, "go on with: orrery resume")
    open(here, "a")
    open(here, "b")
    ended(here, a, 0)
    assert.are.equal("pending", state_of(here, "b"))
    here:ends(0, "resume", id_of(here, "b"))
    assert.are.same({ "a", "a done", "b", "b done" }, here:did())
  end)

  it("lets a run be cancelled from elsewhere while it waits", function()
    local here <close> = new()
    local a = holding(here, "a")
    local b = waiting(here, "b")
    here:ends(0, "cancel", id_of(here, "b"))
    ended(here, b, 3)
    open(here, "a")
    ended(here, a, 0)
    assert.are.same({ "a", "a done" }, here:did())
    assert.are.equal(0, locks(here))
  end)
end)

describe("retry and fork", function()
  -- A run that fails in its second node, undoes nothing, and is tried again.
  local PLAIN = file_of("w"):gsub("compensate = function", "doc = nil and function")

  it("ask for the lock again", function()
    local here <close> = new { ["w.lua"] = PLAIN }
    here:ends(1, "run", "w.lua", "--input", "key=x", "--input", "n=a", "--input", "quick=true", "--input",
      "fail=true")
    local b = holding(here, "b")
    here:write("good", "")
    local retried = here:start { "retry", id_of(here, "a") }
    here:until_true(function() return here:read(retried.err):find("waits for the lock", 1, true) end)
    assert.are.equal("pending", state_of(here, "a"))
    open(here, "b")
    ended(here, b, 0)
    ended(here, retried, 0)
    local c = holding(here, "c")
    local forked = here:start { "fork", id_of(here, "a"), "--from", "b" }
    here:until_true(function() return here:read(forked.err):find("waits for the lock", 1, true) end)
    open(here, "c")
    ended(here, c, 0)
    ended(here, forked, 0)
    assert.are.equal(0, locks(here))
  end)

  it("a retried run that was killed while it waited goes on", function()
    local here <close> = new { ["w.lua"] = PLAIN }
    here:ends(1, "run", "w.lua", "--input", "key=x", "--input", "n=a", "--input", "quick=true", "--input",
      "fail=true")
    local b = holding(here, "b")
    here:write("good", "")
    local retried = here:start { "retry", id_of(here, "a") }
    here:until_true(function() return here:read(retried.err):find("waits for the lock", 1, true) end)
    kill(here, retried)
    open(here, "b")
    ended(here, b, 0)
    here:ends(0, "resume", id_of(here, "a"))
    assert.are.equal(0, locks(here))
  end)

  it("do not wait where the workflow does not", function()
    for _, case in ipairs { { "fail", 1, "has the lock 'x' of workflow w" }, { "skip", 0, "was skipped" } } do
      local text = file_of("w", case[1]):gsub("compensate = function", "doc = nil and function")
      local here <close> = new { ["w.lua"] = text }
      here:ends(1, "run", "w.lua", "--input", "key=x", "--input", "n=a", "--input", "quick=true", "--input",
        "fail=true")
      local b = holding(here, "b")
      has(here:ends(case[2], "retry", id_of(here, "a")).err, case[3])
      has(here:ends(case[2], "fork", id_of(here, "a")).err, case[3])
      assert.are.equal("failed", state_of(here, "a"))
      assert.are.equal(2, #here:query "SELECT * FROM runs")
      open(here, "b")
      ended(here, b, 0)
      here:write("good", "")
      here:ends(0, "retry", id_of(here, "a"))
      assert.are.equal(0, locks(here))
    end
  end)
end)

describe("on_conflict between processes", function()
  it("skip ends with 0 and fail with 1, and names the run that has the lock", function()
    local here <close> = new {
      ["skip.lua"] = file_of("skip", "skip"), ["fail.lua"] = file_of("fail", "fail") }
    for _, case in ipairs { { "skip", 0 }, { "fail", 1 } } do
      local function arguments(n)
        return "run", case[1] .. ".lua", "--input", "key=x", "--input", "n=" .. n
      end
      local a = here:start { arguments(case[1]) }
      here:until_did(case[1])
      local id = id_of(here, case[1])
      has(here:ends(case[2], arguments "other").err, id)
      if case[1] == "skip" then
        local said = json.decode(here:ends(0, "run", "skip.lua", "--input", "key=x", "--json").out)
        assert.are.same({ event = "run_skipped", workflow = "skip", lock = "x", holder = id }, said)
      end
      open(here, case[1])
      ended(here, a, 0)
    end
    assert.are.equal(2, #here:query "SELECT * FROM runs")
  end)

  it("cancel_running cancels the run of another process, which is undone first", function()
    local here <close> = new()
    here:write("w.lua", (file_of("w", "cancel_running"):gsub("w%.b = .-\n",
      'w.b = { after = "a", run = function(ctx) if ctx.input.n == "a" then ctx:wait "never" end end }\n')))
    open(here, "a")
    local a = begin(here, "a")
    here:until_did "a done"
    open(here, "b")
    local b = begin(here, "b")
    ended(here, a, 1) -- cancelled, and undone
    ended(here, b, 0)
    assert.are.same({ "a", "a done", "a undone", "b", "b done" }, here:did())
    assert.are.equal("compensated", state_of(here, "a"))
  end)

  it("cancel_running takes over what a killed process left, cancels and undoes it", function()
    local here <close> = new {}
    here:write("w.lua", (file_of("w", "cancel_running"):gsub("w%.b = .-\n",
      'w.b = { after = "a", run = function(ctx) if ctx.input.n == "a" then ctx:wait "never" end end }\n')))
    open(here, "a")
    local a = begin(here, "a")
    here:until_did "a done"
    here:until_true(function() return here:query("SELECT 1 FROM nodes WHERE state = 'waiting'")[1] end)
    kill(here, a)
    open(here, "b")
    ended(here, begin(here, "b"), 0)
    assert.are.same({ "a", "a done", "a undone", "b", "b done" }, here:did())
    assert.are.equal("compensated", state_of(here, "a"))
  end)
end)

describe("calls of a workflow with a lock, in a store", function()
  local CALLER = [[
local flow = require "orrery"
local w = flow.workflow { name = "caller", output = "${nodes.a}" }
w.a = { run = function(ctx)
  local ok, result = pcall(ctx.call, ctx, "w.lua", { key = "x", n = ctx.input.n })
  return ok and (result or "nothing") or { code = result.code, run = result.details and result.details.run }
end }
return w
]]

  local function called(conflict)
    local here = new { ["w.lua"] = file_of("w", conflict), ["caller.lua"] = CALLER }
    return here, function(n) return here:start { "run", "caller.lua", "--input", "n=" .. n } end
  end

  it("wait for it", function()
    local here, call = called "queue"
    local _ <close> = here
    local a = holding(here, "a")
    local b = call "b"
    here:until_true(function() return here:query("SELECT 1 FROM run_locks WHERE begun = 0")[1] end)
    open(here, "a")
    open(here, "b")
    ended(here, a, 0)
    assert.are.equal("b", json.decode(ended(here, b, 0).out))
    alone(here)
  end)

  it("are skipped or refused, which is recorded", function()
    for conflict, expected in pairs { skip = "nothing", fail = "conflict" } do
      local here, call = called(conflict)
      local _ <close> = here
      local a = holding(here, "a")
      local output = json.decode(ended(here, call "b", 0).out)
      assert.are.equal(expected, type(output) == "table" and output.code or output)
      if conflict == "fail" then assert.are.equal(id_of(here, "a"), output.run) end
      assert.are.equal(2, #here:query "SELECT * FROM runs")
      open(here, "a")
      ended(here, a, 0)
    end
  end)

  it("go on waiting after the process of both was killed", function()
    local here, call = called "queue"
    local _ <close> = here
    local a = holding(here, "a")
    local b = call "b"
    here:until_true(function() return here:query("SELECT 1 FROM run_locks WHERE begun = 0")[1] end)
    kill(here, b)
    open(here, "a")
    open(here, "b")
    ended(here, a, 0)
    local caller = here:query("SELECT id FROM runs WHERE workflow = 'caller'")[1].id
    assert.are.equal("b", json.decode(here:ends(0, "resume", caller).out))
    assert.are.equal(2, #here:query "SELECT * FROM runs WHERE state = 'completed' AND workflow = 'w'")
    alone(here)
  end)
end)

describe("a call of the workflow that has the lock", function()
  it("is a deadlock, and after a crash the same", function()
    local here <close> = new { ["w.lua"] = HEAD .. [[
local w = flow.workflow { name = "w", singleton = "${input.key}", output = "${nodes.a}" }
w.a = { run = function(ctx)
  if ctx.input.inner then return "inner" end
  local ok, problem = pcall(ctx.call, ctx, "w.lua", { key = ctx.input.key, inner = true })
  did(ok and "called" or problem.code)
  stay(ctx)
  return problem.details.run == ctx.run.id
end }
return w
]] }
    local process = begin(here, "a")
    here:until_did "a"
    kill(here, process)
    open(here, "a")
    here:ends(0, "resume")
    local counts = here:counts()
    assert.are.same({ 2, 2, 1 }, { counts.deadlock, counts.a, counts["a done"] })
    assert.are.equal("true", here:query("SELECT output FROM runs WHERE parent IS NULL")[1].output)
    assert.are.equal(0, locks(here))
  end)
end)

describe("a lock in a store, in one process", function()
  it("holds in virtual time", function()
    local here <close> = new()
    local rt = flow.runtime { clock = "virtual", store = "sqlite:" .. here.folder .. "/v.db" }
    local w = flow.workflow { name = "v", singleton = true }
    w.a = { run = function(ctx) ctx:sleep(86400) end }
    local began, runs, starts = rt:now(), {}, {}
    for i = 1, 4 do
      runs[i] = flow.start(w, { runtime = rt, on_event = function(e)
        if e.event == "run_started" then starts[#starts + 1] = math.floor((e.time - began) / 86400 + 0.5) end
      end })
    end
    for i = 1, 4 do
      rt:wait(runs[i])
      assert.are.equal("completed", runs[i].state)
    end
    assert.are.same({ 0, 1, 2, 3 }, starts)
    rt:close()
  end)

  it("goes with a run that is pruned", function()
    local here <close> = new()
    kill(here, holding(here, "a"))
    here:ends(0, "cancel", id_of(here, "a"))
    here:orrery("resume", id_of(here, "a"))
    here:ends(0, "prune", "--older", "0s")
    assert.are.equal(0, #here:query "SELECT * FROM runs")
    assert.are.equal(0, locks(here))
  end)
end)

-- Processes that run at random, and are killed at random: never two inside, and all of it ends.
describe("a storm on one lock", function()
  it("lets nobody in beside another", function()
    local seed = tonumber(os.getenv "SINGLETON_SEED") or os.time()
    local state = seed
    local function draw(n)
      state = (state * 6364136223846793005 + 1442695040888963407)
      return (state >> 33) % n + 1
    end
    local here <close> = new()
    local going, made = {}, 0
    local ok, problem = pcall(function()
      for _ = 1, 24 do
        if #going < 4 then
          made = made + 1
          open(here, "r" .. made)
          going[#going + 1] = begin(here, "r" .. made)
        end
        flow.sleep(draw(60) / 1000)
        if draw(3) == 1 and #going > 0 then
          kill(here, table.remove(going, draw(#going)))
          going[#going + 1] = here:start { "resume" }
        end
        for i = #going, 1, -1 do
          if going[i].code then table.remove(going, i) end
        end
      end
      for _, process in ipairs(going) do kill(here, process) end
      begin(here, "quick", "--input", "quick=true") -- so that there is a store
      -- One that was interrupted three times is given up, as it has to be.
      here:until_true(function()
        return here:orrery("resume").code == 0 and locks(here) == 0 and #here:query [[
          SELECT 1 FROM runs WHERE state <> 'completed' AND coalesce(error, '') NOT LIKE '%crash_loop%']] == 0
      end)
      alone(here)
    end)
    if not ok then error(("SINGLETON_SEED=%d: %s"):format(seed, tostring(problem)), 0) end
  end)
end)
