-- Attempts of a strict run that start before their own record is on disk: which do, how far they
-- run ahead, and when none does. Another program keeps the store locked meanwhile, so that no
-- commit is made, or a file of the store is moved away.
local flow = require "orrery"
local place = require "spec.support.place"
local uv = require "luv"

local WAIT = 0.3 -- seconds in which what must not come has time to come

local function stage()
  local here = place.new()
  local self = { here = here, db = here.folder .. "/runs.db", ran = {} }
  self.rt = flow.runtime { store = "sqlite:" .. self.db }
  -- No commit is made until `unlock`.
  function self.lock()
    self.rt:sync()
    self.other = assert(io.popen(("sqlite3 %s"):format(self.db), "w"))
    self.other:write(".bail on\n.timeout 60000\nBEGIN IMMEDIATE;\n.shell touch ", here.folder, "/locked\n")
    self.other:flush()
    here:until_true(function() return io.open(here.folder .. "/locked") end, "the lock")
  end
  function self.unlock() assert(self.other:close()) end
  function self.begin(name)
    self.ran[#self.ran + 1] = name
    self.ran[name] = true
  end
  return setmetatable(self, { __close = function()
    self.rt:close()
    getmetatable(here).__close(here)
  end })
end

-- A workflow whose n nodes wait for one of two places, while a gate that is to open has the other.
local function lanes(self, n, work)
  local w = flow.workflow { name = "lanes", pools = { lanes = 2 } }
  local function handler(ctx)
    self.begin(ctx.node)
    if work then work(ctx) end
  end
  local function gate() flow.await(function(resume) self[#self + 1] = resume end) end
  w.gate_a = { pool = "lanes", run = gate }
  w.gate_b = { pool = "lanes", run = gate }
  for i = 1, n do w["n" .. i] = { pool = "lanes", run = handler } end
  return w, handler
end

local function start(self, w)
  local run = flow.start(w, { runtime = self.rt })
  self.here:until_true(function() return #self == 2 end, "the gates")
  return run
end

local function open(self)
  for i = 1, 2 do self[i]() end
end

describe("while no record reaches the disk", function()
  it("starts what waits for a place only, and nothing whose record counts", function()
    local self <close> = stage()
    local w, handler = lanes(self, 6)
    w.next = { after = "n1", pool = "lanes", run = handler }
    w.undone = { pool = "lanes", run = handler, compensate = function() end }
    local run = start(self, w)
    self.lock()
    open(self)
    self.here:until_true(function() return #self.ran >= 6 end, "what waits for a place")
    flow.sleep(WAIT)
    assert.equal(6, #self.ran)
    assert.is_nil(self.ran.next)
    assert.is_nil(self.ran.undone)
    self.unlock()
    self.rt:wait(run)
    assert.equal("completed", run.state)
    assert.equal(8, #self.ran)
  end)

  for what, extra in pairs {
    ["is asked whether it is wanted"] = { pool = "lanes", when = "true" },
    ["has a deadline"] = { pool = "lanes", deadline = "1h" },
    ["keeps its place"] = { pool = { name = "lanes", hold = true } },
  } do
    it("starts nothing that " .. what, function()
      local self <close> = stage()
      local w, handler = lanes(self, 0)
      extra.run = handler
      w.only = extra
      local run = start(self, w)
      self.lock()
      open(self)
      flow.sleep(WAIT)
      assert.equal(0, #self.ran)
      self.unlock()
      self.rt:wait(run)
      assert.equal(1, #self.ran)
    end)
  end

  it("runs ahead by a few attempts only", function()
    local self <close> = stage()
    local run = start(self, (lanes(self, 300)))
    self.lock()
    open(self)
    self.here:until_true(function() return #self.ran >= 20 end, "some attempts")
    flow.sleep(WAIT)
    local ahead = #self.ran
    assert.is_true(ahead <= 40, ahead .. " attempts began")
    self.unlock()
    self.rt:wait(run)
    assert.equal("completed", run.state)
    assert.equal(300, #self.ran)
  end)
end)

describe("starts nothing ahead of its record", function()
  -- Moves a file of the store away, opens the gates, and puts it back. How many began meanwhile.
  local function began_without(self, run, file, moment)
    self.rt:sync()
    assert(os.rename(file, file .. ".away"))
    open(self)
    flow.sleep(moment)
    local n = #self.ran
    assert(os.rename(file .. ".away", file))
    self.rt:wait(run)
    assert.equal("completed", run.state)
    return n
  end

  it("once the store cannot be written", function()
    local self <close> = stage()
    local run = start(self, (lanes(self, 40, function()
      flow.await(function(resume) -- it has its place meanwhile
        local timer = uv.new_timer()
        timer:start(50, 0, function()
          timer:close()
          resume()
        end)
      end)
    end)))
    local n = began_without(self, run, self.db, 0.6)
    assert.is_true(n < 10, n .. " attempts began")
    assert.equal(40, #self.ran)
  end)

  it("where its lock is not where others look for it", function()
    local self <close> = stage()
    local run = start(self, (lanes(self, 10)))
    assert.equal(0, began_without(self, run, self.db .. "-lock", WAIT))
    assert.equal(10, #self.ran)
  end)

  it("where its runs were taken by force", function()
    local here <close> = place.new { ["w.lua"] = [[
local flow, seen = require "orrery", require "spec.support.gates"
local w = flow.workflow { name = "taken", pools = { lanes = 2 } }
for i = 1, 2 do w["gate" .. i] = { pool = "lanes", run = seen.gate } end
for i = 1, 10 do w["n" .. i] = { pool = "lanes", run = function() seen.ran = seen.ran + 1 end } end
return w]] }
    local url, seen = "sqlite:" .. here.folder .. "/runs.db", require "spec.support.gates"
    local rt, other = flow.runtime { store = url }, flow.runtime { store = url }
    local run = flow.start(here.folder .. "/w.lua", { runtime = rt })
    here:until_true(function() return #seen == 2 end, "the gates")
    rt:sync()
    local taken = flow.resume(run.id, { runtime = other, force = true }) -- with gates of its own
    for i = 1, 2 do seen[i]() end
    rt:wait(run)
    assert.equal("ownership_lost", run.error.code)
    assert.equal(0, seen.ran)
    taken:cancel()
    other:wait(taken)
    rt:close()
    other:close()
  end)
end)
