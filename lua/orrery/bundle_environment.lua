--- The world that code of a bundle runs in: globals, `require` and `package` of its own.
---
--- Globals are those of everybody until they are assigned, which stays inside. Modules come from the bundle; those that
--- belong to the machine (ours, C modules, what is installed for everybody) are shared with the rest of the process. A
--- module that is neither is looked for on the disk along package.path, loaded into this world and told to `added`.
local sources = require "orrery.bundle_sources"
local types = require "orrery.type"

local environment = {}

local real = require
local SHARED = { "string", "table", "math", "io", "os", "coroutine", "utf8", "debug" }

---@class orrery.BundleFile
---@field name string
---@field path string
---@field text string
---@field missing boolean|nil the module was not there when it was asked for, and so it shall be

-- `require "orrery"` in this world: the same functions, but the types that its own code declares come first.
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

-- package.loaded: modules of everybody show through, unless they are a workflow's own, of which another version may be here.
local function loaded_table(env, view, scope)
  local loaded = { _G = env, package = view, orrery = own_flow(scope) }
  for _, name in ipairs(SHARED) do loaded[name] = package.loaded[name] end
  return setmetatable(loaded, { __index = function(_, name)
    local value = package.loaded[name]
    if value ~= nil and type(name) == "string" and not sources.find(name) then return value end
  end })
end

-- Calls a module's chunk through C, as `require` does, so that it can no more wait here than there.
local function run(world, chunk, name, from)
  local _ <close> = types.enter(world.scope)
  local value;
  ("."):gsub(".", function() value = chunk(name, from) end)
  return value
end

local function run_file(world, file)
  local chunk, message = load(sources.code(file.text), "@" .. file.path, nil, world.env)
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

-- A file on the disk that is neither in the bundle nor the machine's; nil for none.
local function disk_file(world, name)
  local path = type(world.view.path) == "string" and package.searchpath(name, world.view.path)
  if not path or sources.is_system(name, path) or not sources.is_found_by_path(name) then return nil end
  local file <close> = io.open(path, "rb")
  return file and { name = name, path = path, text = file:read "a" }
end

-- The machine's module, found along this world's package.cpath where its code has changed it.
local function shared(world, name)
  local former = package.cpath
  package.cpath = world.view.cpath
  local ok, value, from = pcall(real, name)
  package.cpath = former
  return ok, value, from
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
  if not file then
    local ok, result, from = shared(world, name)
    if not ok then error(result, type(result) == "string" and result:find "^module '.-' not found:" and 2 or 0) end
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
      error(("bad argument #1 to 'require' (string expected, got %s)"):format(select("#", ...) == 0 and "no value" or type(name)), 2)
    end
    return require_in(world, name)
  end
end

-- The functions that make code use the globals of everybody unless they are told others.
local function add_loaders(env)
  function env.load(chunk, name, mode, ...)
    if select("#", ...) > 0 then return load(chunk, name, mode, ...) end
    return load(chunk, name, mode, env)
  end
  function env.loadfile(path, mode, ...)
    if select("#", ...) > 0 then return loadfile(path, mode, ...) end
    return loadfile(path, mode, env)
  end
  function env.dofile(path)
    local chunk, message = loadfile(path, nil, env)
    if not chunk then error(message, 0) end
    return chunk()
  end
end

--- Makes a world.
---@param files table<string, orrery.BundleFile> by module; files from the disk are added to it
---@param added fun(file: orrery.BundleFile) called before a module that came from the disk is run
---@return table env the globals
---@return table scope of node types, see `types.enter`
function environment.new(files, added)
  local env = setmetatable({}, { __index = _G })
  local view = setmetatable({ preload = setmetatable({}, { __index = package.preload }) }, { __index = package })
  local world = { env = env, view = view, files = files, added = added, scope = types.scope() }
  view.loaded = loaded_table(env, view, world.scope)
  view.path, view.cpath = package.path, package.cpath
  env._G, env.package, env.require = env, view, own_require(world)
  add_loaders(env)
  return env, world.scope
end

return environment
