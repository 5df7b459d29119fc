--- Streams of Redis: what their entries look like, and how one of a group takes some. Nothing here
--- waits but what is given to it as `call`.
local core = require "orrery.core"

local streams = {}

local null = core.json.null

--- Seconds that a member of a group waits at most before it looks for what others have left.
streams.SLICE = 5

---@class orrery.redis.Entry
---@field id string
---@field fields table<string, string>

--- Entries, from what the server gives. Those that were deleted meanwhile are left out.
---@param reply any a list of { id, { name, value, … } }
---@return orrery.redis.Entry[]
function streams.entries(reply)
  local list = {}
  for _, one in ipairs(type(reply) == "table" and reply or {}) do
    if type(one) == "table" and type(one[2]) == "table" then
      local fields = {}
      for i = 1, #one[2], 2 do fields[one[2][i]] = one[2][i + 1] end
      list[#list + 1] = { id = one[1], fields = fields }
    end
  end
  return list
end

--- The entries of the one stream that was read; none where nothing came in time.
---@param reply any of XREAD or XREADGROUP
---@return orrery.redis.Entry[]
function streams.read(reply)
  return reply ~= null and type(reply) == "table" and type(reply[1]) == "table"
    and streams.entries(reply[1][2]) or {}
end

---@class orrery.redis.Member
---@field stream string
---@field group string
---@field consumer string
---@field count integer
---@field claim number seconds after which what others have taken and not acknowledged is taken over

--- Takes over what others have left.
---@param m orrery.redis.Member
---@return (string|number)[] command
function streams.claiming(m)
  return { "XAUTOCLAIM", m.stream, m.group, m.consumer, math.floor(m.claim * 1000), "0-0", "COUNT", m.count }
end

--- Its entries.
---@param reply any
---@return orrery.redis.Entry[]
function streams.claimed(reply) return streams.entries(type(reply) == "table" and reply[2] or nil) end

--- Takes what nobody has taken, and waits for it at the server.
---@param m orrery.redis.Member
---@param seconds number 0: it does not wait
---@return (string|number)[] command
function streams.taking(m, seconds)
  local args = { "XREADGROUP", "GROUP", m.group, m.consumer, "COUNT", m.count }
  if seconds > 0 then
    args[#args + 1] = "BLOCK"
    args[#args + 1] = math.max(1, math.floor(seconds * 1000))
  end
  for _, word in ipairs { "STREAMS", m.stream, ">" } do args[#args + 1] = word end
  return args
end

--- Makes the group, and the stream where there is none.
---@param m orrery.redis.Member
---@param from string an id: what comes after it is the group's; "0": all that is there
---@return (string|number)[] command
function streams.founding(m, from) return { "XGROUP", "CREATE", m.stream, m.group, from, "MKSTREAM" } end

--- Says that entries are done with.
---@param stream string
---@param group string
---@param ids string[]
---@return (string|number)[] command
function streams.acknowledging(stream, group, ids)
  return table.move(ids, 1, #ids, 4, { "XACK", stream, group })
end

return streams
