--- Stored outputs of nodes with `cache`: listing and removing them.
local pages = require "orrery.store.pages"

local cache_entries = {}

--- The entries, newest first, read a page at a time.
---@param db orrery.Store
---@param chosen { workflow: string|nil, node: string|nil }
---@return fun(): table|nil entry { key, workflow, node, type, run, created, expires, size }
function cache_entries.each(db, chosen)
  return pages(db, "cache_entries", { workflow = chosen.workflow, node = chosen.node, limit = 500 })
end

--- Removes entries.
---@param db orrery.Store
---@param chosen { workflow: string|nil, node: string|nil }
---@return integer how many
function cache_entries.clear(db, chosen)
  return db:perform("cache_clear", { workflow = chosen.workflow, node = chosen.node })
end

return cache_entries
