-- Work side by side: three questions about the licence texts of the machine, asked at the same
-- time, then one answer. A group is a node; its output is its members' outputs by name.
--   orrery run examples/parallel.lua
--   orrery graph examples/parallel.lua
local flow = require "orrery"

local w = flow.workflow {
  name = "licences",
  input = flow.schema { folder = "string?" },
  output = "${nodes.report}",
}

w.list = flow.file.list { path = "${input.folder or '/usr/share/common-licenses'}" }

w.texts = { after = "list", run = function(_, inputs)
  local texts = {}
  for _, entry in ipairs(inputs.list) do texts[entry.name] = flow.file.read { path = entry.path } end
  return texts
end }

local function longest(_, inputs)
  local best
  for name, text in pairs(inputs.texts) do
    if not best or #text > #inputs.texts[best] or (#text == #inputs.texts[best] and name < best) then
      best = name
    end
  end
  return best
end

local function words(_, inputs)
  local n = 0
  for _, text in pairs(inputs.texts) do n = n + select(2, text:gsub("%S+", "")) end
  return n
end

local function warranty(_, inputs)
  local names = {}
  for name, text in pairs(inputs.texts) do
    if text:lower():find("without warrant", 1, true) then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

w.ask = flow.parallel {
  after = "texts",
  longest = { run = longest },
  words = { run = words },
  without_warranty = { run = warranty },
}

w.report = { after = "ask", run = function(_, inputs)
  return inputs.ask
end }

return w
