--- The fewest faults that still break what a history has broken.

local MOST_TRIES = 200

local function without(list, from, to)
  local out = {}
  for i, fault in ipairs(list) do
    if i < from or i > to then out[#out + 1] = fault end
  end
  return out
end

-- A list with one fault in place of another.
local function with(list, i, fault)
  local out = table.move(list, 1, #list, 1, {})
  out[i] = fault
  return out
end

local function changed(fault, key, value)
  local out = {}
  for k, v in pairs(fault) do out[k] = v end
  out[key] = value
  return out
end

-- What is simpler than a fault: key, and values to be tried in this order.
local SIMPLER = {
  { "down", { 0, 1 } }, { "turns", { 1, 2 } }, { "by", { 1, 60 } }, { "at", { 0, 1, 60 } },
  { "kind", { "fail" } }, { "nth", { 1 } },
}

local function takes_kind(fault, key, value)
  if key ~= "kind" then return fault[key] ~= nil and fault[key] ~= value end
  return fault.node ~= nil and fault.kind ~= value and fault.kind ~= "fail_after"
end

--- Leaves out and simplifies faults as long as `breaks` still says so: halves first, then one by
--- one.
---@param list orrery.sim.Fault[]
---@param breaks fun(faults: orrery.sim.Fault[]): boolean
---@return orrery.sim.Fault[]
---@return integer tries
return function(list, breaks)
  local tries = 0
  local function try(candidate)
    tries = tries + 1
    return tries <= MOST_TRIES and breaks(candidate)
  end
  local size = #list // 2
  while size >= 1 do
    local i = 1
    while i <= #list do
      local candidate = without(list, i, i + size - 1)
      if try(candidate) then list = candidate else i = i + size end
    end
    size = size // 2
  end
  if #list == 1 and try {} then list = {} end
  for i = 1, #list do
    for _, rule in ipairs(SIMPLER) do
      for _, value in ipairs(rule[2]) do
        if takes_kind(list[i], rule[1], value) then
          local candidate = with(list, i, changed(list[i], rule[1], value))
          if try(candidate) then
            list = candidate
            break
          end
        end
      end
    end
  end
  return list, tries
end
