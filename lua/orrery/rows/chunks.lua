--- A list that is in memory as the rows of a stream.

local CHUNK = 1000 -- rows between which the loop may have a turn

--- The list in chunks, each a list of its own: the list itself may be another's.
---@param list any[]
---@return fun(): any[]? rows
return function(list)
  local at = 1
  return function()
    if at > #list then return nil end
    local to = math.min(at + CHUNK - 1, #list)
    local chunk = table.move(list, at, to, 1, {})
    at = to + 1
    return chunk
  end
end
