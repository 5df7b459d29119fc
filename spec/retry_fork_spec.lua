-- `orrery retry` and `orrery fork`: what was done is kept, the rest is done again.
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
local function good() return io.open "good" ~= nil end
]]

-- Two of its five items fail until there is a file "good".
local ITEMS = HEAD .. [[
local w = flow.workflow { name = "items", output = "${nodes.after}", on_error = "continue" }
w.list = { run = function() did "list" return { 1, 2, 3, 4, 5 } end }
w.each = { each = "${nodes.list}", run = function(ctx)
  did("item " .. ctx.index)
  if ctx.index % 2 == 0 and not good() then
    ctx:sleep(0.05) -- the others are done by then
    flow.error { code = "odd", message = "not yet", retryable = false }
  end
  return ctx.item * 10
end }
w.after = { after = "each", run = function(_, inputs) did "after" return inputs.each end }
w.beside = { after = "list", run = function() did "beside" end }
return w
]]

local ROUTE = HEAD .. [[
local w = flow.workflow { name = "route", output = "${nodes.last}" }
w.start = { run = function(ctx) did "start" return { amount = ctx.input and ctx.input.amount or 150 } end }
w.route = flow.switch { cases = { { gold = "nodes.start.amount > 100" } }, default = "plain" }
w.gold = { after = "route:gold", run = function() did "gold" return "gold" end }
w.plain = { after = "route:plain", run = function() did "plain" return "plain" end }
w.join = { after = { "gold", "plain" }, join = "any", run = function(_, inputs) did "join" return inputs.gold or inputs.plain end }
w.pair = { after = "join", run = function() return { 1, 2 } end }
w.many = { after = "join", each = "${nodes.pair}", run = function(ctx) did("many " .. ctx.index) return ctx.item end }
w.big = { after = "join", run = function() did "big" return ("x"):rep(2 * 1024 * 1024) .. "\255" end }
w.last = { after = { "many", "big", "join" }, run = function(ctx, inputs)
  did "last"
  return { inputs.join, inputs.many, #inputs.big, inputs.big:byte(-1), ctx.input and ctx.input.word or "none" }
end }
return w
]]

-- Waits for what only somebody else can send, and may then be wrong.
local PAID = HEAD .. [[
local w = flow.workflow { name = "paid", output = "${nodes.thank}" }
w.pay = flow.wait { signal = "payment" }
w.check = { after = "pay", run = function() did "check" if not good() then error "too little" end end }
w.again = flow.wait { after = "check", signal = "receipt" }
w.thank = { after = "again", run = function() return "thank you" end }
return w
]]

local function new(files)
  files["items.lua"], files["route.lua"] = ITEMS, ROUTE
  return place.new(files)
end

describe("orrery retry", function()
  it("runs only the items that failed, and what follows", function()
    local here <close> = new {}
    here:ends(1, "run", "items.lua", "-q")
    local id = here:newest()
    here:write("good", "")
    local result = here:ends(0, "retry", id)
    assert.are.same({ 10, 20, 30, 40, 50 }, json.decode(result.out))
    local counts = here:counts()
    assert.are.equal(2, math.max(counts["item 2"], counts["item 4"]))
    counts["item 2"], counts["item 4"] = nil, nil
    assert.are.same({ list = 1, ["item 1"] = 1, ["item 3"] = 1, ["item 5"] = 1, after = 1, beside = 1 },
      counts)
    assert.are.equal("completed", here:query("SELECT state FROM runs")[1].state)
    has(result.err, "4 completed")
  end)

  it("fails again where nothing has changed, and may be retried once more", function()
    local here <close> = new {}
    here:ends(1, "run", "items.lua", "-q")
    local id = here:newest()
    has(here:ends(1, "retry", id).err, "not yet")
    here:write("good", "")
    here:ends(0, "retry", id, "-q")
    assert.are.equal(3, math.max(here:counts()["item 2"], here:counts()["item 4"]))
  end)

  it("goes on with a corrected file, as orrery why says of a mistake in it", function()
    local function flow_of(path)
      return HEAD .. [[
local w = flow.workflow { name = "wrong", output = "${nodes.read}" }
w.none = { run = function() return did("none") end }
w.read = flow.file.read { after = "none", path = "${]] .. path .. [[}" }
return w]]
    end
    local here <close> = new { ["wrong.lua"] = flow_of "nodes.none.path", ["text"] = "found" }
    here:ends(1, "run", "wrong.lua", "-q")
    has(here:ends(0, "why").out, "; with --with-current-code once the workflow is corrected")
    here:write("wrong.lua", flow_of "'text'")
    here:ends(1, "retry", "-q")
    assert.are.equal('"found"\n', here:ends(0, "retry", "--with-current-code", "-q").out)
    assert.are.equal(1, #here:did())
    here:ends(1, "run", "items.lua", "-q")
    assert.is_nil(here:ends(0, "why").out:find("current-code", 1, true))
  end)

  it("takes what was too large before", function()
    local here <close> = new { ["large.lua"] = HEAD .. [[
local w = flow.workflow { name = "large" }
w.a = { retry = 3, run = function() return did(("x"):rep(1000)) end }
return w]] }
    local result = here:ends(1, "run", "large.lua", "--output-limit", "500")
    has(result.err, "output_too_large")
    assert.are.equal(1, #here:did())
    here:ends(0, "retry", here:newest(), "--output-limit", "2000", "-q")
  end)

  it("takes what was too much for the memory before", function()
    local here <close> = new { ["large.lua"] = HEAD .. [[
local w = flow.workflow { name = "large", on_error = "continue" }
w.a = { run = function() return ("x"):rep(3000) end }
w.b = { run = function() return ("y"):rep(3000) end }
return w]] }
    local result = here:ends(1, "run", "large.lua", "--memory-limit", "5000")
    has(result.err, "[memory_limit]")
    has(result.err, "raise --memory-limit")
    here:ends(0, "retry", here:newest(), "--memory-limit", "50000", "-q")
    has(here:ends(2, "run", "large.lua", "--memory-limit", "0").err, "--memory-limit")
    here:ends(1, "run", "large.lua", "--clock", "virtual", "--memory-limit", "5000", "-q")
  end)

  it("refuses a run that needs none", function()
    local here <close> = new { ["saga.lua"] = HEAD .. [[
local w = flow.workflow { name = "saga" }
w.a = { run = function() end, compensate = function() end }
w.b = { after = "a", run = function() flow.error { code = "x", message = "x", retryable = false } end }
return w]], ["long.lua"] = HEAD .. [[
local w = flow.workflow { name = "long" }
w.a = { run = function() did "long" flow.sleep(60) end }
return w]] }
    here:ends(0, "run", "route.lua", "-q")
    local result = here:ends(2, "retry", here:newest())
    has(result.err, "is completed: only a run that failed or was cancelled can be retried")
    assert.are.equal(1, select(2, result.err:gsub("\n", "\n")), result.err)
    here:ends(1, "run", "saga.lua", "-q")
    has(here:ends(2, "retry", here:newest()).err, "is compensated")
    local process = here:start { "run", "long.lua" }
    here:until_did "long"
    has(here:ends(2, "retry", here:newest()).err, tostring(process.pid))
    process.handle:kill "sigkill"
    here:finish(process)
    has(here:ends(2, "retry", here:newest()).err, "orrery resume")
    has(here:ends(2, "retry").err, here:newest()) -- which is meant
    has(here:ends(2, "retry", "eeee").err, "no run begins")
    assert.are.same({}, here:query "SELECT id FROM runs WHERE owner IS NOT NULL AND ended IS NOT NULL")
  end)

  it("goes on with a run that was cancelled", function()
    local here <close> = new { ["long.lua"] = HEAD .. [[
local w = flow.workflow { name = "long", output = "${nodes.b}" }
w.a = { run = function() did "a" end }
w.b = { after = "a", run = function() did "b" if not good() then flow.sleep(60) end return 8 end }
return w]] }
    local process = here:start { "run", "long.lua" }
    here:until_did "b"
    process.handle:kill "sigint"
    assert.are.equal(3, here:finish(process).code)
    here:write("good", "")
    assert.are.equal("8\n", here:ends(0, "retry", here:newest()).out)
    assert.are.same({ a = 1, b = 2 }, here:counts())
  end)

  it("takes a filter", function()
    local here <close> = new {}
    here:ends(1, "run", "items.lua", "-q")
    here:ends(1, "run", "items.lua", "-q")
    here:ends(0, "run", "route.lua", "-q")
    here:write("good", "")
    local result = here:ends(0, "retry", "--workflow", "items", "--state", "failed", "--since", "1d")
    has(result.err, "2 runs retried")
    assert.are.equal(3, here:query("SELECT count(*) AS n FROM runs WHERE state = 'completed'")[1].n)
    has(here:ends(0, "retry", "--workflow", "items", "--state", "failed").err, "nothing to retry")
    has(here:ends(0, "retry", "--workflow", "items").err, "nothing to retry")
  end)
end)

describe("a run that was cancelled and is retried", function()
  it("shows what is to run again as pending, what was skipped or cancelled after it too", function()
    local here <close> = place.new { ["paid.lua"] = PAID }
    here:ends(5, "run", "paid.lua", "--no-wait", "-q")
    local id = here:newest()
    here:ends(0, "cancel", id)
    here:orrery("resume", id, "-q")
    assert.are.equal("cancelled", here:query("SELECT state FROM runs")[1].state)
    here:ends(5, "retry", id, "--no-wait", "-q")
    local states = {}
    for _, row in ipairs(here:query "SELECT node, state FROM nodes ORDER BY idx") do
      states[#states + 1] = row.node .. " " .. row.state
    end
    assert.are.same({ "pay waiting", "check pending", "again pending", "thank pending" }, states)
    local row = here:query("SELECT state, ended, cancelled, waiting FROM runs")[1]
    assert.are.same({ state = "waiting", cancelled = 0, waiting = 1 }, row)
  end)
end)

describe("orrery fork", function()
  local function base(here)
    here:ends(0, "run", "route.lua", "-q", "-i", "amount:=150", "-i", "word=one", "--label", "suite=x",
      "--context", '{"t":1}')
    local id = here:newest()
    os.remove(here.folder .. "/did")
    return id
  end

  it("runs again from a node on and shares what came before", function()
    local here <close> = new {}
    local id = base(here)
    local result = here:ends(0, "fork", id, "--from", "last", "-i", "word=two")
    assert.is_nil(result.err:find("the new input", 1, true))
    local forked = here:newest()
    assert.are_not.equal(id, forked)
    has(result.err, ("run %s, forked from %s"):format(forked, id))
    assert.are.same({ "gold", { 1, 2 }, 2 * 1024 * 1024 + 1, 255, "two" }, json.decode(result.out))
    assert.are.same({ last = 1 }, here:counts())
    local states = {}
    for _, row in ipairs(here:query([[SELECT node, n.state, source FROM nodes AS n JOIN runs ON number = run
      WHERE item = 0 AND id = ?]], forked)) do
      states[row.node] = row.state == "completed" and row.source or row.state
    end
    assert.are.same({ start = "fork", route = "fork", gold = "fork", plain = "skipped", join = "fork",
      pair = "fork", many = "fork",
      big = "fork", last = "run" }, states)
    assert.are.equal(1, here:query("SELECT count(*) AS n FROM blobs")[1].n)
    local row = here:query("SELECT labels, context, input FROM runs WHERE id = ?", forked)[1]
    assert.are.same({ suite = "x" }, json.decode(row.labels))
    assert.are.same({ amount = 150, word = "two" }, json.decode(row.input))
    assert.are.same({ t = 1 }, json.decode(row.context))
  end)

  it("goes the way that was chosen, where the node that chose it is taken over", function()
    local here <close> = new {}
    local id = base(here)
    assert.are.equal("gold", json.decode(here:ends(0, "fork", id, "--from", "gold").out)[1])
    assert.are.same({ gold = 1, join = 1, ["many 1"] = 1, ["many 2"] = 1, big = 1, last = 1 }, here:counts())
    assert.are.equal("skipped", here:query([[SELECT n.state FROM nodes AS n JOIN runs ON number = run
      WHERE node = 'plain' AND id = ?]], here:newest())[1].state)
  end)

  it("says that what is taken over does not see a new input", function()
    local here <close> = new {}
    local result = here:ends(0, "fork", base(here), "-i", "word=two")
    assert.are.equal("one", json.decode(result.out)[5])
    has(result.err, "the new input is not seen by the 8 nodes that are taken over; run them again with "
      .. "--from NODE")
  end)

  it("is shown by show", function()
    local here <close> = new {}
    local id = base(here)
    here:ends(0, "fork", id, "--from", "last", "-q")
    local forked = here:newest()
    assert.are.equal(id, json.decode(here:ends(0, "show", forked, "--json").out).forked_from)
    has(here:ends(0, "show", forked).out, "forked from")
    assert.is_nil(json.decode(here:ends(0, "show", id, "--json").out).forked_from)
  end)

  it("decides anew what depends on a node that runs again", function()
    local here <close> = new {}
    local id = base(here)
    local result = here:ends(0, "fork", id, "--set", 'nodes.start={"amount": 5}', "--from", "route")
    assert.are.equal("plain", json.decode(result.out)[1])
    assert.are.same({ plain = 1, join = 1, ["many 1"] = 1, ["many 2"] = 1, big = 1, last = 1 }, here:counts())
  end)

  it("runs what follows from an output that was set", function()
    local here <close> = new {}
    local id = base(here)
    local result = here:ends(0, "fork", id, "--set", "nodes.join=other")
    assert.are.equal("other", json.decode(result.out)[1])
    assert.are.same({ ["many 1"] = 1, ["many 2"] = 1, big = 1, last = 1 }, here:counts())
  end)

  it("runs each item of a list again", function()
    local here <close> = new {}
    local id = base(here)
    here:ends(0, "fork", id, "--from", "many", "-q")
    assert.are.same({ ["many 1"] = 1, ["many 2"] = 1, last = 1 }, here:counts())
  end)

  it("forks a fork, and a run that failed", function()
    local here <close> = new {}
    local id = base(here)
    here:ends(0, "fork", id, "--from", "last", "-q")
    local second = here:ends(0, "fork", here:newest(), "--from", "last", "-i", "word=three")
    assert.are.equal("three", json.decode(second.out)[5])
    assert.are.same({ last = 2 }, here:counts())
    here:ends(1, "run", "items.lua", "-q")
    local failed = here:newest()
    os.remove(here.folder .. "/did")
    here:write("good", "")
    assert.are.same({ 10, 20, 30, 40, 50 }, json.decode(here:ends(0, "fork", failed).out))
    assert.are.same({ ["item 1"] = 1, ["item 2"] = 1, ["item 3"] = 1, ["item 4"] = 1, ["item 5"] = 1,
      after = 1 }, here:counts())
    assert.are.equal("failed", here:query("SELECT state FROM runs WHERE id = ?", failed)[1].state)
  end)

  it("names the nearest node", function()
    local here <close> = new {}
    local id = base(here)
    has(here:ends(2, "fork", id, "--from", "lst").err, 'did you mean "last"')
    has(here:ends(2, "fork", id, "--set", "nodes.jon=1").err, 'did you mean "join"')
    has(here:ends(2, "fork", id, "--set", "join=1").err, "expected nodes.NAME=VALUE")
    has(here:ends(2, "fork", id, "--set", "nodes.route=1").err, "goes one of several ways")
    has(here:ends(2, "fork", "eeee").err, "no run begins")
    assert.are.equal(1, here:query("SELECT count(*) AS n FROM runs")[1].n)
  end)

  it("may go on with today's code", function()
    local here <close> = new {}
    local id = base(here)
    here:write("route.lua", (ROUTE:gsub("#inputs%.big, ", "")))
    local result = here:ends(0, "fork", id, "--from", "last", "--with-current-code")
    assert.are.equal(4, #json.decode(result.out))
    assert.are.same({ last = 1 }, here:counts())
    here:write("route.lua", (ROUTE:gsub("w%.join =", "w.joint ="):gsub('"join"', '"joint"')
      :gsub("inputs%.join", "inputs.joint")))
    has(here:ends(2, "fork", id, "--from", "last", "--with-current-code").err, "route.lua")
  end)
end)

describe("--no-wait", function()
  it("leaves a retried and a forked run that only waits, to be resumed", function()
    local here <close> = place.new { ["paid.lua"] = PAID }
    here:ends(5, "run", "paid.lua", "--no-wait")
    local id = here:newest()
    here:ends(0, "signal", id, "payment")
    here:ends(1, "resume", id)
    here:write("good", "")
    has(here:ends(5, "retry", id, "--no-wait").err, "it waits for signal 'receipt': ")
    here:ends(5, "fork", id, "--from", "check", "--no-wait", "-q")
    assert.are_not.equal(id, here:newest())
    assert.are.same({ check = 3 }, here:counts())
    for _, one in ipairs { id, here:newest() } do
      here:ends(0, "signal", one, "receipt")
      assert.are.equal("thank you", json.decode(here:ends(0, "resume", one).out))
    end
  end)
end)
