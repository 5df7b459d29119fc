-- A node type of one's own, used twice. It stands in examples/types/words.lua.
--   orrery run examples/custom_type.lua
local flow = require "orrery"

-- Finds the module beside this file, wherever the command is started.
local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
package.path = here .. "?.lua;" .. package.path
local words = require "types.words"

local w = flow.workflow { name = "custom_type", output = { all = "${nodes.all}", long = "${nodes.long}" } }

w.text = { run = function()
  local file = assert(io.open("/usr/share/common-licenses/BSD"))
  local text = file:read("a")
  file:close()
  return text
end }

w.all = words { text = "${nodes.text}" }
w.long = words { text = "${nodes.text}", least = 8 }

return w
