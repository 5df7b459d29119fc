--- One node of a workflow, from the table that was written to its place in the definition.
local core = require "orrery.core"
local errors = require "orrery.errors"
local groups = require "orrery.groups"
local keys = require "orrery.keys"
local pools = require "orrery.pools"
local types = require "orrery.type"

local READ = keys.READ

-- The expression language is loaded where the first expression is met: a workflow without any starts faster.
local function template() return require "orrery.template" end

---@class orrery.NodeBuilder what the readers of a node's keys talk to; one for a whole compilation
---@field flat orrery.Flat
---@field problems orrery.Problem[]
---@field allowed_env table<string, boolean>
---@field json boolean whether the nodes come from a JSON file
---@field i integer the node at hand
---@field name string
---@field with table<string, boolean>|nil config keys that were written inside `with`
---@field mentions {name: string, field: string}[]|nil nodes that the node's expressions mention
---@field env_read string|nil a variable of the environment that one of them reads
---@field compilation {compiled: orrery.Compiled|nil} what it becomes, once it has
---@field suggestions integer how many more names may be looked for; each costs a look at every node
local Builder = {}
Builder.__index = Builder

--- Notes a mistake of the node at hand.
---@param field string|nil
---@param kind string
---@param message string a sentence without node and place
function Builder:bad(field, kind, message)
  local place = self.flat.place(self.i)
  if self.json and field then
    place = place .. "." .. (self.with and self.with[field:match "^[^.%[]+"] and "with." or "") .. field
  end
  self.problems[#self.problems + 1] = { kind = kind, node = self.name, field = field, where = place, order = self.i,
    message = ('node "%s": %s'):format(self.name, message) }
end

--- "; did you mean …?" among the workflow's nodes.
---@param wrong any
---@return string
function Builder:nearest_node(wrong)
  if self.suggestions == 0 or self.flat.count > 20000 then return "" end
  self.suggestions = self.suggestions - 1
  return errors.did_you_mean(wrong, self.flat.names)
end

-- `nodes.a-b` is a difference. Where there is a node "a-b" and none "a", it was meant as a name.
function Builder:check_dashes(field, compiled)
  for _, dash in ipairs(compiled.dashed or {}) do
    if self.flat.index[dash.name] and not self.flat.index[dash.name:match "^[^-]*"] then
      self:bad(field, "dashed_name", ('%s: %s.%s is a difference; the node "%s" is written %s["%s"]'):format(field, dash.root,
        dash.name, dash.name, dash.root, dash.name))
    end
  end
end

-- Notes which nodes an expression mentions and whether it may read the environment it reads.
function Builder:note_mentions(field, compiled)
  for _, name in ipairs(compiled.mentions.list) do
    self.mentions = self.mentions or {}
    table.insert(self.mentions, { name = name, field = field })
  end
  self:check_dashes(field, compiled)
  for _, name in ipairs(compiled.mentions.env_list) do
    self.env_read = name
    if not self.allowed_env[name] then
      self:bad(field, "env", ("%s: env.%s may not be read here; allow it with %s"):format(field, name,
        (self.json and '"env": [ "%s" ]' or 'flow.workflow { env = { "%s" } }'):format(name)))
    end
  end
end

--- Compiles a condition: an expression, a "${…}" template, a function or a boolean.
---@param field string
---@param value any
---@param extra? string a further name that the expression may use, given as the second argument
---@return function|nil
function Builder:condition(field, value, extra)
  if type(value) == "function" then return value end
  if type(value) == "boolean" then return function() return value end end
  if type(value) ~= "string" then
    return self:bad(field, "wrong_type", ("%s: expected an expression, true, false or a function(ctx), got %s"):format(
      field, errors.show(value)))
  end
  local compiled = self:expression(field, value, extra)
  return compiled and compiled.test
end

--- Compiles an expression, bare or as one "${…}".
---@param field string
---@param text string
---@param extra? string
---@return orrery.expr.Compiled|nil
function Builder:expression(field, text, extra)
  local options = { where = self.flat.place(self.i), field = field, extra = extra }
  local compiled, mistake = template().expression(text, options)
  if not compiled then
    return self:bad(field, "bad_expression", ("%s: column %d: %s"):format(field, mistake.column, mistake.reason))
  end
  self:note_mentions(field, compiled)
  return compiled
