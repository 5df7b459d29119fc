--- What a workflow does where nothing goes wrong, so that faults come where they matter.
local world = require "orrery.sim.world"

local START = world.START

local function add(profile, h)
  for _, record in ipairs(h.journal) do
    profile.times[record.time - START] = true
    if record.due and record.due > 0 then profile.times[record.due - START] = true end
    local step = record.kind == "step" and record.value
    if type(step) == "table" and step.k == "wait" then profile.signals[step.n] = true end
  end
  profile.records = math.max(profile.records, h.disk:records())
  profile.commits = math.max(profile.commits, h.disk:commits())
  profile.seconds = math.max(profile.seconds, h.seconds)
end

local function sorted(set)
  local list = {}
  for value in pairs(set) do list[#list + 1] = value end
  table.sort(list)
  return list
end

local SEED = 0 -- of what is played for the profile

--- Plays the workflow without faults, and with signals that do not come.
---@param s orrery.sim.Subject
---@param options table of `world.play`
---@return orrery.sim.Profile
return function(s, options)
  local profile = { nodes = s.nodes, records = 0, commits = 0, seconds = 0, times = {}, signals = {} }
  add(profile, world.play(s, options, SEED, {}))
  local late = {}
  for _, name in ipairs(sorted(profile.signals)) do
    late[#late + 1] = { kind = "hold_back", act = "hold_back", at = 0, name = name }
  end
  local seconds = profile.seconds
  if #late > 0 then add(profile, world.play(s, options, SEED, late)) end
  profile.seconds = math.max(1, seconds)
  profile.times, profile.signals = sorted(profile.times), sorted(profile.signals)
  return profile
end
