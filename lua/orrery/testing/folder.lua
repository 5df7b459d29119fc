--- Temporary folders for the stores of runs under test, in memory where the system has such a
--- place: nothing of them has to survive the machine.
local uv = require "luv"

local folder = {}

--- The variable that names the folder in which those of a process are made. Whoever has started it
--- removes that, however the process has ended.
folder.VARIABLE = "ORRERY_TEST_FOLDER"

local FAST = "/dev/shm"

local function base()
  local given = os.getenv(folder.VARIABLE)
  if given and uv.fs_access(given, "W") then return given end
  return uv.fs_access(FAST, "W") and FAST or uv.os_tmpdir()
end

--- Makes one.
---@return string path
function folder.new() return assert(uv.fs_mkdtemp(base() .. "/orrery-test-XXXXXX")) end

--- Removes one, with what is in it.
---@param path string
function folder.remove(path)
  local entries = uv.fs_scandir(path)
  for name, kind in function() return entries and uv.fs_scandir_next(entries) end do
    local inner = path .. "/" .. name
    if kind == "directory" then folder.remove(inner) else uv.fs_unlink(inner) end
  end
  uv.fs_rmdir(path)
end

return folder
