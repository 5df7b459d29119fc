--- A short name for a text, to tell messages of one node apart; nothing that somebody could not
--- make
--- again.
---@param text string
---@return string 16 hexadecimal digits: FNV-1a of 64 bits (RFC 9923)
return function(text)
  local hash = 0xcbf29ce484222325
  for i = 1, #text do hash = (hash ~ text:byte(i)) * 0x100000001b3 end
  return ("%016x"):format(hash)
end
