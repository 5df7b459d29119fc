-- Encoding and decoding one document, by our codec or by lua-cjson.
-- usage: build/orrery bench/json_codec.lua ours|cjson mixed|floats
--
-- `mixed` is a list of customers, as an API returns them; `floats` one of measured numbers. The
-- text is that of our encoder, so that both read the same; lua-cjson writes at most 14 digits. The
-- seconds are the median of five passes.

local core = require "orrery.core"

local PASSES, BYTES = 5, 20e6

-- Numerical Recipes' generator: the document is the same wherever it is made.
local state = 42
local function chance()
  state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
  return state / 4294967296.0
end

local DOCUMENTS = {}

function DOCUMENTS.mixed()
  local list = {}
  for i = 1, 2000 do
    list[i] = { id = i, name = "customer number " .. i, email = ("user%d@example.com"):format(i),
      active = i % 3 == 0, balance = math.floor(chance() * 1e6) / 100, score = chance(),
      tags = { "new", "paying", "north" }, note = 'said "hello"\nand left',
      address = { street = "Long Road " .. i, city = "Löwen", zip = 10000 + i }, visits = { 1, 2, 3, i } }
  end
  return list
end

function DOCUMENTS.floats()
  local list = {}
  for i = 1, 20000 do list[i] = (chance() - 0.5) * 10.0 ^ math.floor(chance() * 40 - 20) end
  return list
end

local function codec_of(who)
  if who == "ours" then return core.json end
  local folder = assert(io.popen "ls -d /usr/lib/*/lua/5.4"):read "l"
  package.cpath = folder .. "/?.so;" .. package.cpath
  return require "cjson"
end

local function median_of(times, fn)
  local seconds = {}
  fn()
  for pass = 1, PASSES do
    collectgarbage()
    local start = core.hrtime()
    for _ = 1, times do fn() end
    seconds[pass] = (core.hrtime() - start) / 1e9 / times
  end
  table.sort(seconds)
  return seconds[(PASSES + 1) // 2]
end

local who, kind = arg[1], arg[2]
local make = DOCUMENTS[kind]
assert(make and (who == "ours" or who == "cjson"), "usage: json_codec.lua ours|cjson mixed|floats")
local value, codec = make(), codec_of(who)
local text = core.json.encode(value)
local times = math.ceil(BYTES / #text / PASSES)
print(("bytes %d"):format(#text))
print(("encode %.12g"):format(median_of(times, function() codec.encode(value) end)))
print(("decode %.12g"):format(median_of(times, function() codec.decode(text) end)))
