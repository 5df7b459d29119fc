--- What bulk actions were previewed for: the runs that a filter chose at one moment, kept under a
--- token until the action is asked for. Later runs are not among them.
---
--- Kept in memory, and little of it: the oldest go where there are too many, all after a while, and
--- with the server. Whoever asks too late takes another preview.
local tokens = require "orrery.serve.tokens"

local previews = {}

local LIFE = 600           -- seconds
local MOST_BYTES = 4 << 20 -- of ids, over all previews

local Previews = {}
Previews.__index = Previews

---@class orrery.serve.Preview
---@field action string
---@field ids string the ids of the runs, one behind the other
---@field count integer
---@field who string the name of the token or session that asked
---@field via string

--- Makes a place for them.
---@param clock fun(): number seconds
---@return orrery.serve.Previews
function previews.new(clock) return setmetatable({ clock = clock, list = {}, bytes = 0 }, Previews) end

local function drop(self, i)
  self.bytes = self.bytes - #table.remove(self.list, i).ids
end

local function drop_old(self)
  local now = self.clock()
  while self.list[1] and (self.bytes > MOST_BYTES or now >= self.list[1].expires) do drop(self, 1) end
end

--- Keeps one.
---@param preview orrery.serve.Preview
---@return string token
---@return number expires seconds since the epoch
function Previews:keep(preview)
  preview.token, preview.expires = tokens.random(16), self.clock() + LIFE
  table.insert(self.list, preview)
  self.bytes = self.bytes + #preview.ids
  drop_old(self)
  return preview.token, preview.expires
end

--- The one with this token, for who asked for it only.
---@param token string
---@param who orrery.serve.Who
---@return orrery.serve.Preview|nil
function Previews:find(token, who)
  drop_old(self)
  for _, preview in ipairs(self.list) do
    if preview.token == token and preview.who == who.name and preview.via == who.via then return preview end
  end
end

--- Takes one away: what it is about is done once.
---@param preview orrery.serve.Preview
function Previews:take(preview)
  for i, each in ipairs(self.list) do
    if each == preview then
      drop(self, i)
      return
    end
  end
end

return previews
