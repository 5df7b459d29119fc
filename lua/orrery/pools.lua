--- Pools that were declared with `flow.pool`. A declaration holds for every runtime; each has places of its own.
local core = require "orrery.core"
local duration = require "orrery.duration"
local errors = require "orrery.errors"
local where = require "orrery.where"

local pools = {}

local declared = {} -- name -> { max, rate, per }
local names = {}
local told = setmetatable({}, { __mode = "k" }) -- runtime -> true: it knows all declared pools

local function bad(place, field, message)
  errors.raise { { kind = "bad_value", field = field, where = place, message = "flow.pool: " .. message } }
end

--- Reads a rate.
---@param rate number|string "10/s", "100/1m", or a number a second
---@return number|nil count
---@return number|string seconds per what time, or what is wrong
function pools.rate(rate)
  if type(rate) == "number" and rate > 0 and rate < math.huge then return rate, 1 end
  local count, unit = tostring(rate):match "^%s*(%d+%.?%d*)%s*/%s*(.-)%s*$"
  local per = unit and duration.parse(unit:find "^%d" and unit or "1" .. unit)
  count = tonumber(count)
  if type(rate) ~= "string" or not per or per <= 0 or count <= 0 then
    return nil, 'rate: expected a number a second or a string like "10/s" or "100/1m", got ' .. errors.show(rate)
  end
  return count, per
end

-- Tells a runtime of a pool. One that its store says is paused gives no places from the first on.
local function tell(rt, name)
  rt:pool(name, declared[name])
  if rt:durable() and #rt:store():query("SELECT 1 FROM pools WHERE name = ? AND paused = 1", name) > 0 then rt:pause_pool(name, true) end
end

--- Declares a pool, `flow.pool("db", { max = 4, rate = "10/s" })`: nodes with `pool = "db"` share its places. A later
--- declaration of the name replaces the earlier one. A pool "tenant" also serves "tenant:a", "tenant:b" and so on, each of
--- which has places of its own.
---
--- Without options it only asks: `flow.pool "db"` gives what was declared, or nil.
---@param name string
---@param options? {max: integer?, rate: (string|number)?}
---@return {max: integer?, rate: number?, per: number?}|nil declared a copy; `rate` tokens in `per` seconds
function pools.declare(name, options)
  local place = where.text(where.here(2))
  if type(name) ~= "string" or name == "" then bad(place, "name", "expected a name, got " .. errors.show(name)) end
  if options == nil then
    local known_pool = declared[name]
    return known_pool and { max = known_pool.max, rate = known_pool.rate, per = known_pool.per }
  end
  if type(options) ~= "table" then bad(place, nil, "expected { max = n, rate = … }, got " .. errors.show(options)) end
  for key in pairs(options) do
    if key ~= "max" and key ~= "rate" then
      bad(place, tostring(key), ("unknown field %q%s"):format(tostring(key), errors.suggest(key, { "max", "rate" })))
    end
  end
  local pool = { max = options.max }
  if options.max ~= nil and (math.type(options.max) ~= "integer" or options.max < 0) then
    bad(place, "max", "max: expected a whole number of places, got " .. errors.show(options.max))
  end
  if options.rate ~= nil then
    local count, per = pools.rate(options.rate)
    if not count then bad(place, "rate", per) end
    pool.rate, pool.per = count, per
  end
  if pool.max == nil and pool.rate == nil then bad(place, nil, "give it max, rate or both") end
  if not declared[name] then names[#names + 1] = name end
  declared[name] = pool
  -- At once, because a run may be under way whose child workflows use it: a type that brings a pool may be loaded by one.
  -- A runtime that is being collected may still be listed, and refuses.
  for rt in pairs(told) do pcall(tell, rt, name) end
  return { max = pool.max, rate = pool.rate, per = pool.per }
end

--- Whether a node may name the pool.
---@param name string
---@return boolean
function pools.has(name)
  return declared[name] ~= nil or core.runtime():has_pool(name)
end

--- The declared pools' names, in order of declaration.
---@return string[]
function pools.names() return names end

--- Tells a runtime of all declared pools it has not been told of.
---@param rt orrery.Runtime
function pools.apply(rt)
  if told[rt] then return end
  for _, name in ipairs(names) do tell(rt, name) end
  told[rt] = true
end

--- Closes the pools of a runtime that the store says are paused.
---@param rt orrery.Runtime
---@param store orrery.Store
function pools.pause(rt, store)
  local paused = store:query "SELECT name FROM pools WHERE paused = 1"
  if #paused == 0 then return end
  pools.apply(rt)
  for _, row in ipairs(paused) do
    if rt:has_pool(row.name) then rt:pause_pool(row.name, true) end
  end
end

return pools
