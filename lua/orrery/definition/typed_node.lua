--- Nodes that are more than a function with policies: those of a type, whose config is checked and
--- compiled, and those that have mistakes. Loaded with the first of them.
local core = require "orrery.core"
local errors = require "orrery.errors"
local keys = require "orrery.definition.node_keys"
local types = require "orrery.definition.type"
local Builder = require "orrery.definition.node"

local READ = keys.READ

local function type_of(b, spec)
  local T = types.of(spec)
  if T then return T, false end
  local name = rawget(spec, "type")
  if name == nil then return nil, false end
  if b.json and name == "lua" then
    b:bad("type", "lua_in_json",
      'type: a JSON definition is data and holds no Lua code; declare a node type of your own'
      .. " (flow.type) and name it here, or write the workflow as a Lua file")
    return nil, true
  end
  if type(name) ~= "string" then
    b:bad("type", "wrong_type", "type: expected a node type's name, got " .. errors.show(name))
    return nil, true
  end
  T = types.find(name)
  local good, message = true, nil
  if T and b.limits then good, message = require("orrery.definition.limits").type(b.limits, T.name) end
  if not good then
    b:bad("type", "not_allowed", "type: " .. message)
    return nil, true
  end
  if not T then
    b:bad("type", "unknown_type",
      ('type: there is no node type "%s"%s; a type of your own is known once the module'
      .. " that declares it has been required (%s`orrery … -l MODULE`)")
        :format(name, errors.did_you_mean(name, types.names()),
          b.json and '"require": [ "MODULE" ] or ' or ""))
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
    if not types.is_reserved(T, key) and not (named and key == "type") and key ~= "orrery_bad" then
      config[key] = value
    end
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
      say(tostring(key), "duplicate_key",
        ("%s stands both in the node and in its `with`; keep one"):format(tostring(key)))
    end
    config[key], with[key] = value, true
  end
  return config, with
end

local MOST_LEVELS = 10 -- of tables with expressions in them; a table within itself does not end

local function compile_expressions(b, value, field, root, depth)
  if type(value) == "string" then
    local compiled = b:expression(field, value, root.extra, root.names)
    return compiled and require("orrery.definition.expressions").given(compiled)
  end
  if type(value) ~= "table" or getmetatable(value) and not core.json.is_array(value) then return value end
  if depth > MOST_LEVELS then
    return b:bad(field, "bad_value",
      ("%s: tables are nested deeper than %d levels here; write the expressions nearer to the top")
      :format(field, MOST_LEVELS))
  end
  local made = {}
  for key, inner in next, value do
    made[key] = compile_expressions(b, inner, field .. (math.type(key) == "integer" and ("[%d]"):format(key)
      or "." .. tostring(key)), root, depth + 1)
  end
  return made
end

local compile_nodes

-- A value of config: fixed, or resolved for each attempt.
local function compile_value(b, T, key, value)
  local field, root = tostring(key), T.expressions[key]
  if root then return compile_expressions(b, value, field, root, 1) end
  if key == T.nodes then return compile_nodes(b, value, field) end
  return b:value(field, value, true)
end

-- Splits config into what is fixed and what is resolved for each attempt: functions by key, and the
-- texts that they are made of.
local function compile_config(b, T, config)
  local constants, resolvers = {}, nil
  for key, value in next, config do
    local constant, resolve = compile_value(b, T, key, value)
    if resolve then
      resolvers = resolvers or { fns = {}, texts = {}, extra = b.extra_root }
      resolvers.fns[key], resolvers.texts[key] = resolve, type(value) == "string" and value or nil
    else
      constants[key] = constant
    end
  end
  return constants, resolvers
end

-- ---- handlers -----------------------------------------------------------------------------------

local function takes_inputs(T)
  return types.around ~= false or require("orrery.definition.threaded").takes(T.run, 3)
end

-- Config with `•••` for its secrets; the very config where it has none. There is none before
-- `flow.secret` has made one, which loads the module.
local function without_secrets(config)
  local secret = package.loaded["orrery.secret"]
  return secret and secret.shown(config) or config
end

-- Whether there are secrets in a node's config, written as such or in its templates.
local function uses_secrets(b, constants)
  return b.secret_read or without_secrets(constants) ~= constants
end