end

--- A template's mistake as one sentence.
---@param mistake orrery.template.Mistake
---@return string
function Builder.template_words(mistake)
  if not mistake.column then return ("%s: %s"):format(mistake.field, mistake.reason) end
  return ("%s: column %d: %s"):format(mistake.field, mistake.column, mistake.reason)
end

--- Compiles a value that may hold templates.
---@param field string
---@param value any
---@return any constant, function|nil resolve `resolve(ctx)` gives the value where there are templates in it
function Builder:value(field, value)
  if type(value) == "string" and not value:find("${", 1, true) then return value end
  if type(value) ~= "string" and type(value) ~= "table" then return value end
  local compiled, mistakes = template().compile(value, { where = self.flat.place(self.i), field = field })
  for _, mistake in ipairs(mistakes or {}) do
    self:bad(mistake.field, "bad_template", Builder.template_words(mistake))
  end
  if not compiled or compiled.static then return value end
  self:note_mentions(field, compiled)
  return nil, compiled.fn
end

--- Compiles the list of `each`.
---@return function|nil
function Builder:list(field, value)
  if type(value) == "function" then return value end
  if type(value) == "string" then
    local compiled = self:expression(field, value)
    return compiled and compiled.fn
  end
  local constant, resolve = self:value(field, value)
  return resolve or function() return constant end
end

--- Notes a pool that nobody declared.
function Builder:check_pool(name)
  if pools.has(name) then return end
  self:bad("pool", "unknown_pool", ('pool: no pool "%s" is declared%s; declare it with flow.pool("%s", { max = 4 }) before'
    .. " the workflow is loaded"):format(name, errors.did_you_mean(name, pools.names()), name))
end

-- ---- typed nodes --------------------------------------------------------------------------------------

local function type_of(b, spec)
  local T = types.of(spec)
  if T then return T, false end
  local name = rawget(spec, "type")
  if name == nil then return nil, false end
  if b.json and name == "lua" then
    b:bad("type", "lua_in_json", 'type: a JSON definition is data and holds no Lua code; declare a node type of your own'
      .. " (flow.type) and name it here, or write the workflow as a Lua file")
    return nil, true
  end
  if type(name) ~= "string" then
    b:bad("type", "wrong_type", "type: expected a node type's name, got " .. errors.show(name))
    return nil, true
  end
  T = types.find(name)
  if not T then
    b:bad("type", "unknown_type", ('type: there is no node type "%s"%s; a type of your own is known once the module'
      .. " that declares it has been required (`orrery … -l MODULE`)"):format(name, errors.did_you_mean(name, types.names())))
  end
  return T, true
end

--- The config of a typed node as it was written: its own keys and those in `with`.
---@param spec table
---@param say? fun(field: string, kind: string, message: string)
---@return table config
---@return table<string, boolean>|nil with which keys came from `with`
function Builder.config_of(spec, say)
  local config, T = {}, types.of(spec)
  local named = T == nil
  T = T or types.named(spec)
  for key, value in next, spec do
    if not types.is_reserved(T, key) and not (named and key == "type") and key ~= "orrery_bad" then config[key] = value end
  end
  local given = rawget(spec, "with")
  if given == nil then return config, nil end
  if type(given) ~= "table" then
    if say then say("with", "wrong_type", "with: expected a table of config, got " .. errors.show(given)) end
    return config, nil
  end
  local with = {}
  for key, value in next, given do
    if config[key] ~= nil and say then
      say(tostring(key), "duplicate_key", ("%s stands both in the node and in its `with`; keep one"):format(tostring(key)))
    end
    config[key], with[key] = value, true
  end
  return config, with
end

local MOST_LEVELS = 10 -- of tables with expressions in them; a table within itself does not end

local function compile_expressions(b, value, field, depth)
  if type(value) == "string" then
    local compiled = b:expression(field, value)
    return compiled and compiled.fn
  end
  if type(value) ~= "table" or getmetatable(value) and not core.json.is_array(value) then return value end
  if depth > MOST_LEVELS then
    return b:bad(field, "bad_value", ("%s: tables are nested deeper than %d levels here; write the expressions nearer to the top")
      :format(field, MOST_LEVELS))
  end
  local made = {}
  for key, inner in next, value do
    made[key] = compile_expressions(b, inner, field .. (math.type(key) == "integer" and ("[%d]"):format(key)
      or "." .. tostring(key)), depth + 1)
  end
  return made
