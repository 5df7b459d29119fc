-- How the benchmarks run: commands as processes, samples by name, medians, and what the machine was
-- doing meanwhile.

local harness = {}

---Samples by key, such as "wavefront.core.run"; each is a list with one number a round.
---@type table<string, number[]>
harness.samples = {}

---Sentences about what could not be measured.
---@type string[]
harness.failures = {}

local function read(path)
  local file = io.open(path)
  if not file then return "" end
  local text = file:read("a")
  file:close()
  return text
end

---Writes a whole file; raises where that fails.
---@param path string
---@param text string
function harness.write(path, text)
  local file = assert(io.open(path, "w"))
  assert(file:write(text))
  assert(file:close())
end

---Standard output of a shell command and whether it ended with 0.
---@param command string
---@return string output
---@return boolean ok
function harness.output(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read("a")
  return text, pipe:close() == true
end

---Adds one sample; nil is none.
---@param key string
---@param value number?
function harness.add(key, value)
  if not value then return end
  local list = harness.samples[key] or {}
  harness.samples[key] = list
  list[#list + 1] = value
end

local function fail(command)
  local sentence = "failed, so its figures are missing: " .. command
  for _, known in ipairs(harness.failures) do
    if known == sentence then return end
  end
  harness.failures[#harness.failures + 1] = sentence
  io.stderr:write("bench: ", sentence, "\n")
end

---Runs a contestant that prints lines of "key value" and keeps them as samples under `prefix`.
---@param prefix string
---@param command string
function harness.measure(prefix, command)
  local text, ok = harness.output(command)
  if not ok then return fail(command) end
  for key, value in text:gmatch("(%S+) (%S+)\n") do
    harness.add(prefix .. "." .. key, assert(tonumber(value), "not a number from " .. command))
  end
end

---Times whole processes in turn with timeit and keeps seconds and peak memory under each name.
---@param timeit string path of the program
---@param rounds integer
---@param contestants { name: string, command: string }[]
function harness.time_processes(timeit, rounds, contestants)
  local commands = {}
  for i, contestant in ipairs(contestants) do commands[i] = contestant.command end
  local command = ("%s %d %s"):format(timeit, rounds, table.concat(commands, " '|||' "))
  local text, ok = harness.output(command)
  if not ok then return fail(command) end
  for number, seconds, rss in text:gmatch("(%d+) (%S+) (%d+)\n") do
    local name = contestants[tonumber(number)].name
    harness.add(name .. ".seconds", tonumber(seconds))
    harness.add(name .. ".peak_rss", tonumber(rss))
  end
end

---The middle of the samples (the mean of the two middle ones where their number is even), or nil
---without samples.
---@param key string
---@return number?
function harness.median(key)
  local list = harness.samples[key]
  if not list then return nil end
  local sorted = table.move(list, 1, #list, 1, {})
  table.sort(sorted)
  local middle = (#sorted + 1) / 2
  return (sorted[math.floor(middle)] + sorted[math.ceil(middle)]) / 2
end

-- Clock ticks in which any processor was busy, without the time stolen by other guests, and those
-- of our own children (proc(5): stat).
local function ticks()
  local user, nice, system = read("/proc/stat"):match("^cpu +(%d+) (%d+) (%d+)")
  local own = {}
  for field in read("/proc/self/stat"):gsub("^.*%) ", ""):gmatch("%S+") do own[#own + 1] = field end
  local mine = 0
  for i = 12, 15 do mine = mine + (tonumber(own[i]) or 0) end -- utime, stime, cutime, cstime
  return (tonumber(user) or 0) + (tonumber(nice) or 0) + (tonumber(system) or 0), mine
end

---Begins to watch for others at work; the function it returns tells how many processors they kept
---busy since.
---@return fun(): number
function harness.watch()
  local busy, mine = ticks()
  local start = os.time()
  return function()
    local busy_now, mine_now = ticks()
    local elapsed = math.max(os.time() - start, 1) * 100
    return math.max((busy_now - busy) - (mine_now - mine), 0) / elapsed
  end
end

---Waits until the load average of the last minute is at most `limit`, for `patience` seconds at the
---longest.
---@param limit number
---@param patience integer
---@return number load when it went on
function harness.wait_for_quiet(limit, patience)
  local load = tonumber(read("/proc/loadavg"):match("^%S+")) or 0
  if load > limit and patience > 0 then
    io.stderr:write(("bench: waiting for the load to fall from %.2f to %.1f\n"):format(load, limit))
  end
  while load > limit and patience > 0 do
    os.execute("sleep 5")
    patience = patience - 5
    load = tonumber(read("/proc/loadavg"):match("^%S+")) or 0
  end
  return load
end

---Names machine, kernel and tools.
---@return table<string, string|integer>
function harness.machine()
  local function line(command)
    return (harness.output(command .. " 2>/dev/null | head -1"):gsub("%s+$", ""))
  end
  return {
    cpu = read("/proc/cpuinfo"):match("model name%s*: ([^\n]+)") or "unknown",
    processors = math.tointeger(tonumber(line("nproc"))) or 1,
    memory = math.tointeger(tonumber(read("/proc/meminfo"):match("MemTotal:%s*(%d+)")) or 0) * 1024,
    kernel = line("uname -sr"),
    compiler = line("gcc --version"),
    lua = line("lua5.4 -v"),
    tbb = line("pkg-config --modversion tbb"),
    make = line("make --version"),
    ninja = line("ninja --version"),
    date = os.date("!%Y-%m-%d"),
  }
end

---Adds what a reader must know before trusting the figures: others were at work, or something
---failed.
---@param lines string[]
---@param machine { quiet: boolean, load: number, others: number }
function harness.warn(lines, machine)
  if not machine.quiet then
    lines[#lines + 1] = ("**The machine was not quiet** (load %.2f at the start; others kept %.2f processors "
      .. "busy): "
      .. "do not trust these figures."):format(machine.load, machine.others)
  end
  for _, failure in ipairs(harness.failures) do lines[#lines + 1] = "**" .. failure .. "**" end
end

return harness
