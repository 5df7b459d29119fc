--- Node types: declaring them, finding them by name, calling them.
local core = require "orrery.core"
local errors = require "orrery.errors"
local where = require "orrery.where"

local types = {}

---@class orrery.NodeType
---@field name string
---@field doc? string
---@field config orrery.Schema
---@field run fun(ctx: orrery.Context, config: table, inputs: table): any
---@field pool? string
---@field outcomes? string[]|fun(config: table): string[]
---@field expressions? table<string, boolean>
---@field positional? string
---@field check? fun(config: table): string?, string? what is wrong with the config as a whole, and the key it is about
---@field own_timeout? boolean a node's `timeout` is config: the type bounds by it what it waits for
---@field examples? any
---@field output? any
---@field where string

-- What a type may not call its config, because a node's own keys stand beside it.
local RESERVED = {}
for name in ([[after when join retry timeout deadline heartbeat on_error fallback compensate pool priority
  breaker cache each each_failures loop estimate strategy run doc with]]):gmatch "%S+" do
  RESERVED[name] = true
end
types.RESERVED = RESERVED

-- The standard library by the first word of a type's name: the file of stdlib/ that declares it. Files are
-- loaded when the word is first used, so that a start pays for nothing it does not need.
local STDLIB = {
  condition = "condition", const = "const", delay = "delay", exec = "exec", file = "file",
  http = "http", log = "log", merge = "merge", switch = "switch", wait = "wait", workflow = "workflow",
}

-- flow.workflow makes a workflow, so the type of that name is called as ctx:call is.
local ALIASES = { call = "workflow" }

local registry = {}   ---@type table<string, orrery.NodeType>
local spaces = {}     -- first word -> table of what comes after the dot, for flow.http.get
local shared_registry, shared_spaces = registry, spaces -- the two above, whenever no scope is entered
local standard = setmetatable({}, { __mode = "k" }) -- type -> true: it is the standard library's
local bundled = setmetatable({}, { __mode = "k" })  -- type -> true: code of a bundle declared it
local loading_standard = false
local declared = setmetatable({}, { __mode = "k" }) -- type -> true
local loaded = {}     -- files of stdlib/ that were loaded
local builders = setmetatable({}, { __mode = "k" }) -- coroutine -> depth: it loads a file, so calls make nodes

-- ---- declaring ----------------------------------------------------------------------------------------

