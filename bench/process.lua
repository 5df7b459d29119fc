-- What programs of the benchmarks that run in Orrery measure of their own process, and how they say
-- it.

local uv = require "luv"

local process = {}

---One line "key value", as harness.measure reads it.
---@param key string
---@param value number
function process.say(key, value) print(("%s %.12g"):format(key, value)) end

---Seconds that all threads have computed so far, in the program and in the kernel.
---@return number
function process.cpu()
  local usage = uv.getrusage()
  return usage.utime.sec + usage.stime.sec + (usage.utime.usec + usage.stime.usec) / 1e6
end

---The most bytes that were ever resident (proc(5): VmHWM).
---@return integer
function process.peak()
  local file = assert(io.open "/proc/self/status")
  local kib = file:read("a"):match "VmHWM:%s*(%d+)"
  file:close()
  return math.tointeger(tonumber(kib)) * 1024
end

---Removes a SQLite store with the files beside it.
---@param path string
function process.remove_store(path)
  for _, suffix in ipairs { "", "-wal", "-shm", "-lock" } do os.remove(path .. suffix) end
end

return process
