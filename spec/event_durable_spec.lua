-- When events are reported: those of a strict run when their records are on disk, others at once.
-- The disk is taken away by renaming the store's file: nobody finds it, and no commit is made.
local flow = require "orrery"
local place = require "spec.support.place"

local WAIT = 0.15 -- seconds in which what must not come has time to come

-- A runtime whose events are written down as "name node", and a way to take its disk away.
local function stage(durability)
  local here = place.new()
  local rt = flow.runtime { store = "sqlite:" .. here.folder .. "/runs.db", durability = durability }
  local self = { here = here, rt = rt, reported = {}, gates = {} }
  rt:on(function(event)
    if event.event == "log" then return end
    self.reported[#self.reported + 1] = event.event .. (event.node and " " .. event.node or "")
  end)
  function self.away()
    rt:sync()
    flow.sleep(0.05) -- what is on disk has been reported
    self.reported = {}
    assert(os.rename(here.folder .. "/runs.db", here.folder .. "/away.db"))
  end
  function self.back() assert(os.rename(here.folder .. "/away.db", here.folder .. "/runs.db")) end
  return setmetatable(self, { __close = function()
    rt:close()
    getmetatable(here).__close(here)
  end })
end

local function count(list, name)
  local n = 0
  for _, text in ipairs(list) do n = n + (text == name and 1 or 0) end
  return n
end

-- Starts a run of two nodes, of which the first, named so, goes on when its gate is opened.
local function start(self, name, durability)
  local w = flow.workflow { name = name, output = "${nodes." .. name .. "}" }
  w[name] = { retry = { max = 1, delay = 0, jitter = "none" }, run = function(ctx)
    flow.await(function(resume) self.gates[name] = resume end)
    if ctx.attempt == 1 and name == "retried" then error "once" end
    return name
  end }
  w[name .. "_next"] = { after = name, run = function() end }
  local run = flow.start(w, { runtime = self.rt, durability = durability })
  self.here:until_true(function() return self.gates[name] end, "the start of " .. name)
  self.rt:store():rows "workflows_paused" -- who has asked once can ask without the name of the file
  return run
end

describe("an event of a strict run", function()
  it("is reported when its record is on disk", function()
    local self <close> = stage "strict"
    local run = start(self, "a")
    self.away()
    self.gates.a()
    flow.sleep(WAIT)
    assert.same({}, self.reported)
    self.back()
    self.rt:wait(run)
    self.here:until_true(function() return count(self.reported, "run_completed") == 1 end, "the end")
    assert.same({ "layer_completed", "node_completed a", "node_ready a_next", "node_started a_next",
      "layer_completed",
      "node_completed a_next", "run_completed" }, self.reported)
  end)

  it("that ends an attempt is no exception", function()
    local self <close> = stage "strict"
    local run = start(self, "retried")
    self.away()
    self.gates.retried()
    flow.sleep(WAIT)
    assert.same({}, self.reported)
    self.back()
    self.here:until_true(function() return count(self.reported, "node_started retried") == 1 end,
      "another attempt")
    assert.equal("node_retrying retried", self.reported[1])
    self.gates.retried()
    self.rt:wait(run)
  end)

  it("nor is its start, or that it is cancelled", function()
    local self <close> = stage "strict"
    local run = start(self, "a")
    self.away()
    run:cancel()
    local w = flow.workflow { name = "other" }
    w.only = { run = function() end }
    local other = flow.start(w, { runtime = self.rt })
    flow.sleep(WAIT)
    assert.same({}, self.reported)
    self.back()
    self.rt:wait(run)
    self.rt:wait(other)
    assert.equal("run_stopping", self.reported[1])
    self.here:until_true(function() return count(self.reported, "run_completed") == 1 end,
      "the end of the other")
    assert.equal(1, count(self.reported, "run_cancelled"))
    assert.equal(1, count(self.reported, "run_started"))
  end)
end)

describe("an event of another run", function()
  for _, durability in ipairs { "relaxed", "none" } do
    it("is reported without the disk where it is " .. durability, function()
      local self <close> = stage(durability)
      local run = start(self, "a")
      self.away()
      self.gates.a()
      self.here:until_true(function() return count(self.reported, "node_completed a_next") == 1 end,
        "the end of the nodes")
      assert.same({ "layer_completed", "node_completed a" }, { self.reported[1], self.reported[2] })
      self.back()
      self.rt:wait(run)
      self.here:until_true(function() return count(self.reported, "run_completed") == 1 end, "the end")
    end)
  end

  it("comes after those that happened before it", function()
    local self <close> = stage "strict"
    local strict, relaxed = start(self, "strict"), start(self, "relaxed", "relaxed")
    self.away()
    self.gates.strict()
    flow.sleep(0.05)
    self.gates.relaxed()
    flow.sleep(WAIT)
    assert.same({}, self.reported)
    self.back()
    self.rt:wait(strict)
    self.rt:wait(relaxed)
    self.here:until_true(function() return count(self.reported, "run_completed") == 2 end, "both ends")
    assert.same({ "layer_completed", "node_completed strict" }, { self.reported[1], self.reported[2] })
    assert.equal(1, count(self.reported, "node_completed relaxed"))
  end)
end)
