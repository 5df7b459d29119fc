-- Three thousand nodes: layers with edges between them, and a fan of nodes that are alike.
local flow = require "orrery"

local w = flow.workflow { name = "large" }

local WIDE, DEEP, FAN = 100, 20, 1000

for layer = 1, DEEP do
  for at = 1, WIDE do
    local after = layer > 1 and { ("n%d_%d"):format(layer - 1, at),
      at % 7 == 0 and ("n%d_%d"):format(layer - 1, at % WIDE + 1) or nil } or nil
    w[("n%d_%d"):format(layer, at)] = { after = after, run = function() return at end }
  end
end
w.fan = { after = ("n%d_1"):format(DEEP), run = function() end }
for at = 1, FAN do w["work_" .. at] = { after = "fan", run = function() return at end } end

return w
