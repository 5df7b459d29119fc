--- Processes that are started to be killed.
local command = require "spec.support.command"
local uv = require "luv"

local process = {}
process.__index = process

local function environment(more)
  local list = {}
  for name, value in pairs(uv.os_environ()) do
    if name ~= "ORRERY_CRASH" and name ~= "ORRERY_STORE" and more[name] == nil then
      list[#list + 1] = name .. "=" .. value
    end
  end
  for name, value in pairs(more) do list[#list + 1] = name .. "=" .. value end
  return list
end

--- Starts the command under test. What it says goes to the file `log`.
---@param arguments string[]
---@param env table<string, string>
---@param log string
function process.start(arguments, env, log)
  local self = setmetatable({ arguments = arguments }, process)
  local out = assert(uv.fs_open(log, "w", tonumber("644", 8)))
  self.log = log
  self.handle, self.pid = uv.spawn(command.path,
    { args = arguments, env = environment(env), stdio = { nil, out, out } },
    function(code, signal)
      self.code, self.signal = code, signal
      self.handle:close()
    end)
  uv.fs_close(out)
  assert(self.handle, self.pid)
  return self
end

--- Whether it has ended; then `code` and `signal` say how.
function process:ended() return self.code ~= nil end

--- Ends it the hard way.
function process:kill() self:signal_with "sigkill" end

--- Sends it a signal, unless it has ended.
---@param name string such as "sigterm"
function process:signal_with(name)
  if not self.code then self.handle:kill(name) end
end

--- What it said.
---@return string
function process:said()
  local file <close> = assert(io.open(self.log, "rb"))
  return file:read "a"
end

return process
