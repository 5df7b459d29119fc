-- flow.run, flow.resume, flow.retry and flow.fork on stores: ids and keys, several runtimes, values
-- of every kind, large values, and what they raise.
local flow = require "orrery"
local place = require "spec.support.place"
local uv = require "luv"

local has = place.has

local FILE = [[
local flow = require "orrery"
local function did(what)
  local file <close> = io.open(FOLDER .. "/did", "a")
  file:write(what, "\n")
  return what
end
local w = flow.workflow { name = "w", output = "${nodes.b}" }
w.a = { run = function(ctx) did "a" return { ctx.input or 1 } end }
w.b = { after = "a", run = function(ctx, inputs)
  did "b"
  if io.open(FOLDER .. "/wait") then ctx:wait "go" end
  if io.open(FOLDER .. "/bad") then flow.error { code = "broken", message = "x", retryable = false } end
  return inputs.a
end }
return w
]]

-- A place with a workflow in a file and a runtime on its store.
local function new(body)
  local here = place.new()
  here:write("w.lua", ((body or FILE):gsub("FOLDER", ("%q"):format(here.folder))))
  here.file = here.folder .. "/w.lua"
  uv.fs_mkdir(here.folder .. "/.orrery", 493)
  here.url = "sqlite:" .. here.db
  return here
end

local function runtime(here, options)
  options = options or {}
  options.store = here.url
  return flow.runtime(options)
end

local function waits(here, run)
  here:until_true(function() return run.state == "waiting" end, "the wait")
  return run
end

local function raised(code, fn, ...)
  local ok, problem = pcall(fn, ...)
  assert.is_false(ok)
  assert.are.equal("table", type(problem), tostring(problem))
  assert.are.equal(code, problem.code)
  return problem.message
end