end

-- Splits config into what is fixed and what is resolved for each attempt.
local function compile_config(b, T, config)
  local constants, resolvers = {}, nil
  for key, value in next, config do
    local field = tostring(key)
    if T.expressions[key] then
      constants[key] = compile_expressions(b, value, field, 1)
    else
      local constant, resolve = b:value(field, value)
      if resolve then
        resolvers = resolvers or {}
        resolvers[key] = resolve
      else
        constants[key] = constant
      end
    end
  end
  return constants, resolvers
end

local function wants_inputs_of(T)
  local info = debug.getinfo(T.run, "u")
  return info.nparams >= 3 or info.isvararg
end

local function resolver(T, constants, resolvers)
  return function(ctx)
    local config = {}
    for key, value in next, constants do config[key] = value end
    for key, resolve in next, resolvers do config[key] = resolve(ctx) end
    return types.check(T, config)
  end
end

-- The handler of a typed node. Its third parameter is there only where the type's function takes it, because inputs
-- are built only for a handler that asks for them.
local function handler(T, constants, resolvers)
  local run, wants_inputs = T.run, wants_inputs_of(T)
  if not resolvers then
    if wants_inputs then return function(ctx, inputs) return run(ctx, constants, inputs) end end
    return function(ctx) return run(ctx, constants) end
  end
  local resolved = resolver(T, constants, resolvers)
  if wants_inputs then return function(ctx, inputs) return run(ctx, resolved(ctx), inputs) end end
  return function(ctx) return run(ctx, resolved(ctx)) end
end

-- The handler of a typed node whose output is cached, by its resolved config.
local function cached_handler(b, out, T, constants, resolvers, env)
  local run, through = T.run, require("orrery.cache").through
  local entry = { cache = out.cache, type = T.name, env = env, wants_inputs = wants_inputs_of(T), compilation = b.compilation }
  local resolved = resolvers and resolver(T, constants, resolvers)
  return function(ctx, inputs)
    local config = resolved and resolved(ctx) or constants
    return through(entry, ctx, config, inputs, function() return run(ctx, config, inputs) end)
  end
end

-- Checks what is written, templates apart, and fills in defaults. Config with mistakes goes on as it is, so that those of its
-- templates are found as well.
local function check_config(b, T, config)
  local checked, problems = T.config:check(config, { templates = true })
  for _, problem in ipairs(problems or {}) do
    b:bad(problem.field, problem.kind, ("%s: %s"):format(T.name, problem.message))
  end
  if T.check and not problems then
    local message, field = T.check(checked)
    if message then b:bad(field, "bad_config", ("%s: %s"):format(T.name, message)) end
  end
  return problems and config or checked
end

local function build_typed(b, out, T, spec)
  out.type = T.name
  local bad = rawget(spec, "orrery_bad")
  if bad then return b:bad(nil, "wrong_type", bad) end
  if rawget(spec, "run") ~= nil then
    b:bad("run", "unknown_key", ("run: %s brings its own handler; a Lua node is a plain table with `run`"):format(T.name))
  end
  local config
  config, b.with = Builder.config_of(spec, function(...) b:bad(...) end)
  types.place_positional(T, config)
  b.env_read = nil
  local constants, resolvers = compile_config(b, T, check_config(b, T, config))
  out.run = out.cache and cached_handler(b, out, T, constants, resolvers, b.env_read) or handler(T, constants, resolvers)
  if out.pool == nil then out.pool = T.pool end
end

