--- The registry of node types: by name, and by the words of their names for `flow.http.get`. The
--- standard library's are loaded when they are first looked for.
local errors = require "orrery.errors"
local types = require "orrery.definition.type"

local function words_of(text)
  local set = {}
  for word in text:gmatch "%S+" do set[word] = true end
  return set
end

-- The standard library by the first word of a type's name: the file of stdlib/ that declares it,
-- or, where each type has a file of its own, the words that follow: stdlib/file/read.lua declares
-- file.read. Files are loaded when the name is first used, so that a start pays for nothing it does
-- not need.
local STDLIB = {
  action = "action", agent = "agent", assert = "assert", barrier = "barrier", bus = "bus",
  cleanup = "cleanup",
  condition = "condition", const = "const", csv = "csv",
  data = words_of [[aggregate batch dedupe diff filter flatten group join map merge normalize sort split
    template validate]],
  delay = "delay", exec = "exec", fail = "fail",
  file = words_of "archive copy extract find hash list mkdir move read remove stat temp watch write",
  http = "http", jsonl = "jsonl", log = "log", mail = "mail", notify = "notify",
  pipe = "pipe", postgres = "postgres", redis = "redis", s3 = "s3", setup = "setup", sqlite = "sqlite",
  state = "state", switch = "switch", test = words_of "case suite", trigger = "trigger", wait = "wait",
  workflow = "workflow", xml = "xml",
}

-- Other names of types, where nobody declares a type of that name: flow.workflow makes a workflow,
-- so the type is called as ctx:call is.
local ALIASES = { call = "workflow", dedupe = "data.dedupe", filter = "data.filter", map = "data.map",
  merge = "data.merge", normalize = "data.normalize", sync = "barrier", validate = "data.validate" }

local registry = {}   ---@type table<string, orrery.NodeType>
local spaces = {}     -- first word -> table of what comes after the dot, for flow.http.get
local shared_registry, shared_spaces = registry, spaces -- the two above, whenever no scope is entered
local standard = setmetatable({}, { __mode = "k" }) -- type -> true: it is the standard library's
local bundled = setmetatable({}, { __mode = "k" })  -- type -> true: code of a bundle declared it
local loading_standard = false
local declared = setmetatable({}, { __mode = "k" }) -- type -> true
local loaded = {}     -- files of stdlib/ that were loaded

-- ---- the standard library -----------------------------------------------------------------------

local enter

local function load_file(file)
  if loaded[file] then return end
  loaded[file] = true
  local _ <close> = enter(shared_registry, shared_spaces, true)
  require("orrery.stdlib." .. file)
end

-- Loads what declares the standard type `first.rest`.
local function load_stdlib(first, rest)
  local file = STDLIB[first]
  if type(file) == "string" then load_file(file)
  elseif file and file[rest] then load_file(first .. "." .. rest) end
end

local function load_all()
  for first, file in pairs(STDLIB) do
    for rest in pairs(type(file) == "table" and file or { [""] = true }) do load_stdlib(first, rest) end
  end
end

local function load_named(name)
  local first, rest = name:match "^([^.]*)%.?(.*)$"
  load_stdlib(first, rest)
end

-- ---- spaces -------------------------------------------------------------------------------------

