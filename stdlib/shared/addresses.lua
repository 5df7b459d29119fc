--- E-mail addresses (RFC 5321, RFC 5322 without quoted local parts and literals, RFC 6531).
local flow = require "orrery"

local addresses = {}

local MOST, MOST_LOCAL, MOST_DOMAIN, MOST_LABEL = 254, 64, 253, 63 -- bytes

local function is_local(text)
  return #text >= 1 and #text <= MOST_LOCAL and not text:find "[^%w!#$%%&'*+/=?^_`{|}~.\x80-\xFF-]"
    and not text:find "^%." and not text:find "%.$" and not text:find("..", 1, true)
end

local function is_domain(text)
  if #text > MOST_DOMAIN then return false end
  local labels = 0
  for label in (text .. "."):gmatch "([^.]*)%." do
    labels = labels + 1
    if #label == 0 or #label > MOST_LABEL or label:find "[^%w\x80-\xFF-]" or label:find "^%-"
      or label:find "%-$" then
      return false
    end
  end
  return labels >= 2 and not text:find "%.%d+$"
end

--- An address with its domain in small letters. The part before it stays, for it may distinguish
--- them (RFC 5321, section 2.4).
---@param text string
---@return string|nil address
---@return string|nil reason
function addresses.normal(text)
  text = #text <= 2 * MOST and text:match "^%s*(.*%S)" or ""
  local name, domain = text:match "^([^@]*)@([^@]*)$"
  if not name or #text > MOST then return nil, "it is no e-mail address" end
  domain = flow.rows.unicode(domain:gsub("%.$", ""), "lower")
  if not domain or not is_local(name) or not is_domain(domain) then return nil, "it is no e-mail address" end
  return name .. "@" .. domain
end

return addresses
