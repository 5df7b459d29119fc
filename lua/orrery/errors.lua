--- Mistakes and errors: how they are made, collected, worded and raised.
local defer = require "orrery.defer"

local errors = {}

defer(errors, "orrery.wording", { "did_you_mean", "suggest", "list", "show" })

---@class orrery.Problem a mistake in a definition or an input
---@field message string one sentence without the place
---@field where? string "file:line", or a JSON file and the path inside it
---@field line? integer of a mistake in a JSON definition; `column` likewise, in characters from 1
---@field column? integer
---@field node? string
---@field field? string the key it is about, dotted where it lies deeper
---@field kind string what sort of mistake, for programs: "unknown_key", "wrong_type", "cycle", …

--- A mistake as one line: the place, then the sentence.
---@param problem orrery.Problem
---@return string
function errors.sentence(problem)
  if problem.where then return problem.where .. ": " .. problem.message end
  return problem.message
end

--- All mistakes, one line each.
---@param problems orrery.Problem[]
---@return string
function errors.sentences(problems)
  local lines = {}
  for i, problem in ipairs(problems) do lines[i] = errors.sentence(problem) end
  return table.concat(lines, "\n")
end

local definition_error = {
  __name = "orrery.definition_error",
  __tostring = function(e) return errors.sentences(e.problems) end,
}

--- Raises mistakes as one error: a table {code, message, problems} whose text is the sentences.
---@param problems orrery.Problem[]
---@param code? string "definition_error" where none is given
function errors.raise(problems, code)
  error(setmetatable({
    code = code or "definition_error",
    message = errors.sentences(problems),
    retryable = false,
    problems = problems,
  }, definition_error), 0)
end

--- The mistakes that an error carries, or nil when it is another error.
---@param e any
---@return orrery.Problem[]|nil
function errors.problems_of(e)
  if getmetatable(e) == definition_error then return e.problems end
  return nil
end

local raised_error = {
  __name = "orrery.error",
  __tostring = function(e) return e.code .. ": " .. e.message end,
}

local FIELDS = { code = "string", message = "string", retryable = "boolean", retry_after = "any",
  details = "any" }

--- Raises a structured error: what fails a node with a code of its own.
---@param e {code: string?, message: string, retryable: boolean?, retry_after: (number|string)?, details: any} or the message
function errors.error(e)
  if type(e) == "string" or type(e) == "number" then e = { message = tostring(e) } end
  if type(e) ~= "table" then
    error("flow.error: expected { code = …, message = … } or a message, got " .. errors.show(e), 2)
  end
  local made = {}
  for key, value in pairs(e) do
    local expected = FIELDS[key]
    if not expected or (expected ~= "any" and type(value) ~= expected) then
      error(("flow.error: %s is %s; it takes code and message (strings), retryable (boolean), retry_after (a "
        .. "duration)"
        .. " and details"):format(tostring(key), expected and "a " .. type(value) or "unknown"), 2)
    end
    made[key] = value
  end
  if made.retry_after ~= nil then
    local seconds, message = require("orrery.duration").parse(made.retry_after)
    if not seconds then error("flow.error: retry_after: " .. message, 2) end
    made.retry_after = seconds
  end
  made.code = made.code or "error"
  made.message = made.message or made.code
  error(setmetatable(made, raised_error), 0)
end

return errors
