--- Numbers of advice: how many are enough, percentiles, and how times are written.
local durations = require "orrery.history.durations"

local numbers = {}

--- Attempts, runs or waits, from which on percentiles say something.
numbers.ENOUGH = 20

--- A time that people would write, not below what is given: 1, 1.5, 2, 3, 5, 8 and their tens.
---@param seconds number
---@return number
function numbers.up(seconds)
  local unit = 10 ^ math.floor(math.log(math.max(seconds, 0.001), 10))
  for _, digit in ipairs { 1, 1.5, 2, 3, 5, 8, 10 } do
    if digit * unit >= seconds - 1e-12 then return tonumber(("%.6g"):format(digit * unit)) end
  end
  return seconds
end

--- A duration as a definition has it.
---@param seconds number
---@return string
function numbers.written(seconds)
  local value, unit = seconds, "s"
  if seconds < 1 then value, unit = seconds * 1000, "ms"
  elseif seconds >= 120 and seconds % 60 == 0 then value, unit = seconds / 60, "m" end
  return ('"%s%s"'):format(("%.6g"):format(value), unit)
end

--- The figures of times in rising order.
---@param list number[]
---@return { n: integer, p50: number, p95: number, p99: number, most: number }
function numbers.spread(list)
  return { n = #list, p50 = durations.percentile(list, 0.5), p95 = durations.percentile(list, 0.95),
    p99 = durations.percentile(list, 0.99), most = list[#list] }
end

return numbers
