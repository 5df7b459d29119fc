--- `require` of a JSON definition: modules that are loaded before its nodes are read, for the node
--- types that they declare.
local errors = require "orrery.errors"

local json_modules = {}

-- Requires a module, looking beside the definition first.
local function load(world, folder, name)
  local package = world.package
  local former = package.path
  if type(former) == "string" then
    package.path = ("%s?.lua;%s?/init.lua;%s"):format(folder, folder, former)
  end
  local ok, problem = pcall(world.require, name)
  package.path = former
  return ok, problem
end

local function not_loaded(name, problem)
  local text = tostring(problem)
  if text:find "^module '.-' not found:" then
    return ('there is no module "%s" beside the definition or in package.path; write its name as '
      .. '`require` takes '
      .. 'it, "types.words"'):format(name)
  end
  return ('the module "%s" cannot be loaded: %s'):format(name, text)
end

local function require_one(definition, name, path, say)
  if type(name) ~= "string" or name == "" then
    return say(path, "wrong_type", "require: expected the name of a module, got " .. errors.show(name))
  end
  local allowed, refusal = require("orrery.definition.limits").module(definition.limits, name)
  if not allowed then return say(path, "not_allowed", "require: " .. refusal) end
  require("orrery.definition.sources").asked_by(definition.name, name)
  local ok, problem = load(definition.world, definition.name:match "^(.*/)" or "./", name)
  if not ok then say(path, "no_module", "require: " .. not_loaded(name, problem)) end
end

--- Loads the modules. Mistakes are told to `say`.
---@param list any[] as it stands in the definition
---@param definition {name: string, limits: orrery.Limits, world: table} its file, what it may do, and the
--- globals `require` and `package` to load with
---@param say fun(path: string, kind: string, message: string)
function json_modules.load(list, definition, say)
  for k, name in ipairs(list) do require_one(definition, name, ("require[%d]"):format(k - 1), say) end
end

return json_modules
