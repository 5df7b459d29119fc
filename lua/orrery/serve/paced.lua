--- Writes to a stream no faster than its client reads, so that what waits in memory is bounded.
local flow = require "orrery"
local uv = require "luv"

local paced = {}

local PIECE = 64 << 10           -- bytes that are written at a time, and that may wait before that
local PATIENCE, PAUSE = 10, 0.01 -- seconds

--- Writes a text as fast as the client reads. May wait.
---@param stream table as `request:stream` gives it
---@param text string
---@param is_open fun(): boolean whether the client is still there
---@return boolean all false where it reads too little for 10 s, or has left
function paced.write(stream, text, is_open)
  for from = 1, #text, PIECE do
    local due = uv.now() + PATIENCE * 1000
    while stream:waiting() > PIECE do
      if not is_open() or uv.now() >= due then return false end
      flow.sleep(PAUSE)
    end
    if not stream:write(text:sub(from, from + PIECE - 1)) then return false end
  end
  return true
end

return paced
