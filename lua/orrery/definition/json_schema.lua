--- A JSON Schema (draft 7) of JSON definitions, by which an editor completes and checks them: made
--- from the tables of keys that the readers have, and from the config of the node types there are.
---
--- What a reader takes, the schema takes, but for `{}` as an empty list and `"after": false`. It
--- finds less than `orrery check`, which knows what names, expressions and templates mean.
local core = require "orrery.core"
local options = require "orrery.definition.options"
local config_schema = require "orrery.definition.config_schema"
local definition_json = require "orrery.definition.json"
local keys = require "orrery.definition.node_keys"
local retry = require "orrery.definition.retry_policy"
local pools = require "orrery.definition.pool_fields"
local singleton = require "orrery.definition.singleton"
local types = require "orrery.definition.type"

local json_schema = {}

local ref, any_of = config_schema.ref, config_schema.any_of
local enum, object = config_schema.enum, config_schema.object
local array = core.json.array
local TEXT, BOOLEAN, COUNT = { type = "string" }, { type = "boolean" }, { type = "integer", minimum = 1 }
local DURATION, NAME = ref "duration", { type = "string", minLength = 1 }
local MOST = 4294967294
local WITH = { type = array { "object", "array", "null" } } -- a list: what may stand without a key

local function list(of) return { type = "array", items = of } end

local function about(text, shape)
  local made = { description = text }
  for key, value in pairs(shape) do made[key] = value end
  return made
end

-- A key that may be absent, so that it may be null as well.
local function optional(text, shape, ...)
  return about(text, config_schema.or_null(... and any_of(shape, ...) or about(nil, shape)))
end

-- The shapes of names that a table of the code lists. A name without one takes anything, so that a
-- new key is never refused.
local function of_names(names, shapes, except)
  local made = {}
  for _, name in ipairs(names) do
    if name ~= except then made[name] = shapes[name] or core.json.object {} end
  end
  return made
end

-- ---- parts of a node ----------------------------------------------------------------------------

local POLICY = {
  max = about("retries after the first attempt; 3", { type = "integer", minimum = 0, maximum = retry.MOST }),
  strategy = enum(retry.STRATEGIES),
  delay = about("before the first retry; 1 s", DURATION),
  factor = about("of an exponential delay; 2", { type = "number", minimum = 1, maximum = retry.STEEPEST }),
  max_delay = DURATION,
  jitter = enum(retry.JITTERS),
  on = about("only errors with these codes", any_of(TEXT, list(TEXT))),
  unless = about("no errors with these codes", any_of(TEXT, list(TEXT))),
}

local LOOP = {
  ["until"] = about("an expression; ends the loop where it holds, and may use `output` and `previous`",
    any_of(TEXT, BOOLEAN)),
  max = COUNT, times = COUNT, delay = DURATION,
}

local BREAKER = { name = NAME, threshold = COUNT, window = DURATION, cooldown = DURATION, probes = COUNT }

local COMPENSATE = { type = TEXT, with = WITH, retry = ref "retry", timeout = DURATION }

local JOIN = { need = COUNT, cancel_rest = BOOLEAN }

local function retry_shape()
  local policy = object(of_names(retry.FIELDS, POLICY))
  return any_of({ type = "integer", minimum = 0, maximum = retry.MOST }, enum(retry.NAMES), policy,
    { type = "array", items = policy, maxItems = retry.MOST_POLICIES })
end

local NODE = {
  id = about("the node's name", { type = "string", pattern = "^[A-Za-z_][A-Za-z0-9_-]*$" }),
  type = about("a node type; `orrery types` lists them", TEXT),
  with = about("config of the node type", WITH),
  after = optional('what it waits for: a node, "node:outcome", or a list of these', ref "after"),
  when = optional("an expression; where it is false the node is skipped", TEXT, BOOLEAN),
  join = optional('when it runs; "all"', enum(keys.CHOICES.join),
    object(of_names(keys.FIELDS.join, JOIN), { "need" })),
  retry = optional("how often it is tried again, and how long between; learned: by what helped before",
    ref "retry", { const = "learned" }),
  -- config of types that wait, and then perhaps a template
  timeout = optional("of one attempt", DURATION, ref "template"),
  deadline = optional("of all attempts with all waits", DURATION),
  heartbeat = optional("the longest silence between two signs of life", DURATION),
  estimate = optional("how long it takes, for `orrery plan`", DURATION),
  on_error = optional("ignore: a failure counts as completed; stop: it stops also a workflow that "
    .. "continues", enum(keys.CHOICES.on_error)),
  handles = optional("false: it handles no failure, and is a cleanup node", BOOLEAN),
  fallback = about("takes the place of a failure", {}),
  pool = optional("draws a place from this pool", NAME,
    object(of_names(keys.FIELDS.pool, { name = NAME, hold = BOOLEAN }), { "name" })),
  strategy = optional('"direct"', enum(keys.CHOICES.strategy)),
  priority = optional('"normal"', enum(keys.CHOICES.priority)),
  breaker = optional("a circuit breaker", NAME, object(of_names(keys.FIELDS.breaker, BREAKER), { "name" })),
  each = optional("runs once for each item of a list", TEXT, { type = "array" }),
  each_failures = optional("items that may fail; 0", { type = "integer", minimum = 0, maximum = MOST },
    { type = "string", pattern = "^[0-9]+[.]?[0-9]*%$" }),
  each_on_failure = optional("what becomes of the other items at one failure too many",
    enum(keys.CHOICES.each_on_failure)),
  each_parallel = optional("items at a time", COUNT),
  item_name = optional("what each item is called", ref "template"),
  loop = optional("repeats the node", object(of_names(keys.FIELDS.loop, LOOP))),
  doc = optional("what it is for", TEXT),
  cache = optional("takes an earlier output where there is one", BOOLEAN, DURATION,
    object { key = NAME, ttl = DURATION }),
  compensate = optional("undoes the node where the run fails",
    object(of_names(keys.FIELDS.compensate, COMPENSATE, "run"), { "type" })),
}

