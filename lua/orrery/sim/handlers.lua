--- What happens to an attempt in a simulation: which faults it has, and what is written down of it.
local Chance = require "orrery.sim.chance"
local core = require "orrery.core"
local errors = require "orrery.errors"
local simulated = require "orrery.simulated"

local handlers = { methods = {} }

local HANGS = 86400       -- seconds
local GRACE = 1           -- of a handler that goes on though it was cancelled, within the engine's grace
local MOST_STARTS = 20000 -- of one history: more are a loop without end

--- Where a fault of a handler is looked for: the n-th start of a node or item, of its handler or its
--- compensation.
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
    core.busy(model.draw and model.draw(chance) or
      model.takes[1] + chance:real() * (model.takes[2] - model.takes[1]))
  end
  if fails then
    errors.error { code = model.code or "simulated", message = "its model fails it" }
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
  local model = phase == "run" and simulated.models[node.name] or nil
  local ok, value = pcall(call, self, fault, key, model, fn, ctx, inputs)
  if self.disk:crashed() then
    start.cut = true
  else
    start.done, start.value = ok, value
    start.took = self:at() - start.at
    if not ok then start.message = message_of(value) end
    self:note("end", { start = start })
  end
  if not ok then error(value, 0) end
  return value
end

return handlers
