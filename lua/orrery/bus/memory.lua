--- The bus inside a process: topics, whose messages go to all who wait, and streams, which keep
--- messages until each group of readers has taken them. It ends with the process.
local core = require "orrery.core"
local line = require "orrery.bus.line"

---@class orrery.bus.Group
---@field next integer the first entry that nobody has taken
---@field returned integer[] taken and given back, in order
---@field given table<integer, orrery.bus.Waiter> taken and not acknowledged
---@field waiters orrery.bus.Line

---@class orrery.bus.Stream
---@field first integer of `entries`, whose last is `last`
---@field last integer
---@field entries table<integer, orrery.bus.Message>
---@field groups table<string, orrery.bus.Group>

---@class orrery.bus.Memory: orrery.bus.Source
---@field topics table<string, orrery.bus.Line>
---@field streams table<string, orrery.bus.Stream>
local Memory = {}
Memory.__index = Memory

local memory = {}

--- A bus of its own.
---@return orrery.bus.Memory
function memory.new() return setmetatable({ topics = {}, streams = {} }, Memory) end

-- ---- streams ------------------------------------------------------------------------------------

local function stream_of(self, topic)
  local stream = self.streams[topic]
  if not stream then
    stream = { first = 1, last = 0, entries = {}, groups = {} }
    self.streams[topic] = stream
  end
  return stream
end

local function group_of(stream, name)
  local group = stream.groups[name]
  if not group then
    group = { next = stream.first, returned = {}, given = {}, waiters = line.new() }
    stream.groups[name] = group
  end
  return group
end

-- The next entry for a group; nil where it has all.
local function next_of(stream, group)
  while group.returned[1] do
    local n = table.remove(group.returned, 1)
    if stream.entries[n] then return n end
  end
  group.next = math.max(group.next, stream.first)
  if group.next > stream.last then return nil end
  group.next = group.next + 1
  return group.next - 1
end

local function give_back(group, n)
  group.given[n] = nil
  table.insert(group.returned, n)
  table.sort(group.returned)
end

-- Gives entries to those who wait, while there are both.
local function serve(stream, group)
  while group.waiters.size > 0 do
    local n = next_of(stream, group)
    if not n then return end
    local waiter = group.waiters:take()
    group.given[n] = waiter
    waiter.taken = n
    if not waiter:deliver(stream.entries[n]) then
      waiter.taken = nil
      give_back(group, n)
    end
  end
end

local function trim(stream, most)
  while stream.last - stream.first + 1 > most do
    stream.entries[stream.first] = nil
    stream.first = stream.first + 1
  end
end

-- ---- publishing ---------------------------------------------------------------------------------

--- Gives a message to all who wait for its topic now.
---@param topic string
---@param message orrery.bus.Message
---@return integer receivers
function Memory:publish(topic, message)
  local waiting, n = self.topics[topic], 0
  self.topics[topic] = nil
  while waiting and waiting.size > 0 do
    if waiting:take():deliver(message) then n = n + 1 end
  end
  return n
end

--- Keeps a message for the groups of a topic.
---@param topic string
---@param message orrery.bus.Message
---@param most integer how many are kept
function Memory:append(topic, message, most)
  local stream = stream_of(self, topic)
  stream.last = stream.last + 1
  stream.entries[stream.last] = message
  trim(stream, most)
  for _, group in pairs(stream.groups) do serve(stream, group) end
end

-- ---- waiting ------------------------------------------------------------------------------------

--- A waiter is given the next message from now on.
---@param waiter orrery.bus.Waiter
function Memory:join(waiter)
  if not waiter.group then
    self.topics[waiter.topic] = self.topics[waiter.topic] or line.new()
    self.topics[waiter.topic]:add(waiter)
    return
  end
  local stream = stream_of(self, waiter.topic)
  local group = group_of(stream, waiter.group)
  group.waiters:add(waiter)
  serve(stream, group)
end

--- A waiter goes. A message that it was given and has not acknowledged goes to another.
---@param waiter orrery.bus.Waiter
function Memory:leave(waiter)
  if not waiter.group then
    local waiting = self.topics[waiter.topic]
    if waiting then waiting:remove(waiter) end
    if waiting and waiting.size == 0 then self.topics[waiter.topic] = nil end
    return
  end
  local stream = stream_of(self, waiter.topic)
  local group = group_of(stream, waiter.group)
  group.waiters:remove(waiter)
  if not waiter.taken then return end
  give_back(group, waiter.taken)
  waiter.taken = nil
  serve(stream, group)
end

--- A message that a waiter was given is done with, once all that its run has recorded is on disk.
--- Waits for that.
---@param waiter orrery.bus.Waiter
function Memory:acknowledge(waiter)
  core.flushed()
  group_of(stream_of(self, waiter.topic), waiter.group).given[waiter.taken] = nil
  waiter.taken = nil
end

return memory
