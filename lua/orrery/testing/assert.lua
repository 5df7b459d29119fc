--- `assert` of test files: Lua's own where it is called, and busted's words behind it:
--- assert.same, assert.is_true, assert.are_not.equal, assert.has.no.errors.
local errors = require "orrery.errors"
local failure = require "orrery.testing.failure"
local read = require "orrery.testing.words"

local known -- by name, loaded with the first

local function all()
  if known then return known end
  local snapshot = require "orrery.testing.snapshot".assertion
  known = { snapshot = snapshot, matches_snapshot = snapshot }
  for _, module in ipairs { "value_assertions", "run_assertions" } do
    local list = require("orrery.testing." .. module)
    for name, fn in pairs(list) do known[name] = fn end
  end
  return known
end

local Chain = {}

local function chain(words) return setmetatable(words, Chain) end

function Chain:__index(key) return chain(read(self, key)) end

-- What was written behind the parameters of an assertion: the test's own words.
local function message_in(name, fn, ...)
  local place = debug.getinfo(fn, "u").nparams + 1
  local early = name:find "match" and select(3, ...) -- init and plain may be left out
  if type(early) == "string" then place = 3 end
  local message = select(place, ...)
  return message ~= nil and tostring(message) or nil
end

function Chain:__call(...)
  local fn = all()[self.name]
  if not fn then
    local names = { "spy" }
    for other in pairs(known) do names[#names + 1] = other end
    error(("assert has no %q%s"):format(self.name, errors.did_you_mean(self.name, names)), 2)
  end
  failure.judge(self.negated, message_in(self.name, fn, ...), fn(...))
  return ...
end

return setmetatable({}, {
  __name = "orrery.testing.assert",
  __index = function(_, key)
    if key == "spy" then return require "orrery.testing.spies".check end
    return chain(read({ name = "", negated = false }, key))
  end,
  __call = function(_, value, message, ...)
    if value then return value, message, ... end
    if message ~= nil and type(message) ~= "string" then error(message, 0) end
    failure.raise(message or "assertion failed!")
  end,
})
