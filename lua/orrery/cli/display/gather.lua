--- Lines that are written together.

-- Where many lines come at once they are written by the kilobyte; a line is held back for one turn
-- of the loop at most.
local GATHER = 8192

--- Gathers lines.
---@param write fun(text: string)
---@param later? fun(fn: function) calls fn at the next turn of the loop; without it every line is written at once
---@return fun(line: string) put
---@return fun() flush
return function(write, later)
  local held, size = {}, 0
  local function flush()
    if size > 0 then
      held[#held + 1] = ""
      write(table.concat(held, "\n"))
      held, size = {}, 0
    end
  end
  local function put(line)
    if size == 0 and later then later(flush) end
    held[#held + 1] = line
    size = size + #line + 1
    if size > GATHER or not later then flush() end
  end
  return put, flush
end
