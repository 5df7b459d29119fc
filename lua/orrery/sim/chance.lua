--- Chance that a seed decides: splitmix64 (Steele, Lea, Flood 2014).
local Chance = {}
Chance.__index = Chance

local function mix(z)
  z = (z ~ (z >> 30)) * 0xbf58476d1ce4e5b9
  z = (z ~ (z >> 27)) * 0x94d049bb133111eb
  return z ~ (z >> 31)
end

--- A source of chance.
---@param seed integer
---@return orrery.sim.Chance
function Chance.new(seed) return setmetatable({ state = mix(seed + 0x9e3779b97f4a7c15) }, Chance) end

--- One that a text and a number tell apart from others of the same seed.
---@param seed integer
---@param text string
---@param n integer
---@return orrery.sim.Chance
function Chance.of(seed, text, n)
  local h = 0xcbf29ce484222325
  for i = 1, #text do h = (h ~ text:byte(i)) * 0x100000001b3 end
  return Chance.new(seed ~ mix(h + n))
end

--- A number from 0 to below 1.
---@return number
function Chance:real()
  self.state = self.state + 0x9e3779b97f4a7c15
  return (mix(self.state) >> 11) * 0x1p-53
end

--- A whole number between two, both included.
---@param least integer
---@param most integer
---@return integer
function Chance:int(least, most) return least + math.floor(self:real() * (most - least + 1)) end

---@param p number
---@return boolean
function Chance:truth(p) return self:real() < p end

--- One of a list that is not empty.
---@generic T
---@param list T[]
---@return T
function Chance:pick(list) return list[self:int(1, #list)] end

return Chance
