--- What is paused: workflows with all their runs, and pools.
local core = require "orrery.core"

local pauses = {}

--- Whether a workflow is paused.
---@param db orrery.Store
---@param name string
---@return boolean
function pauses.of_workflow(db, name)
  return db:row("workflow_paused", { name = name }) ~= nil
end

--- Whether a pool is paused.
---@param db orrery.Store
---@param name string|nil nil: it is not known which
---@return boolean
function pauses.of_pool(db, name)
  return name ~= nil and db:row("pool_paused", { name = name }) ~= nil
end

local function names(rows)
  local list = {}
  for i, row in ipairs(rows) do list[i] = row.name end
  return list
end

--- The pools that are paused.
---@param db orrery.Store
---@return string[]
function pauses.pools(db) return names(db:rows "pools_paused") end

local known = setmetatable({}, { __mode = "k" }) -- runtime -> { at, names }
local FRESH = 0.1 -- seconds

--- Whether runs of that workflow are to begin paused. What the store says is believed for a tenth
--- of a second.
---@param rt orrery.Runtime
---@param name string
---@return boolean
function pauses.holds(rt, name)
  local seen, now = known[rt], core.hrtime() / 1e9
  if not seen or now - seen.at > FRESH then
    seen = { at = now, names = {} }
    known[rt] = seen
    for _, paused in ipairs(names(rt:store():rows "workflows_paused")) do
      seen.names[paused] = true
    end
  end
  return seen.names[name] or false
end

return pauses
