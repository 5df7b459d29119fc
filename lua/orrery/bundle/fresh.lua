--- A workflow's file as if no other had been loaded before: with globals, modules and node types of
--- its own, as the code of a bundle has them. For a host that loads a file again and again, where
--- new runs take new code and live ones keep theirs.
local compile = require "orrery.definition.compile"
local environment = require "orrery.bundle.environment"
local errors = require "orrery.errors"
local files_read = require "orrery.definition.files_read"
local load_file = require "orrery.definition.load"
local types = require "orrery.definition.type"

local function read(path)
  local file <close> = io.open(path, "rb")
  local text = file and file:read "a"
  if text then return text end
  errors.raise { { kind = "no_file", message = ("cannot read the workflow %s"):format(path) } }
end

-- Files that are no modules but were run or read meanwhile.
local function note(origin, files)
  table.move(files.code, 1, #files.code, #origin.modules + 1, origin.modules)
  origin.reads = #files.reads > 0 and files.reads or nil
end

--- Loads and compiles the file, or a text in its place. Raises all its mistakes. May not wait.
---@param path string or what a text is called
---@param text? string that is no file's; where it is JSON, it does what `flow.load` allows a text
---@return orrery.Compiled
---@return orrery.Origin
return function(path, text)
  local json = path:find "%.json$" ~= nil
  local limits
  if text then
    json = not path:find "%.lua$"
    limits = json and require("orrery.definition.limits").read {} or nil
  end
  local origin = { name = path, path = not text and path or nil, text = text or read(path),
    format = json and "json" or "lua", limits = limits, modules = {}, missing = {}, first = {} }
  local env, scope = environment.new({}, function(file) table.insert(origin.modules, file) end)
  local _ <close> = types.enter(scope)
  local files, w, made = files_read.during(function()
    return load_file.read(origin.text, path, { format = origin.format, limits = limits }, env)
  end)
  note(origin, files)
  load_file.note(origin, made, w)
  local compiled, problems = compile.workflow(w)
  if not compiled then errors.raise(problems) end
  return compiled, origin
end
