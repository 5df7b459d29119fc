--- Pools that were declared: by the program, with `flow.pool`; by a workflow, with its option
--- `pools`; or by default, which a node type does. Of a name the first of these that there is
--- holds, for every runtime; each has places of its own, see `orrery.runtime.pools`.
local core = require "orrery.core"
local defer = require "orrery.defer"
local errors = require "orrery.errors"
local where = require "orrery.where"

local pools = {}

-- OLD: of a workflow as its run began with it. TEXT: of a definition that may be a stranger's,
-- which changes nothing for others.
local PROGRAM, WORKFLOW, OLD, DEFAULT, TEXT = 5, 4, 3, 2, 1

defer(pools, "orrery.definition.pool_fields", { "rate", "read" })

local declared = {} -- name -> { max, rate, per, burst, rank, by = workflow and file }
local names = {}
local listener -- called for each declaration

local function copy(pool)
  return pool and { max = pool.max, rate = pool.rate, per = pool.per, burst = pool.burst }
end

local function same(a, b)
  return a.max == b.max and a.rate == b.rate and a.per == b.per and a.burst == b.burst
end

-- ---- declaring ----------------------------------------------------------------------------------

-- At once, because a run may go on whose child workflows use the pool: one of them may load a type
-- that declares it.
local function put(name, pool, rank, by)
  if not declared[name] then names[#names + 1] = name end
  pool.rank, pool.by = rank, by
  declared[name] = pool
  if listener then listener(name) end
end

local function bad(place, field, message)
  errors.raise { { kind = "bad_value", field = field, where = place, message = "flow.pool: " .. message } }
end

--- Declares a pool, `flow.pool("db", { max = 4, rate = "10/s", burst = 20 })`: nodes with
--- `pool = "db"` share its places. A later declaration of the name replaces the earlier one, and it
--- holds over what workflows declare; with `default = true` it is there only where nobody else
--- declares it. A pool "tenant" also serves "tenant:a", "tenant:b" and so on, each of which has
--- places of its own.
---
--- Without options it only looks: `flow.pool "db"` returns what was declared, or nil.
---@param name string
---@param options? {max: integer?, rate: (string|number)?, burst: integer?, default: boolean?}
---@return {max: integer?, rate: number?, per: number?, burst: integer?}|nil declared a copy; `rate` tokens in `per` seconds
function pools.declare(name, options)
  local place = where.text(where.here(2))
  if type(name) ~= "string" or name == "" then
    bad(place, "name", "expected a name, got " .. errors.show(name))
  end
  if options == nil then return copy(declared[name]) end
  local pool, field, message = pools.read(options, "default")
  if not pool then return bad(place, field, message) end
  if not options.default then
    put(name, pool, PROGRAM)
  elseif not declared[name] or declared[name].rank < DEFAULT then
    put(name, pool, DEFAULT)
  end
  return copy(pool)
end

--- Declares a pool of a workflow. What the program declares holds over it.
---@param name string
---@param pool table of `pools.read`
---@param by string the workflow and its file; the same may declare it anew
---@return string|nil conflict who declares it otherwise: then nothing has changed
function pools.of_workflow(name, pool, by)
  local known = declared[name]
  local rank = known and known.rank or 0
  if rank == PROGRAM then return nil end
  if rank == WORKFLOW and known.by ~= by then return not same(known, pool) and known.by or nil end
  put(name, pool, WORKFLOW, by)
end

--- The same where it must not change what others have declared: of a workflow that is loaded again
--- for a run that began with it, or of a definition that may be a stranger's.
---@param name string
---@param pool table of `pools.read`
---@param stranger boolean
function pools.of_guest(name, pool, stranger)
  local rank = stranger and TEXT or OLD
  if not declared[name] or declared[name].rank < rank then put(name, pool, rank) end
end

-- ---- asking -------------------------------------------------------------------------------------

--- Whether a node may name the pool.
---@param name string
---@return boolean
function pools.has(name)
  return declared[name] ~= nil or core.runtime():has_pool(name)
end

--- The declared pools' names, in order of declaration.
---@return string[]
function pools.names() return names end

--- What was declared of a pool.
---@param name string
---@return {max: integer?, rate: number?, per: number?, burst: integer?}|nil
function pools.declared(name) return copy(declared[name]) end

--- Calls `fn(name)` for every declaration from now on. One listener.
---@param fn fun(name: string)
function pools.on_declared(fn) listener = fn end

return pools
