--- How a Lua text that is no workflow is refused. Loaded with the first.
local errors = require "orrery.errors"

local refuse = {}

local function fail(kind, place, message)
  errors.raise { { kind = kind, where = place, message = message } }
end

-- Splits "file.lua:3: message", as Lua words it.
local function split_place(message)
  local place, rest = tostring(message):match "^(.-:%d+): (.*)$"
  return place, rest or tostring(message)
end

local function what_came(n, value)
  if n == 0 then return "nothing" end
  if n > 1 then return ("%d values"):format(n) end
  return errors.show(value)
end

-- Lua's own error, or one of ours, which is no mistake of the file.
local function is_memory(e)
  if type(e) ~= "string" then return false end
  return (e:find "^not enough memory" or e:find "^[^\n]-:%d+: not enough memory") ~= nil
end

-- Any value that was raised, as text.
local function raised_text(e)
  local ok, text = pcall(tostring, e)
  if not ok then return "it raises an error whose __tostring fails" end
  local meta = getmetatable(e)
  if type(e) == "string" or type(e) == "number" or type(meta) == "table" and meta.__tostring then
    return text
  end
  return "it raises " .. (e == nil and "nil" or errors.show(e)) .. ", which says nothing; raise a message"
end

--- Raises what a file's code raised.
---@param name string
---@param e any
---@param left string|nil the place in the file that was left last, for errors that do not name one
function refuse.raised(name, e, left)
  if is_memory(e) then error(e, 0) end
  local problems = errors.problems_of(e)
  for _, problem in ipairs(problems or {}) do problem.where = problem.where or left end
  if problems then error(e, 0) end
  if type(e) == "table" and type(rawget(e, "code")) == "string" and rawget(e, "message") ~= nil then
    fail("load_error", left or name, ("%s: %s"):format(e.code, tostring(e.message)))
  end
  local text = raised_text(e)
  local place, rest = split_place(text)
  if not place then place, rest = left or name, text end
  fail("load_error", place, rest)
end

--- Raises that a text is not valid Lua.
---@param name string
---@param message string what `load` says
function refuse.syntax(name, message)
  if is_memory(message) then error(message, 0) end
  local place, rest = split_place(message)
  fail("syntax", place or name, "not valid Lua: " .. rest)
end

--- Raises that a file does not return its workflow.
---@param name string
---@param n integer how many values it returns
---@param value any the first of them
function refuse.returned(name, n, value)
  fail("not_a_workflow", name,
    ("the file returns %s; end it with `return w`, where w is its one workflow"):format(
    what_came(n, value)))
end

return refuse
