--- The schemas of the drafts themselves, for references to them. Each is a text of JSON, read when
--- it is first asked for.
local json = require "orrery.core".json

local drafts = {}

local read = {}

--- The document at an address; nil where it is none of a draft's.
---@param address string
---@return table|nil
function drafts.find(address)
  local name = address:match "^https?://json%-schema%.org/(.*)$"
  if not name then return nil end
  if read[name] == nil then
    local text = require "orrery.schema.json.draft_texts"[name]
    read[name] = text and json.decode(text) or false
  end
  return read[name] or nil
end

return drafts
