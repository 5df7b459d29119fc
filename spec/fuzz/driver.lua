-- driver.lua: what all fuzz targets share: inputs, the loop, and what must be true of each of them.
--
-- A target is a table { name, seeds, words, run }. `run(input)` looks at one input and returns in a
-- word or two what came of it; it raises where something is true that must not be. An input that
-- came to something new is kept, and others are made of it. So the loop finds its way without
-- knowing which lines were run.
--
-- Time is bounded by the input's length: the processor time of one `run` is measured, and once more
-- where it is too long, since it may have been the collector's.

local driver = {}

-- Seconds of processor time that an input may take: so many at least, and so many for each byte.
driver.LEAST, driver.PER_BYTE = 0.1, 20e-6

-- A build with a sanitizer is slower.
local SLOWER = os.getenv "ORRERY_SANITIZED" and 20 or 1

local LONGEST = 64 << 10 -- bytes of an input

-- ---- what is said of bad input ------------------------------------------------------------------

-- What only a fault of ours says.
local OURS = { "attempt to ", "stack traceback", "bad argument", "stack overflow", "not enough memory",
  "%f[%w?]%?:%-?%d*:", "internal_error", "assertion failed", "C stack" }

--- Asserts that an error is one that a user may be told, and returns its text.
---@param problem any a message, or an error with one
---@return string
function driver.told(problem)
  local text = type(problem) == "table" and problem.message or problem
  if type(text) ~= "string" then error("an error without a text: " .. tostring(problem), 0) end
  for _, pattern in ipairs(OURS) do
    if text:find(pattern) then error("an error of ours: " .. text, 0) end
  end
  return text
end

--- What kind of error it is: its text without what it quotes of the input.
---@param problem any
---@return string
function driver.kind(problem)
  local text = driver.told(problem)
  if type(problem) == "table" then
    if problem.path then text = text:sub(#problem.path + 1, #problem.path + 30) end -- that is of the input
    text = problem.reason or text
  end
  return (text:gsub("\n.*", ""):gsub("[\"'].*[\"']", "..."):gsub("%d+", "0"):sub(1, 60))
end

-- ---- inputs -------------------------------------------------------------------------------------

local random = math.random

local function place(text) return random(0, #text) end

local function part(text)
  local from = random(1, #text + 1)
  return text:sub(from, from + random(0, math.min(40, #text)))
end

-- Each makes one text of another; `other` is a second input, `words` are the target's.
local CHANGES = {
  function(text) -- a bit
    local at = random(1, math.max(1, #text))
    return text:sub(1, at - 1) .. string.char((text:byte(at) or 0) ~ 1 << random(0, 7)) .. text:sub(at + 1)
  end,
  function(text) -- a byte more
    local at = place(text)
    return text:sub(1, at) .. string.char(random(0, 255)) .. text:sub(at + 1)
  end,
  function(text, _, words)
    local at = place(text)
    return text:sub(1, at) .. words[random(#words)] .. text:sub(at + 1)
  end,
  function(text, _, words) -- a word in place of something
    local at = place(text)
    return text:sub(1, at) .. words[random(#words)] .. text:sub(at + random(1, 8))
  end,
  function(text) -- less
    local at = place(text)
    return text:sub(1, at) .. text:sub(at + 1 + random(1, 16))
  end,
  function(text) return text:sub(1, place(text)) end,
  function(text, other) -- a part of another
    local at = place(text)
    return text:sub(1, at) .. part(other) .. text:sub(at + 1)
  end,
  function(text, other) return text:sub(1, place(text)) .. other:sub(place(other) + 1) end,
  function(text) -- a part again
    local at, piece = place(text), part(text)
    return text:sub(1, at) .. piece:rep(random(1, 4)) .. text:sub(at + 1)
  end,
}

-- Once in a while a part very often: what is not linear shows.
local function grown(text)
  local at, piece = place(text), part(text)
  if #piece == 0 then piece = " " end
  return text:sub(1, at) .. piece:rep(random(1, LONGEST // #piece)) .. text:sub(at + 1)
end

local function next_input(corpus, words)
  local text, other = corpus[random(#corpus)], corpus[random(#corpus)]
  for _ = 1, random(1, 4) do text = CHANGES[random(#CHANGES)](text, other, words) end
  if random(50) == 1 then text = grown(text) end
  return text:sub(1, LONGEST)
end

-- ---- one input ----------------------------------------------------------------------------------

local function timed(target, input)
  local before = os.clock()
  local ok, outcome = pcall(target.run, input)
  return os.clock() - before, ok, outcome
end

--- Runs a target with one input.
---@param target table
---@param input string
---@return string|nil outcome nil where something was found
---@return string|nil finding
function driver.try(target, input)
  local bound = (driver.LEAST + driver.PER_BYTE * #input) * SLOWER
  local seconds, ok, outcome = timed(target, input)
  for _ = 1, 3 do
    if not ok or seconds <= bound then break end
    collectgarbage()
    seconds, ok, outcome = timed(target, input)
  end
  if not ok then return nil, tostring(outcome) end
  if seconds > bound then
    return nil, ("%d bytes took %.2f s of processor time, more than %.2f"):format(#input, seconds, bound)
  end
  return outcome
end

-- ---- all of them --------------------------------------------------------------------------------

---@class fuzz.Options
---@field seed integer
---@field inputs integer|nil how many are tried
---@field seconds number|nil how long (wall time)
---@field corpus string[]|nil inputs beside the target's own
---@field before fun(input: string)|nil called before each is tried
---@field keep fun(input: string)|nil called with each that came to something new

--- Tries inputs until enough were tried, or something was found.
---@param target table
---@param options fuzz.Options
---@return { inputs: integer, kinds: integer, finding: string|nil, input: string|nil }
function driver.fuzz(target, options)
  local uv = require "luv"
  local corpus, seen, kinds, n = {}, {}, 0, 0
  local last = options.seconds and uv.hrtime() + options.seconds * 1e9
  local function over()
    return options.inputs and n >= options.inputs or last and uv.hrtime() > last
  end
  local function try(input, keep)
    if options.before then options.before(input) end
    n = n + 1
    local outcome, finding = driver.try(target, input)
    if finding then return { inputs = n, kinds = kinds, finding = finding, input = input } end
    if not seen[outcome] then
      seen[outcome] = true
      kinds = kinds + 1
      if keep then
        corpus[#corpus + 1] = input
        if options.keep and #input < 400 then options.keep(input) end
      end
    end
  end
  math.randomseed(options.seed)
  for _, list in ipairs { target.seeds, options.corpus or {} } do
    for _, input in ipairs(list) do
      corpus[#corpus + 1] = input
      local found = try(input)
      if found then return found end
    end
  end
  while not over() do
    local found = try(next_input(corpus, target.words), true)
    if found then return found end
  end
  return { inputs = n, kinds = kinds }
end

return driver
