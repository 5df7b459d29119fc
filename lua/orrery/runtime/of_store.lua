--- The runtime of the runs of a store: one for each, so that all of them share one thread and one
--- owner.
local core = require "orrery.core"
local pools = require "orrery.runtime.pools"

local by_store = {} -- url -> { rt, durable }

---@class orrery.StoreLimits as of `core.runtime`
---@field output_limit? integer
---@field memory_limit? integer
---@field large_output? integer
---@field crash_limit? integer

--- The runtime of the runs of a store, one for each.
---@param url string
---@param durability? "strict"|"relaxed"|"none"
---@param limits? orrery.StoreLimits
---@return orrery.Runtime
local function of_store(url, durability, limits)
  local known = by_store[url]
  local rt = known and known.rt
  if not rt or (known.durable and not rt:durable()) then -- there is none, or it was closed
    limits = limits or {}
    rt = core.runtime { store = url, durability = durability, output_limit = limits.output_limit,
      memory_limit = limits.memory_limit, large_output = limits.large_output,
        crash_limit = limits.crash_limit }
    by_store[url] = { rt = rt, durable = rt:durable() }
    if rt:durable() then pools.pause(rt, rt:store()) end
  end
  return rt
end

return of_store
