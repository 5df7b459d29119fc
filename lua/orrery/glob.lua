--- Shell patterns for names: `*` is any text, also none, `?` is one byte, all else is itself.
---
--- The pieces between the stars are looked for from left to right, each at its first place, and
--- nothing is ever tried twice: where a later piece is not found behind an earlier one's first
--- place, it is not found behind a later place either. So a name costs at most its length times
--- that of the pattern, which is bounded.

local LONGEST = 255 -- bytes of a pattern, as many as a file's name may have

-- A piece has no repetition as a Lua pattern.
local function piece_of(words)
  return (words:gsub("[^%w?]", "%%%0"):gsub("%?", "."))
end

local function pieces_of(pattern)
  local pieces = {}
  for words in (pattern .. "*"):gmatch "([^*]*)%*" do pieces[#pieces + 1] = words end
  return pieces
end

local function exact(words)
  local match = "^" .. piece_of(words) .. "$"
  return function(name) return name:find(match) ~= nil end
end

local function with_stars(pieces)
  local n = #pieces
  local first, last, length = "^" .. piece_of(pieces[1]), "^" .. piece_of(pieces[n]), #pieces[n]
  local middle = {}
  for i = 2, n - 1 do
    if pieces[i] ~= "" then middle[#middle + 1] = piece_of(pieces[i]) end
  end
  return function(name)
    local stop = #name - length -- the last piece begins behind it
    local _, at = name:find(first)
    if not at or at > stop or not name:find(last, stop + 1) then return false end
    for i = 1, #middle do
      _, at = name:find(middle[i], at + 1)
      if not at or at > stop then return false end
    end
    return true
  end
end

--- Reads a pattern.
---@param pattern string
---@return (fun(name: string): boolean)|nil match whether a name fits
---@return string|nil message one sentence
return function(pattern)
  if type(pattern) ~= "string" then
    return nil, 'expected a pattern such as "*.txt", got ' .. require("orrery.errors").show(pattern)
  end
  if #pattern > LONGEST then
    return nil, ("the pattern has %d bytes, and %d is the most"):format(#pattern, LONGEST)
  end
  local pieces = pieces_of(pattern)
  return #pieces == 1 and exact(pieces[1]) or with_stars(pieces)
end
