--- What goes wrong in a history: a list of faults that a seed decides, each of which can be left
--- out.
local Chance = require "orrery.sim.chance"
local errors = require "orrery.errors"

local faults = {}

---@class orrery.sim.Fault
---@field kind string
---@field node string|nil of a handler: its node, `item`, `phase` and which start of it
---@field commit integer|nil of the disk: which commit, and for how many `turns`
---@field record integer|nil of a crash: with which record, and how long the process is `down`
---@field act string|nil from outside: what is done, and when (`at`, seconds)

---@class orrery.sim.Profile what is known of the workflow before the first fault
---@field nodes table[] of the definition
---@field records integer of a run without faults
---@field commits integer
---@field seconds number
---@field times number[] at which something happens or is due
---@field signals string[] that it waits for
---@field kinds table[] of faults that there may be

-- A moment that matters, or a little before or after one, or any.
local function moment(chance, profile)
  if chance:truth(0.6) and #profile.times > 0 then
    return math.max(0, chance:pick(profile.times) + chance:pick { -0.001, 0, 0.001, 0.5 })
  end
  return chance:real() * profile.seconds * 1.5
end

local DURATIONS = { 0.001, 0.1, 1, 5, 60, 600, 3600, 7200 }

local function of_handler(kind)
  return function(chance, profile)
    local node = chance:pick(profile.nodes)
    local undo = node.compensate ~= nil and chance:truth(0.3)
    return { kind = kind, node = node.name, item = node.each and chance:int(1, 3) or nil,
      phase = undo and "undo" or "run", nth = chance:pick { 1, 1, 1, 2, 3 },
      by = chance:pick(DURATIONS) }
  end
end

local function of_commit(kind)
  return function(chance, profile)
    return { kind = kind, commit = chance:int(1, profile.commits + 4), turns = chance:int(1, 6) }
  end
end

local function from_outside(act)
  return function(chance, profile)
    return { kind = act, act = act, at = moment(chance, profile), by = chance:pick(DURATIONS) }
  end
end

local function of_signal(act)
  return function(chance, profile)
    if #profile.signals == 0 then return nil end
    return { kind = act, act = act, at = moment(chance, profile), name = chance:pick(profile.signals) }
  end
end

local function crash(chance, profile)
  return { kind = "crash", record = chance:int(1, profile.records + profile.records // 2 + 2),
    down = chance:pick { 0, 0, 1, 60, 3600, 86400, -30 } }
end

-- name, weight, what makes one (nil: there is none of the kind here)
local KINDS = {
  { "crash", 5, crash },
  { "fail", 3, of_handler "fail" }, { "fail_after", 5, of_handler "fail_after" },
  { "slow", 2, of_handler "slow" }, { "slow_after", 2, of_handler "slow_after" },
  { "hang", 1, of_handler "hang" }, { "late", 1, of_handler "late" }, { "twice", 1, of_handler "twice" },
  { "commit_slow", 2, of_commit "slow" }, { "commit_fails", 1, of_commit "fails" },
  { "commit_unsure", 2, of_commit "unsure" },
  { "cancel", 1, from_outside "cancel" }, { "pause", 1, from_outside "pause" },
  { "skip", 1, from_outside "skip" }, { "stall", 2, from_outside "stall" },
  { "signal", 5, of_signal "signal" }, { "hold_back", 2, of_signal "hold_back" },
}

--- Names of all kinds.
---@type string[]
faults.names = {}
for i, kind in ipairs(KINDS) do faults.names[i] = kind[1] end

--- The kinds of these names, all without any. Raises for an unknown one.
---@param names? string[]
---@return table[] kinds for `faults.of`
function faults.kinds(names)
  if not names then return KINDS end
  local chosen = {}
  for _, name in ipairs(names) do
    local before = #chosen
    for _, kind in ipairs(KINDS) do
      if kind[1] == name then chosen[#chosen + 1] = kind end
    end
    if #chosen == before then
      error(("there is no kind of fault %q%s"):format(name, errors.suggest(name, faults.names)), 0)
    end
  end
  return chosen
end

local function any(chance, profile)
  local weight = 0
  for _, kind in ipairs(profile.kinds) do weight = weight + kind[2] end
  local left = chance:int(1, weight)
  for _, kind in ipairs(profile.kinds) do
    left = left - kind[2]
    if left <= 0 then return kind[3](chance, profile) end
  end
end

local MOST_CRASHES = 2 -- a third interruption of an attempt fails its node, which is no fault of it

--- The faults of a seed.
---@param seed integer
---@param profile orrery.sim.Profile
---@return orrery.sim.Fault[]
function faults.of(seed, profile)
  local chance, list, crashes = Chance.new(seed), {}, 0
  local n = chance:pick { 1, 1, 2, 2, 3, 3, 4, 5, 6 }
  for _ = 1, n do
    local fault = any(chance, profile)
    if fault and fault.kind == "crash" then crashes = crashes + 1 end
    if fault and (fault.kind ~= "crash" or crashes <= MOST_CRASHES) then list[#list + 1] = fault end
  end
  return list
end

return faults
