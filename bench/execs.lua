-- 500 commands that do nothing, at most as many at once as the machine has processors (the pool of
-- `exec`).
local flow = require "orrery"

local w = flow.workflow { name = "execs" }

for i = 1, 500 do
  w["task_" .. i] = flow.exec { argv = { "true" } }
end

return w
