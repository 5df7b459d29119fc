--- Assertions about values, in busted's words and with its order: what is expected comes first.
--- Each is a function that gives whether it holds and, where it does not, a sentence, and where two
--- values differ both of them: ok, message, { expected, actual }.
local show = require "orrery.testing.show"

local assertions = {}

-- ---- equal --------------------------------------------------------------------------------------

function assertions.same(expected, actual)
  return show.same(expected, actual), "expected the same value", { expected, actual }
end

function assertions.equal(expected, actual)
  local message = "expected equal values"
  if type(expected) == "table" and type(actual) == "table" then
    message = "expected the very same table; assert.same compares what is in tables"
  end
  return expected == actual, message, { expected, actual }
end

function assertions.near(expected, actual, tolerance)
  local ok = type(actual) == "number" and actual >= expected - tolerance and actual <= expected + tolerance
  return ok, ("expected %s, give or take %s, got %s"):format(tostring(expected), tostring(tolerance),
    show.line(actual))
end

function assertions.unique(list)
  for i, value in ipairs(list) do
    for k = 1, i - 1 do
      if show.same(value, list[k]) then
        return false, ("expected different elements, [%d] and [%d] are %s"):format(k, i, show.line(value))
      end
    end
  end
  return true, "expected some elements to be the same"
end

-- ---- kinds --------------------------------------------------------------------------------------

local function is(name, test)
  assertions[name] = function(value)
    return test(value), ("expected %s, got %s"):format(name, show.line(value))
  end
end

is("true", function(value) return value == true end)
is("false", function(value) return value == false end)
is("truthy", function(value) return value ~= nil and value ~= false end)
is("falsy", function(value) return not value end)
for _, kind in ipairs { "nil", "boolean", "number", "string", "table", "function", "userdata", "thread" } do
  is(kind, function(value) return type(value) == kind end)
end
is("integer", function(value) return math.type(value) == "integer" end)

function assertions.callable(value)
  local mark = getmetatable(value)
  return type(value) == "function" or type(mark) == "table" and mark.__call ~= nil,
    "expected something that can be called, got " .. show.line(value)
end

-- ---- texts --------------------------------------------------------------------------------------

function assertions.matches(pattern, text, init, plain)
  if type(init) == "string" then init = nil end -- it is the message
  local ok = type(text) == "string" and text:find(pattern, init, plain) ~= nil
  return ok, ("expected a text that matches %q, got:\n%s"):format(pattern,
    type(text) == "string" and text or show.line(text))
end

-- ---- errors -------------------------------------------------------------------------------------

-- The message of an error without the place that Lua puts before it.
local function bare(problem)
  return type(problem) == "string" and problem:gsub("^[^\n:]+:%d+: ", "") or problem
end

-- An error of Orrery's fits its code, its text, or a table with some of its fields.
local function error_fits(expected, problem)
  if type(problem) == "table" and type(expected) == "string" then
    return problem.code == expected or problem.message == expected or tostring(problem) == expected
  end
  if type(problem) == "table" and type(expected) == "table" then
    for key, value in pairs(expected) do
      if not show.same(value, problem[key]) then return false end
    end
    return true
  end
  return problem == expected or bare(problem) == expected
end

-- A name that is mistyped would pass for a function that raises.
local function check_callable(fn, name)
  if not assertions.callable(fn) then
    error(("assert.%s: expected a function, got %s"):format(name, show.line(fn)), 0)
  end
end

--- assert.error(fn, expected?): calling `fn` raises; with this text, or an error with this code or
--- with these fields.
function assertions.error(fn, expected)
  check_callable(fn, "error")
  local ok, problem = pcall(fn)
  if ok then return false, "expected an error, none was raised" end
  if expected == nil then return true, "expected no error, got: " .. tostring(problem) end
  return error_fits(expected, problem), "expected another error", { expected, problem }
end

--- assert.error_matches(fn, pattern): calling `fn` raises an error whose text matches.
function assertions.error_matches(fn, pattern, init, plain)
  check_callable(fn, "error_matches")
  if type(init) == "string" then init = nil end
  local ok, problem = pcall(fn)
  if ok then return false, ("expected an error that matches %q, none was raised"):format(pattern) end
  return tostring(problem):find(pattern, init, plain) ~= nil,
    ("expected an error that matches %q, got:\n%s"):format(pattern, tostring(problem))
end

-- ---- other names --------------------------------------------------------------------------------

local SAME = { equals = "equal", match = "matches", errors = "error", error_match = "error_matches",
  falsey = "falsy" }

for name, other in pairs(SAME) do
  assertions[name] = assertions[other]
end

return assertions
