--- Connections that are kept open for the next who asks for the same: by settings, password
--- included. Those that nobody asks for are closed.
local connection = require "orrery.rows.postgres.connection"
local core = require "orrery.core"

local pool = {}

---@class orrery.rows.postgres.Pool
---@field idle orrery.rows.postgres.Connection[] the last was used last
---@field used integer places that are taken
---@field holders table<string, integer> node -> how many of them it has
---@field line (fun(): boolean)[] who waits for a place

local pools = {} ---@type table<string, orrery.rows.postgres.Pool>

local function pool_of(settings)
  local key = core.sha256(core.json.encode({ settings.hosts, settings.parameters }, { sort = true }))
  local p = pools[key]
  if not p then
    p = { idle = {}, used = 0, holders = {}, line = {} }
    pools[key] = p
  end
  return p
end

-- ---- places -------------------------------------------------------------------------------------

local function remove(list, item)
  for i, other in ipairs(list) do
    if other == item then return table.remove(list, i) end
  end
end

-- Waits in line. The place is taken for whoever is called.
local function wait_for_place(p)
  local wake, called
  local function call()
    called = wake() -- false where it is gone
    return called
  end
  local ok, e = pcall(core.await, function(resume)
    wake = resume
    table.insert(p.line, call)
    return function() remove(p.line, call) end
  end)
  if ok then return end
  if called then pool.leave(p) end
  error(e, 0)
end

-- A node that has a connection and needs another does not wait: who waits holds nothing, so no two
-- can wait for each other.
local function enter(p, most, holder)
  local has = holder and p.holders[holder] or 0
  if p.used >= most and has == 0 then wait_for_place(p) else p.used = p.used + 1 end
  if holder then p.holders[holder] = (p.holders[holder] or 0) + 1 end
end

--- Gives a place up, to the first in line.
---@param p orrery.rows.postgres.Pool
---@param holder string|nil who had it; nil where nobody is noted
function pool.leave(p, holder)
  if holder then p.holders[holder] = p.holders[holder] > 1 and p.holders[holder] - 1 or nil end
  while p.line[1] do
    if table.remove(p.line, 1)() then return end
  end
  p.used = p.used - 1
end

-- ---- kept connections ---------------------------------------------------------------------------

local function keep(p, c)
  for i = #p.idle, 1, -1 do -- those that were closed meanwhile
    if p.idle[i].handle:state() == "closed" then table.remove(p.idle, i) end
  end
  table.insert(p.idle, c)
end

local function find(p, settings)
  while #p.idle > 0 do
    local c = table.remove(p.idle)
    local ok, awake = pcall(c.wake, c)
    if ok and awake then return c end
    c:close()
    if not ok and c.given_up then error(awake, 0) end -- the node was cancelled
  end
  return connection.open(settings)
end

--- A connection, kept or new. Waits, also where as many are open as the settings allow.
---@param settings orrery.rows.postgres.Settings
---@return orrery.rows.postgres.Connection
---@return fun() give gives it back, or closes it where it is of no use to others; does not wait
function pool.take(settings)
  local p, ctx = pool_of(settings), core.running()
  local holder = ctx and ctx.idempotency_key -- of the node, and of the item
  enter(p, settings.connections, holder)
  local taken = false
  local _ <close> = setmetatable({}, { __close = function() if not taken then pool.leave(p, holder) end end })
  local c = find(p, settings)
  taken = true
  return c, function()
    if settings.keep > 0 and c:is_free() and c:rest(settings.keep) then keep(p, c) else c:close() end
    pool.leave(p, holder)
  end
end

return pool
