--- Simulation: a workflow on the real engine, in virtual time, under an adversary that a seed
--- decides, until something breaks.
local check = require "orrery.sim.check"
local faults = require "orrery.sim.faults"
local models = require "orrery.sim.models"
local profile = require "orrery.sim.profile"
local shrink = require "orrery.sim.shrink"
local simulated = require "orrery.simulated"
local subject = require "orrery.sim.subject"
local trace = require "orrery.sim.trace"
local world = require "orrery.sim.world"

local sim = {}

---@class orrery.sim.Broken
---@field seed integer
---@field name string the invariant or promise
---@field text string how it is broken
---@field history orrery.sim.History with the fewest faults
---@field faults integer how many there were at first
---@field tries integer

---@class orrery.sim.Report
---@field seeds integer histories that were played
---@field states table<string, integer> how runs ended
---@field faults table<string, integer> by kind
---@field seconds number[] of virtual time, sorted
---@field starts integer
---@field lives integer
---@field broken orrery.sim.Broken|nil

local TWICE = 64 -- every so many seeds one is played twice, and must be the same

local function broken_by(h)
  local name, text = check.engine(h)
  if name then return name, text end
  return check.user(h, simulated.invariants)
end

-- What a history breaks that is played again and comes to something else.
local function differs(s, options, h)
  local again = world.play(s, options, h.seed, h.faults)
  if trace.digest(again) == trace.digest(h) then return nil end
  return "equal seeds give equal histories", "played again, something else happened: a handler depends on "
    .. "what is not of the workflow (os.time, math.random, a variable that "
    .. "outlives the run, real I/O without a model)"
end

-- `look` gives what a history breaks, and how.
local function shrunk(s, options, h, look, name, text)
  local found = { [h] = text }
  local best = h
  local function breaks(list)
    local again = world.play(s, options, h.seed, list)
    local other, why = look(again)
    if other ~= name then return false end
    best, found[again] = again, why
    return true
  end
  local _, tries = shrink(h.faults, breaks)
  return { seed = h.seed, name = name, text = found[best], history = best, faults = #h.faults,
    tries = tries }
end

local function count(report, h)
  report.seeds = report.seeds + 1
  report.starts, report.lives = report.starts + #h.starts, report.lives + h.lives
  local state = h.state or "open"
  report.states[state] = (report.states[state] or 0) + 1
  for _, fault in ipairs(h.faults) do
    local kind = fault.commit and "commit " .. fault.kind or fault.kind
    report.faults[kind] = (report.faults[kind] or 0) + 1
  end
  report.seconds[#report.seconds + 1] = h.seconds
end

--- Compiles what is to be simulated, with what its models say of node types.
---@param what orrery.Workflow
---@return orrery.Compiled|nil
---@return orrery.Problem[]|nil
function sim.compile(what)
  return subject.with_types(function() return require("orrery.definition.compile").workflow(what) end)
end

--- Plays histories of a compiled workflow until one breaks something.
---@param compiled orrery.Compiled
---@param options {seeds: integer?, seed: integer?, input: any, context: any, durability: string?,
--- concurrency: integer?, faults: string[]?, learned: table?,
--- on_history: fun(h: orrery.sim.History)?} seed: the first; faults: only of these; learned: see
--- learned.lua
---@return orrery.sim.Report
function sim.run(compiled, options)
  local report = { seeds = 0, states = {}, faults = {}, seconds = {}, starts = 0, lives = 0 }
  local start = require "orrery.start"
  start.set_stand_in(function(called) return subject.of(called).plan end)
  local _ <close> = setmetatable({}, { __close = function() start.set_stand_in(nil) end })
  local s = subject.of(compiled)
  local known = profile(s, options)
  known.kinds = faults.kinds(options.faults)
  models.check(known.signals, false)
  local first = options.seed or 1
  for i = 0, (options.seeds or 1000) - 1 do
    local seed = first + i -- after the last number comes the first
    local h = world.play(s, options, seed, faults.of(seed, known))
    count(report, h)
    if options.on_history then options.on_history(h) end
    local look = broken_by
    local name, text = look(h)
    if not name and (seed % TWICE == 0 or seed == first) then
      look = function(again) return differs(s, options, again) end
      name, text = look(h)
    end
    if name then
      report.broken = shrunk(s, options, h, look, name, text)
      break
    end
  end
  models.check(known.signals, true)
  table.sort(report.seconds)
  return report
end

return sim
