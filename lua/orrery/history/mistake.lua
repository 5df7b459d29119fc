--- What somebody asked for is wrong or not there: an error that is told in a sentence, without a
--- traceback.
local mistake = {}

local Mistake = { __name = "orrery.mistake", __tostring = function(made) return made.message end }

--- Raises one.
---@param message string a sentence
function mistake.raise(message) error(setmetatable({ message = message }, Mistake), 0) end

--- Raises the one of who asks for a page by what no page has given.
---@param text string
function mistake.cursor(text)
  mistake.raise(("'%s' is no cursor: give what the page before said as `next`, as it is"):format(text))
end

--- Whether a value that was raised is one.
---@param problem any
---@return boolean
function mistake.is(problem) return getmetatable(problem) == Mistake end

return mistake
