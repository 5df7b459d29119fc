-- `orrery run` on a store: where it is, keys, ids, labels, leaving and being ended.
local core = require "orrery.core"
local place = require "spec.support.place"
local uv = require "luv"

local json, has = core.json, place.has
local ID = "018f3c7e-1b2a-7c3d-8e4f-5a6b7c8d9e0f"

local HELLO = [[
local flow = require "orrery"
local w = flow.workflow { name = "hello", output = "${nodes.a}" }
w.a = { run = function(ctx)
  local file <close> = io.open("did", "a")
  file:write("a\n")
  return { n = ctx.input and ctx.input.n, context = ctx.context }
end }
return w
]]

local BAD = [[
local flow = require "orrery"
local w = flow.workflow { name = "bad" }
w.a = { run = function() flow.error { code = "broken", message = "it is broken" } end }
return w
]]

-- Takes a while in its second node, and says so.
local SLOW = [[
local flow = require "orrery"
local function did(what)
  local file <close> = io.open("did", "a")
  file:write(what, "\n")
end
local w = flow.workflow { name = "slow", output = "${nodes.b}" }
w.a = { run = function() did "a" return 1 end }
w.b = { after = "a", run = function(ctx, inputs)
  did "b"
  flow.await(function(resume)
    local timer = require "luv".new_timer()
    timer:start(tonumber(os.getenv "SLOW" or "100"), 0, function() timer:close() resume() end)
    return function() if not timer:is_closing() then timer:close() end end
  end)
  did "b done"
  return inputs.a + 1
end }
w.last = { after = "b", join = "done", run = function() did "last" end }
return w
]]

local WAITS = [[
local flow = require "orrery"
local w = flow.workflow { name = "waits", output = "${nodes.go}" }
w.go = { run = function(ctx) %s end }
return w
]]

