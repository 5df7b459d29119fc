--- Redis for handlers: `flow.resp`. RESP is the protocol that Redis, Valkey and others speak.
---
--- Commands of all nodes that name the same server and user go over one connection, one behind the
--- other. What blocks at the server has a connection of its own.
local connection = require "orrery.redis.connection"
local core = require "orrery.core"
local errors = require "orrery.errors"
local settings = require "orrery.redis.settings"
local streams = require "orrery.redis.streams"
local uv = require "luv"

local redis = {}

-- ---- waiting ------------------------------------------------------------------------------------

local function raise(err)
  local copy = {}
  for key, value in pairs(err) do copy[key] = value end
  errors.error(copy)
end

-- Sends a command, and waits for its answer. `ended` is called where the node is cancelled.
local function call(conn, args, seconds, ended)
  local err, reply = core.await(function(resume)
    conn:send(args, resume, seconds)
    return ended or function() end
  end)
  if err then raise(err) end
  return reply
end

-- ---- the connection that is shared --------------------------------------------------------------

local shared = {} ---@type table<string, orrery.redis.Connection>
local CHECKED_AFTER = 20000000 -- ns that a connection has rested, after which it may be gone

local function key_of(s)
  return core.sha256(core.json.encode({ s.host or "", s.path or "", s.port, s.database, s.user or "",
    s.password or "", s.max_size }, { sort = true }))
end

-- Closes it once nobody has used it for a while.
local function close_later(key, conn, keep)
  local timer = uv.new_timer()
  local function look()
    local rested = conn.idle_since and (uv.hrtime() - conn.idle_since) / 1e9
    if not conn.failed and not (rested and rested >= keep) then
      timer:start(math.ceil((keep - (rested or 0)) * 1000) + 10, 0, look)
      timer:unref()
      return
    end
    timer:close()
    if shared[key] == conn then shared[key] = nil end
    conn:close()
  end
  look()
end

local function is_there(conn)
  if conn.failed then return false end
  if not conn.idle_since or uv.hrtime() - conn.idle_since < CHECKED_AFTER then return true end
  local ok, e = pcall(call, conn, { "PING" })
  if ok then return true end
  if type(e) ~= "table" or not tostring(e.code):find "^redis_" then error(e, 0) end
  return false
end

local function shared_of(s)
  local key = key_of(s)
  local conn = shared[key]
  if conn and is_there(conn) then return conn end
  local other = shared[key]
  if other and other ~= conn and not other.failed then return other end -- made meanwhile
  local made = connection.open(s)
  shared[key] = made
  close_later(key, made, s.keep)
  return made
end

-- ---- for handlers -------------------------------------------------------------------------------

---@class orrery.Redis
---@field settings orrery.redis.Settings
local Redis = {}
Redis.__index = Redis

--- A Redis server. Connects at the first command. Raises `config_error`.
---@param from orrery.redis.Given
---@return orrery.Redis
function redis.new(from) return setmetatable({ settings = settings.read(from) }, Redis) end

--- Where it is, without user and password.
---@return string
function Redis:name() return self.settings.shown end

--- Does a command, and returns its reply: a string, an integer, null, or a list of these. Waits.
--- Raises `redis_busy`, `redis_connection`, `redis_denied`, `redis_error`, `redis_timeout`,
--- `redis_too_large`, `redis_unavailable`.
---@param ... string|number its words; nothing in them is read as another command
---@return any reply
function Redis:call(...) return call(shared_of(self.settings), { ... }, self.settings.max_time) end

--- Acknowledges entries that the handler has taken, once all that its run has recorded is on
--- disk: so record them before, by ctx:step. A second time does no harm. Waits. Raises as `call`
--- does.
---@param stream string
---@param group string
---@param ids string[]
function Redis:acknowledge(stream, group, ids)
  core.flushed()
  self:call(table.unpack(streams.acknowledging(stream, group, ids)))
end

local MOST_HEARD = 1000 -- replies that wait; then nothing more is read, and the server has to wait