-- The config of an attempt, with the values of its templates and of its secrets.
local function resolver(T, constants, resolvers, has_secrets)
  local fns, texts = resolvers and resolvers.fns or {}, resolvers and resolvers.texts
  local extra = resolvers and resolvers.extra -- a further root, and the field of ctx that has its value
  return function(ctx)
    local config = {}
    for key, value in next, constants do config[key] = value end
    for key, resolve in next, fns do config[key] = resolve(ctx, extra and ctx[extra]) end
    if has_secrets then config = require("orrery.secret").resolve(config) end
    return types.check(T, config, texts, ctx)
  end
end

local function guard_of(b, T)
  return b.limits and require("orrery.definition.limits").guard(b.limits, T.name)
end

-- What the type runs. Secrets of config that is fixed get their values, and of a definition that is
-- data it is seen before what the config reaches.
local function run_of(b, T, has_secrets)
  local guard, run = guard_of(b, T), T.run
  if b.in_worker then run = require("orrery.definition.threaded").handler(b, run, true, takes_inputs(T)) end
  if types.around then run = types.around(T, run) end
  if not has_secrets then
    return guard and function(ctx, config, inputs) return run(ctx, guard(config), inputs) end or run
  end
  local resolve = require("orrery.secret").resolve
  return function(ctx, config, inputs)
    config = resolve(config)
    return run(ctx, guard and guard(config) or config, inputs)
  end
end

-- Makes the handlers of nodes of a type whose config is fixed. What they share is looked up once.
local function maker_of(b, T, has_secrets)
  local own = has_secrets or b.in_worker
  local known = not own and b.makers[T]
  if known then return known end
  local run = run_of(b, T, has_secrets)
  local make
  if takes_inputs(T) then
    make = function(constants) return function(ctx, inputs) return run(ctx, constants, inputs) end end
  else
    make = function(constants) return function(ctx) return run(ctx, constants) end end
  end
  if not own then b.makers[T] = make end
  return make
end

-- The handler of a typed node. Its third parameter is there only where the type's function takes
-- it, because inputs are built only for a handler that asks for them.
local function handler(b, T, constants, resolvers)
  local has_secrets = uses_secrets(b, constants)
  if not resolvers then return maker_of(b, T, has_secrets)(constants) end
  local run, wants_inputs = run_of(b, T), takes_inputs(T)
  local resolved = resolver(T, constants, resolvers, has_secrets)
  if wants_inputs then return function(ctx, inputs) return run(ctx, resolved(ctx), inputs) end end
  return function(ctx) return run(ctx, resolved(ctx)) end
end

-- The handler of a typed node whose output is cached, by its resolved config, or that names files.
local function cached_handler(b, out, T, constants, resolvers, env)
  local has_secrets = uses_secrets(b, constants)
  local run = run_of(b, T)
  local through = require("orrery.definition.cached").through
  local entry = { cache = out.cache, type = T.name, env = env, secret = has_secrets,
    wants_inputs = takes_inputs(T), compilation = b.compilation, T = T.files and T }
  local resolved = (resolvers or has_secrets) and resolver(T, constants, resolvers, has_secrets)
  local guard = T.files and guard_of(b, T)
  return function(ctx, inputs)
    local config = resolved and resolved(ctx) or constants
    if guard then guard(config) end -- before its files are looked at
    return through(entry, ctx, config, inputs, function() return run(ctx, config, inputs) end)
  end
end