local function events_of(text)
  local list = {}
  for line in text:gmatch "[^\n]+" do list[#list + 1] = json.decode(line) end
  return list
end

local function last_of(text)
  local list = events_of(text)
  return list[#list]
end

local function new(files)
  files = files or {}
  files["hello.lua"], files["bad.lua"], files["slow.lua"] = HELLO, BAD, SLOW
  return place.new(files)
end

describe("orrery run in a store", function()
  it("makes ./.orrery/runs.db and says the run's id first", function()
    local here <close> = new()
    local result = here:ends(0, "run", "hello.lua")
    local id = result.err:match "^run (%x+%-%x+%-%x+%-%x+%-%x+)\n"
    assert.is_truthy(id, result.err)
    assert.are.equal(id, here:newest())
    assert.are.equal("completed", here:query("SELECT state FROM runs")[1].state)
  end)

  it("says no id where only the output is wanted", function()
    local here <close> = new()
    assert.are.equal("", here:ends(0, "run", "hello.lua", "-q").err)
    local result = here:ends(0, "run", "hello.lua", "--json")
    assert.are.equal("", result.err)
    assert.are.equal(here:newest(), events_of(result.out)[1].run)
  end)

  it("takes the store that is named, by option or environment", function()
    local here <close> = new()
    here:ends(0, "run", "hello.lua", "--store", "sqlite:one.db", "-q")
    assert.are.equal(0, here:with({ ORRERY_STORE = "two.db" }, "run", "hello.lua", "-q").code)
    assert.are.equal(0, here:with({ ORRERY_STORE = "memory:" }, "run", "hello.lua", "-q").code)
    assert.is_truthy(uv.fs_stat(here.folder .. "/one.db"))
    assert.is_truthy(uv.fs_stat(here.folder .. "/two.db"))
    assert.is_nil(uv.fs_stat(here.folder .. "/.orrery"))
    local result = here:ends(2, "run", "hello.lua", "--store", "sqlite:/nowhere/at/all/x.db")
    has(result.err, "/nowhere/at/all")
    assert.are.equal(1, select(2, result.err:gsub("\n", "\n")))
    has(here:ends(2, "run", "hello.lua", "--store", "mysql:x").err, "mysql")
  end)

  -- Whether nothing is told of the end of a node while nobody can write. A process that is stopped
  -- in a commit may just have made it.
  local function waits_for_the_disk()
    local here <close> = place.new { ["w.lua"] = [[
      local flow, uv = require "orrery", require "luv"
      local function did(what)
        local file <close> = io.open("did", "a")
        file:write(what, "\n")
      end
      local w = flow.workflow { name = "told" }
      w.a = { run = function()
        did "begun"
        flow.await(function(resume)
          local timer = uv.new_timer()
          timer:start(5, 5, function()
            if not uv.fs_stat "go" then return end
            timer:close()
            resume()
          end)
        end)
        did "ended"
      end }
      flow.on("node_completed", function() did "told" end)
      return w]], ["other.lua"] = HELLO }
    local process = here:start { "run", "w.lua" }
    here:until_did "begun"
    local stopped = here:start({ "run", "other.lua" }, { ORRERY_CRASH = "1:stop" })
    here:until_true(function()
      local file <close> = io.open(("/proc/%d/stat"):format(stopped.pid))
      return file and file:read "a":find(") T ", 1, true)
    end, "the stop")
    here:write("go", "")
    here:until_did "ended"
    uv.sleep(300)
    local told = here:counts().told
    stopped.handle:kill "sigkill"
    here:finish(stopped)
    here:finish(process)
    assert.equal(1, here:counts().told)
    return told == nil
  end

  it("tells of what a strict run did when that is on disk", function()
    for _ = 1, 5 do
      if waits_for_the_disk() then return end
    end
    error "it is told before that"
  end)

  it("keeps what durability says", function()
    local here <close> = new()
    for _, mode in ipairs { "strict", "relaxed" } do
      here:ends(0, "run", "hello.lua", "-q", "--durability", mode, "--store", "sqlite:" .. here.db)
      assert.are.equal(mode, here:query(
        "SELECT durability FROM runs ORDER BY number DESC LIMIT 1")[1].durability)
    end
    assert.are.equal('', here:ends(0, "run", "hello.lua", "--durability", "none").err:match "^run [^\n]*"
      or "")
    assert.are.equal(2, here:query("SELECT count(*) AS n FROM runs")[1].n)
    has(here:ends(2, "run", "hello.lua", "--durability", "lazy").err, "strict, relaxed, none")
  end)

  it("gives a run the id that is asked for, once", function()
    local here <close> = new()
    here:ends(0, "run", "hello.lua", "--id", ID, "-q")
    assert.are.equal(ID, here:newest())
    local again = here:ends(2, "run", "hello.lua", "--id", ID)
    has(again.err, ID)
    has(again.err, "already")
    assert.are.equal("", again.out)
    assert.are.same({ "a" }, here:did())
    has(here:ends(2, "run", "hello.lua", "--id", "seven").err, "expected a UUID")
  end)

  it("keeps labels and context", function()
    local here <close> = new()
    local result = here:ends(0, "run", "hello.lua", "-q", "--label", "suite=nightly", "--label", "case=7",
      "--context", '{"tenant":"x"}',
      "-i", "n:=4")
    assert.are.same({ n = 4, context = { tenant = "x" } }, json.decode(result.out))
    local row = here:query("SELECT labels, context, input FROM runs")[1]
    assert.are.same({ suite = "nightly", case = "7" }, json.decode(row.labels))
    assert.are.same({ tenant = "x" }, json.decode(row.context))
    assert.are.same({ n = 4 }, json.decode(row.input))
    has(here:ends(2, "run", "hello.lua", "--label", "suite").err, "expected NAME=VALUE")
    has(here:ends(2, "run", "hello.lua", "--context", "{x").err, "--context")
  end)

  it("says at the start of a workflow without source that it cannot be resumed", function()
    local here <close> = new { ["w.lua"] = [==[
local flow = require "orrery"
local odd = load([[return require("orrery").type { name = "odd", run = function() return 1 end }]], "=somewhere")()
local w = flow.workflow { name = "odd" }
w.a = odd {}
return w]==] }
    local result = here:ends(0, "run", "w.lua")
    has(result.err:match "^[^\n]*", "cannot be resumed")
  end)
end)

describe("orrery run --key", function()
  it("gives the output of the run that has ended with it", function()
    local here <close> = new()
    local first = here:ends(0, "run", "hello.lua", "--key", "k", "-i", "n:=1")
    local id = here:newest()
    local again = here:ends(0, "run", "hello.lua", "--key", "k", "-i", "n:=2")
    assert.are.equal(first.out, again.out)
    has(again.err, id)
    assert.are.same({ "a" }, here:did())
    local said = last_of(here:ends(0, "run", "hello.lua", "--key", "k", "--json").out)
    assert.is_true(said.existing)
    assert.are.equal(id, said.run)
    assert.are.equal("run_completed", said.event)
    assert.are.equal(1, said.output.n)
    here:ends(0, "run", "hello.lua", "--key", "other", "-q")
    assert.are.equal(2, here:query("SELECT count(*) AS n FROM runs")[1].n)
  end)

  it("ends as the run with it has ended", function()
    local here <close> = new()
    here:ends(1, "run", "bad.lua", "--key", "k")
    local again = here:ends(1, "run", "bad.lua", "--key", "k")
    has(again.err, "it is broken")
    assert.are.equal("broken", last_of(here:ends(1, "run", "bad.lua", "--key", "k", "--json").out).error.code)
    assert.are.equal(1, here:query("SELECT count(*) AS n FROM runs")[1].n)
  end)

  it("resumes the run whose process is gone", function()
    local here <close> = new()
    local killed = here:start({ "run", "slow.lua", "--key", "k" }, { SLOW = "60000" })
    here:until_did "b"
    killed.handle:kill "sigkill"
    here:finish(killed)
    local result = here:ends(0, "run", "slow.lua", "--key", "k")
    assert.are.equal("2\n", result.out)
    assert.are.same({ "a", "b", "b", "b done", "last" }, here:did())
    assert.are.equal(1, here:query("SELECT count(*) AS n FROM runs")[1].n)
  end)

  it("waits for the run that another process runs", function()
    local here <close> = new()
    local first = here:start({ "run", "slow.lua", "--key", "k" }, { SLOW = "400" })
    here:until_did "b"
    local result = here:ends(0, "run", "slow.lua", "--key", "k")
    assert.are.equal("2\n", result.out)
    assert.are.equal("2\n", here:finish(first).out)
    assert.are.same({ "a", "b", "b done", "last" }, here:did())
  end)

  it("starts one run only when several ask at once", function()
    local here <close> = new()
    local all = {}
    for i = 1, 4 do all[i] = here:start({ "run", "slow.lua", "--key", "k" }, { SLOW = "200" }) end
    for i = 1, 4 do
      local result = here:finish(all[i])
      assert.are.equal(0, result.code, result.err)
      assert.are.equal("2\n", result.out)
    end
    assert.are.same({ "a", "b", "b done", "last" }, here:did())
    assert.are.equal(1, here:query("SELECT count(*) AS n FROM runs")[1].n)
  end)
end)

describe("orrery run --no-wait", function()
  local function leaves(body, signal)
    local here <close> = new { ["w.lua"] = WAITS:format(body) }
    local result = here:ends(5, "run", "w.lua", "--no-wait")
    local id = here:newest()
    local resume = result.err:match "orrery (resume [^\n]*)\n$"
    assert.is_truthy(resume, result.err)
    has(resume, id)
    if signal then here:ends(0, "signal", id, "go", "7") end
    return here:ends(0, "resume", id, "-q").out
  end

  it("leaves a run that waits for a signal", function()
    assert.are.equal("7\n", leaves([[return (ctx:wait "go")]], true))
  end)

  it("leaves a run that sleeps", function()
    assert.are.equal('"slept"\n', leaves [[ctx:sleep(1) return "slept"]])
  end)

  it("leaves a run whose node waits", function()
    local here <close> = new { ["w.lua"] = [[
local flow = require "orrery"
local w = flow.workflow { name = "gate", output = "${nodes.after}" }
w.gate = flow.wait { signal = "go" }
w.after = { after = "gate", run = function(_, inputs) return inputs.gate end }
return w]] }
    local result = here:ends(5, "run", "w.lua", "--no-wait", "--store", "my runs.db")
    has(result.err, "--store 'my runs.db'")
    here.db = here.folder .. "/my runs.db"
    here:ends(5, "resume", here:newest(), "--no-wait", "--store", "my runs.db")
    here:ends(0, "signal", here:newest(), "go", "8", "--store", "my runs.db")
    has(here:ends(0, "resume", here:newest(), "--no-wait", "--store", "my runs.db").out, "8")
  end)

  local RETRIES = [[
local flow = require "orrery"
local w = flow.workflow { name = "again", output = "${nodes.a}" }
w.a = { retry = { max = 3, strategy = "fixed", delay = "DELAY", jitter = "none" }, run = function(ctx)
  if ctx.attempt < 3 then flow.error { code = "x", message = "x" } end
  return ctx.attempt
end }
REST
return w]]

  it("waits out a backoff of less than a minute", function()
    local here <close> = new { ["short.lua"] = RETRIES:gsub("DELAY", "50ms"):gsub("REST", ""),
      ["long.lua"] = RETRIES:gsub("DELAY", "5m"):gsub("REST", ""),
      ["gate.lua"] = RETRIES:gsub("DELAY", "50ms"):gsub("REST", 'w.gate = flow.wait { signal = "go" }'),
      ["parent.lua"] = [[
local flow = require "orrery"
local w = flow.workflow { name = "parent", output = "${nodes.child}" }
w.child = { run = function(ctx) return ctx:call "short.lua" end }
return w]] }
    assert.are.equal("3\n", here:ends(0, "run", "short.lua", "--no-wait").out)
    assert.are.equal("3\n", here:ends(0, "run", "parent.lua", "--no-wait").out)
    here:ends(5, "run", "long.lua", "--no-wait")
    here:ends(5, "run", "gate.lua", "--no-wait")
    local last = here:query("SELECT state FROM nodes WHERE node = 'a' ORDER BY run DESC")[1]
    assert.are.equal("completed", last.state)
    here:ends(5, "resume", "--no-wait")
  end)

  it("is refused where nothing is kept", function()
    local here <close> = new()
    has(here:ends(2, "run", "hello.lua", "--no-wait", "--store", "memory:").err, "name a store")
    has(here:ends(2, "run", "hello.lua", "--no-wait", "--durability", "none").err, "name a store")
  end)

  it("stays with what does not wait", function()
    local here <close> = new()
    assert.are.equal("2\n", here:ends(0, "run", "slow.lua", "--no-wait").out)
  end)

  it("reports it by the last event", function()
    local here <close> = new { ["w.lua"] = WAITS:format [[return (ctx:wait "go")]] }
    local result = here:ends(5, "run", "w.lua", "--no-wait", "--json")
    local said = last_of(result.out)
    assert.are.equal(here:newest(), said.run)
    assert.are.equal("run_suspended", said.event)
  end)
end)

describe("orrery run and signals of the system", function()
  it("cancels at Ctrl-C", function()
    local here <close> = new()
    local process = here:start({ "run", "slow.lua" }, { SLOW = "60000" })
    here:until_did "b"
    process.handle:kill "sigint"
    local result = here:finish(process)
    assert.are.equal(3, result.code, result.err)
    assert.are.same({ "a", "b", "last" }, here:did())
    assert.are.equal("cancelled", here:query("SELECT state FROM runs")[1].state)
  end)

  it("suspends at SIGTERM, and says how to go on", function()
    local here <close> = new()
    local process = here:start({ "run", "slow.lua" }, { SLOW = "60000" })
    here:until_did "b"
    process.handle:kill "sigterm"
    local result = here:finish(process)
    assert.are.equal(5, result.code, result.err)
    has(result.err, "orrery resume " .. here:newest())
    assert.are.same({ "a", "b" }, here:did())
    local resumed = here:ends(0, "resume", here:newest())
    assert.are.equal("2\n", resumed.out)
    assert.are.same({ "a", "b", "b", "b done", "last" }, here:did())
  end)

  it("dies at the second Ctrl-C, and can be resumed", function()
    local here <close> = new { ["stubborn.lua"] = [[
local flow = require "orrery"
local w = flow.workflow { name = "stubborn", output = "${nodes.last}" }
local function did(what)
  local file <close> = io.open("did", "a")
  file:write(what, "\n")
end
w.a = { run = function() did "a" if os.getenv "SLOW" then flow.sleep(60) end end }
w.last = { after = "a", join = "done", run = function() did "last" if os.getenv "SLOW" then flow.sleep(60) end return 3 end }
return w]] }
    local process = here:start({ "run", "stubborn.lua" }, { SLOW = "1" })
    here:until_did "a"
    process.handle:kill "sigint"
    here:until_did "last"
    process.handle:kill "sigint"
    local result = here:finish(process)
    assert.are.equal(3, result.code)
    has(result.err, "orrery resume " .. here:newest())
    local resumed = here:ends(3, "resume", here:newest())
    assert.are.same({ "a", "last", "last" }, here:did(), resumed.err)
  end)
end)
