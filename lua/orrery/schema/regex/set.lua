--- Sets of code points, as sorted lists of ranges that neither touch nor overlap: { from, to, from,
--- to, … }.
local set = {}

local LAST = 0x10FFFF

--- The set of some ranges in any order, overlapping or not.
---@param pairs integer[] from, to, from, to, …
---@return integer[]
function set.of(pairs)
  local list = {}
  for i = 1, #pairs, 2 do list[#list + 1] = { pairs[i], pairs[i + 1] } end
  table.sort(list, function(a, b) return a[1] < b[1] end)
  local made = {}
  for _, range in ipairs(list) do
    local n = #made
    if n > 0 and range[1] <= made[n] + 1 then
      made[n] = math.max(made[n], range[2])
    else
      made[n + 1], made[n + 2] = range[1], range[2]
    end
  end
  return made
end

--- What is not in the set.
---@param ranges integer[]
---@return integer[]
function set.complement(ranges)
  local made, from = {}, 0
  for i = 1, #ranges, 2 do
    if ranges[i] > from then made[#made + 1], made[#made + 2] = from, ranges[i] - 1 end
    from = ranges[i + 1] + 1
  end
  if from <= LAST then made[#made + 1], made[#made + 2] = from, LAST end
  return made
end

--- Whether a code point is in the set; takes time in proportion to the logarithm of its ranges.
---@param ranges integer[]
---@param code integer
---@return boolean
function set.has(ranges, code)
  local low, high = 1, #ranges // 2
  while low <= high do
    local middle = (low + high) // 2
    if code < ranges[2 * middle - 1] then
      high = middle - 1
    elseif code > ranges[2 * middle] then
      low = middle + 1
    else
      return true
    end
  end
  return false
end

set.ANY = { 0, LAST }
set.DIGIT = { 0x30, 0x39 }
set.WORD = { 0x30, 0x39, 0x41, 0x5A, 0x5F, 0x5F, 0x61, 0x7A }
set.SPACE = { 0x09, 0x0D, 0x20, 0x20, 0xA0, 0xA0, 0x1680, 0x1680, 0x2000, 0x200A, 0x2028, 0x2029,
  0x202F, 0x202F, 0x205F, 0x205F, 0x3000, 0x3000, 0xFEFF, 0xFEFF }
set.NEW_LINE = { 0x0A, 0x0A, 0x0D, 0x0D, 0x2028, 0x2029 }
set.ANY = { 0, LAST }

return set
