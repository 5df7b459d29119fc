--- Values that outlive runs: listing and removing them.
local pages = require "orrery.store.pages"

local state_entries = {}

--- Which values are meant: of a workflow ("": those that are shared), of a key; all where neither
--- is said.
---@class orrery.StateChoice
---@field workflow? string
---@field key? string

local PAGE = 50 -- each may have a megabyte

--- The values, what was written last first, read a page at a time.
---@param db orrery.Store
---@param chosen orrery.StateChoice
---@return fun(): table|nil entry { workflow, key, value, version, run_id, node, written, expires, size }, the value as JSON
function state_entries.each(db, chosen)
  return pages(db, "state_entries", { workflow = chosen.workflow, key = chosen.key, limit = PAGE })
end

--- Removes values.
---@param db orrery.Store
---@param chosen orrery.StateChoice
---@return integer how many
function state_entries.remove(db, chosen)
  return db:perform("state_remove", { workflow = chosen.workflow, key = chosen.key })
end

return state_entries
