--- Workflows from files: loaded and compiled, or refused with every mistake on the standard error.
local files = {}

--- One line for a mistake: its place, or the file where it has none, and the sentence.
---@param problem orrery.Problem
---@param file string
---@return string
function files.sentence(problem, file)
  return ("%s: %s"):format(problem.where or file, problem.message)
end

-- The mistakes that an error carries; any other error is one mistake.
local function problems_of(e)
  return require("orrery.errors").problems_of(e) or { { message = tostring(e), kind = "load_error" } }
end

--- All mistakes of a workflow's file, and where there is none, what may go wrong when its runs are resumed.
---@param file string
---@return orrery.Problem[]
---@return orrery.Problem[] warnings
function files.check(file)
  local flow = require "orrery"
  local ok, compiled, problems = pcall(function() return flow.compile(flow.load(file)) end)
  if not ok then return problems_of(compiled), {} end
  if not compiled then return problems, {} end
  return {}, require "orrery.bundle_warnings"(compiled)
end

--- Loads and compiles a workflow.
---@param file string path, .lua or .json
---@return orrery.Compiled|nil compiled nil after the mistakes were written to the standard error
function files.compile(file)
  local flow = require "orrery"
  local ok, compiled, problems = pcall(function() return flow.compile(flow.load(file)) end)
  if not ok then compiled, problems = nil, problems_of(compiled) end
  if compiled then return compiled end
  for _, problem in ipairs(problems) do io.stderr:write(files.sentence(problem, file), "\n") end
  return nil
end

--- Writes a value as JSON and a newline.
---@param value any
---@param out? file*
---@param pretty? boolean
function files.json(value, out, pretty)
  local json = require("orrery.core").json;
  (out or io.stdout):write(json.encode(value, pretty and { indent = 2, sort = true } or { sort = true }), "\n")
end

return files
