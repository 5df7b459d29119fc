-- What runs leave behind, as people look for it: children under their parents, runs of dead
-- processes, items that failed, signals that come too late.
local json = require("orrery.core").json
local place = require "spec.support.place"

local has = place.has

local function lines_of(text)
  local lines = {}
  for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
  return lines
end

local function objects(text)
  local list = lines_of(text)
  for i, line in ipairs(list) do list[i] = json.decode(line) end
  return list
end

local PARENT = [[
local flow = require "orrery"
local w = flow.workflow { name = "parent" }
w.a = { each = "${input.depths}", each_failures = 1000, run = function(ctx) return ctx:call("child.lua", { n = ctx.item }) end }
return w]]

local CHILD = [[
local flow = require "orrery"
local w = flow.workflow { name = "child", output = "${nodes.x}" }
w.x = { run = function(ctx)
  if ctx.input.n > 1 then ctx:call("child.lua", { n = ctx.input.n - 1 }) end
  if ctx.input.n == 2 then error("two is not liked", 0) end
  return ctx.input.n
end }
return w]]

local function family() return place.new { ["parent.lua"] = PARENT, ["child.lua"] = CHILD } end

-- Each line of the table as its indentation and workflow.
local function outline(text)
  local rows = {}
  for i, line in ipairs(lines_of(text)) do
    local gap, name = line:match "^( *)[%x-]+ +(%l+) "
    if i > 1 then rows[#rows + 1] = gap and #gap .. name or line:match "^ *…" end
  end
  return rows
end

describe("runs", function()
  it("has children below their parents, each generation further in", function()
    local here <close> = family()
    here:ends(0, "run", "parent.lua", "-i", "depths:=[1,3]", "-q")
    here:ends(0, "run", "parent.lua", "-i", "depths:=[]", "-q")
    local two = outline(here:ends(0, "runs").out)
    assert.same({ "0parent", "0parent" }, { two[1], two[2] })
    table.sort(two)
    assert.same({ "0parent", "0parent", "2child", "2child", "4child", "6child" }, two)
    -- a child of the chosen stands below its parent only where that is chosen
    assert.same({ "0child", "2child" }, outline(here:ends(0, "runs", "--state", "failed").out))
    assert.same({ "0parent" }, outline(here:ends(0, "runs", "-n", "1").out))
    local ids, parents = {}, {}
    for _, row in ipairs(objects(here:ends(0, "runs", "--json").out)) do
      ids[row.id] = row.workflow
      if row.parent then parents[#parents + 1] = row.parent end
    end
    assert.equal(4, #parents)
    for _, id in ipairs(parents) do assert.is_truthy(ids[id]) end
  end)

  it("shows ten children of a run, and all with --limit 0", function()
    local here <close> = family()
    here:ends(0, "run", "parent.lua", "-i", "depths:=[1,1,1,1,1,1,1,1,1,1,1,1]", "-q")
    local some, all = here:ends(0, "runs"), here:ends(0, "runs", "--limit", "0")
    assert.equal(12, #outline(some.out))
    assert.equal("  …", outline(some.out)[12])
    has(some.err, "… stands for further children; all with --limit 0")
    assert.equal(13, #outline(all.out))
    assert.equal("", all.err)
  end)
end)

local WAITS = [[
local flow = require "orrery"
local w = flow.workflow { name = "waits" }
w.a = flow.wait { signal = "go", timeout = tonumber(os.getenv "GO") or "1h", on_timeout = "continue" }
w.b = { after = "a", run = function(ctx)
  io.open("did", "a"):write("b\n"):close()
  return ctx:wait "end"
end }
return w]]

describe("a run that only waits", function()
  it("is interrupted where its process was killed, and not where it was let go", function()
    local here <close> = place.new { ["waits.lua"] = WAITS }
    here:ends(5, "run", "waits.lua", "--no-wait")
    assert.equal("", here:ends(0, "runs", "--state", "interrupted").out)
    has(here:ends(0, "runs").out, " waiting ")
    local process = here:start({ "run", "waits.lua" }, { GO = "0.01" })
    here:until_did "b"
    local id = here:newest()
    here:until_true(function()
      return here:query("SELECT state FROM runs WHERE id = ?", id)[1].state == "waiting"
    end)
    assert.equal("", here:ends(0, "runs", "--state", "interrupted").out)
    process.handle:kill "sigkill"
    here:finish(process)
    local rows = objects(here:ends(0, "runs", "--state", "interrupted", "--json").out)
    assert.same({ id }, { rows[1].id, rows[2] and rows[2].id })
    has(here:ends(0, "runs", "--state", "interrupted").out, " interrupted ")
    has(here:ends(0, "show", id).out, "waits interrupted  " .. id)
  end)
end)

describe("a signal", function()
  it("that comes after its wait says so, with exit code 1, and is kept", function()
    local here <close> = place.new { ["waits.lua"] = WAITS }
    local process = here:start({ "run", "waits.lua" }, { GO = "0.01" })
    here:until_did "b"
    local id = here:newest()
    local late = here:ends(1, "signal", id, "go")
    has(late.err, "it comes too late: node a waited for 'go', and the time for it has passed since ")
    has(late.out, "signal go was left for run " .. id)
    assert.is_true(json.decode(here:ends(1, "signal", id, "go", "--json").out).late)
    has(here:ends(0, "signal", id, "other").err, "no node waits for 'other' now")
    assert.is_false(json.decode(here:ends(0, "signal", id, "end", "--json").out).late)
    assert.equal(0, here:finish(process).code)
    has(here:ends(1, "signal", id, "end").err, "has ended: it is completed, and takes no signal")
  end)
end)

describe("why of a run", function()
  it("says of nodes that a failure skipped which node failed, however far before them", function()
    local here <close> = place.new { ["chain.lua"] = [[
local flow = require "orrery"
local w = flow.workflow { name = "chain" }
w.a = { run = function() error("it broke", 0) end }
w.b = { after = "a", run = function() end }
w.c = { after = "b", run = function() end }
w.d = { after = "c", run = function() end }
return w]] }
    for _, text in ipairs { here:ends(1, "run", "chain.lua", "-q").err, here:ends(0, "show").out,
      here:ends(0, "why").out } do
      has(text, "a failed, which c depends on")
      assert.is_nil(text:find("something before it", 1, true), text)
    end
    local d = json.decode(here:ends(0, "why", "@last", "d", "--json").out)
    assert.matches("orrery why %S+ a$", d.remedy)
  end)

  it("says of a node that was skipped with another what is enough for it to run", function()
    local here <close> = place.new { ["when.lua"] = [[
local flow = require "orrery"
local w = flow.workflow { name = "when" }
w.a = { when = false, run = function() end }
w.b = { after = "a", run = function() end }
return w]] }
    here:ends(0, "run", "when.lua", "-q")
    has(here:ends(0, "why").out, 'see why of that: orrery why ' .. here:newest():sub(1, 8)
      .. ' a; under join = "all" one node in its `after` that completes is enough\n')
  end)

  it("names the child run that a node waits for", function()
    local here <close> = place.new { ["slow.lua"] = [[
local flow = require "orrery"
local child = flow.workflow { name = "kid" }
child.s = flow.wait { signal = "go" }
local w = flow.workflow { name = "slow" }
w.a = { run = function(ctx) return ctx:call(child) end }
return w]] }
    here:ends(5, "run", "slow.lua", "-q", "--no-wait")
    local kid = here:query("SELECT id FROM runs WHERE parent IS NOT NULL")[1].id
    local text = here:ends(0, "why").out
    has(text, "a waits for its child run of kid; nobody runs its run now\n")
    has(here:ends(0, "show").out, "waits for its child run of kid")
    has(here:ends(0, "why", kid).out, "s waits for signal 'go'")
    local process = here:start { "resume" }
    here:until_true(function() -- the owner has said that it waits to be woken
      return here:query("SELECT why FROM nodes WHERE node = 'a'")[1].why
    end)
    assert.equal("a waits for its child run of kid\n  see why of that: orrery why " .. kid .. "\n",
      here:ends(0, "why").out)
    here:ends(0, "signal", kid, "go")
    assert.equal(0, here:finish(process).code)
  end)

  it("tells of items that failed, the first ten of a node, and all in JSON", function()
    local here <close> = family()
    here:ends(0, "run", "parent.lua", "-i", "depths:=[1,2,1]", "-q")
    local text = here:ends(0, "why").out
    has(text, "a[2] failed: workflow child failed: two is not liked")
    assert.equal(3, #lines_of(text), text) -- with the node, and what to do
    here:ends(0, "run", "parent.lua", "-i", "depths:=[2,2,2,2,2,2,2,2,2,2,2,2]", "-q")
    text = here:ends(0, "why").out
    assert.equal(13, #lines_of(text), text)
    has(text, "\nand 2 further items of a\n")
    assert.equal(13, #objects(here:ends(0, "why", "@last", "--json").out))
  end)
end)
