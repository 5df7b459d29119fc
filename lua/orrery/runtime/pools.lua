--- Pools of runtimes: each runtime gets the declared pools, with places of its own.
local declared = require "orrery.definition.pools"

local pools = {}

local declared_on = setmetatable({}, { __mode = "k" }) -- runtime -> true: it has all declared pools

-- Declares a pool on a runtime. One that is paused in its store gives no places from the first on.
local function declare(rt, name)
  rt:pool(name, declared.declared(name))
  if rt:durable() and require("orrery.history.pauses").of_pool(rt:store(), name) then
    rt:pause_pool(name, true)
  end
end

-- A runtime that is being collected may still be listed, and refuses.
declared.on_declared(function(name)
  for rt in pairs(declared_on) do pcall(declare, rt, name) end
end)

--- Declares on a runtime all pools that it does not have yet.
---@param rt orrery.Runtime
function pools.apply(rt)
  if declared_on[rt] then return end
  for _, name in ipairs(declared.names()) do declare(rt, name) end
  declared_on[rt] = true
end

--- Pauses the pools of a runtime that are paused in its store.
---@param rt orrery.Runtime
---@param store orrery.Store
function pools.pause(rt, store)
  local paused = require("orrery.history.pauses").pools(store)
  if #paused == 0 then return end
  pools.apply(rt)
  for _, name in ipairs(paused) do
    if rt:has_pool(name) then rt:pause_pool(name, true) end
  end
end

return pools
