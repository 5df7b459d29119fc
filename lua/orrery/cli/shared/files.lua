--- Workflows from files: loaded and compiled, or refused with every mistake on the standard error.
local out = require "orrery.cli.shared.out"
local files = {}

--- One line for a mistake: its place, or the file where it has none, and the sentence.
---@param problem orrery.Problem
---@param file string
---@return string
function files.sentence(problem, file)
  local message = problem.message:gsub("\n(%S)", "\n  %1") -- a name with a line end begins no line of ours
  return ("%s: %s"):format(problem.where or file, message)
end

-- The mistakes that an error carries; any other error is one mistake.
local function problems_of(e)
  return require("orrery.errors").problems_of(e) or { { message = tostring(e), kind = "load_error" } }
end

local function no_exit()
  error("it ends the process (os.exit) while it is loaded; a workflow's file must not", 2)
end

-- Calls `fn` while what it runs cannot end the process.
local function without_exit(fn)
  local exit = os.exit
  local _ <close> = setmetatable({}, { __close = function() rawset(os, "exit", exit) end })
  rawset(os, "exit", no_exit)
  return pcall(fn)
end

--- All mistakes of a workflow's file and of the workflows that it calls, and what may go wrong when
--- its runs are resumed.
---@param file string
---@return orrery.Problem[]
---@return orrery.Problem[] warnings of those of the workflows that have no mistakes
function files.check(file)
  local flow = require "orrery"
  local ok, compiled, problems, warnings = without_exit(function()
    local made, mistakes = flow.compile(flow.load(file))
    if not made then return made, mistakes, {} end
    local found, children = require "orrery.bundle.children"(made)
    local warn, doubts = require "orrery.bundle.warnings", {}
    for _, each in ipairs { made, table.unpack(children) } do
      for _, doubt in ipairs(warn(each)) do doubts[#doubts + 1] = doubt end
    end
    return made, found, doubts
  end)
  if not ok then return problems_of(compiled), {} end
  return problems, warnings
end

--- Loads and compiles a workflow.
---@param file string path, .lua or .json
---@return orrery.Compiled|nil compiled nil after the mistakes were written to the standard error
function files.compile(file)
  local flow = require "orrery"
  local ok, compiled, problems = pcall(function() return flow.compile(flow.load(file)) end)
  if not ok then compiled, problems = nil, problems_of(compiled) end
  if compiled then return compiled end
  for _, problem in ipairs(problems) do out.err(files.sentence(problem, file), "\n") end
  return nil
end

--- Writes a value as JSON and a newline.
---@param value any
---@param file? file* the standard output otherwise
---@param pretty? boolean
function files.json(value, file, pretty)
  local json = require("orrery.core").json
  local text = json.encode(value, pretty and { indent = 2, sort = true } or { sort = true })
  if file then file:write(text, "\n") else out.json(text) end
end

return files
