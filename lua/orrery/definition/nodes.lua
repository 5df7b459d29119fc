--- The nodes of a definition, of which most may be like one before them.
---
--- Such a node has the same policies as the first of its kind and was built no further; a table of
--- it is made for who looks at it. It is not kept: a million of them would be most of what a
--- process holds, and few are looked at twice.
local nodes = {}

-- What a node does not share with its kind.
local OWN = { name = true, where = true, run = true, deps = true }

local function make(list, flat, alike, i)
  local first, run, deps = alike:of(i)
  local node = { name = flat.names[i], where = flat.place(i), type = "lua", run = run, deps = deps }
  for key, value in next, list[first] do
    if not OWN[key] then node[key] = value end
  end
  return node
end

--- Lets a list of nodes make those that are not in it: `list[i]`, `#list` and `ipairs(list)` are as
--- if it held all of them.
---@param list table[] by node: those that were built
---@param flat orrery.Flat
---@param alike orrery.Alike|nil nil: all were built
function nodes.lazy(list, flat, alike)
  if not alike then return end
  local count = flat.count
  setmetatable(list, {
    __len = function() return count end,
    __index = function(_, i)
      if math.type(i) == "integer" and i >= 1 and i <= count then return make(list, flat, alike, i) end
    end,
  })
end

--- The nodes that were built, in their order: at least one of each kind, and all that have more
--- than policies. For who looks for something that a kind has or has not.
---@param def table
---@return fun(): integer?, table?
function nodes.built(def)
  local list, count, i = def.nodes, #def.nodes, 0
  return function()
    repeat
      i = i + 1
      local node = rawget(list, i)
      if node then return i, node end
    until i > count
  end
end

return nodes
