--- Of nodes that were skipped because of a failure, however far before them: which node failed.

--- Follows the dependencies because of which nodes were skipped. Each node is asked about once.
---@param ask fun(name: string): string|nil, string|nil a node's state and, where it was skipped
---  because of a failure, because of which node
---@return fun(name: string|nil): string|nil failed the node that failed; nil where none is known
return function(ask)
  local known = {} -- by node; false: none
  return function(name)
    local path, failed = {}, nil
    while name do
      failed = known[name]
      if failed ~= nil then break end
      known[name] = false -- a circle, in a damaged store, ends
      path[#path + 1] = name
      local state, by = ask(name)
      failed = state == "failed" and name or nil
      name = not failed and by or nil
    end
    for _, each in ipairs(path) do known[each] = failed or false end
    return failed or nil
  end
end
