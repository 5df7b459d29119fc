--- What a history has come to, read from the journal on the disk: what any later reader of the
--- store sees.
local ending = {}

local function failed(h, r)
  if r.item then return end
  h.states[r.node], h.errors[r.node] = "failed", r.error
end

-- kind of a record -> what follows from it
local READ = {
  completed = function(h, r)
    if r.item then
      h.items[r.node] = h.items[r.node] or {}
      h.items[r.node][r.item] = r.value
    else
      h.states[r.node] = "completed"
      h.outputs[r.node] = r.value == nil and h.items[r.node] or r.value
    end
  end,
  failed = failed,
  cancelled = function(h, r)
    if not r.item then h.states[r.node], h.errors[r.node] = "cancelled", r.error end
  end,
  skipped = function(h, r)
    if not r.item then h.states[r.node] = "skipped" end
  end,
  compensated = function(h, r)
    if not r.item then h.states[r.node] = "compensated" end
  end,
  compensation_failed = function(h, r)
    if not r.item then h.states[r.node] = "compensation_failed" end
  end,
  run_ended = function(h, r)
    h.state, h.ended, h.error = r.state, true, r.error
    if type(r.value) == "table" then h.output = r.value.output end
  end,
}

--- Reads the journal of a history into it: state, output, error, outputs, states, errors, ended.
---@param h orrery.sim.History
function ending.read(h)
  h.outputs, h.states, h.errors, h.items, h.ended = {}, {}, {}, {}, false
  for _, record in ipairs(h.journal) do
    local read = READ[record.kind]
    if read then read(h, record) end
  end
end

local function has(data, fields)
  if fields == nil then return true end
  if type(fields) ~= "table" then return data == fields end
  if type(data) ~= "table" then return false end
  for key, value in pairs(fields) do
    if data[key] ~= value then return false end
  end
  return true
end

--- What invariants are given.
---@param h orrery.sim.History
---@return orrery.sim.End
function ending.of(h)
  local function count(name, fields)
    local n = 0
    for _, effect in ipairs(h.effects) do
      if effect.name == name and has(effect.data, fields) then n = n + 1 end
    end
    return n
  end
  return { state = h.state, input = h.options.input, output = h.output, error = h.error,
    outputs = h.outputs, states = h.states, errors = h.errors, effects = h.effects, count = count,
    world = h.kept }
end

return ending
