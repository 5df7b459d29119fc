--- The folder that a run was begun in: relative paths of its nodes and modules mean files there.
local folder = {}
local uv -- luv once it was needed: `require` notes who asks, level by level

--- The folder of a run of a store; nil where its journal says none, as that of a child.
---@param rt orrery.Runtime
---@param id string
---@return string|nil
function folder.of(rt, id)
  local created = rt:created(id)
  return created and type(created.folder) == "string" and created.folder or nil
end

--- The folder of this process; nil where it is not there any more.
---@return string|nil
function folder.here() return require("orrery.core").cwd() end

--- Goes to the folder of a run.
---@param rt orrery.Runtime
---@param id string
---@return string|nil folder where this process was not there and is now
---@return string|nil problem why it is not
function folder.go(rt, id)
  local wanted, here = folder.of(rt, id), folder.here()
  if not wanted or wanted == here then return nil end
  uv = uv or require "luv"
  if uv.chdir(wanted) then return wanted end
  return nil, ("run %s was begun in %s, which is not there any more: relative paths mean %s now")
    :format(id, wanted, here or "nothing")
end

--- What to say of a run that goes on in another folder than it was begun in; nil where it does not.
---@param rt orrery.Runtime
---@param id string
---@return string|nil
function folder.difference(rt, id)
  local wanted, here = folder.of(rt, id), folder.here()
  if not wanted or wanted == here then return nil end
  return ("run %s was begun in %s and goes on in %s, where relative paths mean other files; end this "
    .. "process and go on with it there: cd %s && orrery resume %s")
    :format(id, wanted, here or "no folder", wanted, id)
end

return folder
