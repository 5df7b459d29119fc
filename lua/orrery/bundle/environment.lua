--- The environment that code of a bundle runs in: its own globals, `require` and `package`.
---
--- Globals are the process's own until they are assigned, which changes them inside only. Modules
--- come from the bundle; those that belong to the machine (Orrery's, C modules, what is installed
--- for everybody) are shared with the rest of the process. Any other module is looked for along
--- package.path, loaded into this environment and reported to `added`.
local errors = require "orrery.errors"
local sources = require "orrery.definition.sources"
local types = require "orrery.definition.type"

local environment = {}

local real = require
local SHARED = { "string", "table", "math", "io", "os", "coroutine", "utf8", "debug" }

---@class orrery.BundleFile
---@field name string
---@field path string
---@field text string|nil
---@field code string|nil a mark of the module, where its text was not known
---@field missing boolean|nil the module was not there when it was asked for, and so it shall be

-- `require "orrery"` in this environment: the same functions, but types that its own code declares
-- are found first.
local function own_flow(scope)
  local flow = real "orrery"
  local meta, view = getmetatable(flow), {}
  for name, value in next, flow do view[name] = value end
  return setmetatable(view, {
    __index = function(_, word)
      local own = types.scoped(scope, word)
      if own ~= nil then return own end
      return meta.__index(flow, word)
    end,
    __newindex = meta.__newindex,
  })
end

-- package.loaded: the process's modules are visible, but for those of workflows, of which another
-- version may be here.
local function loaded_table(env, view, scope)
  local loaded = { _G = env, package = view, orrery = own_flow(scope) }
  for _, name in ipairs(SHARED) do loaded[name] = package.loaded[name] end
  return setmetatable(loaded, { __index = function(_, name)
    local value = package.loaded[name]
    if value ~= nil and type(name) == "string" and not sources.find(name) then return value end
  end })
end

-- Calls a module's chunk through C, as `require` does, so that it cannot wait.
local function run(world, chunk, name, from)
  local _ <close> = types.enter(world.scope)
  local value;
  ("."):gsub(".", function() value = chunk(name, from) end)
  return value
end

local function run_file(world, file)
  local chunk, message = load(sources.code(file.text), "@" .. file.path, "t", world.env)
  if not chunk then
    error(("error loading module '%s' from file '%s':\n\t%s"):format(file.name, file.path, message), 0)
  end
  return run(world, chunk, file.name, file.path)
end

-- What `require` makes of what a module returned.
local function finish(world, name, value, from)
  local loaded = world.view.loaded
  if value ~= nil then loaded[name] = value end
  if loaded[name] == nil then loaded[name] = true end
  return loaded[name], from
end

-- A file on the disk that is neither in the bundle nor belongs to the machine; nil for none.
local function disk_file(world, name)
  local path = type(world.view.path) == "string" and package.searchpath(name, world.view.path)
  if not path or sources.is_system(name, path) or not sources.is_found_by_path(name) then return nil end
  local file <close> = io.open(path, "rb")
  return file and { name = name, path = path, text = file:read "a" }
end

-- A module of the machine, found along this environment's package.cpath where its code has changed
-- that.
local function shared(world, name)
  local former = package.cpath
  package.cpath = world.view.cpath
  local ok, value, from = pcall(real, name)
  package.cpath = former
  return ok, value, from
end

-- A module of a searcher of the program's own, whose text was not kept: it may not be another now.
local function check_given(file)
  local now = sources.from_searcher(file.name)
  if now and now.code == file.code then return end
  errors.raise({ { kind = "definition_changed",
    message = ("module '%s' came from a searcher of the program's own, which gives other code now; let it "
      .. "compile the module's text by load, so that the text is kept"):format(file.name) } },
    "definition_changed")
end

local function not_found(name)
  return ("module '%s' not found:\n\tit was not there when its bundle was made"):format(name)
end

-- Called last by `require`, so that level 2 is the code that asks.
local function require_in(world, name)
  local value = world.view.loaded[name]
  if value then return value end
  local preload = rawget(world.view.preload, name)
  if preload then return finish(world, name, run(world, preload, name, ":preload:"), ":preload:") end
  local file = world.files[name]
  if file and file.missing then error(not_found(name), 2) end
  file = file or disk_file(world, name)
  if file and not file.text then check_given(file) end
  if not file or not file.text then
    local ok, result, from = shared(world, name)
    if not ok then
      error(result, type(result) == "string" and result:find "^module '.-' not found:" and 2 or 0)
    end
    return finish(world, name, result, from)
  end
  if not world.files[name] then
    world.files[name] = file
    world.added(file)
  end
  return finish(world, name, run_file(world, file), file.path)
end

local function own_require(world)
  return function(...)
    local name = ...
    if type(name) == "number" then name = tostring(name) end
    if type(name) ~= "string" then
      error(("bad argument #1 to 'require' (string expected, got %s)")
        :format(select("#", ...) == 0 and "no value" or type(name)), 2)
    end
    return require_in(world, name)
  end
end

-- `load` and its kin compile code with the process's globals unless they are given others.
-- Code that was run from a file while the bundle was made comes from the bundle.
local function add_loaders(world, env)
  local function code_of(path, mode, ...)
    local file = type(path) == "string" and world.files["file:" .. path]
    if not file then return loadfile(path, mode, ...) end
    return load(sources.code(file.text), "@" .. path, mode, ...)
  end
  function env.load(chunk, name, mode, ...)
    if select("#", ...) > 0 then return load(chunk, name, mode, ...) end
    return load(chunk, name, mode, env)
  end
  function env.loadfile(path, mode, ...)
    if select("#", ...) > 0 then return code_of(path, mode, ...) end
    return code_of(path, mode, env)
  end
  function env.dofile(path)
    local chunk, message = code_of(path, nil, env)
    if not chunk then error(message, 0) end
    return chunk()
  end
end

--- Makes an environment.
---@param files table<string, orrery.BundleFile> by module; files from the disk are added to it
---@param added fun(file: orrery.BundleFile) called before a module that came from the disk is run
---@return table env the globals
---@return table scope of node types, see `types.enter`
function environment.new(files, added)
  local env = setmetatable({}, { __index = _G })
  local view = setmetatable({ preload = setmetatable({}, { __index = package.preload }) },
    { __index = package })
  local world = { env = env, view = view, files = files, added = added, scope = types.scope() }
  view.loaded = loaded_table(env, view, world.scope)
  view.path, view.cpath = package.path, package.cpath
  env._G, env.package, env.require = env, view, own_require(world)
  add_loaders(world, env)
  return env, world.scope
end

return environment
