-- place.lua: a folder with workflows and a store of its own, in which the real command runs, stops
-- and goes on.
local command = require "spec.support.command"
local core = require "orrery.core"
local flow = require "orrery"
local uv = require "luv"

local place = {}
place.__index = place

--- The command by a path that holds in any folder.
place.orrery_path = command.path:match "^/" and command.path or uv.cwd() .. "/" .. command.path

--- Makes the folder with files of these texts. Close it (`<close>`) and it is gone.
---@param files? table<string, string> name -> text
function place.new(files)
  local folder = os.tmpname()
  os.remove(folder)
  assert(uv.fs_mkdir(folder, tonumber("755", 8)))
  local self = setmetatable({ folder = folder, processes = {} }, place)
  self.db = folder .. "/.orrery/runs.db"
  for name, text in pairs(files or {}) do self:write(name, text) end
  return self
end

function place:__close()
  for _, process in ipairs(self.processes) do
    if not process.code then process.handle:kill "sigkill" end
    self:until_true(function() return process.code end)
  end
  os.execute("rm -r " .. self.folder)
end

function place:write(name, text)
  local file <close> = assert(io.open(self.folder .. "/" .. name, "wb"))
  file:write(text)
end

--- The text of a file of the folder; "" where it is not there.
function place:read(name)
  local file <close> = io.open(self.folder .. "/" .. name, "rb")
  return file and file:read "a" or ""
end

--- The lines that handlers have left in the file `did`.
---@return string[]
function place:did(name)
  local lines = {}
  for line in self:read(name or "did"):gmatch "[^\n]+" do lines[#lines + 1] = line end
  return lines
end

--- How often each line stands in the file `did`.
---@return table<string, integer>
function place:counts(name)
  local counts = {}
  for _, line in ipairs(self:did(name)) do counts[line] = (counts[line] or 0) + 1 end
  return counts
end

-- What changes what the command does, and is set where the specs run.
local LEFT_OUT = { ORRERY_STORE = true, CI = true }

local function environment(more)
  local list = {}
  for name, value in pairs(uv.os_environ()) do
    if not LEFT_OUT[name] and (more or {})[name] == nil then list[#list + 1] = name .. "=" .. value end
  end
  for name, value in pairs(more or {}) do list[#list + 1] = name .. "=" .. value end
  return list
end

--- Starts the command in the folder; what it says goes to files.
---@param arguments string[]
---@param env? table<string, string>
function place:start(arguments, env)
  local n = #self.processes + 1
  local out, err = ("%s/%d.out"):format(self.folder, n), ("%s/%d.err"):format(self.folder, n)
  local one, two = assert(uv.fs_open(out, "w", 420)), assert(uv.fs_open(err, "w", 420))
  local process = { out = n .. ".out", err = n .. ".err" }
  process.handle, process.pid =
    uv.spawn(place.orrery_path, { args = arguments, env = environment(env), cwd = self.folder,
    stdio = { nil, one, two } }, function(code, signal)
    process.code = signal ~= 0 and 128 + signal or code
    process.handle:close()
  end)
  uv.fs_close(one)
  uv.fs_close(two)
  assert(process.handle, process.pid)
  self.processes[n] = process
  return process
end

-- Seconds that anything may take where nothing is said: a machine may have much else to do.
local PATIENCE = command.sanitized and 400 or 120

--- Waits until `fn` gives something true and returns it; fails after `seconds`.
function place:until_true(fn, what, seconds)
  seconds = seconds or PATIENCE
  local deadline = uv.hrtime() + seconds * 1e9
  while true do
    local found = fn()
    if found then return found end
    if uv.hrtime() > deadline then
      local said = {}
      for _, process in ipairs(self.processes) do
        said[#said + 1] = self:read(process.out) .. self:read(process.err)
      end
      error(("%s did not happen within %d seconds\n%s")
        :format(what or "it", seconds, table.concat(said, "\n")), 2)
    end
    flow.sleep(0.01)
  end
end

--- Waits for the end of a process.
---@return command.Result
function place:finish(process)
  self:until_true(function() return process.code end, "the end of the process")
  return { out = self:read(process.out), err = self:read(process.err), code = process.code }
end

--- Stops a process that has runs in the store, as Ctrl-Z does, though not while it locks the store.
function place:stop(process)
  assert(os.execute(("spec/support/stop.sh %d %s"):format(process.pid, command.quote(self.db))))
end

--- Runs the command to its end.
---@return command.Result
function place:orrery(...) return self:finish(self:start { ... }) end

--- The same with an environment before the arguments.
---@return command.Result
function place:with(env, ...) return self:finish(self:start({ ... }, env)) end

--- The same, which must end with this code.
---@return command.Result
function place:ends(code, ...)
  local result = self:orrery(...)
  if result.code ~= code then
    error(("exit code %s, expected %d: %s\n%s%s")
      :format(result.code, code, table.concat({ ... }, " "), result.out, result.err), 2)
  end
  return result
end

--- Rows of the store, brought up to date before.
---@return table[]
function place:query(sql, ...)
  local db <close> = core.store("sqlite:" .. self.db, "look")
  db:project()
  return db:query(sql, ...)
end

--- The id of the newest run.
---@return string
function place:newest() return self:query("SELECT id FROM runs ORDER BY number DESC LIMIT 1")[1].id end

--- Waits for a line in the file `did`.
function place:until_did(line)
  self:until_true(function() return self:counts()[line] end, ("'%s'"):format(line))
end

--- The text has this part.
---@param text string
---@param part string
function place.has(text, part)
  if not text:find(part, 1, true) then error(("%q is not in:\n%s"):format(part, text), 2) end
end

return place
