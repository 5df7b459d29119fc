--- Who meddles with a run from outside: cancels, pauses, signals, and clocks that are set. They are
--- a workflow of their own on the runtime of the run, so that they wait by the same clock.
local core = require "orrery.core"
local simulated = require "orrery.simulated"

local outside = { methods = {} }

local YEAR = 365 * 86400

-- When somebody looks for signals that the run waits for, and sends those: whoever has to, does it
-- at last. The last two come after what a signal that is held back has to wait for.
local ANSWERS = { 1, 60, 3600, 86400, 30 * 86400, 2 * YEAR, 3 * YEAR, 4 * YEAR }
local HELD_BACK = 2 * YEAR -- until then a signal that is held back does not come
local GIVE_UP = 5 * YEAR
local STALLED_TURNS = 6 -- of the loop, for which a commit that stalls is under way
local SOON = 0.001 -- until somebody looks again whether there is the run

local function answers()
  local acts = {}
  for i, at in ipairs(ANSWERS) do acts[i] = { at = at, act = "answer" } end
  acts[#acts + 1] = { at = GIVE_UP, act = "give_up" }
  return acts
end

--- What happens from outside, in the order of time.
---@param faults orrery.sim.Fault[]
---@return table[]
function outside.acts(faults)
  local acts = answers()
  for _, fault in ipairs(faults) do
    if fault.act then
      acts[#acts + 1] = { at = fault.at, act = fault.act, fault = fault }
      if fault.act == "pause" then
        acts[#acts + 1] = { at = fault.at + fault.by, act = "resume", fault = fault }
      end
    end
  end
  for i, act in ipairs(acts) do act.order = i end
  table.sort(acts, function(a, b)
    if a.at ~= b.at then return a.at < b.at end
    return a.order < b.order
  end)
  return acts
end

-- ---- acting -------------------------------------------------------------------------------------

local function send(self, name, text)
  return self.disk:send(self.id, name, text)
end

local function data_of(self, name)
  local model = simulated.models["signal:" .. name]
  if not model then return nil end
  model.used = true
  if model.run then return model.run(self.kept) end
  return model.data
end

-- Whoever sends something knows that there is the run, and that it goes on.
local function knows(self)
  local last, ended = self.disk:last(self.id)
  return last > 0 and not ended
end

local function signal(self, name)
  if not knows(self) then return end
  local data = data_of(self, name)
  local text = core.json.encode { name = name, data = data, sent = self.rt:now() }
  if send(self, "signal", text) then self:note("outside", { what = "signal " .. name, data = data }) end
end

local function message(name)
  return function(self)
    if send(self, name, "{}") then self:note("outside", { what = name }) end
  end
end

-- Signals that are to come at a time of their own, or late.
local function is_planned(self, name)
  for _, fault in ipairs(self.faults) do
    if fault.name == name and (fault.act == "signal" or fault.act == "hold_back") then return true end
  end
  return false
end

local OPEN = { waiting = true, running = true }

-- Names of signals that a node, or an item of it, waits for are put into a list.
local function awaited(run, node, names)
  local function look(item)
    local why = run:why(node.name, item)
    if why.kind == "signal" and why.name then names[#names + 1] = why.name end
  end
  if not node.each then return look() end
  for item = 1, #(run:items(node.name) or {}) do look(item) end
end

-- Sends what the run waits for.
local function answer(self, act)
  local run, names = self.run, {}
  if not run or run.ended then return end
  local states = run:states()
  for _, node in ipairs(self.subject.nodes) do
    if OPEN[states[node.name]] then awaited(run, node, names) end
  end
  for _, name in ipairs(names) do
    if act.at >= HELD_BACK or not is_planned(self, name) then signal(self, name) end
  end
end

-- Makes the commit that begins now take long: the clock goes on, and what is due meanwhile comes
-- before what waits for the disk. Nothing where none begins.
local function stall(self, act)
  local begun, disk = self.disk:commits(), self.disk
  disk:fault(begun + 1, "slow", STALLED_TURNS)
  core.sleep(0)
  if disk:commits() == begun or disk:crashed() then return end
  self:note("outside", { what = "stall", by = act.fault.by })
  self.rt:skip(act.fault.by)
end

local ACT = {
  stall = stall,
  answer = answer,
  signal = function(self, act) signal(self, act.fault.name) end,
  hold_back = function() end,
  cancel = message "cancel",
  pause = message "pause",
  resume = message "resume",
  skip = function(self, act)
    self:note("outside", { what = "clock", by = act.fault.by })
    self.rt:skip(act.fault.by)
  end,
  give_up = function(self)
    self.hung = true
    self.disk:crash()
  end,
}

--- A mistake of the simulation's own, or of a model: nothing can be said of the history.
---@param problem any
function outside.methods.break_off(self, problem)
  self.problem = problem
  self.disk:crash()
end

--- Does what is to happen from outside, each at its time; what fell into the time between two lives
--- is done at the beginning of the next.
function outside.methods.meddle(self)
  while true do
    local act = self.acts[self.next_act]
    if not act then return end
    local left = act.at - self:at()
    if left > 0 then core.sleep(left) end
    while self.disk:last(self.id) == 0 and not self.disk:crashed() do core.sleep(SOON) end
    if self.disk:crashed() then return end
    self.next_act = self.next_act + 1
    local ok, problem = pcall(ACT[act.act], self, act)
    if not ok then return self:break_off(problem) end
  end
end

local made

--- The plan of those who meddle.
---@return orrery.Plan
function outside.plan()
  if made then return made end
  local w = require("orrery.definition.workflow").new { name = "outside" }
  w.outside = { run = function() simulated.world:meddle() end }
  made = require("orrery.definition.compile").workflow(w).plan
  return made
end

return outside
