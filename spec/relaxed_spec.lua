-- What a relaxed run promises: at most the last 50 ms or 4 MiB are lost, a key is a key, and its
-- end is on disk. The disk is taken away by renaming the store's file: no commit is made then.
local flow = require "orrery"
local place = require "spec.support.place"

local WAIT = 0.4 -- seconds in which what must not come has time to come

local function stage()
  local here = place.new()
  local self = { here = here, db = here.folder .. "/runs.db" }
  self.rt = flow.runtime { store = "sqlite:" .. self.db, durability = "relaxed" }
  function self.away()
    self.rt:sync()
    assert(os.rename(self.db, here.folder .. "/away.db"))
  end
  function self.back() assert(os.rename(here.folder .. "/away.db", self.db)) end
  return setmetatable(self, { __close = function()
    self.rt:close()
    getmetatable(here).__close(here)
  end })
end

-- A chain of n nodes that wait for the first gate to open; counts those that ran.
local function chain(n, each)
  local ran = { n = 0 }
  local w = flow.workflow { name = "chain" }
  w.n0 = { run = function() flow.await(function(resume) ran.go = resume end) end }
  for i = 1, n do
    w["n" .. i] = { after = "n" .. i - 1, run = function(ctx)
      ran.n = ran.n + 1
      return each(ctx)
    end }
  end
  return w, ran
end

describe("a relaxed run whose records do not reach the disk", function()
  it("does nothing more after 50 ms, while the loop goes on", function()
    local self <close> = stage()
    local w, ran = chain(400, function(ctx) ctx:sleep "2ms" end)
    local run = flow.start(w, { runtime = self.rt })
    self.here:until_true(function() return ran.go end, "the start")
    self.away()
    ran.go()
    flow.sleep(WAIT)
    local held = ran.n
    assert.is_true(held < 60, held .. " nodes ran")
    flow.sleep(0.05)
    assert.equal(held, ran.n)
    self.back()
    self.rt:wait(run)
    assert.equal("completed", run.state)
    assert.equal(400, ran.n)
  end)

  it("holds the steps of a handler as well", function()
    local self <close> = stage()
    local steps = 0
    local w, ran = chain(1, function(ctx)
      for _ = 1, 400 do
        ctx:step("s", function() steps = steps + 1 end)
        ctx:sleep "2ms"
      end
    end)
    local run = flow.start(w, { runtime = self.rt })
    self.here:until_true(function() return ran.go end, "the start")
    self.away()
    ran.go()
    flow.sleep(WAIT)
    assert.is_true(steps > 0 and steps < 60, steps .. " steps were done")
    self.back()
    self.rt:wait(run)
    assert.equal(400, steps)
  end)

  it("does nothing more after 4 MiB", function()
    local self <close> = stage()
    local w, ran = chain(40, function() return ("x"):rep(500000) end)
    local run = flow.start(w, { runtime = self.rt })
    self.here:until_true(function() return ran.go end, "the start")
    self.away()
    ran.go()
    flow.sleep(0.03)
    assert.is_true(ran.n <= 10, ran.n .. " nodes ran")
    self.back()
    self.rt:wait(run)
    assert.equal("completed", run.state)
  end)

  it("has not ended", function()
    local self <close> = stage()
    local w, ran = chain(0)
    local run = flow.start(w, { runtime = self.rt })
    self.here:until_true(function() return ran.go end, "the start")
    self.away()
    ran.go()
    local ended = false
    self.rt:on(function(event) ended = ended or event.event == "run_completed" end)
    flow.sleep(WAIT)
    assert.is_false(ended)
    self.back()
    self.rt:wait(run)
    self.here:until_true(function() return ended end, "the end")
  end)
end)

for _, mode in ipairs { "relaxed", "none" } do
describe(("of many processes that start a run, durability %s, with the same"):format(mode), function()
  local text = [[
local flow = require "orrery"
local w = flow.workflow { name = "charge" }
w.only = { run = function()
  local f = assert(io.open("did", "a"))
  f:write "charged\n"
  f:close()
end }
return w]]

  local function race(option, value)
    local here <close> = place.new { ["w.lua"] = text }
    local line = "cd %s && for i in 1 2 3 4 5 6 7 8; do %s run w.lua -q --store sqlite:r.db "
      .. "--durability %s %s %s >/dev/null 2>&1 & done; wait"
    line = line:format(here.folder, place.orrery_path, mode, option, value)
    assert(os.execute(line))
    return #here:did()
  end

  it("key only one acts", function() assert.equal(1, race("--key", "k")) end)

  it("id only one acts", function()
    assert.equal(1, race("--id", "01a00000-0000-7000-8000-0000000000aa"))
  end)
end)
end

it("without a name a run of durability none is not in the store", function()
  local here <close> = place.new { ["w.lua"] = "local w = require 'orrery'.workflow { name = 'w' }\n"
    .. "w.a = { run = function() return 1 end }\nreturn w" }
  assert(os.execute(("cd %s && %s run w.lua -q --store sqlite:r.db --durability none >/dev/null"):format(
    here.folder, place.orrery_path)))
  local line = ("cd %s && %s runs --json --store r.db"):format(here.folder, place.orrery_path)
  local out = assert(io.popen(line)):read "a"
  assert.equal("", out)
end)

describe("a relaxed run that was taken by force from a stopped process", function()
  local text = [[
local flow = require "orrery"
local w = flow.workflow { name = "taken" }
local function did(what)
  local f <close> = assert(io.open("did", "a"))
  f:write(what, "\n")
end
w.first = { run = function()
  did "first"
  while not io.open "go" do flow.sleep "10ms" end
end }
w.second = { after = "first", run = function() did "second" end }
return w]]

  it("does nothing more in that process when it wakes up", function()
    local here <close> = place.new { ["w.lua"] = text }
    local stopped = here:start { "run", "w.lua", "-q", "--durability", "relaxed" }
    here:until_did "first"
    here:until_true(function() return #here:query "SELECT 1 FROM runs" == 1 end, "the run in the store")
    here:stop(stopped)
    here:write("go", "")
    here:ends(0, "resume", here:newest(), "--force", "-q")
    assert.equal(1, here:counts().second)
    stopped.handle:kill "sigcont"
    assert.not_equal(0, here:finish(stopped).code)
    assert.equal(1, here:counts().second)
  end)
end)
