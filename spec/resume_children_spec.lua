-- Child runs whose process ended while their caller was being given up: they are cancelled, undone
-- and cleaned up as if it had not. What a process is to be killed in waits for a file, so that the
-- test says when it ends.
local flow = require "orrery"
local patience = require "spec.support.patience"
local place = require "spec.support.place"

local FILE = [[
local flow = require "orrery"
local function did(what)
  local file <close> = io.open("did", "a")
  file:write(what, "\n")
end
local function await(name) while not io.open(name) do flow.sleep "10ms" end end
local grandchild = flow.workflow { name = "grandchild", output = "${nodes.x}", cleanup_timeout = "1h" }
grandchild.x = { run = function(ctx) did "x" ctx:sleep "1h" end, compensate = function() did "undo x" end }
grandchild.clean = { after = "x", join = "done", run = function() did "clean" await "go" did "cleaned" end }
local child = flow.workflow { name = "child", output = "${nodes.y}" }
child.y = { run = function(ctx) return ctx:call(grandchild) end, compensate = function(ctx) did("undo y " .. tostring(ctx.uncertain)) end }
local w = flow.workflow { name = "w", OPTIONS }
w.n = { KEYS run = function(ctx) return BODY end }
return w
]]

local CALL = "ctx:call(child)"

local ways = {
  { "the run is cancelled", code = 3, cancel = true },
  { "the run's time is over", code = 4, options = "timeout = SECONDS" },
  { "the node's time is over", code = 1, keys = "deadline = SECONDS," },
  { "the attempt's time is over", code = 1, keys = "timeout = SECONDS,",
    body = "flow.gather { function() return ctx:call(child) end, "
      .. "function() flow.await(function() end) end }" },
  { "another strand fails", code = 1, file = "fail",
    body = "flow.gather { function() return ctx:call(child) end, function() await 'fail' error 'no' end }" },
}

local function states(here)
  local found = {}
  for i, row in ipairs(here:query "SELECT workflow || ' ' || state AS text FROM runs ORDER BY number") do
    found[i] = row.text
  end
  return found
end

-- Begins the run and kills its process while the grandchild cleans up; the run's id, none where the
-- time was over before the grandchild had begun.
local function kill_in_cleanup(here, way, seconds)
  here:write("w.lua", (FILE:gsub("OPTIONS", way.options or ""):gsub("KEYS", way.keys or "")
    :gsub("BODY", way.body or CALL):gsub("SECONDS", seconds)))
  local process = here:start { "run", "w.lua", "-q" }
  here:until_true(function() return process.code or here:did()[1] end, "the grandchild")
  local in_time = here:did()[1] == "x"
  local id = in_time and here:query("SELECT id FROM runs WHERE parent IS NULL")[1].id
  if in_time then
    if way.cancel then here:ends(0, "cancel", id) end
    if way.file then here:write(way.file, "") end
    here:until_did "clean"
  end
  if not process.code then process.handle:kill "sigkill" end
  here:finish(process)
  return id
end

-- Calls `goes_on(here, id)` with what was killed so.
local function killed(way, goes_on)
  patience.with(0.3, function(seconds)
    local here <close> = place.new()
    local id = kill_in_cleanup(here, way, seconds)
    if not id then return false, here:read "1.err" end
    goes_on(here, id)
    return true
  end)
end

