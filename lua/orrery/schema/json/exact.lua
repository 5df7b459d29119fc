--- Whether one number is a multiple of another, exactly: a float counts as the shortest decimal
--- that is read as it, so that 0.0075 is a multiple of 0.0001.
local exact = {}

-- A number as digits * 10^exponent, without zeros at the end.
local function decimal(number)
  if math.type(number) == "integer" then
    if number == math.mininteger then return number, 0 end
    local digits, exponent = math.abs(number), 0
    while digits ~= 0 and digits % 10 == 0 do digits, exponent = digits // 10, exponent + 1 end
    return digits, exponent
  end
  for precision = 14, 16 do
    local text = ("%%.%de"):format(precision):format(math.abs(number))
    if precision == 16 or tonumber(text) == math.abs(number) then
      local head, tail, exponent = text:match "^(%d)%.?(%d*)e(.*)$"
      local digits, power = math.tointeger(tonumber(head .. tail)), tonumber(exponent) - #tail
      while digits ~= 0 and digits % 10 == 0 do digits, power = digits // 10, power + 1 end
      return digits, math.tointeger(power)
    end
  end
end

-- a + b modulo m; both are less than m, and none is more than 2^63.
local function add(a, b, m)
  local sum = a + b
  if math.ult(sum, m) then return sum end
  return sum - m
end

local function times_ten(a, m)
  local two = add(a, a, m)
  local four = add(two, two, m)
  return add(add(four, four, m), two, m)
end

--- Whether `number` is `of` times a whole number.
---@param number number finite
---@param of number finite, greater than 0
---@return boolean
function exact.multiple(number, of)
  if math.type(number) == "integer" and math.type(of) == "integer" then return number % of == 0 end
  if number == 0 then return true end
  local a, a_power = decimal(number)
  local b, b_power = decimal(of)
  local power = a_power - b_power
  if a == math.mininteger then -- 2^63
    if power < 0 then return false end
    a = add(math.maxinteger % b, 1 % b, b)
  elseif power < 0 then
    if power < -19 or a % b ~= 0 then return false end
    a = a // b
    for _ = 1, -power do
      if a % 10 ~= 0 then return false end
      a = a // 10
    end
    return true
  end
  a = a % b
  for _ = 1, power do a = times_ten(a, b) end
  return a == 0
end

return exact
