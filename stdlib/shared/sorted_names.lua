--- The names of a table, in their order, so that what is made of them does not change from run to
--- run.
---@param set table<string, any>|nil
---@return string[]
return function(set)
  local names = {}
  for name in pairs(set or {}) do names[#names + 1] = name end
  table.sort(names)
  return names
end