describe("a child run that its process left", function()
  for _, way in ipairs(ways) do
    it("is undone and cleaned up with its caller where " .. way[1], function()
      killed(way, function(here, id)
        here:write("go", "")
        here:ends(way.code, "resume", id, "-q")
        assert.are.same({ x = 1, ["undo x"] = 1, clean = 2, cleaned = 1, ["undo y true"] = 1 }, here:counts())
        local states_now = states(here)
        assert.are.same({ "child compensated", "grandchild compensated" }, { states_now[2], states_now[3] })
        assert.are.equal(way.code == 3 and "w cancelled" or "w failed", states_now[1])
      end)
    end)
  end

  it("goes on with the code it began with, a new one with today's", function()
    local here <close> = place.new()
    local CHILD = [[
local flow = require "orrery"
local w = flow.workflow { name = "c", output = "${nodes.last}" }
w.NAME = { run = function(ctx)
  local file <close> = io.open("did", "a")
  file:write "NAME\n"
  file:flush()
  while not io.open "go" do flow.sleep "10ms" end
  return "NAME"
end }
w.last = { after = "NAME", run = function(_, inputs) return inputs.NAME end }
return w]]
    here:write("child.lua", (CHILD:gsub("NAME", "old")))
    here:write("w.lua", [[
local flow = require "orrery"
local w = flow.workflow { name = "w", output = "${nodes.n}" }
w.n = { run = function(ctx) return { ctx:call "child.lua", (ctx:call "child.lua") } end }
return w]])
    local process = here:start { "run", "w.lua", "-q" }
    here:until_did "old"
    local id = here:query("SELECT id FROM runs WHERE parent IS NULL")[1].id
    process.handle:kill "sigkill"
    here:finish(process)
    here:write("child.lua", (CHILD:gsub("NAME", "new")))
    here:write("go", "")
    assert.are.equal('["old","new"]', (here:ends(0, "resume", id, "-q").out:gsub("%s", "")))
    assert.are.same({ old = 2, new = 1 }, here:counts())
  end)

  it("is what was recorded of it, though its file is gone or holds another", function()
    for _, today in ipairs { "error 'gone'", [[
local flow = require "orrery"
local w = flow.workflow { name = "other" }
w.a = { run = function() end }
return w]] } do
      local here <close> = place.new()
      here:write("child.lua", [[
local flow = require "orrery"
local w = flow.workflow { name = "c", output = "${nodes.n}" }
w.n = { run = function(ctx)
  local file <close> = io.open("did", "a")
  file:write("child ", ctx.input, "\n")
  file:flush()
  while ctx.input == 3 and not io.open "go" do flow.sleep "10ms" end
  if ctx.input == 2 then flow.error { code = "no", message = "no" } end
  return ctx.input
end }
return w]])
      here:write("w.lua", [[
local flow = require "orrery"
local w = flow.workflow { name = "w", output = "${nodes.n}" }
w.n = { run = function(ctx)
  local one = ctx:call("child.lua", 1)
  local _, two = pcall(ctx.call, ctx, "child.lua", 2)
  return { one, two.code, (ctx:call("child.lua", 3)) }
end }
return w]])
      local process = here:start { "run", "w.lua", "-q" }
      here:until_did "child 3"
      local id = here:query("SELECT id FROM runs WHERE parent IS NULL")[1].id
      process.handle:kill "sigkill"
      here:finish(process)
      here:write("child.lua", today)
      here:write("go", "")
      assert.are.equal('[1,"child_failed",3]', (here:ends(0, "resume", id, "-q").out:gsub("%s", "")))
      assert.are.same({ ["child 1"] = 1, ["child 2"] = 1, ["child 3"] = 2 }, here:counts())
    end
  end)

  it("is resumed later where its caller has ended without it", function()
    killed(ways[1], function(here, id)
      local process = here:start { "resume", id, "-q" }
      here:until_true(function() return here:counts().clean == 2 end, "the second cleanup")
      here:until_true(function() return states(here)[1] == "w cancelled" end, "the end of the caller")
      here:until_true(function() return states(here)[2] == "child compensated" end, "the end of its child")
      process.handle:kill "sigkill"
      here:finish(process)
      here:write("go", "")
      here:ends(1, "resume", "-q") -- that they did not complete is reported
      assert.are.same({ "w cancelled", "child compensated", "grandchild compensated" }, states(here))
      assert.are.same({ x = 1, ["undo x"] = 1, ["undo y true"] = 1, clean = 3, cleaned = 1 }, here:counts())
      here:ends(0, "resume", "-q")
    end)
  end)
end)

local GATED = [[
local flow = require "orrery"
local function did(what)
  local file <close> = io.open("did", "a")
  file:write(what, "\n")
end
local child = flow.workflow { name = "child", output = "${nodes.c}" }
child.c = { run = function(ctx)
  did(("child %d"):format(require("luv").os_getpid()))
  while not io.open "go" do flow.sleep "10ms" end
  return 7
end }
local w = flow.workflow { name = "parent", output = "${nodes.call}" }
w.call = { run = function(ctx) return ctx:call(child) end }
return w
]]

describe("a caller whose child another process has resumed", function()
  -- Both are cut off; one process takes the child, another the caller.
  local function divided(here)
    here:write("w.lua", GATED)
    local first = here:start { "run", "w.lua", "-q" }
    here:until_did("child " .. first.pid)
    first.handle:kill "sigkill"
    here:finish(first)
    local child = here:query("SELECT id FROM runs WHERE parent IS NOT NULL")[1].id
    local caller = here:query("SELECT id FROM runs WHERE parent IS NULL")[1].id
    local one = here:start { "resume", child, "-q" }
    here:until_did("child " .. one.pid)
    local other = here:start { "resume", caller, "-q" }
    here:until_true(function()
      return #here:query("SELECT 1 FROM runs r JOIN owners o ON o.id = r.owner "
        .. "WHERE lost = 0 AND o.ended IS NULL") == 2
    end, "two owners")
    flow.sleep(0.3)
    assert.is_nil(other.code)
    return one, other
  end

  it("waits for it, and has its output", function()
    local here <close> = place.new()
    local one, other = divided(here)
    here:write("go", "")
    assert.equal(0, here:finish(one).code)
    local done = here:finish(other)
    assert.equal(0, done.code, done.err)
    assert.equal("7\n", done.out)
  end)

  it("goes on with it where that process dies", function()
    local here <close> = place.new()
    local one, other = divided(here)
    one.handle:kill "sigkill"
    here:until_did("child " .. other.pid)
    here:write("go", "")
    local done = here:finish(other)
    assert.equal(0, done.code, done.err)
    assert.equal("7\n", done.out)
  end)
end)