---@class orrery.redis.Own a connection of one handler
---@field conn orrery.redis.Connection
---@field settings orrery.redis.Settings
---@field heard table<integer, {err: table|nil, reply: any}> what the server has said since it listens
---@field first integer of `heard`, whose last is `last`
---@field last integer
---@field wake fun()|nil
local Own = {}
Own.__index = Own
Own.__close = function(self) self.conn:close() end

--- A connection of its own, for what blocks at the server. Close it, or keep it in a `<close>`
--- variable. Does not wait.
---@return orrery.redis.Own
function Redis:own()
  return setmetatable({ conn = connection.open(self.settings), settings = self.settings, heard = {},
    first = 1, last = 0 }, Own)
end

--- As of the server, over this connection, which is closed where the node is cancelled meanwhile.
---@param args (string|number)[]
---@param blocks? number seconds that the server may wait before it answers
---@return any reply
function Own:call(args, blocks)
  return call(self.conn, args, (blocks or 0) + self.settings.max_time, function() self.conn:close() end)
end

--- Entries of a stream after an id. Waits, at the server for so many seconds. Raises as `call`
--- does.
---@param stream string
---@param after string
---@param count integer
---@param seconds number
---@return orrery.redis.Entry[]
function Own:read(stream, after, count, seconds)
  local milliseconds = math.max(1, math.floor(seconds * 1000))
  return streams.read(self:call({ "XREAD", "COUNT", count, "BLOCK", milliseconds, "STREAMS", stream, after },
    seconds))
end

-- What was left by others first, then what nobody has taken; founds the group where there is none.
local function take_once(self, member, seconds)
  local found = streams.claimed(self:call(streams.claiming(member)))
  if #found > 0 then return found end
  return streams.read(self:call(streams.taking(member, seconds), seconds))
end

local function answers(e, word)
  return type(e) == "table" and type(e.details) == "table" and e.details.error == word
end

-- Another may have made it meanwhile.
local function found_group(self, member)
  local ok, e = pcall(self.call, self, streams.founding(member, member.from))
  if not ok and not answers(e, "BUSYGROUP") then error(e, 0) end
end

--- Takes entries for a group, at least one. Waits. Raises as `call` does.
---@param member orrery.redis.Member with `from`, where a group that is made begins
---@param late? integer of uv.hrtime
---@return orrery.redis.Entry[] none where it is late
function Own:take(member, late)
  while true do
    local left = late and (late - uv.hrtime()) / 1e9 or math.huge
    local ok, found = pcall(take_once, self, member, math.max(0, math.min(left, streams.SLICE)))
    if not ok then
      if not answers(found, "NOGROUP") then error(found, 0) end
      found_group(self, member)
    elseif #found > 0 or left <= 0 then
      return found
    end
  end
end

--- Sends a command whose answers `hear` gives, such as SUBSCRIBE. Does not wait.
---@param args (string|number)[]
function Own:tell(args)
  if not self.conn.listener then
    self.conn:listen(function(err, reply)
      self.last = self.last + 1
      self.heard[self.last] = { err = err, reply = reply }
      if self.last - self.first >= MOST_HEARD then self.conn:pause(true) end
      if self.wake then self.wake() end
    end)
  end
  self.conn:tell(args)
end

-- Waits until the server says something, or it is late.
local function listen(self, late)
  core.await(function(resume)
    local timer = late and uv.new_timer()
    local function stop()
      self.wake = nil
      if timer and not timer:is_closing() then timer:close() end
    end
    self.wake = function()
      stop()
      resume()
    end
    if timer then
      uv.update_time()
      timer:start(math.max(0, math.ceil((late - uv.hrtime()) / 1e6)), 0, self.wake)
    end
    return stop
  end)
end

--- The next that the server says. Waits. Raises as `call` does.
---@param late? integer of uv.hrtime
---@return any reply nil where it is late
function Own:hear(late)
  if self.first > self.last and self.conn.failed then raise(self.conn.failed) end
  if self.first > self.last then listen(self, late) end
  local said = self.heard[self.first]
  if not said then return nil end
  self.heard[self.first] = nil
  self.first = self.first + 1
  if self.first > self.last then self.conn:pause(false) end
  if said.err then raise(said.err) end
  return said.reply
end

--- Closes it. Does not wait.
function Own:close() self.conn:close() end

return redis
