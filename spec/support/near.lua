-- near.lua: `lua spec/support/near.lua PATTERN FILE...` says that no test's file matches, and which
-- names are near.
package.path = "lua/?.lua;" .. package.path
local nearest = require "orrery.nearest"

local pattern, names = arg[1], {}
for i = 2, #arg do
  names[#names + 1] = arg[i]:match("([^/]+)%.%w+$"):gsub("^test_", ""):gsub("_spec$", "")
end
table.sort(names)

local near = {}
while #near < 5 do
  local name = nearest(pattern, names)
  if not name then break end
  near[#near + 1] = name
  for i = #names, 1, -1 do if names[i] == name then table.remove(names, i) end end
end

io.stderr:write(("no spec or C test has \"%s\" in its file name; %s\n"):format(pattern,
  #near > 0 and "near it are: " .. table.concat(near, ", ") or "see spec/*_spec.lua and spec/c/test_*.c"))
os.exit(2)
