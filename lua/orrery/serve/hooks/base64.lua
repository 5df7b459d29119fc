--- Base64 (RFC 4648, section 4).
local base64 = {}

local DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local VALUES = {}
for i = 1, #DIGITS do VALUES[DIGITS:byte(i)] = i - 1 end

--- The bytes of a text in base64.
---@param text string with or without its padding
---@return string|nil bytes nil: it is none
function base64.decode(text)
  local digits = text:match "^([%w+/]*)=?=?$"
  if not digits or #digits % 4 == 1 then return nil end
  local out, bits, n = {}, 0, 0
  for i = 1, #digits do
    bits, n = bits << 6 | VALUES[digits:byte(i)], n + 6
    if n >= 8 then
      n = n - 8
      out[#out + 1] = string.char(bits >> n & 0xff)
      bits = bits & (1 << n) - 1
    end
  end
  return bits == 0 and table.concat(out) or nil
end

return base64
