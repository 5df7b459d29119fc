-- Processes that the comparison starts: talking to them line by line, with a bound of time, and
-- what they and their children use of memory and processors meanwhile. Everything runs on the loop
-- of this one thread.

local uv = require "luv"

local processes = {}

local SAMPLE = 200 -- ms between looks at memory; each costs the one that is looked at some time
local PATIENCE = 20 -- s that a process has to end by itself

local living = {} -- in the order of starting

local function read(path)
  local file = io.open(path)
  if not file then return nil end
  local text = file:read "a" -- nil where the process ended between the two
  file:close()
  return text
end

local function now() return uv.hrtime() / 1e9 end

-- Lets the loop turn until `done` or the deadline; tells which.
local function turn(done, seconds)
  local deadline, timer = now() + seconds, uv.new_timer()
  timer:start(20, 20, function() end) -- or the loop would sleep past the deadline
  while not done() and now() < deadline do uv.run "once" end
  timer:close()
  return done()
end

---@class bench.Process
local Process = {}
Process.__index = Process

---Starts a program; what it writes to standard error is appended to `log`.
---@param program string
---@param args string[]
---@param options { log: string, env?: table<string, string>, cwd?: string, uid?: integer, gid?: integer }
---@return bench.Process
function processes.start(program, args, options)
  local self = setmetatable({ name = program, input = uv.new_pipe(false), output = uv.new_pipe(false),
    text = "" }, Process)
  local log = assert(uv.fs_open(options.log, "a", 420))
  local env
  if options.env then
    env = {}
    for name, value in pairs(uv.os_environ()) do
      if not options.env[name] then env[#env + 1] = name .. "=" .. value end
    end
    for name, value in pairs(options.env) do env[#env + 1] = name .. "=" .. value end
  end
  local handle, pid = uv.spawn(program,
    { args = args, env = env, cwd = options.cwd, uid = options.uid, gid = options.gid,
    stdio = { self.input, self.output, log } }, function() self.ended = true end)
  uv.fs_close(log)
  assert(handle, ("%s cannot be started: %s"):format(program, pid))
  self.handle, self.pid = handle, pid
  self.output:read_start(function(_, part) self.text = self.text .. (part or "") end)
  living[#living + 1] = self
  return self
end

---The next line it writes, or nil where it ends or none comes in time.
---@param seconds number
---@return string|nil
function Process:line(seconds)
  turn(function() return self.ended or self.text:find "\n" end, seconds)
  local line, rest = self.text:match "^([^\n]*)\n(.*)$"
  if line then self.text = rest end
  return line
end

---@param line string
function Process:tell(line) self.input:write(line .. "\n") end

---Ends it: by the end of its input, by a signal, and where both do not help by force.
---@param signal? string sent at once; without it only the input ends
function Process:stop(signal)
  if not self.input:is_closing() then self.input:close() end
  if signal and not self.ended then self.handle:kill(signal) end
  local function over() return self.ended end
  if not turn(over, PATIENCE) then
    self.handle:kill "sigkill"
    turn(over, PATIENCE)
  end
  if not self.output:is_closing() then self.output:close() end
  for i, other in ipairs(living) do
    if other == self then table.remove(living, i) break end
  end
end

---Ends all that are left, the last one first.
function processes.stop_all()
  while living[1] do living[#living]:stop "sigterm" end
end

---A port that was free a moment ago.
---@return integer
function processes.free_port()
  local socket = uv.new_tcp()
  socket:bind("127.0.0.1", 0)
  local port = socket:getsockname().port
  socket:close()
  return port
end

-- ---- what they use ------------------------------------------------------------------------------

-- Parent and clock ticks (own and those of children that ended) of every process (proc(5): stat).
local function all()
  local found, entries = {}, assert(uv.fs_scandir "/proc")
  for name in function() return uv.fs_scandir_next(entries) end do
    local text = name:match "^%d+$" and read("/proc/" .. name .. "/stat")
    if text then
      local fields = {}
      for field in text:gsub("^.*%) ", ""):gmatch "%S+" do fields[#fields + 1] = tonumber(field) or 0 end
      found[math.tointeger(tonumber(name))] = { parent = fields[2],
        ticks = fields[12] + fields[13] + fields[14] + fields[15] }
    end
  end
  return found
end

local function tree(roots)
  local found, known = {}, all()
  local function belongs(pid)
    while pid and known[pid] do
      if roots[pid] then return true end
      pid = known[pid].parent
    end
  end
  for pid, process in pairs(known) do if belongs(pid) then found[pid] = process end end
  return found
end

local function roots_of(list)
  local roots = {}
  for _, process in ipairs(list) do roots[process.pid] = true end
  return roots
end

local function cpu(list)
  local ticks = 0
  for _, process in pairs(tree(roots_of(list))) do ticks = ticks + process.ticks end
  return ticks / 100
end

-- Pages that several processes share (PostgreSQL's buffers) count once, in parts.
local function pss(list)
  local kib = 0
  for pid in pairs(tree(roots_of(list))) do
    local text = read("/proc/" .. pid .. "/smaps_rollup")
    kib = kib + (tonumber(text and text:match "\nPss:%s*(%d+)") or 0)
  end
  return kib * 1024
end

---Sends a command, waits for the answer, and measures the processes of `list` with all their
---children meanwhile.
---@param process bench.Process
---@param command string
---@param list bench.Process[]
---@param seconds number
---@return string|nil answer nil where there is none in time
---@return { cpu: number, peak_rss: number }
function processes.measure(process, command, list, seconds)
  local peak, before, timer = pss(list), cpu(list), uv.new_timer()
  timer:start(SAMPLE, SAMPLE, function() peak = math.max(peak, pss(list)) end)
  process:tell(command)
  local answer = process:line(seconds)
  timer:close()
  return answer, { cpu = cpu(list) - before, peak_rss = math.max(peak, pss(list)) }
end

return processes
