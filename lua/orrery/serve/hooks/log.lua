--- The deliveries to hooks that a store keeps: the last of each hook, with what is needed to repeat
--- one.
local core = require "orrery.core"

local log = {}

local KEEP = 500         -- deliveries of a hook
local LARGEST = 64 << 10 -- bytes of a body that is kept

--- A delivery as it is kept.
---@param hook string
---@param delivery orrery.serve.Delivery
---@param result orrery.serve.HookResult
---@return table
function log.entry(hook, delivery, result)
  local body = #delivery.body <= LARGEST and core.json.encode(delivery.body, { binary = true }) or nil
  return { hook = hook, delivery = delivery.id or nil, received = delivery.received, outcome = result.outcome,
    status = result.status, run = result.run, message = result.message and result.message:sub(1, 500),
    headers = core.json.encode(core.json.object(delivery.headers), { sort = true, binary = true }),
    query = delivery.query, body = body, bytes = #delivery.body, again = delivery.again }
end

--- Writes entries; they are on the disk when it returns. Called on a thread.
---@param store orrery.Store
---@param entries table[]
function log.write(store, entries) store:perform("hook_note", { deliveries = entries, keep = KEEP }) end

--- Deliveries to a hook, newest first. Called on a thread.
---@param store orrery.Store
---@param hook string
---@param limit integer
---@param before integer
---@return table[]
function log.list(store, hook, limit, before)
  return store:rows("hook_deliveries", { hook = hook, before = before, limit = limit })
end

--- One delivery with its headers and body; false: there is none. Called on a thread.
---@param store orrery.Store
---@param hook string
---@param id integer
---@return table|false
function log.one(store, hook, id)
  local row = store:row("hook_delivery", { hook = hook, id = id })
  if not row then return false end
  row.headers = core.json.decode(row.headers, { binary = true })
  row.body = row.body and core.json.decode(row.body, { binary = true })
  return row
end

--- How many deliveries of each hook are kept, and when the last came. Called on a thread.
---@param store orrery.Store
---@return { hook: string, n: integer, last: number }[]
function log.seen(store) return store:rows "hooks_seen" end

return log
