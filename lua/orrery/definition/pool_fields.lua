--- What a pool is declared with: the fields of `flow.pool` and of a workflow's `pools`.
local duration = require "orrery.duration"
local errors = require "orrery.errors"
local pools = require "orrery.definition.pools"
local trim = require "orrery.text".trim

--- What a declaration may say.
pools.FIELDS = { "max", "rate", "burst" }

local LONGEST_RATE = 64 -- bytes

--- Reads a rate.
---@param rate number|string "10/s", "100/1m", or a number a second; a text of at most 64 bytes
---@return number|nil count
---@return number|string seconds per what time, or what is wrong
function pools.rate(rate)
  if type(rate) == "number" and rate > 0 and rate < math.huge then return rate, 1 end
  local count, unit
  if type(rate) == "string" and #rate <= LONGEST_RATE then
    count, unit = trim(rate):match "^([%d.]+)%s*/%s*(.*)$"
  end
  local per = unit and duration.parse(unit:find "^%d" and unit or "1" .. unit)
  count = tonumber(count)
  if not per or per <= 0 or not count or count <= 0 then
    return nil, 'rate: expected a number a second or a string like "10/s" or "100/1m", got '
      .. errors.show(rate)
  end
  return count, per
end

local function whole(value, least) return math.type(value) == "integer" and value >= least end

--- Reads what a pool is declared with.
---@param options any { max = n, rate = …, burst = n }
---@param more? string a further field that may stand in it
---@return {max: integer?, rate: number?, per: number?, burst: integer?}|nil
---@return string|nil field where the mistake is, if in one
---@return string|nil message what is wrong
function pools.read(options, more)
  if type(options) ~= "table" then
    return nil, nil, "expected { max = n, rate = … }, got " .. errors.show(options)
  end
  for key in pairs(options) do
    if key ~= "max" and key ~= "rate" and key ~= "burst" and key ~= more then
      return nil, tostring(key),
        ("unknown field %q%s"):format(tostring(key), errors.suggest(key, pools.FIELDS))
    end
  end
  local pool = { max = options.max, burst = options.burst }
  if pool.max ~= nil and not whole(pool.max, 0) then
    return nil, "max", "max: expected a whole number of places, got " .. errors.show(pool.max)
  end
  if options.rate ~= nil then
    local count, per = pools.rate(options.rate)
    if not count then return nil, "rate", per end
    pool.rate, pool.per = count, per
  end
  if pool.max == nil and pool.rate == nil then return nil, nil, "give it max, rate or both" end
  if pool.burst ~= nil and not whole(pool.burst, 1) then
    return nil, "burst",
      "burst: expected a whole number of starts of at least 1, got " .. errors.show(pool.burst)
  end
  if pool.burst and not pool.rate then
    return nil, "burst", "burst: it is how many starts a rate saves up; give it a rate, or leave burst out"
  end
  return pool
end

return pools
