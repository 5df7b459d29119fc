--- A workflow of the C API that is loaded again (`orr_reload`).
local errors = require "orrery.errors"
local fresh = require "orrery.bundle.fresh"
local load_file = require "orrery.definition.load"

local function file_of(compiled)
  local origin = compiled.workflow and load_file.origin(compiled.workflow)
  if origin and origin.path then return origin.path end
  errors.raise { { kind = "no_file",
    message = "orr_reload: the workflow came from no file; give a path, or call orr_reload_string" } }
end

--- Loads what a workflow is from now on, and the modules that it requires. Raises all mistakes.
---@param compiled orrery.Compiled what it was until now
---@param name? string a path, or what the text is called; nil is the file that it came from
---@param text? string
---@return orrery.Compiled
return function(compiled, name, text)
  return (fresh(name or file_of(compiled), text))
end
