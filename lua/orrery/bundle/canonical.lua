--- A compiled workflow as data: everything but its code. Equal workflows have equal texts.
---
---   { "name", "on_error", "concurrency", "timeout", "cleanup_timeout", "ports": [outcome, …],
---     "nodes": [ { "name", "type", "after": [ "fetch" | { "node", "port", "when" } ],
---                  … policies } ] }
---
--- Nodes stand in the order of their index in the plan, outcomes in the order of their number.
--- Durations are seconds. Where a policy is code, its place says `true`; where it was written as an
--- expression or a template, its text stands there. Places in files are left out, so that moving a
--- line changes nothing. Keys are sorted, and what is not set is left out.
local core = require "orrery.core"
local groups = require "orrery.definition.groups"
local workflow = require "orrery.definition.workflow"

local json = core.json

-- Keys of a node that are written in their own way below, or not at all.
local APART = { name = true, run = true, deps = true, type = true, where = true, doc = true }

local MOST_LEVELS = 20

-- Data for JSON: functions and other values that exist only in this process become `true`.
local function plain(value, depth)
  local kind = type(value)
  if kind == "string" or kind == "boolean" or math.type(value) == "integer" then return value end
  if kind == "number" then
    return value == value and math.abs(value) < math.huge and value or tostring(value)
  end
  if kind ~= "table" or depth > MOST_LEVELS then return true end
  local made = {}
  for key, inner in next, value do
    made[math.type(key) == "integer" and key or tostring(key)] = plain(inner, depth + 1)
  end
  return #made > 0 and json.array(made) or made
end

local function is_text(value) return type(value) == "string" or type(value) == "boolean" end

-- A condition or template as it was written, or `true` where it is code or a list of values.
local function written(spec, key)
  local value = spec and rawget(spec, key)
  return is_text(value) and tostring(value) or true
end

-- What a policy says itself: `after_max` follows from that, and definitions that were kept before
-- there was one are the same.
local function retry_of(value)
  if type(value) ~= "table" then return value end
  local made = {}
  for key, inner in next, value do
    if key ~= "after_max" then made[key] = type(inner) == "table" and retry_of(inner) or inner end
  end
  return made
end

local WRITE = {
  retry = retry_of,
  compensate = function(value)
    local made = plain(value, 1)
    if type(made) == "table" and made.retry then made.retry = retry_of(value.retry) end
    return made
  end,
  cache = function(value) return { ttl = value.ttl, key = value.key and (value.text or true) } end,
  when = function(_, spec) return written(spec, "when") end,
  each = function(_, spec) return written(spec, "each") end,
  item_name = function(_, spec) return written(spec, "item_name") end,
  fallback = function(_, spec) return written(spec, "fallback") end,
  pool = function(value, spec)
    if type(value) == "string" then return value end
    local given = spec and rawget(spec, "pool")
    return written(type(given) == "table" and { pool = rawget(given, "name") } or spec, "pool")
  end,
  loop = function(value, spec)
    local given = spec and rawget(spec, "loop")
    local ends = type(given) == "table" and (given["until"] == nil and given.until_ or given["until"])
    return { max = value.max, times = value.times, delay = value.delay,
      ["until"] = value.until_ and (is_text(ends) and tostring(ends) or true) }
  end,
}

local function after_of(def, deps)
  local after = {}
  for k, dep in ipairs(deps) do
    local name = def.nodes[dep.node].name
    after[k] = (dep.port or dep.when) and { node = name, port = dep.port, when = dep.when and true } or name
  end
  return json.array(after)
end

-- Nodes as they were written, by name. A function, because it opens groups again.
local function specs_of(w)
  local state = workflow.state(w)
  if not state then return function() return nil end end
  local flat = groups.flatten(state)
  return function(name) return flat.specs[flat.index[name]] end
end

-- ---- texts --------------------------------------------------------------------------------------

-- The text is built here and not encoded from one table, which would take several times the time
-- and memory.

local SORTED = { sort = true }
local DATA = { breaker = true } -- tables that hold nothing but data

local function encode(value) return json.encode(value, SORTED) end

-- An object of texts, by sorted keys.
local function object(fields)
  local keys, parts = {}, {}
  for key in next, fields do keys[#keys + 1] = key end
  table.sort(keys)
  for i, key in ipairs(keys) do parts[i] = '"' .. key .. '":' .. fields[key] end
  return "{" .. table.concat(parts, ",") .. "}"
end

local function after_text(def, deps)
  local only = #deps == 1 and deps[1]
  if only and not only.port and not only.when then return '["' .. def.nodes[only.node].name .. '"]' end
  return encode(after_of(def, deps))
end

local function policy_text(key, value, node, spec)
  local write = WRITE[key]
  if write then return encode(write(value, spec(node.name))) end
  return encode((type(value) ~= "table" or DATA[key]) and value or plain(value, 1))
end

-- Names of nodes and types need no escaping.
local function node_text(def, node, spec)
  local fields
  for key, value in next, node do
    if not APART[key] then
      fields = fields or {}
      fields[key] = policy_text(key, type(value) == "function" and not WRITE[key] or value, node, spec)
    end
  end
  local after = node.deps and after_text(def, node.deps)
  if not fields then
    return (after and '{"after":' .. after .. "," or "{") .. '"name":"' .. node.name .. '","type":"'
      .. node.type .. '"}'
  end
  fields.after, fields.name, fields.type = after or nil, '"' .. node.name .. '"', '"' .. node.type .. '"'
  return object(fields)
end

--- The definition of a compiled workflow. Takes time in proportion to its nodes and edges.
---@param compiled orrery.Compiled
---@return string json
return function(compiled)
  local def, spec = compiled.def, specs_of(compiled.workflow)
  local nodes = {}
  for i, node in ipairs(def.nodes) do nodes[i] = node_text(def, node, spec) end
  local fields = { nodes = "[" .. table.concat(nodes, ",") .. "]",
    ports = encode(json.array(compiled.plan:ports())) }
  for _, key in ipairs { "name", "on_error", "concurrency", "timeout", "cleanup_timeout",
    "on_conflict", "estimates" } do
    if def[key] ~= nil then fields[key] = encode(def[key]) end
  end
  if def.singleton then fields.singleton = encode(def.singleton.source) end
  return object(fields)
end
