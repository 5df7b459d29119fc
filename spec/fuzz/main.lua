-- The fuzz targets: what strangers may send is read in linear time, or refused in a sentence.
-- usage: build/orrery spec/fuzz/main.lua [--seconds N] [--seed N] [--keep] [TARGET...]
--        build/orrery spec/fuzz/main.lua --input FILE TARGET
--
-- Each target is a process of its own, for so many seconds (60). What a crash or a hang was given
-- is in build/fuzz/TARGET.input, and --input tries that again. Inputs that came to something new
-- are added to build/fuzz/TARGET and tried first the next time; --keep adds them to
-- spec/fuzz/corpus.

package.path = "./?.lua;" .. package.path
local uv = require "luv"
local corpus = require "spec.fuzz.corpus"
local driver = require "spec.fuzz.driver"

local PATIENCE = 60 -- s that a target may take longer than it should

local options = { seconds = 60, seed = os.time(), targets = {} }
do
  local i = 1
  while arg[i] do
    local word = arg[i]
    local value = word:match "^%-%-(%l+)$"
    if value == "keep" then options.keep = true
    elseif value then
      i = i + 1
      options[value] = tonumber(arg[i]) or arg[i]
    else options.targets[#options.targets + 1] = word end
    i = i + 1
  end
  if #options.targets == 0 then options.targets = require "spec.fuzz.targets.init" end
end

local folder = uv.exepath():match "^(.*)/" .. "/fuzz"
uv.fs_mkdir(folder, 448)

local function last_input(name) return ("%s/%s.input"):format(folder, name) end

-- ---- one target, in a process of its own --------------------------------------------------------

-- The file has the input that is being tried, whatever becomes of this process.
local function keeper(name)
  local fd = assert(uv.fs_open(last_input(name), "w", 384))
  return function(input)
    uv.fs_ftruncate(fd, 0)
    uv.fs_write(fd, input, 0)
  end
end

local function fuzz(name)
  local target = require("spec.fuzz.targets." .. name)
  local found_here, kept = folder .. "/" .. name, "spec/fuzz/corpus/" .. name
  local known = corpus.read(kept)
  for _, input in ipairs(corpus.read(found_here)) do known[#known + 1] = input end
  local result = driver.fuzz(target, {
    seed = options.seed, seconds = options.seconds, corpus = known, before = keeper(name),
    keep = function(input) corpus.add(options.keep and kept or found_here, input) end,
  })
  print(("%-14s %8d inputs, %4d kinds of outcome: %s"):format(name, result.inputs, result.kinds,
    result.finding or "nothing found"))
  return result.finding and 1 or 0
end

local function try(name)
  local file = assert(io.open(options.input, "rb"))
  local outcome, finding = driver.try(require("spec.fuzz.targets." .. name), file:read "a")
  print(finding or outcome)
  return finding and 1 or 0
end

-- ---- all of them --------------------------------------------------------------------------------

-- True where it ended as it should and nothing was found.
local function run_child(name)
  local ended, code, signal, hangs
  local child = assert(uv.spawn(uv.exepath(), { stdio = { nil, 1, 2 },
    args = { arg[0], "--child", name, "--seconds", tostring(options.seconds), "--seed",
      tostring(options.seed), table.unpack(options.keep and { "--keep" } or {}) } },
    function(...) ended, code, signal = true, ... end))
  local timer = uv.new_timer()
  timer:start((options.seconds + PATIENCE) * 1000, 0, function()
    hangs = true
    child:kill "sigkill"
  end)
  while not ended do uv.run "once" end
  timer:close()
  if hangs then print(name .. ": it hangs") end
  if signal ~= 0 and not hangs then print(("%s: ended by signal %d"):format(name, signal)) end
  if code == 0 and signal == 0 then return true end
  print("  the input is in " .. last_input(name))
  return false
end

if options.child then os.exit(fuzz(options.child)) end
if options.input then os.exit(try(options.targets[1])) end
local good = true
print("seed " .. options.seed)
for _, name in ipairs(options.targets) do good = run_child(name) and good end
os.exit(good and 0 or 1)
