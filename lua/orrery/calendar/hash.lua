--- A number that follows from a text: for times that are spread, alike on every machine.

--- 32 bits of it: FNV-1a, and a last mixing, so that the low bits are as good as the others.
---@param text string
---@return integer from 0 to 2^32 - 1
return function(text)
  local h = 0x811C9DC5
  for i = 1, #text do h = ((h ~ text:byte(i)) * 0x01000193) & 0xFFFFFFFF end
  h = ((h ~ h >> 16) * 0x85EBCA6B) & 0xFFFFFFFF
  h = ((h ~ h >> 13) * 0xC2B2AE35) & 0xFFFFFFFF
  return h ~ h >> 16
end
