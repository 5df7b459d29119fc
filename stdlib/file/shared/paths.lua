--- Paths, and the folders that lead to them.
local requests = require "orrery.stdlib.file.shared.requests"
local uv = require "luv"

local paths = {}

--- The folder that a path stands in; nil for a name alone.
---@param path string
---@return string|nil
function paths.parent(path)
  return path:match "^(.*)/[^/]+/*$"
end

---@param folder string
---@param name string
---@return string
function paths.join(folder, name)
  return folder:sub(-1) == "/" and folder .. name or folder .. "/" .. name
end

--- Makes a folder and those before it that are missing. *Waits.*
---@param path string|nil nothing is done for nil and ""
---@return boolean|nil made whether it was missing
function paths.make_folders(path)
  if not path or path == "" then return nil end
  local err = requests.fs("mkdir", path, 493) -- 0755
  if not err then return true end
  if err:find "^EEXIST" then return false end
  if not err:find "^ENOENT" then requests.fail("create the folder", path, err) end
  paths.make_folders(paths.parent(path))
  err = requests.fs("mkdir", path, 493)
  if err and not err:find "^EEXIST" then requests.fail("create the folder", path, err) end
  return not err
end

local temporary = 0

--- A name beside a file or folder, so that a rename stays on one file system. The process and a
--- counter make it unique.
---@param path string
---@return string
function paths.beside(path)
  temporary = temporary + 1
  return ("%s.%d-%d.tmp"):format(path:gsub("(.)/+$", "%1"), uv.os_getpid(), temporary)
end

return paths