-- The first words of a space's types, loaded or not.
local function words_in(space, words)
  local set, names = {}, {}
  for word in next, space do set[word] = true end
  local file = STDLIB[words]
  for word in pairs(type(file) == "table" and file or {}) do set[word] = true end
  for word in pairs(set) do names[#names + 1] = word end
  table.sort(names)
  return names
end

-- The types whose names begin with the same words, flow.http; a word that neither it nor `outer`
-- has is a mistake.
local function new_space(words, outer)
  return setmetatable({}, { __name = "orrery.types", __index = function(space, word)
    if type(word) ~= "string" or word:find "^_" then return nil end
    load_stdlib(words, word)
    local found = rawget(outer or space, word)
    if found ~= nil then return found end
    error(("flow.%s has no %q%s"):format(words, word, errors.suggest(word, words_in(space, words))), 2)
  end })
end

-- What the standard library has behind a first word is loaded, or is when it is asked for.
local function open_space(first)
  if type(STDLIB[first]) ~= "table" then load_stdlib(first)
  elseif not rawget(shared_spaces, first) then shared_spaces[first] = new_space(first) end
end

-- ---- scopes -------------------------------------------------------------------------------------

-- Code of a bundle declares its types in a scope of its own, so that two versions of a type live
-- side by side.

local closing = { __close = function(former)
  registry, spaces, loading_standard = former.registry, former.spaces, former.loading_standard
end }

function enter(inner_registry, inner_spaces, is_standard)
  local former = { registry = registry, spaces = spaces, loading_standard = loading_standard }
  registry, spaces, loading_standard = inner_registry, inner_spaces, is_standard
  return setmetatable(former, closing)
end

--- Makes a scope: what is declared while it is entered is found there first, everything else where
--- it was.
---@return table scope
function types.scope()
  return { registry = setmetatable({}, { __index = shared_registry }),
    spaces = setmetatable({}, { __index = shared_spaces }) }
end

--- Enters a scope until the result, a to-be-closed value, is closed. Nothing in between may wait.
---@param scope table
---@return table
function types.enter(scope)
  return enter(scope.registry, scope.spaces, false)
end

--- What `flow.<word>` is for code of a scope where that differs: a type of the scope, or the table
--- of those that begin with the word. Nil elsewhere.
---@param scope table
---@param word string
---@return any
function types.scoped(scope, word) return rawget(scope.spaces, word) end

--- Whether the type is one of the standard library's.
---@param T orrery.NodeType
---@return boolean
function types.is_standard(T) return standard[T] ~= nil end

-- ---- registering --------------------------------------------------------------------------------

-- The table at `word` of a table of types; made where there is none, on top of the shared one where
-- this one is a scope's. Nil where a type is in the way.
local function inner_space(at, word, path, shared)
  local inner = rawget(at, word)
  if inner == nil and not declared[shared] then
    inner = new_space(table.concat(path, "."), shared)
    at[word] = inner
  end
  return not declared[inner] and inner or nil
end

-- Puts a type where flow.http.get finds it. A name that begins with another type's name ("log.x"
-- beside "log") has no such place; the type is then used by the value that flow.type returned, or
-- by name.
local function place_in_space(T)
  local at, path, shared = spaces, {}, spaces ~= shared_spaces and shared_spaces or nil
  for word in T.name:gmatch "([^.]+)%." do
    path[#path + 1] = word
    if shared and #path == 1 then open_space(word) end
    shared = shared and rawget(shared, word)
    at = inner_space(at, word, path, shared)
    if not at then return end
  end
  local word = T.name:match "[^.]+$"
  local there = rawget(at, word)
  if there == nil or declared[there] then at[word] = T end
end

local function register(T)
  registry[T.name] = T
  declared[T] = true
  if loading_standard then standard[T] = true end
  if T.cleanup ~= nil or T.becomes ~= nil then types.note_rewriting() end
  place_in_space(T)
end

-- A type that a bundle's code declares is also put into the shared registry, if nothing there has
-- its name: a name that is looked up while a handler runs is looked up there. Code from the disk
-- that declares the name replaces it.
local function share(T)
  if registry == shared_registry or shared_registry[T.name] then return end
  bundled[T] = true
  local _ <close> = enter(shared_registry, shared_spaces, false)
  register(T)
end

--- The type that has a name already, where another one may not take its place.
---@param name string
---@param place string where the other one is declared
---@return orrery.NodeType|nil
function types.other(name, place)
  if not loading_standard then load_named(name) end
  local earlier = rawget(registry, name)
  return earlier and earlier.where ~= place and not bundled[earlier] and earlier or nil
end

--- Enters a type into the registry.
---@param T orrery.NodeType
function types.add(T)
  register(T)
  share(T)
end

--- Takes a type out of the shared registry: its name is free again. Nodes of it stay.
---@param T orrery.NodeType
function types.remove(T)
  if shared_registry[T.name] ~= T then return end
  shared_registry[T.name] = nil
  local at = shared_spaces
  for word in T.name:gmatch "([^.]+)%." do
    at = rawget(at, word)
    if at == nil or declared[at] then return end
  end
  local word = T.name:match "[^.]+$"
  if rawget(at, word) == T then at[word] = nil end
end

-- ---- asking -------------------------------------------------------------------------------------

--- A type by name, or nil.
---@param name string or one of its other names
---@return orrery.NodeType|nil
function types.find(name)
  local T = registry[name]
  if T then return T end
  load_named(name)
  if registry[name] or not ALIASES[name] then return registry[name] end
  return types.find(ALIASES[name])
end

--- Other names of types, as a definition may write them.
---@return table<string, string> name by the other one
function types.aliases()
  local list = {}
  for alias, name in pairs(ALIASES) do list[alias] = name end
  return list
end

--- What `flow.<word>` is: a type, or the table of the types whose names begin with that word; nil
--- for neither.
---@param word string
---@return any
function types.space(word)
  if not spaces[word] then open_space(word) end
  return spaces[word] or ALIASES[word] and types.find(ALIASES[word])
end

--- The first words of all types' names, loaded or not.
---@return string[]
function types.words()
  local list, seen = {}, {}
  for _, set in ipairs { STDLIB, shared_spaces, spaces, ALIASES } do
    for word in pairs(set) do
      if not seen[word] then list[#list + 1] = word end
      seen[word] = true
    end
  end
  return list
end

--- All types there are, the standard library's included, by name.
---@return orrery.NodeType[]
function types.all()
  load_all()
  local list = {}
  for _, T in pairs(registry) do list[#list + 1] = T end
  for name, T in pairs(registry == shared_registry and {} or shared_registry) do
    if rawget(registry, name) == nil then list[#list + 1] = T end
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

--- The names of all types.
---@return string[]
function types.names()
  local names = {}
  for i, T in ipairs(types.all()) do names[i] = T.name end
  return names
end

--- The type of a node, of a table with `type`, or of what a handler is given of a node in its
--- config; nil where it has none.
---@param item any
---@return orrery.NodeType|nil
function types.type_of(item)
  if type(item) ~= "table" then return nil end
  local inner = rawget(item, "type")
  return declared[inner] and inner or types.of(item) or types.named(item)
end

return types
