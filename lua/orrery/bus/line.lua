--- Who waits, first come, first served. However many wait, each operation takes the same time.
local line = {}

---@class orrery.bus.Line
---@field first integer where the first stands, or a place before
---@field last integer
---@field size integer
---@field places table<orrery.bus.Waiter, integer>
local Line = {}
Line.__index = Line

--- An empty one.
---@return orrery.bus.Line
function line.new() return setmetatable({ first = 1, last = 0, size = 0, places = {} }, Line) end

--- Lines one up.
---@param waiter orrery.bus.Waiter
function Line:add(waiter)
  self.last = self.last + 1
  self[self.last], self.places[waiter] = waiter, self.last
  self.size = self.size + 1
end

--- Takes one out, where it is there.
---@param waiter orrery.bus.Waiter
function Line:remove(waiter)
  local place = self.places[waiter]
  if not place then return end
  self[place], self.places[waiter] = nil, nil
  self.size = self.size - 1
end

--- Takes the first out; nil where nobody waits.
---@return orrery.bus.Waiter|nil
function Line:take()
  if self.size == 0 then return nil end
  while not self[self.first] do self.first = self.first + 1 end
  local waiter = self[self.first]
  self:remove(waiter)
  return waiter
end

return line
