-- A linear pipeline: three steps over the package database that every Debian machine has. Each step
-- gets what the one before it returned.
--   orrery run examples/linear.lua
--   orrery run examples/linear.lua --input top:=10
local flow = require "orrery"

local w = flow.workflow {
  name = "packages",
  input = flow.schema { status = "string?", top = "integer?" },
  output = "${nodes.rank}",
}

w.read = flow.file.read { path = "${input.status or '/var/lib/dpkg/status'}" }

w.parse = { after = "read", run = function(_, inputs)
  local packages = {}
  for paragraph in (inputs.read .. "\n"):gmatch("(.-)\n\n") do
    local name = paragraph:match("^Package: ([^\n]+)")
    local size = paragraph:match("\nInstalled%-Size: (%d+)")
    if name and size then packages[#packages + 1] = { name = name, kib = math.tointeger(tonumber(size)) } end
  end
  return packages
end }

w.rank = { after = "parse", run = function(ctx, inputs)
  local packages, total = {}, 0
  for i, package in ipairs(inputs.parse) do
    packages[i] = package
    total = total + package.kib
  end
  table.sort(packages, function(a, b)
    if a.kib ~= b.kib then return a.kib > b.kib end
    return a.name < b.name
  end)
  local largest = table.move(packages, 1, math.min(ctx.input.top or 5, #packages), 1, {})
  return { packages = #packages, mib = total // 1024, largest = largest }
end }

return w
