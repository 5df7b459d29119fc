--- The difference of two values or texts, line by line: what was expected and is not there, and
--- what is there instead.
local difference = require "orrery.difference"
local show = require "orrery.testing.show"

local diff = {}

--- The difference of two values for people: two lines where both are short, else line by line.
---@param expected any
---@param actual any
---@return string
function diff.values(expected, actual)
  local a, b = show.lines(expected), show.lines(actual)
  if #a == 1 and #b == 1 then return ("- %s\n+ %s"):format(a[1], b[1]) end
  return table.concat(difference.of(a, b), "\n")
end

return diff
