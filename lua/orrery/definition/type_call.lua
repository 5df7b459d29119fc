--- What a call of a node type does: it makes a node, or, inside a handler, runs the type's function
--- there.
local core = require "orrery.core"
local errors = require "orrery.errors"
local types = require "orrery.definition.type"
local where = require "orrery.where"

local function as_table(T, config)
  if config == nil then return {} end
  if type(config) ~= "table" and T.positional then return { config } end
  return config
end

--- Moves what was given without a key, { "5s" }, to the key it is meant for; all of it, as an
--- array, where the type says `positional = "argv[]"`.
function types.place_positional(T, config)
  local key = T.positional_key
  if not key or config[1] == nil or config[key] ~= nil then return end
  if not T.positional_list then
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

--- A metatable like another that also says where what has it was made: one for each place, as a
--- million nodes may be made in few places.
---@param base table
---@param source string the chunk's name
---@param line integer
---@return table
function types.placed(base, source, line)
  local lines = base.orrery_places[source]
  if not lines then
    lines = {}
    base.orrery_places[source] = lines
  end
  local meta = lines[line]
  if not meta then
    meta = copy(base)
    meta.orrery_places, meta.orrery_place = nil, where.text(source, line)
    lines[line] = meta
  end
  return meta
end

--- Where a typed node or a group was made, "file:line"; nil for others.
---@param spec table
---@return string|nil
function types.made_at(spec)
  local meta = getmetatable(spec)
  return type(meta) == "table" and meta.orrery_place or nil
end

local function make_node(T, config, source, line)
  local given, meta = as_table(T, config), types.placed(T.node_meta, source, line)
  if type(given) ~= "table" then
    return setmetatable({ orrery_bad = ("%s takes a table, %s { … }, got %s")
      :format(T.name, T.name, errors.show(given)) }, meta)
  end
  local node = core.copy(given, meta)
  types.place_positional(T, node)
  return node
end

local function config_error(T, message)
  errors.error { code = "config_error", message = T.name .. ": " .. message, retryable = false }
end

--- Checks resolved config against the type's schema, with defaults; raises `config_error`.
---@param T orrery.NodeType
---@param config table
---@param texts? table<string, string> the templates that values come from, by key, for messages
---@param ctx? orrery.Context
---@return table
function types.check(T, config, texts, ctx)
  local value, problems = T.config:check(config)
  if problems then
    local words = {}
    for i, problem in ipairs(problems) do
      local from = texts and require "orrery.definition.unresolved"(texts, problem, ctx) or ""
      words[i] = problem.message .. from
    end
    config_error(T, table.concat(words, "; "))
  end
  local message = T.check and T.check(value)
  if message then config_error(T, message) end
  return value
end

-- A run has its nodes when it begins, so none can clean up after a call.
local function refuse_cleanup(T)
  config_error(T, ("what it makes is kept to the end of the run, by a node; write it as one, w.x = flow.%s "
    .. "{ … }"):format(T.name))
end

-- A call runs a function, and what stands in its config as nodes is compiled with a workflow only.
local function refuse_nodes(T)
  config_error(T, ("a call inside a handler takes no nodes; "
    .. 'write flow.now { type = "%s", %s = { { type = … }, … } }'):format(T.name, T.nodes))
end

local function run_here(T, ctx, config)
  if T.cleanup then refuse_cleanup(T) end
  local given = as_table(T, config)
  if type(given) ~= "table" then config_error(T, "it takes a table, got " .. errors.show(given)) end
  given = copy(given)
  types.place_positional(T, given)
  for key in pairs(given) do
    if types.is_reserved(T, key) and key ~= "with" then
      config_error(T, ('"%s" is a key of a node; a call inside a handler takes config only, flow.now '
        .. '{ type = "%s", with = { … }, %s = … } takes both'):format(key, T.name, key))
    end
  end
  for key, value in pairs(given.with or {}) do given[key] = value end
  given.with = nil
  if T.nodes and given[T.nodes] ~= nil then refuse_nodes(T) end
  local secret, values = package.loaded["orrery.secret"], given -- none before it is loaded
  if secret then values = secret.resolve(given) end
  local has_secrets = values ~= given
  given = types.check(T, values)
  if next(T.expressions) then given = require("orrery.definition.expressions").of(T, given) end
  local files = T.files and require("orrery.definition.up_to_date").files(T, given)
  local run = types.around and types.around(T, T.run, true) or T.run
  if not files then return core.settled(run(ctx, given, {})) end
  return require("orrery.definition.cached").here(T, ctx, given, files,
    function() return run(ctx, given, {}) end, has_secrets)
end

local function call(T, config)
  local ctx = core.running()
  if ctx and not types.building() then return run_here(T, ctx, config) end
  local source, line = where.here(2)
  return make_node(T, config, source, line)
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

--- The metatable of node types.
types.META = {
  __name = "orrery.type",
  orrery_is_type = true,
  __call = call,
  __tostring = function(T) return "node type " .. T.name end,
}

return types
