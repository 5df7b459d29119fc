-- Items of nodes with `each` as people see them: their names, what they wait for, the errors of
-- those that may fail, and running those again.
local core = require "orrery.core"
local flow = require "orrery"
local place = require "spec.support.place"

local json, has = core.json, place.has

local function run_items(keys, options)
  local w = flow.workflow(options or {})
  keys.each = keys.each or { { name = "Oslo" }, { name = "Rome" }, { name = "Bern" } }
  keys.item_name = keys.item_name or "${item.name}"
  keys.run = keys.run or function(ctx) return ctx.item_name end
  w.fetch = keys
  return flow.run(w, { clock = "virtual", on_event = keys.on_event })
end

describe("item_name", function()
  it("names each item, by a template or a function", function()
    local r = run_items { run = function(ctx) return ctx.index .. " " .. ctx.item_name end }
    assert.same({ "1 Oslo", "2 Rome", "3 Bern" }, { table.unpack(r:outputs().fetch) })
    r = run_items { item_name = function(ctx) return ctx.item.name:lower() .. "-" .. ctx.index end }
    assert.same({ "oslo-1", "rome-2", "bern-3" }, { table.unpack(r:outputs().fetch) })
    r = run_items { each = flow.json.array {} }
    assert.equal("completed", r.state)
  end)

  it("is there for conditions, templates and outside of items", function()
    local w = flow.workflow { output = "${nodes.say}" }
    w.say = flow.const { each = { { n = "a" }, { n = "b" } }, item_name = "${item.n}",
      value = "I am ${item_name}" }
    w.none = { run = function(ctx) assert(ctx.item_name == nil) end }
    local r = flow.run(w, { clock = "virtual" })
    assert.same({ "I am a", "I am b" }, { table.unpack(r.output) })
    assert.equal("completed", r.state)
  end)

  it("has 1 to 128 printable bytes, is no number, and is no other item's", function()
    local function refused(name, ...)
      local r = run_items { each = { { name = "first" }, { name = name } } }
      assert.same({ "failed", "config_error" }, { r.state, r.error.code }, tostring(name))
      for _, part in ipairs { "item_name: of item 2 ", ... } do has(r.error.message, part) end
      assert.equal("fetch", r.error.node)
      assert.is_false(r.error.retryable)
    end
    refused("", "is empty")
    refused(("x"):rep(129), "longer than 128 bytes")
    for _, bad in ipairs { "a\nb", "a\0b", "\27[31m", "\x7f", "\u{9b}x", "\xff", "\xc3" } do
      refused(bad, "cannot be printed")
    end
    refused("42", "is a number")
    refused(42, "is a number")
    refused(nil, "is nothing")
    refused({ 1 }, "a text is expected")
    refused("first", "is 'first', as that of item 1 is")
    for _, good in ipairs { ("x"):rep(128), "a b", "Zürich", "1.5", "-1", "a]b[c" } do
      local r = run_items { each = { { name = good } } }
      assert.same({ "completed", good }, { r.state, r:outputs().fetch[1] })
    end
  end)

  it("is refused where it names nothing", function()
    local function problem(keys)
      local w = flow.workflow {}
      keys.run = function() end
      w.a = keys
      return flow.check(w)[1].message
    end
    has(problem { item_name = "${item}" }, "this node has none")
    has(problem { each = { 1 }, item_name = "all the same" },
      'item_name: expected a template like "${item.name}"')
    has(problem { each = { 1 }, item_name = 5 }, "item_name: expected a template")
    has(problem { each = { 1 }, item_name = "${item." }, "item_name: ")
  end)

  it("stands in events, in reasons and in what was undone", function()
    local named, w = {}, flow.workflow {}
    w.fetch = { each = { "a", "b" }, item_name = "n-${item}", run = function() end,
      compensate = function() end }
    w.fail = { after = "fetch", run = function() error "no" end }
    local r = flow.run(w, { clock = "virtual", on_event = function(e)
      if e.event == "node_completed" then named[#named + 1] = e.item_name or "whole" end
    end })
    assert.same({ "n-a", "n-b", "whole" }, named)
    assert.equal("settled", r:why("fetch", "n-b").kind)
    assert.has_error(function() r:why("fetch", "n-c") end, "no item of node fetch is called 'n-c'")
    assert.equal("n-b", r:compensations()[1].item_name)
  end)
end)

describe("errors of items", function()
  local function fails_at(bad, keys)
    local seen = {}
    local w = flow.workflow { on_error = keys.on_error }
    w.fetch = { each = { "Oslo", "Rome", "Bern" }, item_name = "${item}", each_failures = keys.allowed,
      each_on_failure = "continue", run = function(ctx)
        if not bad[ctx.item] then return end
        flow.error { code = "closed", message = "siesta in " .. ctx.item, details = { n = 1 } }
      end }
    w.tidy = { after = "fetch", join = "done", run = function(ctx)
      seen.error, seen.items, seen.state = ctx.errors.fetch, ctx:items "fetch", ctx.states.fetch
      seen.known = ctx:items "later"
    end }
    w.later = { after = "tidy", each = { 1 }, run = function() end }
    local r = flow.run(w, { clock = "virtual" })
    return seen, r
  end

  it("stay where they were allowed to fail", function()
    local seen, r = fails_at({ Rome = true, Bern = true }, { allowed = 2 })
    assert.same({ "completed", "completed" }, { r.state, seen.state })
    assert.same({ "items_failed", "fetch", 2 }, { seen.error.code, seen.error.node, #seen.error.items })
    assert.equal("2 of 3 items failed, which each_failures allows; the first is item 2 (Rome): "
      .. "siesta in Rome", seen.error.message)
    local bern = seen.error.items[2]
    assert.same({ 3, "Bern", "failed", "closed", 1 },
      { bern.index, bern.name, bern.state, bern.error.code, bern.error.details.n })
    assert.equal("items_failed", r:errors().fetch.code)
    assert.is_nil(r.error)
  end)

  it("stand with the error of the node that they failed, and none does where none failed", function()
    local seen, r = fails_at({ Rome = true }, { allowed = 0, on_error = "continue" })
    assert.same({ "failed", "each_failed", 1 }, { r.state, seen.error.code, #seen.error.items })
    assert.equal("siesta in Rome", seen.error.items[1].error.message)
    seen = fails_at({}, { allowed = 2 })
    assert.is_nil(seen.error)
  end)

  it("and their states are seen by what runs last", function()
    local seen, r = fails_at({ Rome = true }, { allowed = 0 })
    local states = {}
    for i, item in ipairs(seen.items) do
      states[i] = ("%d %s %s %s")
        :format(item.index, item.name, item.state, item.error and item.error.code or "-")
    end
    assert.same({ "1 Oslo completed -", "2 Rome failed closed", "3 Bern completed -" }, states)
    assert.is_nil(seen.known)
    assert.same({ "failed", "completed" }, { r:items("fetch")[2].state, r:items("fetch")[3].state })
    assert.has_error(function() r:items "nowhere" end, "no node is called nowhere")
  end)
end)

-- Rome fails until there is a file "good", and leaves a line whenever an item runs. What waits does
-- so for ever.
local CITIES = [[
local flow = require "orrery"
local function did(what)
  local file <close> = io.open("did", "a")
  file:write(what, "\n")
end
local w = flow.workflow { name = "cities", output = "${nodes.after}" }
w.list = { run = function() return { { name = "Oslo" }, { name = "Rome" }, { name = "Bern" }, { name = "Lima" } } end }
w.fetch = { each = "${nodes.list}", item_name = "${item.name}", each_failures = 2, each_parallel = PLACES,
  run = function(ctx)
    did(ctx.item_name)
    ctx:log("info", "reads " .. ctx.item_name)
    if ctx.item_name == "Rome" and not io.open "good" then
      flow.error { code = "closed", message = "it is siesta", retryable = false }
    end
    if WAITS then ctx:wait("go on", { timeout = "1h" }) end
    return ctx.index
  end }
w.after = { after = "fetch", run = function(ctx, inputs) did "after" return inputs.fetch end }
w.beside = { after = "list", run = function() did "beside" end }
return w
]]

local function cities(places, waits)
  local text = CITIES:gsub("PLACES", places):gsub("WAITS", tostring(waits))
  return place.new { ["cities.lua"] = text }
end

local function lines_of(here, ...) return here:ends(0, ...).out end

describe("in a store", function()
  it("items are shown by their names, and those without a place say so", function()
    local here <close> = cities("2", true)
    here:ends(5, "run", "cities.lua", "--no-wait", "-q")
    local id = here:newest()
    local text = lines_of(here, "show", id)
    has(text, "4 items: 1 failed, 1 waiting for one of 2 places, 2 waiting")
    has(text, "fetch[Bern]")
    local shown = json.decode(lines_of(here, "show", id, "--json"))
    local fetch
    for _, node in ipairs(shown.nodes) do fetch = node.name == "fetch" and node or fetch end
    local states = {}
    for i, item in ipairs(fetch.items) do states[i] = item.item .. item.item_name .. item.state end
    assert.same({ "1Oslowaiting", "2Romefailed", "3Bernwaiting", "4Limapending" }, states)
    assert.equal("Oslo", shown.steps[1].item_name)
    has(lines_of(here, "why", id, "fetch[Lima]"), "fetch[Lima] waits for a place among the items: 2 of 2")
    has(lines_of(here, "why", id, "fetch[4]"), "fetch[Lima] waits for a place among the items: 2 of 2")
    has(lines_of(here, "why", id, "fetch[Oslo]"), "fetch[Oslo] waits for signal 'go on'")
    has(lines_of(here, "why", id, "fetch[Rome]"), "fetch[Rome] failed: it is siesta [closed]")
    assert.equal("Rome", json.decode(lines_of(here, "why", id, "fetch[Rome]", "--json")).item_name)
    has(here:ends(2, "why", id, "fetch[Paris]").err, "has no item 'Paris'")
    has(here:ends(2, "why", id, "fetch[5]").err, "has no item 5")
    local logs = lines_of(here, "logs", id)
    has(logs, "fetch[Rome]  info: reads Rome")
    logs = lines_of(here, "logs", id, "--node", "fetch[Rome]")
    assert.equal(1, select(2, logs:gsub("\n", "\n")))
    assert.equal("Rome", json.decode(lines_of(here, "logs", id, "--node", "fetch[2]", "--json")).item_name)
    assert.equal("", lines_of(here, "logs", id, "--node", "fetch[Paris]"))
  end)

  it("names survive the process, as they were made", function()
    local here <close> = cities("4", true)
    here:ends(5, "run", "cities.lua", "--no-wait", "-q")
    local id = here:newest()
    for _ = 1, 3 do here:ends(0, "signal", id, "go on", "null") end
    local result = here:ends(0, "resume", id, "--json")
    local named = {}
    for line in result.out:gmatch "[^\n]+" do
      local e = json.decode(line)
      if e.event == "node_completed" and e.item then named[#named + 1] = e.item_name end
    end
    table.sort(named)
    assert.same({ "Bern", "Lima", "Oslo" }, named)
    local row = here:query "SELECT items, item_names FROM nodes WHERE node = 'fetch' AND item = 0"[1]
    assert.same({ 4, '["Oslo","Rome","Bern","Lima"]' }, { row.items, row.item_names })
  end)
end)

describe("the output of an item that failed", function()
  it("is null, and a handler that takes it for a table is told so", function()
    local here <close> = place.new { ["null.lua"] = [[
local flow = require "orrery"
local w = flow.workflow { name = "null" }
w.a = { each = { 1, 2 }, each_failures = 1, run = function(ctx) return ctx.index == 1 and { 5 } or error "no" end }
w.b = { after = "a", run = function(_, inputs) return inputs.a[1][1] + inputs.a[2][1] end }
return w]] }
    has(here:ends(1, "run", "null.lua", "-q").err,
      "try: a null, such as the output of an item that failed, is flow.json.null")
  end)
end)

describe("orrery retry --items", function()
  it("runs the items again that were allowed to fail, of a run that completed, and what follows", function()
    local here <close> = cities("2", false)
    has(here:ends(0, "run", "cities.lua").err, "4 completed, 1 item failed")
    local id = here:newest()
    has(here:ends(2, "retry", id).err, "--items")
    local text = lines_of(here, "show", id)
    has(text, "node fetch[Rome] failed: it is siesta [closed]")
    has(text, "orrery retry --items " .. id:sub(1, 8))
    text = lines_of(here, "why", id)
    has(text, "fetch completed in")
    has(text, "without 1 of 4 items, which failed\n")
    has(text, "orrery retry --items " .. id:sub(1, 8))
    has(text, "fetch[Rome] failed: it is siesta [closed]\n")
    assert.equal(1, select(2, text:gsub("it is siesta", ""))) -- each item is told of once
    has(lines_of(here, "why", id, "fetch"),
      "without 1 of 4 items, which failed: fetch[Rome]: it is siesta\n")
    local told = json.decode(here:ends(0, "why", id, "--json").out:match "[^\n]*\n([^\n]+)")
    assert.same({ "Rome", 2 }, { told.item_name, told.item })
    here:write("good", "")
    local result = here:ends(0, "retry", "--items", id)
    assert.same({ 1, 2, 3, 4 }, json.decode(result.out))
    assert.same({ Oslo = 1, Rome = 2, Bern = 1, Lima = 1, after = 2, beside = 1 }, here:counts())
    assert.equal("completed", here:query("SELECT state FROM runs")[1].state)
    assert.equal(0, here:query("SELECT count(*) AS n FROM nodes WHERE state <> 'completed'")[1].n)
    has(here:ends(2, "retry", "--items", id).err, "no item of it failed")
    assert.same({ 1, 2, 3, 4 }, json.decode(here:query("SELECT output FROM runs")[1].output))
  end)

  it("finds what was done before in a journal that was retried so, and goes on with it", function()
    local here <close> = cities("2", "(io.open 'good' and ctx.index == 2)")
    here:ends(0, "run", "cities.lua", "-q")
    local id = here:newest()
    here:write("good", "")
    here:ends(5, "retry", "--items", "--no-wait", "-q") -- the newest
    local text = lines_of(here, "show", id)
    has(text, "4 items: 1 waiting, 3 completed")
    assert.is_nil(text:find("interrupted", 1, true))
    has(lines_of(here, "why", id, "fetch"), "fetch has 3 of 4 items done; nobody runs its run now")
    here:ends(0, "signal", id, "go on", "null")
    assert.same({ 1, 2, 3, 4 }, json.decode(here:ends(0, "resume", id).out))
    assert.same({ Oslo = 1, Bern = 1, Lima = 1 },
      { Oslo = here:counts().Oslo, Bern = here:counts().Bern, Lima = here:counts().Lima })
  end)

  it("says which may be, for many", function()
    local here <close> = cities("2", false)
    for _ = 1, 3 do here:ends(0, "run", "cities.lua", "-q") end
    here:write("good", "")
    here:ends(0, "run", "cities.lua", "-q") -- none of its items failed
    local id = here:newest()
    has(here:ends(0, "retry", "--workflow", "cities").err, "nothing to retry")
    has(here:ends(0, "retry", "--items", "--workflow", "cities").err, "3 runs retried")
    assert.equal(3, here:query("SELECT count(*) AS n FROM attempts WHERE item = 2 AND attempt = 2")[1].n)
    has(here:ends(2, "retry", "--items", id).err, "no item of it failed")
  end)

  it("gives items that wait for a place their state back", function()
    local here <close> = place.new { ["f.lua"] = [[
local flow = require "orrery"
local w = flow.workflow { name = "f" }
w.fetch = { each = { 1, 2, 3, 4 }, each_parallel = 1, each_failures = 4, run = function(ctx)
  if not io.open "good" then flow.error { code = "x", message = "x" } end
  ctx:wait "go on"
end }
return w
]] }
    here:ends(0, "run", "f.lua", "-q")
    here:write("good", "")
    here:ends(5, "retry", "--items", "--no-wait", "-q")
    has(lines_of(here, "show"), "4 items: 1 waiting, 3 waiting for one of 1 place")
    local rows = here:query "SELECT state FROM nodes WHERE item > 0 ORDER BY item"
    for i, state in ipairs { "waiting", "pending", "pending", "pending" } do
      assert.equal(state, rows[i].state)
    end
  end)
end)
