--- What happens to an attempt in a simulation: which faults it has, and what is written down of it.
local Chance = require "orrery.sim.chance"
local core = require "orrery.core"
local errors = require "orrery.errors"
local simulated = require "orrery.simulated"

local handlers = { methods = {} }

local HANGS = 86400       -- seconds
local GRACE = 1           -- of a handler that goes on though it was cancelled
local LOOKED_AT = 2       -- of so many histories the engine is looked at with each attempt of one
local MOST_STARTS = 20000 -- of one history: more are a loop without end

--- Where a fault of a handler is looked for: the n-th start of a node or item, of its handler or of
--- its compensation.
---@param node string
---@param item integer|nil
---@param phase "run"|"undo"
---@param nth integer
---@return string
function handlers.key(node, item, phase, nth)
  return ("%s[%s]%s#%d"):format(node, item or "", phase == "undo" and "!" or "", nth)
end

local function injected(when)
  errors.error { code = "simulated", message = "the simulation fails it " .. when, retryable = true }
end

-- By the kind of fault, how the handler is called.
local CALL = {
  fail = function() injected "before it has done anything" end,
  fail_after = function(_, fn, ctx, inputs)
    fn(ctx, inputs)
    injected "after it has done its work"
  end,
  slow = function(fault, fn, ctx, inputs)
    core.busy(fault.by)
    return fn(ctx, inputs)
  end,
  slow_after = function(fault, fn, ctx, inputs)
    local value = fn(ctx, inputs)
    core.busy(fault.by)
    return value
  end,
  hang = function(_, fn, ctx, inputs)
    core.busy(HANGS)
    return fn(ctx, inputs)
  end,
  late = function(_, fn, ctx, inputs)
    if not pcall(core.busy, HANGS) then pcall(core.busy, GRACE) end
    return fn(ctx, inputs)
  end,
  twice = function(_, fn, ctx, inputs)
    local value = fn(ctx, inputs)
    return core.await(function(resume)
      resume(value)
      resume(value)
    end)
  end,
}

-- The time that its model takes, and the failures that it has.
local function behave(self, model, key)
  local chance = Chance.of(self.seed, key, 0)
  local fails = chance:truth(model.fails)
  if model.takes then
    core.busy(model.takes[1] + chance:real() * (model.takes[2] - model.takes[1]))
  end
  if fails then
    errors.error { code = model.code or "simulated", message = "its model fails it" }
  end
end

-- An attempt as one of the history was.
local function like(self, samples, key)
  local sample = Chance.of(self.seed, key, 1):pick(samples)
  return function()
    core.busy(sample.took)
    if sample.code then errors.error { code = sample.code, message = "as in a run that was kept" } end
    if sample.outcome then return core.outcome(sample.outcome, sample.output) end
    return sample.output
  end
end

local function call(self, fault, key, model, fn, ctx, inputs)
  if model and (model.takes or model.fails > 0) then behave(self, model, key) end
  if fault then return CALL[fault.kind](fault, fn, ctx, inputs) end
  return fn(ctx, inputs)
end

local function message_of(problem)
  if type(problem) ~= "table" then return tostring(problem) end
  return ("%s: %s"):format(tostring(problem.code), tostring(problem.message))
end

-- Nodes that run now, of the whole run or of a pool, but for those with items.
local function running(self, states, pool)
  local n = 0
  for _, node in ipairs(self.subject.nodes) do
    local counts = not node.each and (not pool or node.pool == pool)
    if counts and states[node.name] == "running" then n = n + 1 end
  end
  return n
end

-- Whether the engine keeps to its limits, and agrees with itself.
local function look(self, node)
  local states, s = self.run:states(), self.subject
  local limit = self.options.concurrency or s.compiled.def.concurrency
  local pool = type(node.pool) == "string" and s.pools[node.pool]
  if limit and running(self, states) > limit then
    self.exceeded = ("%d nodes run at once, and at most %d may"):format(running(self, states), limit)
  elseif pool and running(self, states, node.pool) > pool then
    self.exceeded = ("%d nodes have places in pool %s, which has %d"):format(
      running(self, states, node.pool), node.pool, pool)
  end
  self.disagrees = self.disagrees or self.rt:check()
end

--- Plays one attempt.
---@param s orrery.sim.Subject
---@param node table of the definition
---@param phase "run"|"undo"
---@param fn function its handler, or its model's
---@param ctx orrery.Context
---@param inputs table
---@return any
function handlers.methods.attempt(self, s, node, phase, fn, ctx, inputs)
  local name = s == self.subject and node.name or s.name .. "/" .. node.name
  local run, item = ctx.run.id, ctx.index
  local base = handlers.key(name, item, phase, 0)
  local nth = (self.counts[base] or 0) + 1
  self.counts[base] = nth
  local key = handlers.key(name, item, phase, nth)
  local fault = self.by_start[key]
  local start = self:note("attempt", { node = name, item = item, iteration = ctx.iteration,
    attempt = ctx.attempt, phase = phase, fault = fault, run = run, committed = self.disk:last(run) })
  self.starts[#self.starts + 1] = start
  if #self.starts > MOST_STARTS then
    self.endless = true
    self.disk:crash()
  end
  if s == self.subject and self.seed % LOOKED_AT == 0 and self.run then look(self, node) end
  local model = phase == "run" and (simulated.models[node.name] or simulated.models[node.type]) or nil
  local samples = phase == "run" and not model and self.options.learned and self.options.learned[name]
  if samples then fn = like(self, samples, key) end
  local ok, value = pcall(call, self, fault, key, model, fn, ctx, inputs)
  if self.disk:crashed() then
    start.cut = true
  else
    start.done, start.value = ok, value
    start.took = self:at() - start.at
    if not ok then start.message = message_of(value) end
    if not self.run.ended then self:note("end", { start = start }) end -- what comes later is of no run
  end
  if not ok then error(value, 0) end
  return value
end

return handlers
