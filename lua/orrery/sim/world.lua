--- One history: a run of the workflow on the real engine in virtual time, over as many lives of the
--- process as its faults make, and with those who meddle from outside.
local core = require "orrery.core"
local ending = require "orrery.sim.ending"
local handlers = require "orrery.sim.handlers"
local launch = require "orrery.runtime.launch"
local outside = require "orrery.sim.outside"
local simulated = require "orrery.simulated"

local world = {}


local START = 1e9 -- when every history begins
world.START = START

local LISTENED = 4 -- of so many histories somebody listens to the events of one

---@class orrery.sim.History
---@field seed integer
---@field faults orrery.sim.Fault[]
---@field log table[] what happened, in order: { at, kind, … }; see trace.lua
---@field starts table[] attempts: { node, item, iteration, attempt, phase, at, committed, run, life }
---@field effects table[]
---@field state string|nil of the run; nil where it never ended
---@field journal table[] its records
---@field lives integer
---@field seconds number of virtual time
local World = {}
World.__index = World
for name, method in pairs(handlers.methods) do World[name] = method end
for name, method in pairs(outside.methods) do World[name] = method end

--- Seconds since the history began.
---@return number
function World:at() return self.rt:now() - START end

--- Writes down what happened.
---@param kind string
---@param entry table
---@return table entry
function World:note(kind, entry)
  entry.kind, entry.at, entry.life = kind, self:at(), self.lives
  self.log[#self.log + 1] = entry
  return entry
end

--- What a handler or a model has done outside; what comes after a crash is not done any more.
---@param name string
---@param data any
function World:effect(name, data)
  if self.disk:crashed() then return end
  local ctx = core.running()
  local effect = { name = name, data = data, time = self:at() }
  if ctx then effect.node, effect.attempt = ctx.node, ctx.attempt end
  self.effects[#self.effects + 1] = effect
  self:note("effect", { name = name, data = data, node = effect.node })
end

-- ---- lives --------------------------------------------------------------------------------------

local function begin_run(self)
  local o, s = self.options, self.subject
  return launch.with(self.rt, s.compiled, nil, function()
    return self.rt:start(s.plan, { id = self.id, input = o.input, context = o.context, seed = self.seed,
      concurrency = o.concurrency, env = s.compiled.env })
  end)
end

local function restore(self)
  local s = self.subject
  return launch.with(self.rt, s.compiled, nil, function()
    return self.rt:restore(s.plan, self.id, { env = s.compiled.env })
  end)
end

-- Whoever wanted the run starts it again where nothing of it was kept. Nil where it is over: its
-- end was kept, though nobody heard of it.
local function go_on(self)
  local ok, run = pcall(restore, self)
  if ok then return run end
  local code = type(run) == "table" and run.code
  if code == "run_not_found" or code == "run_not_begun" then return begin_run(self) end
  if code == "run_ended" then return nil end
  error(run, 0)
end

-- Lets the run go on until it ends or the process dies; those who meddle go with it.
local function run_to_end(self)
  local meddler = self.rt:start(outside.plan(), { input = {}, durability = "none" })
  self.rt:wait(self.run)
  meddler:cancel()
  self.rt:wait(meddler)
  if self.problem then error(self.problem, 0) end
end

-- One life of the process. False where it died.
local function live(self)
  local crash = self.crashes[self.lives + 1]
  self.disk:crash_at(crash and crash.record or 0)
  self.lives = self.lives + 1
  self.rt = core.runtime { clock = "virtual", store = self.disk:url(), now = START + self.resume_at,
    watch = false, simulated = true, durability = self.options.durability }
  if self.seed % LISTENED == 0 then self.rt:on(function() end) end
  local _ <close> = setmetatable({}, { __close = function() self.rt:close() end })
  if self.lives > 1 then self:note("life", { down = self.down }) end
  self.run = (self.lives == 1 and begin_run or go_on)(self)
  if not self.run then return true end
  run_to_end(self)
  if not self.disk:crashed() then return true end
  for _, start in ipairs(self.starts) do
    start.cut = start.cut or start.life == self.lives and start.done == nil
  end
  self.down = crash and crash.down or 1
  if not self.hung then self:note("crash", { record = self.disk:records() }) end
  self.resume_at = math.max(0, self:at() + self.down)
  return self.hung
end

local MOST_LIVES = 20

local function live_all(self)
  repeat
    local done = live(self)
    self.seconds = self:at()
  until done or self.lives == MOST_LIVES
  self.journal = self.disk:journal(self.id, self.subject.plan) or {}
end

-- ---- the whole ----------------------------------------------------------------------------------

local function id_of(seed) return ("01900000-0000-7000-8000-%012x"):format(seed & 0xffffffffffff) end

-- Each fault where it is looked for.
local function place(self, faults)
  for _, fault in ipairs(faults) do
    if fault.kind == "crash" then
      table.insert(self.crashes, fault)
    elseif fault.commit then
      self.disk:fault(fault.commit, fault.kind, fault.turns)
    elseif fault.node then
      self.by_start[handlers.key(fault.node, fault.item, fault.phase, fault.nth)] = fault
    end
  end
  table.sort(self.crashes, function(a, b) return a.record < b.record end)
  self.acts = outside.acts(faults)
end

--- Plays a history.
---@param s orrery.sim.Subject
---@param options {input: any, context: any, durability: string?, concurrency: integer?, learned: table?}
---@param seed integer
---@param faults orrery.sim.Fault[]
---@return orrery.sim.History
function world.play(s, options, seed, faults)
  local w = setmetatable({ subject = s, options = options, seed = seed, faults = faults, id = id_of(seed),
    disk = core.disk(), log = {}, starts = {}, effects = {}, kept = {}, lives = 0, resume_at = 0,
    crashes = {}, by_start = {}, counts = {}, next_act = 1 }, World)
  place(w, faults)
  if simulated.world then error("a simulation cannot be begun in another", 0) end
  simulated.world = w
  local ok, problem = pcall(live_all, w)
  simulated.world = nil
  if not ok then error(problem, 0) end
  ending.read(w)
  return w
end

return world