-- What is wrong with config, as the schema has it. A key that it does not know may be one of the
-- node's: mistyped beside the config, or written into `with`.
local function words_of(b, T, problem)
  local key = problem.field
  if problem.kind ~= "unknown" or key:find "[.%[]" then return problem.message end
  local said = problem.message:match "^.- is not known"
  if b:is_in_with(key) then
    return READ[key] and said .. "; it is a key of the node: write it beside `with`" or problem.message
  end
  local names = table.move(keys.NAMES, 1, #keys.NAMES, 1, {})
  for _, field in ipairs(T.config.shape.order) do names[#names + 1] = field.name end
  local near = errors.did_you_mean(key, names)
  return near ~= "" and said .. near or problem.message
end

-- Checks what is written, templates apart, and fills in defaults. Config with mistakes is kept as
-- it is, so that mistakes in its templates are found as well.
local TEMPLATES = { templates = true }

local function check_config(b, T, config)
  local checked, problems = T.config:check(config, TEMPLATES)
  for _, problem in ipairs(problems or {}) do
    b:bad(problem.field, problem.kind, ("%s: %s"):format(T.name, words_of(b, T, problem)))
  end
  if T.check and not problems then
    local message, field = T.check(without_secrets(checked))
    if message then b:bad(field, "bad_config", ("%s: %s"):format(T.name, message)) end
  end
  return problems and config or checked
end

-- Whether the config names files that the node reads or makes; mistakes in them are reported.
local function names_files(b, T, config)
  if not T.files then return false end
  for _, key in next, T.files do
    if config[key] ~= nil and key ~= T.files.folder then
      require("orrery.definition.up_to_date").check(T.files, config,
        function(field, message) b:bad(field, "bad_value", message) end)
      return true
    end
  end
  return false
end

-- Whether there is, or may be, a template in a value.
local function may_hold_template(value, depth)
  if type(value) == "string" then return value:find("${", 1, true) ~= nil end
  if type(value) ~= "table" then return false end
  if depth > MOST_LEVELS then return true end
  for key, inner in next, value do
    if may_hold_template(key, depth + 1) or may_hold_template(inner, depth + 1) then return true end
  end
  return false
end

-- Whether a key of the config means more than its value: an expression, or files.
local function has_meaning(T, config)
  for key in next, T.expressions do
    if config[key] ~= nil then return true end
  end
  for _, key in next, T.files or {} do
    if config[key] ~= nil then return true end
  end
  return false
end

-- Puts the node's own config and what stands in its `with` into a table; false where one is in the
-- other's way.
local function collect(config, spec, T, named)
  for key, value in next, spec do
    if not types.is_reserved(T, key) and not (named and key == "type") then config[key] = value end
  end
  local given = rawget(spec, "with")
  if given == nil then return true end
  if type(given) ~= "table" then return false end
  for key, value in next, given do
    if config[key] ~= nil then return false end
    config[key] = value
  end
  return true
end

--- What is needed to make the handlers of nodes that are like node i, which has a type, where their
--- config is scalars that its schema takes as they are.
---@param i integer
---@return table<string, integer>|nil kinds by key what it takes (see `orrery.schema.scalars`), 0 where it is none of the config's;
--- nil: config of the type is to be looked at more closely
---@return string[] needed keys that have to be there
---@return fun(config: table): function make the handler
function Builder:scalars_of(i)
  local spec = self.flat.specs[i]
  local typed = types.of(spec)
  local T = typed or types.named(spec)
  if not T or T.check then return nil end
  local kinds, needed = require "orrery.schema.scalars"(T.config)
  for key in next, T.expressions do kinds[key] = nil end
  for _, key in next, T.files or {} do kinds[key] = nil end
  for key in next, types.RESERVED do
    if types.is_reserved(T, key) then kinds[key] = 0 end
  end
  if not typed then kinds.type = 0 end
  return kinds, needed, maker_of(self, T, false)
end

--- The handler of node i, which has a type and is like one that was built: all but its config is
--- equal, and that names no other nodes. Nil, with nothing noted, where it has to be built itself.
---@param i integer
---@return function|nil
function Builder:run_like(i)
  local spec = self.flat.specs[i]
  local typed = types.of(spec)
  local T = typed or types.named(spec)
  local config = self.scratch -- the checked one is a copy
  for key in next, config do config[key] = nil end
  if not T or T.nodes or T.strategy == "thread" or rawget(spec, "orrery_bad") then return nil end
  if not collect(config, spec, T, not typed) then return nil end
  types.place_positional(T, config)
  if may_hold_template(config, 1) or has_meaning(T, config) then return nil end
  local checked, problems = T.config:check(config, TEMPLATES)
  if problems or without_secrets(checked) ~= checked or T.check and T.check(checked) then return nil end
  return maker_of(self, T, false)(checked)
end

-- ---- nodes in the config of a node --------------------------------------------------------------

-- The builder of a node that stands in the config of the one at hand: its mistakes are that one's.
local function inner_builder(b, field)
  local own = setmetatable({ mentions = {}, secret_read = false }, { __index = b })
  function own.bad(_, key, kind, message)
    b:bad(field .. (key and "." .. key or ""), kind, ("%s: %s"):format(field, message))
  end
  return own
end

-- What it mentions, and what of the environment it reads, is mentioned and read by the node at
-- hand.
local function take_over(b, own, field)
  for _, mention in ipairs(own.mentions) do
    b.mentions = b.mentions or {}
    table.insert(b.mentions, { name = mention.name, field = field .. "." .. mention.field })
  end
  b.env_read = own.env_read or b.env_read
  b.secret_read = own.secret_read or b.secret_read
end

local function refuse_policies(own, T, spec)
  for key in next, spec do
    if types.is_reserved(T, key) and key ~= "with" then
      own:bad(tostring(key), "unknown_key",
        ('"%s" is a key of a node; write it beside the list, where nodes take config only'):format(key))
    end
  end
end

-- What gives the config of an inner node for each attempt.
local function config_maker(b, T, constants, resolvers)
  local guard, has_secrets = guard_of(b, T), uses_secrets(b, constants)
  local resolved = (resolvers or has_secrets) and resolver(T, constants, resolvers, has_secrets)
  return function(ctx)
    local config = resolved and resolved(ctx) or constants
    return guard and guard(config) or config
  end
end

-- One of them: a function(ctx) that gives { type, config }.
local function compile_inner(b, spec, field)
  local own = inner_builder(b, field)
  if type(spec) ~= "table" then
    return own:bad(nil, "wrong_type", "expected a node, such as flow.csv.read { … }, got "
      .. errors.show(spec))
  end
  local T, named = type_of(own, spec)
  local bad = rawget(spec, "orrery_bad")
  if bad or not T then
    if bad or not named then
      own:bad(nil, "wrong_type", bad or "expected a node of a type, got a plain table")
    end
    return
  end
  refuse_policies(own, T, spec)
  local config
  config, own.with = Builder.config_of(spec, function(...) own:bad(...) end)
  types.place_positional(T, config)
  local make = config_maker(own, T, compile_config(own, T, check_config(own, T, config)))
  take_over(b, own, field)
  return function(ctx) return { type = T, config = make(ctx) } end
end

function compile_nodes(b, value, field)
  local makers = {}
  for i, spec in ipairs(type(value) == "table" and value or {}) do
    makers[i] = compile_inner(b, spec, ("%s[%d]"):format(field, i)) or error
  end
  return nil, function(ctx)
    local list = {}
    for i, make in ipairs(makers) do list[i] = make(ctx) end
    return list
  end
end

-- ---- a whole node -------------------------------------------------------------------------------

local function build_typed(b, out, T, spec)
  out.type = T.name
  local bad = rawget(spec, "orrery_bad")
  if bad then return b:bad(nil, "wrong_type", bad) end
  if rawget(spec, "run") ~= nil then
    b:bad("run", "unknown_key",
      ("run: %s brings its own handler; a Lua node is a plain table with `run`"):format(T.name))
  end
  if b.in_worker == nil then b.in_worker = T.strategy == "thread" end
  if b.in_worker and T.native then
    b:bad("strategy", "bad_value", ("strategy: %s is a type of the program that embeds the engine, "
      .. "which runs it as it likes; remove it"):format(T.name))
  end
  local config
  config, b.with = Builder.config_of(spec, function(...) b:bad(...) end)
  types.place_positional(T, config)
  b.env_read, b.secret_read = nil, nil
  config = check_config(b, T, config)
  local constants, resolvers = compile_config(b, T, config)
  out.run = (out.cache or names_files(b, T, config)) and cached_handler(b, out, T, constants, resolvers,
    b.env_read)
    or handler(b, T, constants, resolvers)
  if out.pool == nil then out.pool = T.pool end
  if T.retry ~= nil and rawget(spec, "retry") == nil then
    out.retry = require("orrery.definition.retry_policy").read(T.retry, error)
  end
end

--- The handler of what undoes the node at hand, where a node type does it:
--- `{ type = …, with = … }`. It runs when the node has completed, so its templates may mention the
--- node's own output: `output` is that of what is undone, of one item where the node has `each`.
---@param value { type: string, with: table|nil }
---@return function|nil
function Builder:undo_handler(value)
  local own = setmetatable({ mentions = {}, in_worker = false, secret_read = false, extra_root = "output" },
    { __index = self })
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
  return handler(own, T, constants, resolvers)
end

-- ---- Lua nodes ----------------------------------------------------------------------------------

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
    return b:bad("run", "missing",
      "it does nothing: give it run = function(ctx, inputs) … end, or call a node type")
  end
  if type(run) ~= "function" then
    b:bad("run", "wrong_type", "run: expected a function(ctx, inputs), got " .. errors.show(run))
  end
end

--- Builds what the readers of its keys leave of a node: its config and its handler.
---@param out table the node of the definition
---@param spec table
function Builder:build_special(out, spec)
  local T, named = type_of(self, spec)
  if T then
    build_typed(self, out, T, spec)
  elseif not named then
    build_lua(self, spec)
  end
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
