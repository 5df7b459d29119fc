--- The bus in a Redis server, for runs of many processes: a channel for each topic, and a stream
--- for what must not be lost.
---
--- Who waits for one topic, and for one group of it, shares a connection of its own, on which the
--- server is asked for the next message. It is made when the first of them waits, and closed with
--- the last.
local connection = require "orrery.redis.connection"
local core = require "orrery.core"
local line = require "orrery.bus.line"
local mask = require "orrery.mask"
local redis = require "orrery.redis"
local streams = require "orrery.redis.streams"
local uv = require "luv"

---@class orrery.bus.Redis: orrery.bus.Source
---@field redis orrery.Redis
---@field listeners table<string, orrery.bus.Listener>
local Redis = {}
Redis.__index = Redis

---@class orrery.bus.Listener
---@field topic string
---@field group string|nil
---@field waiters orrery.bus.Line
---@field conn orrery.redis.Connection
---@field member orrery.redis.Member|nil
local Listener = {}
Listener.__index = Listener

local in_redis = {}

local CLAIM = 300 -- seconds after which what a reader has taken and not acknowledged goes to another
local REMEMBERED = 86400 -- seconds for which a message is not kept twice

-- In braces, so that the keys of a topic stay together in a cluster.
local function key_of(topic) return ("orrery:{%s}"):format(topic) end

--- A bus in a server. Raises `config_error`.
---@param url string
---@return orrery.bus.Redis
function in_redis.new(url)
  local self = setmetatable({ redis = redis.new { url = url }, listeners = {} }, Redis)
  local password = self.redis.settings.password
  if password then mask.protect(password) end
  return self
end

-- ---- messages -----------------------------------------------------------------------------------

local function decoded(text)
  local ok, value = pcall(core.json.decode, text)
  if ok then return true, value end
  return false, text
end

-- What others publish on a channel is a message, too.
local function published(text)
  local ok, value = decoded(text)
  if ok and type(value) == "table" and type(value.id) == "string" and value.message ~= nil then
    return { id = value.id, message = value.message }
  end
  return { message = value }
end

local function kept(entry)
  local text, message = entry.fields.message, entry.fields
  if text then message = select(2, decoded(text)) end
  return { id = entry.fields.id or entry.id, message = message, entry = entry.id }
end

-- ---- publishing ---------------------------------------------------------------------------------

--- Gives a message to all who wait for its topic now. Waits. Raises as commands of Redis do.
---@param topic string
---@param message orrery.bus.Message
---@return integer receivers connections that have it
function Redis:publish(topic, message)
  local text = core.json.encode { id = message.id, message = message.message }
  return self.redis:call("PUBLISH", key_of(topic), text)
end

-- A message that was kept already, by an attempt whose answer was lost, is not kept again.
local APPEND = [[
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 'id', ARGV[1], 'message', ARGV[2])
redis.call('SET', KEYS[2], '1', 'EX', ARGV[4])
return 1]]

--- Keeps a message for the groups of a topic. Waits. Raises as commands of Redis do.
---@param topic string
---@param message orrery.bus.Message
---@param most integer about how many are kept
function Redis:append(topic, message, most)
  local key = key_of(topic) .. ":stream"
  self.redis:call("EVAL", APPEND, 2, key, key .. ":" .. message.id, message.id,
    core.json.encode(message.message), most, REMEMBERED)
end

-- ---- listening ----------------------------------------------------------------------------------

-- All who wait are told, and go on as their retry policies say.
local function fail(self, err)
  local waiters = self.waiters
  self.waiters = line.new()
  self.close()
  while waiters.size > 0 do waiters:take():fail(err) end
end

local function hear(self)
  self.conn:listen(function(err, reply)
    if err then return fail(self, err) end
    if type(reply) ~= "table" or reply[1] ~= "message" then return end
    local message = published(reply[3])
    while self.waiters.size > 0 do self.waiters:take():deliver(message) end
    self.close()
  end)
  self.conn:tell { "SUBSCRIBE", key_of(self.topic) }
end

local take

-- Gives an entry to the first who can take it. Where nobody can, it stays with the group, and is
-- claimed later.
local function give(self, entries)
  local given = not entries[1] -- of one entry, as the member says
  while not given and self.waiters.size > 0 do given = self.waiters:take():deliver(kept(entries[1])) end
  if self.waiters.size == 0 then return self.close() end
  return take(self)
end

local function found_group(self)
  self.conn:send(streams.founding(self.member, "0"), function(err)
    if err and err.details and err.details.error ~= "BUSYGROUP" then return fail(self, err) end
    if err and not err.details then return fail(self, err) end
    return take(self)
  end)
end

-- First what others have left, then what nobody has taken.
function take(self)
  local function failed(err)
    if err.details and err.details.error == "NOGROUP" then return found_group(self) end
    return fail(self, err)
  end
  self.conn:send(streams.claiming(self.member), function(err, reply)
    if err then return failed(err) end
    local entries = streams.claimed(reply)
    if entries[1] then return give(self, entries) end
    self.conn:send(streams.taking(self.member, streams.SLICE), function(again, more)
      if again then return failed(again) end
      return give(self, streams.read(more))
    end, streams.SLICE + self.conn.settings.max_time)
  end)
end

local function listener_key(waiter)
  return ("%d %s %s"):format(#waiter.topic, waiter.topic, waiter.group or "")
end

local function new_listener(self, waiter, key)
  local made = setmetatable({ topic = waiter.topic, group = waiter.group, waiters = line.new(),
    conn = connection.open(self.redis.settings) }, Listener)
  made.close = function()
    if self.listeners[key] == made then self.listeners[key] = nil end
    made.conn:close()
  end
  if waiter.group then
    made.member = { stream = key_of(waiter.topic) .. ":stream", group = waiter.group, count = 1,
      claim = CLAIM, consumer = "orrery@" .. uv.os_gethostname() }
  end
  return made
end

--- A waiter is given the next message from now on.
---@param waiter orrery.bus.Waiter
function Redis:join(waiter)
  local key = listener_key(waiter)
  local listener = self.listeners[key]
  if listener then
    listener.waiters:add(waiter)
    return
  end
  listener = new_listener(self, waiter, key)
  self.listeners[key] = listener
  listener.waiters:add(waiter)
  if listener.conn.failed then return fail(listener, listener.conn.failed) end
  if waiter.group then take(listener) else hear(listener) end
end

--- A waiter goes. What it was given and has not acknowledged is claimed by another later.
---@param waiter orrery.bus.Waiter
function Redis:leave(waiter)
  local listener = self.listeners[listener_key(waiter)]
  if not listener then return end
  listener.waiters:remove(waiter)
  if listener.waiters.size == 0 then listener.close() end
end

--- A message that was taken is done with, once all that its run has recorded is on disk. Waits.
--- Raises as commands of Redis do.
---@param waiter orrery.bus.Waiter
---@param message orrery.bus.Message
function Redis:acknowledge(waiter, message)
  self.redis:acknowledge(key_of(waiter.topic) .. ":stream", waiter.group, { message.entry })
end

return in_redis