local FIELDS = {
  name = "string", doc = "string", config = "table", run = "function", pool = "string", outcomes = "any",
  expressions = "table", positional = "string", examples = "any", output = "any", check = "function",
  own_timeout = "boolean",
}
local FIELD_NAMES = {}
for name in pairs(FIELDS) do FIELD_NAMES[#FIELD_NAMES + 1] = name end

local NAME = "^[A-Za-z_][A-Za-z0-9_]*$"

local function valid_name(name)
  if name == "" then return false end
  for word in (name .. "."):gmatch "(.-)%." do
    if not word:find(NAME) then return false end
  end
  return true
end

local function field_problems(t, say)
  for key, value in pairs(t) do
    local expected = FIELDS[key]
    if not expected then
      say(tostring(key), "unknown_key", ("unknown field %q%s"):format(tostring(key), errors.suggest(key, FIELD_NAMES)))
    elseif expected ~= "any" and type(value) ~= expected then
      say(key, "wrong_type", ("%s is a %s, got %s"):format(key, expected, errors.show(value)))
    end
  end
  if t.name == nil then say("name", "missing", 'name is missing; give it one like "slack.post"') end
  if t.run == nil then say("run", "missing", "run is missing; it is the function(ctx, config, inputs) that does the work") end
  if type(t.name) == "string" and not valid_name(t.name) then
    say("name", "bad_name", ("%q is not a type's name; it is words of letters, digits and _ joined by dots"):format(t.name))
  end
  local outcomes = type(t.outcomes)
  if t.outcomes ~= nil and outcomes ~= "table" and outcomes ~= "function" then
    say("outcomes", "wrong_type", "outcomes is a list of names or a function(config) that returns one, got "
      .. errors.show(t.outcomes))
  end
end

-- Whether a key stands for a node's policy in a node of the type, and not for config.
local function is_reserved(T, key)
  return RESERVED[key] and not (key == "timeout" and T and T.own_timeout)
end
types.is_reserved = is_reserved

local function config_schema(t, say)
  local made, problems = require("orrery.schema").compile(t.config or {})
  for _, problem in ipairs(problems or {}) do say("config", "bad_schema", "config: " .. problem.message) end
  for _, field in ipairs(made and made:fields() or {}) do
    if is_reserved(t, field.name) then
      say("config", "reserved_key", ("config key %q is a key of every node; give the config another name"):format(
        field.name))
    end
  end
  return made
end

local function set_of(list)
  local set = {}
  for _, name in ipairs(list or {}) do set[name] = true end
  return set
end

-- ---- calling ------------------------------------------------------------------------------------------

local function building()
  return builders[coroutine.running()] ~= nil
end

--- Calls `fn`, a file's chunk, such that node types called by it make nodes even inside a handler.
---@param fn function
---@return boolean ok, any ... as pcall; after an error also the place in the file, "file:line", that was left last
function types.build(fn)
  local co = coroutine.running()
  local source, place = debug.getinfo(fn, "S").source, nil
  local function note_place(e)
    local level, info = 2, debug.getinfo(2, "Sl")
    while info and (info.source ~= source or info.currentline < 0) do
      level = level + 1
      info = debug.getinfo(level, "Sl")
    end
    place = info and where.text(info.short_src, info.currentline)
    return e
  end
  builders[co] = (builders[co] or 0) + 1
  local results = table.pack(xpcall(fn, note_place))
  builders[co] = builders[co] > 1 and builders[co] - 1 or nil
  if not results[1] then return false, results[2], place end
  return table.unpack(results, 1, results.n)
end

local function as_table(T, config)
  if config == nil then return {} end
  if type(config) ~= "table" and T.positional then return { config } end
  return config
end

--- Moves what was given without a key, { "5s" }, to the key it is meant for; all of it, as an array, where the type says
--- `positional = "argv[]"`.
function types.place_positional(T, config)
  local key, list = (T.positional or ""):match "^([^%[]+)(.*)$"
  if not key or config[1] == nil or config[key] ~= nil then return end
  if list == "" then
    if config[2] == nil then config[key], config[1] = config[1], nil end
    return
  end
  local values = table.move(config, 1, #config, 1, {})
  for i = 1, #values do config[i] = nil end
  config[key] = values
end

local function copy(t)
  local c = {}
  for key, value in next, t do c[key] = value end
  return c
end

local function make_node(T, config, source, line)
  local given = as_table(T, config)
  if type(given) ~= "table" then
    return setmetatable({ orrery_bad = ("%s takes a table, %s { … }, got %s"):format(T.name, T.name, errors.show(given)) },
      T.node_meta)
  end
  local node = copy(given)
  types.place_positional(T, node)
  node = setmetatable(node, T.node_meta)
  types.made_at[node] = where.text(source, line)
  return node
end

--- Where typed nodes were made, for those that are never assigned (members of groups).
types.made_at = setmetatable({}, { __mode = "k" })

local function config_error(T, message)
  errors.error { code = "config_error", message = T.name .. ": " .. message, retryable = false }
end

--- Checks resolved config against the type's schema, with defaults; raises `config_error`.
---@param T orrery.NodeType
---@param config table
---@return table
function types.check(T, config)
  local value, problems = T.config:check(config)
  if problems then
    local words = {}
    for i, problem in ipairs(problems) do words[i] = problem.message end
    config_error(T, table.concat(words, "; "))
  end
  local message = T.check and T.check(value)
  if message then config_error(T, message) end
  return value
end

local function run_here(T, ctx, config)
  local given = as_table(T, config)
  if type(given) ~= "table" then config_error(T, "it takes a table, got " .. errors.show(given)) end
  given = copy(given)
  types.place_positional(T, given)
  for key in pairs(given) do
    if is_reserved(T, key) and key ~= "with" then
      config_error(T, ('"%s" is a key of a node; a call inside a handler takes config only, flow.now '
        .. '{ type = "%s", with = { … }, %s = … } takes both'):format(key, T.name, key))
    end
  end
  for key, value in pairs(given.with or {}) do given[key] = value end
  given.with = nil
  return core.settled(T.run(ctx, types.check(T, given), {}))
end

local function call(T, config)
  local ctx = core.running()
  if ctx and not building() then return run_here(T, ctx, config) end
  local source, line = where.here(2)
  return make_node(T, config, source, line)
end

-- ---- the registry -------------------------------------------------------------------------------------

local type_meta = {
  __name = "orrery.type",
  orrery_is_type = true,
  __call = call,
  __tostring = function(T) return "node type " .. T.name end,
}

-- The types whose names begin with the same words, flow.http; a word that neither it nor `outer` has is a mistake.
local function new_space(words, outer)
  return setmetatable({}, { __name = "orrery.types", __index = function(space, word)
    if type(word) ~= "string" or word:find "^_" then return nil end
    local found = outer and rawget(outer, word)
    if found ~= nil then return found end
    local names = {}
    for name in next, space do names[#names + 1] = name end
    table.sort(names)
    error(("flow.%s has no %q%s"):format(words, word, errors.suggest(word, names)), 2)
  end })
end

-- ---- scopes ---------------------------------------------------------------------------------------------

-- Code of a bundle declares its types in a scope of its own, so that two versions of a type live side by side.

local closing = { __close = function(former)
  registry, spaces, loading_standard = former.registry, former.spaces, former.loading_standard
end }

local function enter(inner_registry, inner_spaces, is_standard)
  local former = { registry = registry, spaces = spaces, loading_standard = loading_standard }
  registry, spaces, loading_standard = inner_registry, inner_spaces, is_standard
  return setmetatable(former, closing)
end

local function load_stdlib(word)
  local file = STDLIB[word]
  if file and not loaded[file] then
    loaded[file] = true
    local _ <close> = enter(shared_registry, shared_spaces, true)
    require("orrery.stdlib." .. file)
  end
end

--- Makes a scope: what is declared while it is entered is found there first, and everything else is found as ever.
---@return table scope
function types.scope()
  return { registry = setmetatable({}, { __index = shared_registry }), spaces = setmetatable({}, { __index = shared_spaces }) }
end

--- Enters a scope until the result, a to-be-closed value, is closed. Nothing in between may wait.
---@param scope table
---@return table
function types.enter(scope)
  return enter(scope.registry, scope.spaces, false)
end

--- What `flow.<word>` is for code of a scope where that differs: a type of the scope, or the table of those that begin with
--- the word. Nil elsewhere.
---@param scope table
---@param word string
---@return any
function types.scoped(scope, word) return rawget(scope.spaces, word) end

--- Whether the type is one of the standard library's.
---@param T orrery.NodeType
---@return boolean
function types.is_standard(T) return standard[T] ~= nil end

-- ---- registering ----------------------------------------------------------------------------------------

-- The table at `word` of a table of types; made where there is none, on top of the shared one where this one is a scope's.
-- Nil where a type is in the way.
local function inner_space(at, word, path, shared)
  local inner = rawget(at, word)
  if inner == nil and not declared[shared] then
    inner = new_space(table.concat(path, "."), shared)
    at[word] = inner
  end
  return not declared[inner] and inner or nil
end

-- Puts a type where flow.http.get finds it. A name that begins with another type's name ("log.x" beside "log") has
-- no such place; the type is then used by the value that flow.type returned, or by name.
local function place_in_space(T)
  local at, path, shared = spaces, {}, spaces ~= shared_spaces and shared_spaces or nil
  for word in T.name:gmatch "([^.]+)%." do
    path[#path + 1] = word
    if shared and #path == 1 then load_stdlib(word) end
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
  place_in_space(T)
end

-- What is declared by the code of a bundle is known to everybody where nothing else has its name, because a name that is
-- looked up while a handler runs is looked up there. Code from the disk that declares it takes the name over.
local function share(T)
  if registry == shared_registry or shared_registry[T.name] then return end
  bundled[T] = true
  local _ <close> = enter(shared_registry, shared_spaces, false)
  register(T)
end

-- Where a type is declared. In `return flow.type { … }` the call leaves no trace of where it stood; its function does.
local function place_of_declaration(t)
  local run = debug.getinfo(2, "t").istailcall and type(t) == "table" and t.run
  local info = type(run) == "function" and debug.getinfo(run, "S")
  if info and info.linedefined > 0 then return where.text(info.short_src, info.linedefined) end
  return where.text(where.here(3))
end

--- Declares a node type: `return flow.type { name = "slack.post", config = flow.schema { … }, run = function … end }`.
--- Raises all that is wrong with it.
---@param t table see the class above
---@return orrery.NodeType
function types.declare(t)
  local place, problems = place_of_declaration(t), {}
  if type(t) ~= "table" then
    errors.raise { { kind = "wrong_type", where = place, message = "flow.type takes a table, got " .. errors.show(t) } }
  end
  local function say(field, kind, message)
    problems[#problems + 1] = { kind = kind, where = place, field = field,
      message = ("node type %s: %s"):format(type(t.name) == "string" and ("%q"):format(t.name) or "without a name", message) }
  end
  field_problems(t, say)
  local config = config_schema(t, say)
  local earlier = rawget(registry, t.name)
  if earlier and earlier.where ~= place and not bundled[earlier] then
    say("name", "duplicate_name", ("it is already declared at %s; give this one another name"):format(earlier.where))
  end
  if #problems > 0 then
    table.sort(problems, function(a, b) return a.message < b.message end)
    errors.raise(problems)
  end
  local T = copy(t)
  T.config, T.where, T.expressions = config, place, set_of(t.expressions)
  T.node_meta = { __name = "orrery.node", orrery_type = T, __tostring = function()
    return ("orrery.node: %s (flow.now(node) runs it here)"):format(T.name)
  end }
  register(setmetatable(T, type_meta))
  share(T)
  return T
end

--- A type by name, or nil.
---@param name string
---@return orrery.NodeType|nil
function types.find(name)
  local T = registry[name]
  if T then return T end
  load_stdlib(name:match "^[^.]+" or name)
  return registry[name]
end

--- What `flow.<word>` is: a type, or the table of the types whose names begin with that word; nil for neither.
---@param word string
---@return any
function types.space(word)
  word = ALIASES[word] or word
  if not spaces[word] then load_stdlib(word) end
  return spaces[word]
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
  for word in pairs(STDLIB) do load_stdlib(word) end
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

--- The type of a node, or nil when it is a plain table.
---@param node table
---@return orrery.NodeType|nil
function types.of(node)
  local meta = getmetatable(node)
  return type(meta) == "table" and meta.orrery_type or nil
end

--- The type that a plain table names, or nil.
---@param node table
---@return orrery.NodeType|nil
function types.named(node)
  local name = rawget(node, "type")
  return type(name) == "string" and types.find(name) or nil
end

--- The outcomes that a node of the type can have.
---@param T orrery.NodeType|nil
---@param config table as written
---@return string[]|nil names none: the type has no outcomes
function types.outcomes(T, config)
  local outcomes = T and T.outcomes
  if type(outcomes) == "function" then return outcomes(config) end
  return outcomes
end

return types
