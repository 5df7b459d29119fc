--- What somebody asked for is wrong or not there: an error that is told in a sentence, without a
--- traceback.
local mistake = {}

local Mistake = { __name = "orrery.mistake", __tostring = function(made) return made.message end }

--- Raises one.
---@param message string a sentence
function mistake.raise(message) error(setmetatable({ message = message }, Mistake), 0) end

--- Whether a value that was raised is one.
---@param problem any
---@return boolean
function mistake.is(problem) return getmetatable(problem) == Mistake end

return mistake
