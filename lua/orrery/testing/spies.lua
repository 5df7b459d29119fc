--- Spies: functions that remember how they were called. `spy.new(fn)`, `spy.on(table, name)`, and
--- `stub(table, name)`, which does nothing; `assert.spy(s).was.called_with(…)`.
local errors = require "orrery.errors"
local failure = require "orrery.testing.failure"
local read = require "orrery.testing.words"
local show = require "orrery.testing.show"

local spies = { spy = {} }

local Spy = { __name = "orrery.testing.spy" }
Spy.__index = Spy

function Spy:__call(...)
  self.calls[#self.calls + 1] = table.pack(...)
  return self.fn(...)
end

--- Puts back what stood where it was put.
function Spy:revert()
  if self.place then self.place[self.name], self.place = self.before, nil end
  return self
end

--- Forgets its calls.
function Spy:clear()
  self.calls = {}
  return self
end

local placed = {} -- those that stand in tables, until the test, or the block, is over

local function put(into, name, fn)
  if type(into) ~= "table" then error("expected a table, got " .. errors.show(into), 3) end
  local made = setmetatable({ calls = {}, fn = fn or into[name], place = into, name = name,
    before = rawget(into, name) }, Spy)
  if made.fn == nil then error(("there is no function %q to spy on"):format(tostring(name)), 3) end
  into[name] = made
  placed[#placed + 1] = made
  return made
end

--- A spy that calls `fn`.
---@param fn? function
---@return table
function spies.spy.new(fn) return setmetatable({ calls = {}, fn = fn or function() end }, Spy) end

--- Puts a spy in the place of a function of a table, for the length of the test.
---@param into table
---@param name any
---@return table
function spies.spy.on(into, name) return put(into, name) end

--- Puts a function that does nothing, or returns these values, in the place of one, for the length
--- of the test.
---@param into table
---@param name any
---@param ... any what it returns; a function is called instead
---@return table
function spies.stub(into, name, ...)
  local given = table.pack(...)
  local fn = given.n == 1 and type(given[1]) == "function" and given[1]
    or function() return table.unpack(given, 1, given.n) end
  return put(into, name, fn)
end

--- How many spies stand in tables.
---@return integer
function spies.mark() return #placed end

--- Puts back the functions that spies stand for, but for those that stood there when `mark` was
--- asked.
---@param mark? integer
function spies.revert(mark)
  for i = #placed, (mark or 0) + 1, -1 do
    placed[i]:revert()
    placed[i] = nil
  end
end

-- ---- asserting ----------------------------------------------------------------------------------

local function plain(call)
  local list = {}
  for i = 1, call.n do list[i] = call[i] end
  return list
end

local CHECKS = {}

function CHECKS.called(self, n)
  local count = #self.calls
  if n == nil then return count > 0, "expected it to be called, it was not" end
  return count == n, ("expected it to be called %d times, it was called %d times"):format(n, count)
end

function CHECKS.called_with(self, ...)
  local expected, made = { ... }, {}
  for i, call in ipairs(self.calls) do
    made[i] = plain(call)
    if show.same(expected, made[i]) then return true, "expected no call with these arguments" end
  end
  if #made == 1 then return false, "expected a call with these arguments", { expected, made[1] } end
  return false, ("expected a call with these arguments; there were %d calls"):format(#made),
    { { expected }, made }
end

CHECKS.called_at_least = function(self, n)
  return #self.calls >= n, ("expected it to be called %d times at least, it was called %d times"):format(n,
    #self.calls)
end

--- What `assert.spy(s)` gives: `.was_called(n)`, `.was.called_with(…)`, `.was_not.called()`.
---@param of table a spy
---@return table
function spies.check(of)
  if getmetatable(of) ~= Spy then error("assert.spy: expected a spy, got " .. errors.show(of), 2) end
  local Chain = {}
  function Chain:__index(key) return setmetatable(read(self, key), Chain) end
  function Chain:__call(...)
    local test = CHECKS[self.name]
    if not test then
      local names = { "called", "called_with", "called_at_least" }
      error(("assert.spy(…) has no %q%s"):format(self.name, errors.did_you_mean(self.name, names)), 2)
    end
    failure.judge(self.negated, nil, test(of, ...))
  end
  return setmetatable({ name = "", negated = false }, Chain)
end

return spies
