--- Doubles: what stands in for a node type or a node in a test. A double is a function with the
--- parameters of what it replaces, a value that is its output, or one of the answers made here.
local core = require "orrery.core"
local duration = require "orrery.duration"
local errors = require "orrery.errors"

local doubles = {}

local Answer = { __name = "orrery.testing.answer" }

local function answer(kind, fields)
  fields.kind = kind
  return setmetatable(fields, Answer)
end

local function is_answer(value) return getmetatable(value) == Answer end

-- ---- making them --------------------------------------------------------------------------------

--- An answer that fails as a handler does.
---@param code? string|table the error's code ("scripted"), or all of it: { code, message, retryable, details }
---@param message? string
---@param more? { retryable: boolean?, details: any, retry_after: number? }
---@return table answer
function doubles.fails(code, message, more)
  if type(code) == "table" then return answer("fails", { error = code }) end
  if code ~= nil and type(code) ~= "string" then
    error("fails: expected the error's code, testing.fails(\"http_status\"), got " .. errors.show(code), 2)
  end
  if message ~= nil and type(message) ~= "string" then
    error('fails: expected a message, testing.fails("http_status", "503"), got ' .. errors.show(message), 2)
  end
  if more ~= nil and type(more) ~= "table" then
    error("fails: expected more of the error, { retryable = false, details = … }, got "
      .. errors.show(more), 2)
  end
  more = more or {}
  return answer("fails", { error = { code = code or "scripted",
    message = message or "this attempt fails in the test", retryable = more.retryable,
    details = more.details, retry_after = more.retry_after } })
end

--- An answer that comes after so long, as of a service that is slow: a node's timeout counts it.
---@param time orrery.Duration
---@param what any a value, a function or an answer
---@return table answer
function doubles.after(time, what)
  local seconds, message = duration.parse(time)
  if not seconds then error("after: " .. message, 2) end
  return answer("after", { seconds = seconds, what = what })
end

--- An answer that never comes.
---@return table answer
function doubles.hangs() return answer("hangs", {}) end

--- Gives the first answer at the first call, the second at the second, and so on; a call too many
--- fails. Which call it is counts from the start of the run, whatever node or attempt calls.
---@param list any[] values, functions and answers
---@return table answer
function doubles.sequence(list)
  if type(list) ~= "table" or #list == 0 then
    error("sequence: expected a list of answers, { first, second, … }, got " .. errors.show(list), 2)
  end
  return answer("sequence", { list = list })
end

--- Calls what the double stands in for.
---@return table answer
function doubles.real() return answer("real", {}) end

-- ---- giving them --------------------------------------------------------------------------------

local give

-- A timer of luv's follows the virtual clock, and the attempt runs meanwhile.
local function wait(seconds)
  local uv = require "luv"
  core.await(function(resume)
    local timer = uv.new_timer()
    timer:start(math.ceil(seconds * 1000), 0, function()
      timer:close()
      resume()
    end)
    return function()
      if not timer:is_closing() then timer:close() end
    end
  end)
end

local GIVE = {
  fails = function(self) errors.error(self.error) end,
  after = function(self, call)
    wait(self.seconds)
    return give(self.what, call)
  end,
  hangs = function() core.await(function() end) end,
  real = function(_, call) return call.real(table.unpack(call.parameters, 1, 3)) end,
  sequence = function(self, call)
    local n = (call.counts[self] or 0) + 1
    call.counts[self] = n
    if n > #self.list then
      errors.error { code = "too_many_calls", retryable = false,
        message = ("%s was called %d times; its sequence in the test has %d answers"):format(call.name, n,
          #self.list) }
    end
    return give(self.list[n], call)
  end,
}

---@class orrery.testing.Call one call of a double
---@field name string what was called, for messages
---@field real function what the double stands in for
---@field parameters any[] of the call
---@field counts table<table, integer> calls so far, by sequence

--- Gives what a double answers. May wait; raises what it raises.
---@param double any
---@param call orrery.testing.Call
---@return any ...
function give(double, call)
  if is_answer(double) then return GIVE[double.kind](double, call) end
  if type(double) == "function" then return double(table.unpack(call.parameters, 1, 3)) end
  return double
end

doubles.give = give

--- The error that a script has for an attempt, as an answer; nil where it has none.
---@param script any true, a code, an error, an answer, by attempt a table of these, or function(ctx) that gives one
---@param ctx orrery.Context
---@return table|nil answer
function doubles.failure(script, ctx)
  if type(script) == "function" then script = script(ctx) end
  local by_attempt = type(script) == "table" and not is_answer(script) and script.code == nil
  if by_attempt then script = script[ctx.attempt] end
  if not script then return nil end
  if is_answer(script) then return script end
  return doubles.fails(script ~= true and script or nil)
end

return doubles
