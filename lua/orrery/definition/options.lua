--- The options of a workflow: one reader for each, which checks the value and puts it into the
--- definition. Loaded with the first workflow that has another than a name and an output as they
--- usually are.
local core = require "orrery.core"
local duration = require "orrery.duration"
local errors = require "orrery.errors"
local pools = require "orrery.definition.pools"
local Builder = require "orrery.definition.node"

local options = {}

---@class orrery.OptionReader
---@field state orrery.WorkflowState
---@field def table
---@field compiled orrery.Compiled
---@field problems orrery.Problem[]
---@field allowed table<string, boolean> the environment variables that expressions may read

local function say(r, field, kind, message)
  local place = r.state.place
  if r.state.paths then place = place .. ": " .. field end
  r.problems[#r.problems + 1] = { kind = kind, field = field, where = place, order = 0,
    message = ('workflow "%s": %s'):format(r.state.name, message) }
end

local function expected(r, field, what, value)
  say(r, field, "wrong_type", ("%s: expected %s, got %s"):format(field, what, errors.show(value)))
end

local function read_duration(r, value, key)
  local seconds, message = duration.parse(value)
  if seconds == 0 then -- to the runtime it would mean that nothing was said
    say(r, key, "bad_value",
      ("%s: nothing can be done in no time; give it more, or leave %s out"):format(key, key))
  elseif seconds then
    r.def[key] = seconds
  else
    say(r, key, "bad_value", key .. ": " .. message)
  end
end

local ON_ERROR = { "stop", "drain", "continue" }
options.ON_ERROR = ON_ERROR --- what `on_error` of a workflow takes
local ON_ERROR_SET = { stop = true, drain = true, continue = true }

local function read_env(r, value)
  if type(value) ~= "table" then return expected(r, "env", 'a list of names, { "HOME" }', value) end
  for _, name in ipairs(value) do
    local good, message = true, nil
    if r.state.limits and type(name) == "string" then
      good, message = require "orrery.definition.limits".env(r.state.limits, name)
    end
    if not good then
      say(r, "env", "not_allowed", "env: " .. message)
    elseif type(name) == "string" then
      r.allowed[name] = true
      table.insert(r.compiled.env, name)
    else
      expected(r, "env", "names of environment variables", name)
    end
  end
end

local function read_input(r, value)
  if type(value) ~= "table" then return expected(r, "input", "a schema, flow.schema { … }", value) end
  local made, problems = require("orrery.schema").compile(value)
  r.compiled.input = made
  for _, problem in ipairs(problems or {}) do say(r, "input", "bad_schema", "input: " .. problem.message) end
end

local function read_output(r, value)
  if type(value) == "function" then
    r.def.output = value
    return
  end
  local compiled, mistakes =
    require("orrery.expr.template").compile(value, { where = r.state.place, field = "output" })
  for _, mistake in ipairs(mistakes or {}) do
    say(r, mistake.field, "bad_template", Builder.template_words(mistake))
  end
  if not compiled then return end
  r.output_mentions, r.output_paths = compiled.mentions, compiled.paths
  r.def.output = compiled.fn
end

-- ---- pools --------------------------------------------------------------------------------------

local function read_pool(r, name, value)
  local field = "pools." .. tostring(name)
  if type(name) ~= "string" or name == "" then
    return expected(r, "pools", "names with their places, { db = 4 }", name)
  end
  if type(value) == "number" then value = { max = value } end
  local pool, at, message = pools.read(value)
  if not pool then
    return say(r, at and field .. "." .. at or field, "bad_value", ("%s: %s"):format(field, message))
  end
  local stranger = r.state.limits and r.state.limits ~= require "orrery.definition.limits".FILE
  if stranger or r.reloads then return pools.of_guest(name, pool, stranger) end
  local file = r.state.place:match "^(.-):%d+$" or r.state.place
  local other = pools.of_workflow(name, pool, ('workflow "%s" of %s'):format(r.state.name, file))
  if other then
    say(r, field, "pool_conflict",
      ("%s: %s declares this pool with other numbers, and there is one of a name; say the same in both,"
      .. " declare it with flow.pool, or give one of them another name"):format(field, other))
  end
end