--- The handler of what undoes the node at hand, where a node type does it: `{ type = …, with = … }`. It runs when the node has
--- completed, so its templates may mention the node's own output.
---@param value { type: string, with: table|nil }
---@return function|nil
function Builder:undo_handler(value)
  local own = setmetatable({ mentions = {} }, { __index = self })
  function own.bad(_, field, kind, message)
    local inner = field and field ~= "type" and field ~= "with" and "with." or ""
    self:bad("compensate" .. (field and "." .. inner .. field or ""), kind, "compensate: " .. message)
  end
  local T = type_of(own, value)
  if not T then return nil end
  local config = Builder.config_of({ type = value.type, with = value.with }, function(...) own:bad(...) end)
  types.place_positional(T, config)
  local constants, resolvers = compile_config(own, T, check_config(own, T, config))
  for _, mention in ipairs(own.mentions) do
    if mention.name ~= self.name then
      self.mentions = self.mentions or {}
      table.insert(self.mentions, { name = mention.name, field = "compensate.with." .. mention.field })
    end
  end
  return handler(T, constants, resolvers)
end

-- ---- Lua nodes ----------------------------------------------------------------------------------------

local function unknown_key(b, key)
  if type(key) ~= "string" then
    return b:bad(tostring(key), "unknown_key", ("a node's keys are names, got %s; write name = value"):format(
      errors.show(key)))
  end
  b:bad(key, "unknown_key", ('unknown key "%s"%s'):format(key, errors.did_you_mean(key, keys.NAMES)))
end

local function build_lua(b, spec)
  for key in next, spec do
    if key == "with" then
      b:bad("with", "unknown_key", "with: a Lua node takes no config; its function sees the values around it")
    elseif not types.RESERVED[key] and key ~= "type" then
      unknown_key(b, key)
    end
  end
  local run = rawget(spec, "run")
  if run == nil then
    return b:bad("run", "missing", "it does nothing: give it run = function(ctx, inputs) … end, or call a node type")
  end
  if type(run) ~= "function" then
    b:bad("run", "wrong_type", "run: expected a function(ctx, inputs), got " .. errors.show(run))
  end
end

-- A Lua node whose output is cached.
local function cached_run(b, out, run)
  local through = require("orrery.cache").through
  local entry = { cache = out.cache, type = "lua", compilation = b.compilation }
  return function(ctx, inputs)
    return through(entry, ctx, nil, inputs, function() return run(ctx, inputs) end)
  end
end

-- Stands in for the handler of a node that has mistakes, so that the graph's own mistakes are still found.
local function nothing() end

--- Builds node i of the definition, dependencies apart.
---@param i integer
---@return table out the node of the definition
function Builder:build(i)
  local flat = self.flat
  local spec, name = flat.specs[i], flat.names[i]
  self.i, self.name, self.mentions, self.with = i, name, nil, nil
  local run = rawget(spec, "run")
  local closing = getmetatable(spec) and groups.closes(spec)
  -- all its fields at once, so that the table of each of a million nodes is made in its final size
  local out = { name = name, where = flat.place(i), type = closing or "lua", run = run, deps = nil }
  local before, plain = #self.problems, type(run) == "function" and (closing or not getmetatable(spec))
  for key, value in next, spec do
    local read = READ[key]
    if key == "timeout" and not types.is_reserved(types.of(spec) or types.named(spec), key) then read = nil end
    if read then
      read(self, out, value, key)
    elseif key ~= "run" and key ~= "after" then
      plain = false
    end
  end
  if plain then
    if out.cache then out.run = cached_run(self, out, run) end
    return out
  end
  out.run = nil
  local T, named = type_of(self, spec)
  if T then
    build_typed(self, out, T, spec)
  elseif not named then
    build_lua(self, spec)
  end
  if #self.problems > before and not out.run then out.run = nothing end
  return out
end

--- Makes a builder.
---@param flat orrery.Flat
---@param problems orrery.Problem[]
---@param options {env: table<string, boolean>, json: boolean}
---@return orrery.NodeBuilder
function Builder.new(flat, problems, options)
  return setmetatable({ flat = flat, problems = problems, allowed_env = options.env, json = options.json,
    suggestions = 100, compilation = {} }, Builder)
end

--- Names the outcomes of a node that was written, or nil when it has none.
---@param spec table
---@return string[]|nil
function Builder.outcomes_of(spec)
  local T = types.of(spec) or types.named(spec)
  if not T or not T.outcomes then return nil end
  local config = Builder.config_of(spec)
  types.place_positional(T, config)
  local ok, names = pcall(types.outcomes, T, config)
  return ok and names or {}
end

return Builder