describe("flow.run with a store", function()
  it("takes the URL of one, which the next call shares", function()
    local here <close> = new()
    local run = flow.run(here.file, { store = here.url, input = 4 })
    assert.are.same({ 4 }, run.output)
    flow.run(here.file, { store = here.url })
    local rt = require "orrery.runtime.of_store"(here.url)
    assert.are.equal(2, #rt:store():query "SELECT 1 FROM runs")
    assert.are.equal(1, #rt:store():query "SELECT 1 FROM owners")
    rt:close()
    assert.are.equal("completed", flow.run(here.file, { store = here.url }).state) -- it is opened again
    require "orrery.runtime.of_store"(here.url):close()
  end)

  it("gives the run that has the key, while it goes on and when it is over", function()
    local here <close> = new()
    local rt = runtime(here)
    here:write("wait", "")
    local first = waits(here, flow.start(here.file, { runtime = rt, key = "k" }))
    local second = flow.start(here.file, { runtime = rt, key = "k" })
    assert.are.equal(first, second)
    first:signal("go", 1)
    local both = flow.run(here.file, { runtime = rt, key = "k" })
    assert.are.equal("completed", first.state)
    assert.are.equal(first.id, both.id)
    local known = flow.run(here.file, { runtime = rt, key = "k" })
    assert.are.equal(first.id, known.id)
    assert.is_true(known.existing and known.ended)
    assert.are.same({ 1 }, known.output)
    assert.are.same({ "a", "b" }, here:did())
    rt:close()
  end)

  it("gives the run of another runtime of this process", function()
    local here <close> = new()
    local one, two = runtime(here), runtime(here)
    here:write("wait", "")
    local first = waits(here, flow.start(here.file, { runtime = one, key = "k" }))
    assert.are.equal(first, flow.start(here.file, { runtime = two, key = "k" }))
    has(raised("run_owned", flow.resume, first.id, { runtime = two }), ("process %d "):format(uv.os_getpid()))
    first:signal("go", 1)
    one:wait(first)
    assert.are.same({ 1 }, flow.run(here.file, { runtime = two, key = "k" }).output)
    os.remove(here.folder .. "/wait")
    local other = flow.run(here.file, { runtime = two, key = "l" })
    assert.are.equal(2, one:store():query("SELECT count(*) AS n FROM runs")[1].n, other.state)
    one:close()
    two:close()
  end)

  it("refuses an id that was given", function()
    local here <close> = new()
    local rt = runtime(here)
    local run = flow.run(here.file, { runtime = rt })
    has(raised("duplicate_id", flow.start, here.file, { runtime = rt, id = run.id }), run.id)
    has(raised("duplicate_id", flow.start, here.file, { runtime = rt, id = run.id:upper() }), run.id)
    rt:close()
  end)

  it("may be suspended and go on in the same process", function()
    local here <close> = new()
    local rt = runtime(here)
    here:write("wait", "")
    local run = waits(here, flow.start(here.file, { runtime = rt }))
    run:suspend()
    assert.are.equal("interrupted", run.state)
    assert.are.equal("suspended", run.error.code)
    local again = flow.resume(run.id, { runtime = rt })
    assert.are.equal(run.id, again.id)
    again:signal("go", 2)
    rt:wait(again)
    assert.are.same({ 1 }, again.output)
    assert.are.same({ "a", "b", "b" }, here:did())
    rt:close()
  end)

  it("suspends what runs when the runtime is closed, after which it is closed", function()
    local here <close> = new()
    local rt = runtime(here)
    here:write("wait", "")
    local run = waits(here, flow.start(here.file, { runtime = rt }))
    rt:close()
    assert.are.equal("interrupted", run.state)
    local ok, problem = pcall(flow.start, here.file, { runtime = rt })
    assert.is_false(ok)
    has(tostring(problem), "closed")
    raised("no_store", flow.resume, run.id, { runtime = rt })
    rt:close()
    local other = runtime(here)
    os.remove(here.folder .. "/wait")
    local again = flow.resume(run.id, { runtime = other })
    other:wait(again)
    assert.are.same({ 1 }, again.output)
    other:close()
  end)
end)

describe("flow.resume, flow.retry and flow.fork", function()
  it("raise structured errors", function()
    local here <close> = new()
    local rt = runtime(here)
    local done = flow.run(here.file, { runtime = rt })
    local there_is_none = "018f3c7e-1b2a-7c3d-8e4f-5a6b7c8d9e0f"
    for _, fn in ipairs { flow.resume, flow.retry, flow.fork } do
      has(raised("run_not_found", fn, there_is_none, { runtime = rt }), there_is_none)
      raised("no_store", fn, done.id, { runtime = flow.runtime { clock = "virtual" } })
      has(select(2, pcall(fn, done.id, { store = "" })), "name the store")
    end
    has(raised("run_ended", flow.resume, done.id, { runtime = rt }), "completed")
    has(raised("run_ended", flow.retry, done.id, { runtime = rt }), "completed")
    here:write("wait", "")
    local live = waits(here, flow.start(here.file, { runtime = rt }))
    raised("run_owned", flow.resume, live.id, { runtime = rt })
    raised("run_owned", flow.retry, live.id, { runtime = rt })
    live:suspend()
    raised("run_not_ended", flow.retry, live.id, { runtime = rt })
    local w = flow.workflow { name = "plain" }
    w.a = { run = function(ctx) ctx:wait "go" end }
    local plain = waits(here, flow.start(w, { runtime = rt }))
    plain:suspend()
    raised("no_bundle", flow.resume, plain.id, { runtime = rt })
    has(tostring(select(2, pcall(flow.fork, done.id, { runtime = rt, from = "c" }))), "no node")
    rt:close()
  end)

  -- The journal of the run is not there; `seq` is what the tables know of it.
  local function lose_journal(here, id, seq)
    local rt = runtime(here)
    rt:store():project()
    rt:store():change { { "DELETE FROM journal WHERE run = (SELECT number FROM runs WHERE id = ?)", id },
      { "UPDATE runs SET seq = ?, state = 'pending' WHERE id = ?", seq, id } }
    rt:close()
  end

  local function left_waiting(here, options)
    here:write("wait", "")
    local rt = runtime(here)
    options.runtime = rt
    local run = waits(here, flow.start(here.file, options))
    rt:close()
    return run.id
  end

  it("let nobody wait for a run without its first record", function()
    local here <close> = new()
    local id = left_waiting(here, { key = "k" })
    lose_journal(here, id, 0)
    local rt = runtime(here)
    has(raised("run_not_begun", flow.resume, id, { runtime = rt }),
      id .. " never began: there was no memory for its first record")
    raised("run_not_found", flow.resume, id, { runtime = rt })
    os.remove(here.folder .. "/wait")
    assert.are.equal("completed", flow.run(here.file, { runtime = rt, id = id, key = "k" }).state)
    rt:close()
  end)

  it("give its key to the run that is asked for", function()
    local here <close> = new()
    local id = left_waiting(here, { key = "k" })
    lose_journal(here, id, 0)
    os.remove(here.folder .. "/wait")
    local rt = runtime(here)
    local run = flow.run(here.file, { runtime = rt, key = "k" })
    assert.are.equal("completed", run.state)
    assert.are_not.equal(id, run.id)
    assert.are.equal(1, #rt:store():query "SELECT 1 FROM runs")
    rt:close()
  end)

  it("do not take a run for one that never began whose records were lost", function()
    local here <close> = new()
    local id = left_waiting(here, {})
    lose_journal(here, id, 3)
    local rt = runtime(here)
    local ok, problem = pcall(flow.resume, id, { runtime = rt })
    assert.is_false(ok)
    has(tostring(problem), "its journal is empty")
    assert.are.equal(1, #rt:store():query "SELECT 1 FROM runs")
    rt:close()
  end)

  it("begin a child again that has no first record", function()
    local here <close> = new [[
local flow = require "orrery"
local child = flow.workflow { name = "child", output = "${nodes.c}" }
child.c = { run = function(ctx) return ctx:wait "go" end }
local w = flow.workflow { name = "w", output = "${nodes.a}" }
w.a = { run = function(ctx) return { ctx:call(child) } end }
return w
]]
    local rt = runtime(here)
    local id = waits(here, flow.start(here.file, { runtime = rt })).id
    rt:store():project()
    local child = rt:store():query("SELECT id FROM runs WHERE parent IS NOT NULL")[1].id
    rt:close()
    lose_journal(here, child, 0)
    rt = runtime(here)
    local run = flow.resume(id, { runtime = rt })
    here:until_true(function()
      rt:store():project()
      return #rt:store():query("SELECT 1 FROM runs WHERE id = ? AND seq > 0", child) == 1
    end)
    rt:store():send(child, "signal", flow.json.encode { name = "go", data = 5, sent = 1 })
    rt:wait(run)
    assert.are.same({ 5 }, run.output)
    rt:close()
  end)

  it("retry and fork a run", function()
    local here <close> = new()
    local rt = runtime(here)
    here:write("bad", "")
    local run = flow.run(here.file, { runtime = rt, input = 7 })
    assert.are.equal("broken", run.error.code)
    os.remove(here.folder .. "/bad")
    local again = flow.retry(run.id, { runtime = rt })
    rt:wait(again)
    assert.are.same({ "completed", { 7 } }, { again.state, again.output })
    local forked = flow.fork(run.id, { runtime = rt, from = "b" })
    rt:wait(forked)
    assert.are.same({ 7 }, forked.output)
    assert.are.same({ "a", "b", "b", "b" }, here:did())
    rt:close()
  end)
end)

describe("values of a durable run", function()
  it("come back exactly", function()
    local here <close> = new [[
local flow = require "orrery"
local w = flow.workflow { name = "values", output = "${nodes.last}" }
w.n = { run = function() return nil end }
w.f = { run = function() return false end }
w.e = { run = function() return {} end }
w.o = { run = function() return flow.json.object() end }
w.i = { run = function() return { math.mininteger, 1, 1.0, -0.0, 0.1, 1e300 } end }
w.s = { run = function() return { "", "\0\255\254x", "\u{1F600}", ("\200"):rep(3), ["k\255"] = nil } end }
w.big = { run = function() return { ("\129"):rep(900 * 1024), "a" } end }
w.same = { run = function() return { ("\129"):rep(900 * 1024), "a" } end }
w.gate = { after = { "n", "f", "e", "o", "i", "s", "big", "same" }, run = function(ctx) ctx:wait "go" end }
w.last = { after = { "n", "f", "e", "o", "i", "s", "big", "same", "gate" }, run = function(_, inputs)
  local s = inputs.s
  return { tostring(inputs.n), inputs.f, flow.json.encode(inputs.e), flow.json.encode(inputs.o),
    math.type(inputs.i[2]) .. math.type(inputs.i[3]), inputs.i[1] == math.mininteger and inputs.i[5] == 0.1 and inputs.i[6] == 1e300,
    s[1] == "" and s[2] == "\0\255\254x" and s[3] == "\u{1F600}" and s[4] == "\200\200\200",
    #inputs.big[1], inputs.big[1]:byte(7), inputs.same[2] }
end }
return w
]]
    local rt = runtime(here)
    local run = waits(here, flow.start(here.file, { runtime = rt }))
    rt:close()
    local other = runtime(here)
    assert.are.equal(1, #other:store():query "SELECT 1 FROM blobs")
    local again = flow.resume(run.id, { runtime = other })
    again:signal "go"
    other:wait(again)
    assert.is_nil(again.error)
    assert.are.same({ "nil", false, "{}", "{}", "integerfloat", true, true, 900 * 1024, 129, "a" },
      again.output)
    other:close()
  end)

  it("may be as large as the runtime says, and no larger", function()
    local here <close> = new [[
local flow = require "orrery"
local w = flow.workflow { name = "large" }
local tries = 0
w.a = { retry = 3, run = function() tries = tries + 1 return ("x"):rep(3 * 1024 * 1024) end }
w.b = { after = "a", join = "done", run = function() return tries end }
w.c = { after = "b", join = "done", run = function() end }
return w
]]
    local rt = runtime(here, { output_limit = 2 * 1024 * 1024 })
    local run = flow.run(here.file, { runtime = rt })
    assert.are.equal("output_too_large", run.error.code)
    assert.is_false(run.error.retryable)
    assert.are.equal(1, run:outputs().b)
    rt:close()
    rt = runtime(here)
    assert.are.equal("completed", flow.run(here.file, { runtime = rt }).state)
    rt:close()
  end)

  it("leave memory once they are taken", function()
    local here <close> = new [[
local flow = require "orrery"
local w = flow.workflow { name = "chain", output = "${nodes.last}" }
w.n1 = { run = function() return ("x"):rep(1024 * 1024) .. 1 end }
for i = 2, 200 do
  w["n" .. i] = { after = "n" .. i - 1, run = function(_, inputs) return ("x"):rep(1024 * 1024) .. #inputs["n" .. i - 1] + i end }
end
w.last = { after = "n200", run = function(_, inputs)
  for line in io.lines "/proc/self/status" do
    local kib = line:match "^VmHWM:%s*(%d+)"
    if kib then return tonumber(kib) end
  end
end }
return w
]]
    local result = here:ends(0, "run", "w.lua", "-q")
    if not require("spec.support.command").sanitized then
      assert.is_true(tonumber(result.out) < 60 * 1024, result.out .. " KiB")
    end
    assert.are.equal(200, here:query("SELECT count(*) AS n FROM blobs")[1].n)
  end)

  it("stay in memory while the disk does not take them", function()
    local here <close> = new [[
local flow = require "orrery"
local w = flow.workflow { name = "stays", output = "${nodes.last}" }
w.begun = { run = function(ctx) ctx:wait "gone" end }
w.large = { after = "begun", run = function() return ("x"):rep(100 * 1024) end }
w.taken = { after = "begun", run = function() return ("y"):rep(100 * 1024) end }
w.takes = { after = "taken", run = function(_, inputs) return #inputs.taken end }
w.empty = { after = "begun", run = function() end }
w.last = { after = { "takes", "large", "empty" }, run = function(ctx)
  return { #ctx.nodes.taken, #ctx.nodes.large, ctx.nodes.empty == nil }
end }
return w
]]
    local rt = runtime(here, { durability = "relaxed" })
    local failed = false
    rt:on(function(event) failed = failed or event.level == "error" end)
    local run = waits(here, flow.start(here.file, { runtime = rt }))
    rt:sync()
    os.rename(here.db, here.db .. ".away") -- whoever looks finds none, so no commit is made
    run:signal "gone"
    here:until_true(function() return run:outputs().last and failed end,
      "the end of the nodes without a disk")
    assert.are.same({ 100 * 1024, 100 * 1024, true }, run:outputs().last)
    os.rename(here.db .. ".away", here.db)
    rt:wait(run)
    assert.are.equal("completed", run.state)
    assert.are.same({ 100 * 1024, 100 * 1024, true }, run.output)
    assert.are.equal(100 * 1024, #run:outputs().large)
    rt:close()
  end)
end)

describe("a program with a durable run", function()
  it("ends when its runs have ended", function()
    local here <close> = new()
    here:write("main.lua", ([[
local flow = require "orrery"
local run = flow.run(%q, { store = %q, input = 3 })
print(run.state, run.output[1])
flow.start(%q, { store = %q })
]]):format(here.file, here.url, here.file, here.url))
    local result = here:ends(0, "main.lua")
    assert.are.equal("completed\t3\n", result.out)
    assert.are.equal(2, here:query("SELECT count(*) AS n FROM runs WHERE state = 'completed'")[1].n)
  end)
end)