local function node_properties()
  local properties = of_names(keys.NAMES, NODE, "run")
  properties.id, properties.type = NODE.id, NODE.type
  return properties
end

-- What a node of a type has besides: its config, in `with` or beside the other keys.
local function branch(T, common)
  local config = config_schema.fields(T.config)
  local properties = {}
  for key in pairs(common) do properties[key] = true end
  for key, shape in pairs(config.properties) do properties[key] = shape end
  properties.with = { type = array { "object", "null", T.positional and "array" },
    properties = config.properties, additionalProperties = config.rest }
  local needs = {}
  for _, field in ipairs(config.required) do
    needs[#needs + 1] = any_of({ required = array { field } },
      { required = array { "with" }, properties = { with = { required = array { field } } } })
  end
  return {
    ["if"] = { properties = { type = { const = T.name } }, required = array { "type" } },
    ["then"] = { properties = properties, additionalProperties = config.rest,
      allOf = #needs > 0 and array(needs) or nil },
  }
end

local function node_shape(list_of_types)
  local properties, branches = node_properties(), {}
  for i, T in ipairs(list_of_types) do branches[i] = branch(T, properties) end
  return { type = "object", required = array { "id", "type" }, properties = properties,
    allOf = array(branches) }
end

-- ---- the definition -----------------------------------------------------------------------------

local EDGE = {
  from = about('a node, or an outcome, "node:outcome"', TEXT),
  to = about("a node", TEXT),
  when = optional("an expression, asked when `from` settles", TEXT, BOOLEAN),
}

local PLACES = { type = "integer", minimum = 0, maximum = MOST }

local POOL = {
  max = about("places; without it no bound", PLACES),
  rate = about('starts in a time: a number a second, or "100/1m"', any_of({ type = "number" }, TEXT)),
  burst = about("starts at once after a quiet time", COUNT),
}

-- Those that a version does not have are left out, as with the keys of nodes.
local TOP = {
  ["$schema"] = optional("for editors", TEXT),
  require = optional("modules that declare node types", list(NAME)),
  name = optional("of the workflow; that of the file", NAME),
  doc = optional("what it is for", TEXT),
  input = optional("the fields of the input, each with its type, or a JSON Schema", any_of(ref "fields",
    ref "json_schema")),
  output = about("what the run gives back: templates", {}),
  timeout = optional("of the run", DURATION),
  on_error = optional('after an unhandled failure; "stop"', enum(options.ON_ERROR)),
  concurrency = optional("nodes at a time", { type = "integer", minimum = 1, maximum = MOST }),
  cleanup_timeout = optional("of the cleanup nodes after a stop; 30 s", DURATION),
  env = optional("variables of the environment that expressions may read", list(TEXT)),
  pools = optional("pools that nodes draw places from, by name",
    { type = "object",
      additionalProperties = any_of(PLACES, object(of_names(pools.FIELDS, POOL)), { type = "null" }) }),
  singleton = optional("a lock: of the runs with one value one goes on at a time", NAME, { const = true }),
  on_conflict = optional('what becomes of a run whose lock another has; "queue"', enum(singleton.CONFLICTS)),
  estimates = optional("how long nodes take, for the order in which they start", { const = "learned" }),
  triggers = optional("what starts its runs by itself", list(ref "trigger")),
  nodes = list(ref "node"),
  edges = optional("dependencies apart from the nodes", list(ref "edge")),
}

-- The fields of each kind of trigger, by name; what they may be is said in docs/schedules.md.
local function trigger_shape()
  local triggers, branches = require "orrery.definition.triggers", {}
  for i, kind in ipairs(triggers.KINDS) do
    local properties = {}
    for _, field in ipairs(triggers.fields(kind)) do properties[field] = {} end
    properties.type = { const = kind }
    branches[i] = { ["if"] = { properties = { type = { const = kind } } },
      ["then"] = { properties = properties, additionalProperties = false } }
  end
  return { type = "object", required = array { "type" }, properties = { type = enum(triggers.KINDS) },
    allOf = array(branches) }
end

-- Without `require` there are only the types that are known here; modules may declare others.
local function types_without_modules(list_of_types)
  local names = {}
  for i, T in ipairs(list_of_types) do names[i] = T.name end
  return { ["if"] = { properties = { require = { type = "null" } } },
    ["then"] = { properties = { nodes = { items = { properties = { type = enum(names) } } } } } }
end

--- Makes the schema, with the node types that are known now.
---@return table plain data, to be written as JSON
function json_schema.make()
  local known = { table.unpack(types.all()) }
  for alias, name in pairs(types.aliases()) do
    known[#known + 1] = setmetatable({ name = alias }, { __index = types.find(name) })
  end
  table.sort(known, function(a, b) return a.name < b.name end)
  local made = object(of_names(definition_json.TOP, TOP), { "nodes" })
  made["$schema"] = "http://json-schema.org/draft-07/schema#"
  made.title = "A workflow of Orrery"
  made.allOf = array { types_without_modules(known) }
  made.definitions = config_schema.definitions()
  made.definitions.after = any_of(TEXT, list(ref "after"))
  made.definitions.retry = retry_shape()
  made.definitions.trigger = trigger_shape()
  made.definitions.edge = object(of_names(definition_json.EDGE, EDGE), { "from", "to" })
  made.definitions.node = node_shape(known)
  return made
end

return json_schema
