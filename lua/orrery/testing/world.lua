--- The world of a run under test: a runtime with a virtual clock that stands until the test lets it
--- go on, the doubles, what was called and what happened.
---
--- While this module is loaded each handler that is compiled asks, when it runs, whether the
--- runtime belongs to such a world; handlers of any other run are what they always are.
local core = require "orrery.core"
local doubles = require "orrery.testing.doubles"
local errors = require "orrery.errors"
local folder = require "orrery.testing.folder"
local glob = require "orrery.glob"
local types = require "orrery.definition.type"
local uv = require "luv"

local World = {}
World.__index = World

local worlds = setmetatable({}, { __mode = "k" }) -- runtime -> world

local open = {} -- worlds that are not closed, in the order in which they were opened

-- ---- handlers -----------------------------------------------------------------------------------

local function now_world()
  local rt = core.running_runtime()
  return rt and worlds[rt]
end

function types.around(T, run, here)
  if T then
    return function(ctx, config, inputs)
      local world = now_world()
      if not world then return run(ctx, config, inputs) end
      return world:call(T, here, run, ctx, config, inputs)
    end
  end
  return function(ctx, inputs)
    local world = now_world()
    if not world then return run(ctx, inputs) end
    return world:call(nil, here, run, ctx, inputs)
  end
end

function types.around_undo(run)
  return function(ctx, inputs)
    local world = now_world()
    if not world then return run(ctx, inputs) end
    return world:undo(run, ctx, inputs)
  end
end

-- ---- which double -------------------------------------------------------------------------------

-- A node of a workflow that this one calls is named with it: "other/node".
function World:name_of(ctx)
  local run = core.running_run()
  if not run or run.id == self.id then return ctx.node end
  return ctx.run.workflow .. "/" .. ctx.node
end

