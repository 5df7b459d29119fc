-- Child runs whose process ended while their caller was being given up: they are cancelled, undone and cleaned up as if it had not.
local place = require "spec.support.place"

local FILE = [[
local flow = require "orrery"
local function did(what)
  local file <close> = io.open("did", "a")
  file:write(what, "\n")
end
local grandchild = flow.workflow { name = "grandchild", output = "${nodes.x}" }
grandchild.x = { run = function(ctx) did "x" ctx:sleep(30) end, compensate = function() did "undo x" end }
grandchild.clean = { after = "x", join = "done", run = function(ctx) did "clean" ctx:sleep(0.3) did "cleaned" end }
local child = flow.workflow { name = "child", output = "${nodes.y}" }
child.y = { run = function(ctx) return ctx:call(grandchild) end, compensate = function(ctx) did("undo y " .. tostring(ctx.uncertain)) end }
local w = flow.workflow { name = "w", OPTIONS }
w.n = { KEYS run = function(ctx) return BODY end }
return w
]]

local CALL = "ctx:call(child)"

local ways = {
  { "the run is cancelled", code = 3, cancel = true },
  { "the run's time is over", code = 4, options = "timeout = '300ms'" },
  { "the node's time is over", code = 1, keys = "deadline = '300ms'," },
  { "the attempt's time is over", code = 1, keys = "timeout = '300ms',",
    body = "flow.gather { function() return ctx:call(child) end, function() flow.await(function() end) end }" },
  { "another strand fails", code = 1,
    body = "flow.gather { function() return ctx:call(child) end, function() ctx:sleep(0.2) error 'no' end }" },
}

local function states(here)
  local found = {}
  for i, row in ipairs(here:query "SELECT workflow || ' ' || state AS text FROM runs ORDER BY number") do found[i] = row.text end
  return found
end

-- Begins the run and kills its process while the grandchild cleans up; the run's id.
local function killed(here, way)
  here:write("w.lua", (FILE:gsub("OPTIONS", way.options or ""):gsub("KEYS", way.keys or ""):gsub("BODY", way.body or CALL)))
  local process = here:start { "run", "w.lua", "-q" }
  here:until_did "x"
  local id = here:query("SELECT id FROM runs WHERE parent IS NULL")[1].id
  if way.cancel then here:ends(0, "cancel", id) end
  here:until_did "clean"
  process.handle:kill "sigkill"
  here:finish(process)
  return id
end

describe("a child run that its process left", function()
  for _, way in ipairs(ways) do
    it("is undone and cleaned up with its caller where " .. way[1], function()
      local here <close> = place.new()
      local id = killed(here, way)
      here:ends(way.code, "resume", id, "-q")
      assert.are.same({ x = 1, ["undo x"] = 1, clean = 2, cleaned = 1, ["undo y true"] = 1 }, here:counts())
      local states_now = states(here)
      assert.are.same({ "child compensated", "grandchild compensated" }, { states_now[2], states_now[3] })
      assert.are.equal(way.code == 3 and "w cancelled" or "w failed", states_now[1])
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
  ctx:sleep(0.2)
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
  if ctx.input == 3 then ctx:sleep(0.2) end
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
      assert.are.equal('[1,"child_failed",3]', (here:ends(0, "resume", id, "-q").out:gsub("%s", "")))
      assert.are.same({ ["child 1"] = 1, ["child 2"] = 1, ["child 3"] = 2 }, here:counts())
    end
  end)

  it("is taken up later where its caller has ended without it", function()
    local here <close> = place.new()
    local id = killed(here, ways[1])
    local process = here:start { "resume", id, "-q" }
    here:until_true(function() return here:counts().clean == 2 end, "the second cleanup")
    here:until_true(function() return states(here)[1] == "w cancelled" end, "the end of the caller")
    process.handle:kill "sigkill"
    here:finish(process)
    here:ends(1, "resume", "-q") -- that they did not complete is told
    assert.are.same({ "w cancelled", "child compensated", "grandchild compensated" }, states(here))
    assert.are.same({ x = 1, ["undo x"] = 1, clean = 3, cleaned = 1, ["undo y true"] = 1 }, here:counts())
    here:ends(0, "resume", "-q")
  end)
end)