-- In the order of their names, so that what is said of them is, too.
local function read_pools(r, value)
  if type(value) ~= "table" then
    return expected(r, "pools", 'pools by name, { db = 4, api = { max = 2, rate = "10/s" } }', value)
  end
  local names = {}
  for name, pool in pairs(value) do
    if pool ~= core.json.null then names[#names + 1] = name end
  end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  for _, name in ipairs(names) do read_pool(r, name, value[name]) end
end

local function read_triggers(r, value)
  local limits = r.state.limits
  r.compiled.triggers = require("orrery.definition.triggers").read_all(value, r.state.name, r.state.place, {
    json = r.state.paths ~= nil,
    stranger = limits ~= nil and limits ~= require "orrery.definition.limits".FILE,
    secret = limits and function(name) return require("orrery.definition.limits").secret(limits, name) end,
    say = function(field, kind, message) say(r, field, kind, message) end })
end

local function read_singleton(r, value)
  local made, problems = require("orrery.definition.singleton").read(value, r.state.place)
  for _, problem in ipairs(problems) do
    say(r, "singleton", problem.kind, "singleton: " .. problem.message)
  end
  r.def.singleton = made
end

local function read_conflict(r, value)
  local words = require("orrery.definition.singleton").CONFLICTS
  for _, word in ipairs(words) do
    if value == word then r.def.on_conflict = value end
  end
  if r.def.on_conflict == nil then
    say(r, "on_conflict", "bad_value", ("on_conflict: expected %s, got %s%s"):format(errors.list(words, "or"),
      errors.show(value), errors.did_you_mean(value, words)))
  elseif r.state.options.singleton == nil then
    say(r, "on_conflict", "bad_value",
      "on_conflict: says what becomes of a run whose lock another has, and this workflow has no singleton")
  end
end

local function read_estimates(r, value)
  if value == "learned" then
    r.def.estimates = value
  else
    say(r, "estimates", "bad_value", ('estimates: expected "learned", by what earlier runs took, got %s; '
      .. "how long one node takes is its `estimate`"):format(errors.show(value)))
  end
end

local MOST = 4294967294 -- the runtime counts in 32 bits, of which the last value means none

local READ = {
  name = function(r, value)
    if type(value) ~= "string" or value == "" then return expected(r, "name", "a name", value) end
    if not utf8.len(value) or value:find "%c" then
      expected(r, "name", "a name in UTF-8 without control characters", value)
    end
  end,
  doc = function(r, value)
    if type(value) == "string" then r.def.doc = value else expected(r, "doc", "a string", value) end
  end,
  on_error = function(r, value)
    if ON_ERROR_SET[value] then
      r.def.on_error = value
    else
      say(r, "on_error", "bad_value", ("on_error: expected %s, got %s%s"):format(errors.list(ON_ERROR, "or"),
        errors.show(value), errors.did_you_mean(value, ON_ERROR)))
    end
  end,
  concurrency = function(r, value)
    if math.type(value) == "integer" and value >= 1 and value <= MOST then
      r.def.concurrency = value
    elseif math.type(value) == "integer" and value > MOST then
      expected(r, "concurrency", ("at most %d"):format(MOST), value)
    else
      expected(r, "concurrency", "a whole number of at least 1", value)
    end
  end,
  timeout = read_duration,
  cleanup_timeout = read_duration,
  env = read_env,
  input = read_input,
  output = read_output,
  pools = read_pools,
  triggers = read_triggers,
  singleton = read_singleton,
  on_conflict = read_conflict,
  estimates = read_estimates,
}

local NAMES = {}
for name in pairs(READ) do NAMES[#NAMES + 1] = name end

local function unknown(r, _, key)
  if key == 1 then
    say(r, "1", "unknown_key",
      "nodes are not listed in flow.workflow { … }; assign them to the workflow it returns")
  else
    say(r, tostring(key), "unknown_key", ('unknown option "%s"%s'):format(tostring(key),
      errors.suggest(key, NAMES)))
  end
end

--- Reads an option.
---@param r orrery.OptionReader
---@param key any
---@param value any
function options.read(r, key, value)
  local read = READ[key] or unknown
  read(r, value, key)
end

--- What `output` mentions must be there.
---@param r orrery.OptionReader
---@param flat orrery.Flat
---@param b orrery.NodeBuilder
function options.check_output(r, flat, b)
  local found = r.output_mentions
  for _, message in ipairs(b:unknown_fields(r.output_paths)) do
    say(r, "output", "unknown_field", "output: " .. message)
  end
  for _, name in ipairs(found.list) do
    if not flat.index[name] then
      say(r, "output", "unknown_node", ("output mentions nodes.%s, but there is no such node%s"):format(name,
        b:nearest_node(name)))
    end
  end
  for _, name in ipairs(found.env_list) do
    if not r.allowed[name] then
      say(r, "output", "env", ('output: env.%s may not be read here; allow it with env = { "%s" }')
        :format(name, name))
    end
  end
end

--- What the value of its lock mentions can be there.
---@param r orrery.OptionReader
---@param own table of `orrery.definition.singleton`
---@param b orrery.NodeBuilder
function options.check_singleton(r, own, b)
  for _, message in ipairs(b:unknown_fields(own.compiled.paths)) do
    say(r, "singleton", "unknown_field", "singleton: " .. message)
  end
  for _, name in ipairs(own.compiled.mentions.env_list) do
    if not r.allowed[name] then
      say(r, "singleton", "env", ('singleton: env.%s may not be read here; allow it with env = { "%s" }')
        :format(name, name))
    end
  end
end

return options