-- By node types: an exact name, or the longest pattern that fits.
local function by_type(patterns, name)
  local best
  for _, pattern in ipairs(patterns) do
    if pattern.match(name) and (not best or #pattern.text > #best.text) then best = pattern end
  end
  return best
end

local NONE = {}

-- First words of the types of the library that reach beyond the process.
local OUTSIDE = { agent = true, csv = true, exec = true, file = true, http = true, jsonl = true, mail = true,
  notify = true, postgres = true, s3 = true, sqlite = true, test = true, xml = true }

local function reaches_outside(T) return types.is_standard(T) and OUTSIDE[T.name:match "^%a+"] end

-- In a sealed world nothing real is done by a node type of the library.
local function check_sealed(world, T, name)
  if not (world.sealed and T and reaches_outside(T)) then return end
  errors.error { code = "not_replaced", retryable = false,
    message = ("%s would do %s for real, and its test is sealed: give a double for it, types = { [%q] = … }")
      :format(name, T.name, T.name) }
end

function World:double_of(T, name, here)
  local own = self.nodes[name]
  if own ~= nil and not here then return own end
  local found = T and by_type(self.types, T.name)
  if found then return found.double end
  return NONE
end

function World:note(what, ctx, name, config, inputs)
  local call = { node = name, type = what, item = ctx.index, iteration = ctx.iteration,
    attempt = ctx.attempt, config = config, inputs = inputs, at = self:elapsed() }
  self.calls[#self.calls + 1] = call
end

-- The double is given what the real one would be, and may call that.
local function perform(world, double, run, name, ...)
  if double == NONE then return run(...) end
  return doubles.give(double, { name = name, real = run, parameters = { ... }, counts = world.counts })
end

function World:call(T, here, run, ctx, ...)
  local name = self:name_of(ctx)
  local config, inputs
  if T then config, inputs = ... else inputs = ... end
  -- a compensation by a node type: its double is looked for with those of compensations
  local undoes = ctx.error ~= nil or ctx.uncertain
  self:note(T and T.name or "lua", ctx, name, config, inputs)
  local failure = not here and not undoes and doubles.failure(self.failures[name], ctx)
  if failure then return doubles.give(failure, { name = name, real = run, parameters = { ctx, ... } }) end
  local double = self:double_of(T, name, here or undoes)
  if double == NONE then check_sealed(self, T, name) end
  return perform(self, double, run, name, ctx, ...)
end

function World:undo(run, ctx, inputs)
  local name = self:name_of(ctx)
  self:note("compensation", ctx, name, nil, inputs)
  local double = self.compensations[name]
  if double == nil then double = NONE end
  return perform(self, double, run, "the compensation of " .. name, ctx, inputs)
end

-- ---- making -------------------------------------------------------------------------------------

local function bad(format, ...) error("testing: " .. format:format(...), 0) end

local function check_names(what, given, known, workflow)
  for name in pairs(given) do
    if type(name) ~= "string" then
      bad("%s: expected names, got %s", what, errors.show(name))
    end
    if not name:find("/", 1, true) and not known[name] then
      local names = {}
      for other in pairs(known) do names[#names + 1] = other end
      bad('%s: workflow "%s" has no node "%s"%s', what, workflow, name, errors.did_you_mean(name, names))
    end
  end
end

local function patterns_of(given)
  local list = {}
  for text, double in pairs(given) do
    local match, message = glob(text)
    if not match then bad("types: %s", message) end
    if not text:find "[*?]" and not types.find(text) then
      bad('types: there is no node type "%s"%s', text, errors.did_you_mean(text, types.names()))
    end
    list[#list + 1] = { text = text, match = match, double = double }
  end
  table.sort(list, function(a, b) return a.text < b.text end)
  return list
end

local function copy(t)
  local c = {}
  for key, value in pairs(t or {}) do c[key] = value end
  return c
end

-- Variables of the environment for as long as the world is there.
local function set_environment(given)
  local before = {}
  for name, value in pairs(given or {}) do
    before[name] = uv.os_getenv(name) or false
    if value then uv.os_setenv(name, tostring(value)) else uv.os_unsetenv(name) end
  end
  return before
end

--- Makes a world for runs of a compiled workflow.
---@param compiled orrery.Compiled
---@param options table of `testing.start`
---@return table world
function World.new(compiled, options)
  local known = {}
  for _, node in ipairs(compiled.def.nodes) do known[node.name] = true end
  for _, what in ipairs { "nodes", "failures", "compensations" } do
    check_names(what, options[what] or {}, known, compiled.name)
  end
  local self = setmetatable({ compiled = compiled, known = known, nodes = copy(options.nodes),
    types = patterns_of(options.types or {}), failures = copy(options.failures),
    compensations = copy(options.compensations), sealed = options.sealed, calls = {}, events = {},
    counts = {} }, World)
  self.folder = options.durable and folder.new() or nil
  open[#open + 1] = self
  self.before = set_environment(options.env)
  self:open(options.now)
  self.began = self.rt:now()
  return self
end

--- Opens a runtime for it, whose clock stands at that time.
---@param now number|nil seconds since 1970
function World:open(now)
  local flow = require "orrery"
  self.rt = flow.runtime { clock = "virtual", hold = true, now = now,
    store = self.folder and "sqlite:" .. self.folder .. "/runs.db" or nil, trust = true }
  worlds[self.rt] = self
  self.off = self.rt:on(function(event)
    local kept = copy(event)
    kept.at = event.time - self.began
    self.events[#self.events + 1] = kept
  end)
end

--- As if the process were killed: nothing of it goes on. What it had recorded is in its store.
function World:kill()
  if not self.rt then return end
  self.died = self.rt:now()
  self.off()
  self.rt:abandon()
  self.rt:close()
  self.rt = nil
end

--- Ends it, with all that is still under way.
function World:close()
  if self.closed then return end
  self.closed = true
  for i = #open, 1, -1 do
    if open[i] == self then table.remove(open, i) end
  end
  self:kill()
  if self.folder then folder.remove(self.folder) end
  for name, value in pairs(self.before) do
    if value then uv.os_setenv(name, value) else uv.os_unsetenv(name) end
  end
end

--- How many worlds are open.
---@return integer
function World.mark() return #open end

--- Ends the worlds that were opened since `mark` was asked, the newest first: each gives back the
--- environment that it found.
---@param mark integer
function World.close_from(mark)
  while #open > mark do open[#open]:close() end
end

--- Seconds since it began, by its clock.
---@return number
function World:elapsed() return (self.rt and self.rt:now() or self.died) - self.began end

return World
