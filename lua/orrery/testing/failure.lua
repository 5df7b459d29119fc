--- What an assertion raises where it does not hold: a value that says it as a text, and has the two
--- values that differ.
local diff = require "orrery.testing.diff"
local show = require "orrery.testing.show"

local failure = {}

local Failure = { __name = "orrery.testing.failure" }

function Failure:__tostring() return self.message end

--- Raises a failure.
---@param message string
---@param values? any[] what was expected, and what is there: their difference is added to the message
function failure.raise(message, values)
  local made = { message = message }
  if values then
    made.expected, made.actual, made.differs = values[1], values[2], true
    made.message = message .. " (- expected, + actual):\n" .. diff.values(values[1], values[2])
  end
  error(setmetatable(made, Failure), 0)
end

--- Raises a failure where an assertion does not hold, or holds where it must not.
---@param negated boolean
---@param words string|nil the test's own, which come first
---@param ok boolean
---@param message string
---@param values any[]|nil
function failure.judge(negated, words, ok, message, values)
  if negated ~= (ok and true or false) then return end
  words = words and words .. ": " or ""
  if not ok then failure.raise(words .. message, values) end
  if values then failure.raise(words .. "did not expect this:\n" .. show.text(values[1])) end
  failure.raise(words .. message:gsub("^expected ", "did not expect "))
end

--- Whether what was raised is a failure of an assertion.
---@param problem any
---@return boolean
function failure.is(problem) return getmetatable(problem) == Failure end

return failure
