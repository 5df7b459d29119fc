--- The engine keys of a node: one reader for each, which checks the value and puts its full form
--- into the definition.
---
--- A reader is `function(b, out, value, key)`: `b` is the node builder (see compile.lua: `b:bad`
--- notes a mistake, `b:condition` and `b:value` compile expressions and templates), `out` the node
--- of the definition.
local core = require "orrery.core"
local duration = require "orrery.duration"
local errors = require "orrery.errors"
local groups = require "orrery.definition.groups"

local keys = {}

local function set_of(names)
  local set = {}
  for _, name in ipairs(names) do set[name] = true end
  return set
end

local function expected(b, key, what, value)
  b:bad(key, "wrong_type", ("%s: expected %s, got %s"):format(key, what, errors.show(value)))
end

local function read_duration(b, out, value, key)
  local seconds, message = duration.parse(value)
  if seconds then out[key] = seconds else b:bad(key, "bad_value", ("%s: %s"):format(key, message)) end
end

-- A limit of zero would mean none to the runtime, so it is a mistake.
local function read_limit(b, out, value, key)
  if duration.parse(value) == 0 then
    return b:bad(key, "bad_value",
      ("%s: nothing can be done in no time; give it more, or leave %s out for no limit"):format(
      key, key))
  end
  read_duration(b, out, value, key)
end

local function one_of(names)
  local set = set_of(names)
  return function(b, out, value, key)
    if set[value] then
      out[key] = value
      return
    end
    b:bad(key, "bad_value", ("%s: expected %s, got %s%s")
      :format(key, errors.list(names, "or"), errors.show(value),
      errors.did_you_mean(value, names)))
  end
end

local MOST = 4294967294 -- the runtime counts in 32 bits, of which the last value means none

local function whole(value, least)
  return math.type(value) == "integer" and value >= least and value <= MOST
end

-- ---- join ---------------------------------------------------------------------------------------

local JOINS = { "all", "all_completed", "any", "done", "failed" }
local JOIN = set_of(JOINS)
local JOIN_FIELDS = { "need", "cancel_rest" }

local function read_join(b, out, value)
  if JOIN[value] then
    out.join = value ~= "all" and value or nil
    return
  end
  if type(value) ~= "table" then
    return b:bad("join", "bad_value", ("join: expected %s, or { need = n }, got %s%s"):format(
      errors.list(JOINS, "or"), errors.show(value), errors.did_you_mean(value, JOINS)))
  end
  if not whole(value.need, 1) then
    return b:bad("join.need", "wrong_type", "join.need: expected a whole number of at least 1, got "
      .. errors.show(value.need))
  end
  for key in pairs(value) do
    if key ~= "need" and key ~= "cancel_rest" then
      b:bad("join", "unknown_key", ("join: unknown field %q%s"):format(tostring(key),
        errors.suggest(key, JOIN_FIELDS)))
    end
  end
  if value.cancel_rest ~= nil and type(value.cancel_rest) ~= "boolean" then
    return expected(b, "join.cancel_rest", "true or false", value.cancel_rest)
  end
  out.join, out.need, out.cancel_rest = "need", value.need, value.cancel_rest
end

-- ---- conditions, lists, loops -------------------------------------------------------------------

local function read_when(b, out, value)
  if getmetatable(value) ~= groups.ALL then
    out.when = b:condition("when", value)
    return
  end
  read_when(b, out, value[1])
  local outer = out.when
  read_when(b, out, value[2])
  local inner = out.when
  out.when = outer and inner and function(ctx) return outer(ctx) and inner(ctx) end
end

local function read_each(b, out, value)
  if type(value) ~= "string" and type(value) ~= "table" and type(value) ~= "function" then
    return expected(b, "each", 'a list, a template like "${nodes.list}" or a function(ctx)', value)
  end
  if type(value) == "table" and next(value) ~= nil and not core.json.is_array(value) then
    return b:bad("each", "wrong_type",
      "each: expected a list, got a table with named fields; give it the keys 1 to n")
  end
  out.each = b:list("each", value)
end

local LONGEST_PERCENTAGE = 32 -- bytes

local function read_each_failures(b, out, value)
  local percent = type(value) == "string" and #value <= LONGEST_PERCENTAGE
    and tonumber(value:match "^(%d+%.?%d*)%%$")
  if whole(value, 0) or (percent and percent <= 100) then
    out.each_failures = value
    return
  end
  expected(b, "each_failures", 'a whole number of items or a percentage like "10%"', value)
end

local function read_each_parallel(b, out, value)
  if whole(value, 1) then
    out.each_parallel = value
  else
    expected(b, "each_parallel", "a whole number of at least 1", value)
  end
end

-- Under one name that is the same for all, a second item would fail the node.
local function read_item_name(b, out, value)
  if rawget(b.flat.specs[b.i], "each") == nil then
    return b:bad("item_name", "bad_value",
      "item_name: it names the items of a node with each, and this node has none")
  end
  local resolve = value
  if type(value) == "string" then resolve = select(2, b:value("item_name", value)) end
  if type(resolve) == "function" then
    out.item_name = resolve
  elseif type(value) ~= "string" or not value:find("${", 1, true) then
    expected(b, "item_name", 'a template like "${item.name}" or a function(ctx)', value)
  end
end

local LOOP = { "until", "max", "times", "delay" }

local function read_loop(b, out, value)
  if type(value) ~= "table" then
    return expected(b, "loop", 'a table { ["until"] = …, max = n, delay = … } or { times = n }', value)
  end
  local loop = {}
  for key, given in pairs(value) do
    if key == "until" or key == "until_" then
      loop.until_ = b:condition("loop.until", given, "output")
    elseif key == "max" or key == "times" then
      if whole(given, 1) then
        loop[key] = given
      else
        expected(b, "loop." .. key, "a whole number of at least 1", given)
      end
    elseif key == "delay" then
      local seconds, message = duration.parse(given)
      if seconds then
        loop.delay = seconds
      else
        b:bad("loop.delay", "bad_value", "loop.delay: " .. message)
      end
    else
      b:bad("loop", "unknown_key",
        ("loop: unknown field %q%s"):format(tostring(key), errors.suggest(key, LOOP)))
    end
  end
  local asks = value["until"] ~= nil or value.until_ ~= nil
  if value.times ~= nil and (asks or value.max ~= nil) then
    b:bad("loop", "bad_value",
      "loop: times says how often, whatever comes of it; leave out until and max, or times")
  elseif value.times == nil and not asks then
    b:bad("loop", "missing", value.max == nil
      and 'loop: it needs an end; give it ["until"] = "…", or times = n where it only counts'
      or ('loop: max bounds an ["until"], and there is none; to repeat it %s times say times = %s')
        :format(errors.show(value.max), errors.show(value.max)))
  end
  out.loop = loop
end

-- ---- failing ------------------------------------------------------------------------------------

-- What is learned replaces the policy in a run of a store.
local function read_retry(b, out, value)
  if value == "learned" then value, out.learned = "standard", true end
  out.retry = require("orrery.definition.retry_policy").read(value, function(field, kind, message)
    b:bad("retry" .. field, kind, ("retry%s: %s"):format(field, message))
  end)
end

local function read_handles(b, out, value)
  if type(value) ~= "boolean" then return expected(b, "handles", "true or false", value) end
  if not value then out.handles = false end
end

local function read_fallback(b, out, value)
  if type(value) == "function" then
    out.fallback = { fn = value }
    return
  end
  local constant, resolve = b:value("fallback", value)
  if resolve then out.fallback = { fn = resolve } else out.fallback = { value = constant } end
end

-- What undoes the node: a function, or a table with it (or with a node type and its config) and
-- with policies of its own.
local COMPENSATE_NAMES = { "run", "type", "with", "retry", "timeout" }
local COMPENSATE = {}
for _, name in ipairs(COMPENSATE_NAMES) do COMPENSATE[name] = true end

local function read_compensate_run(b, made, value)
  local run = value.run
  if value.type ~= nil then
    if run ~= nil then
      b:bad("compensate.run", "unknown_key",
        "compensate.run: a node type brings its own handler; keep run or type")
    end
    made.fn = b:undo_handler(value)
  elseif value.with ~= nil then
    b:bad("compensate.with", "unknown_key",
      'compensate.with is the config of a node type; name it, { type = "exec", with = { … } }')
  elseif type(run) == "function" then
    made.fn = run
  elseif run == nil then
    b:bad("compensate.run", "missing",
      "compensate.run is missing; it is the function(ctx, inputs) that undoes the node"
      .. " (or name a node type, { type = …, with = { … } })")
  else
    expected(b, "compensate.run", "a function(ctx, inputs)", run)
  end
end

local function read_compensate(b, out, value)
  if type(value) == "function" then value = { run = value } end
  if type(value) ~= "table" then
    return expected(b, "compensate", b.json and 'an object { "type": …, "with": { … } }'
      or 'a function(ctx, inputs) or a table { run = …, retry = 3, timeout = "1m" }', value)
  end
  local node_type = require("orrery.definition.type").of(value)
  if node_type then
    return b:bad("compensate", "wrong_type",
      ('compensate: what undoes a node is no node of its own; write { type = "%s", with = { … } }')
      :format(node_type.name))
  end
  local made = {}
  for key in pairs(value) do
    if not COMPENSATE[key] then
      b:bad("compensate", "unknown_key", ("compensate: unknown field %q%s"):format(tostring(key),
        errors.suggest(key, COMPENSATE_NAMES)))
    end
  end
  read_compensate_run(b, made, value)
  if value.timeout ~= nil then
    local seconds, message = duration.parse(value.timeout)
    if seconds and seconds > 0 then
      made.timeout = seconds
    else
      b:bad("compensate.timeout", "bad_value",
        "compensate.timeout: " .. (message or "nothing can be undone in no time"))
    end
  end
  if value.retry ~= nil then
    made.retry = require("orrery.definition.retry_policy").read(value.retry, function(field, kind, message)
      b:bad("compensate.retry" .. field, kind, ("compensate.retry%s: %s"):format(field, message))
    end)
  end
  if made.fn and b.types.around_undo then made.fn = b.types.around_undo(made.fn) end
  if made.fn then out.compensate = made end
end

-- Loaded where the first node is cached.
local function read_cache(b, out, value) require("orrery.definition.cached").read(b, out, value) end

-- ---- limits -------------------------------------------------------------------------------------

local POOL_NAMES = { "name", "hold" }

-- { name = …, hold = true }: its name.
local function read_pool_table(b, out, value)
  for key in pairs(value) do
    if key ~= "name" and key ~= "hold" then
      b:bad("pool", "unknown_key",
        ("pool: unknown field %q%s"):format(tostring(key), errors.suggest(key, POOL_NAMES)))
    end
  end
  if value.hold ~= nil and type(value.hold) ~= "boolean" then
    expected(b, "pool.hold", "true or false", value.hold)
  end
  if value.name == nil then b:bad("pool.name", "missing", "pool.name is missing; it names the pool") end
  if value.hold == true then out.pool_hold = true end
  return value.name
end

local function read_pool(b, out, value)
  if type(value) == "table" then
    value = read_pool_table(b, out, value)
    if value == nil then return end
  end
  if type(value) == "function" then
    out.pool = value
    return
  end
  if type(value) ~= "string" or value == "" then
    return expected(b, "pool",
      "the name of a pool, a template, a function(ctx) or { name = …, hold = true }", value)
  end
  local constant, resolve = b:value("pool", value)
  out.pool = resolve or constant
  local name = (resolve and value:match "^[^$]*" or value):match "^[^:]*"
  if name ~= "" then b:check_pool(name) end
end

local BREAKER = {
  name = "string", threshold = "count", window = "duration", cooldown = "duration", probes = "count",
}
local BREAKER_NAMES = { "name", "threshold", "window", "cooldown", "probes" }

local function read_breaker_field(b, breaker, key, value)
  local kind = BREAKER[key]
  local field = "breaker." .. tostring(key)
  if not kind then
    b:bad("breaker", "unknown_key", ("breaker: unknown field %q%s"):format(tostring(key),
      errors.suggest(key, BREAKER_NAMES)))
  elseif kind == "duration" then
    local seconds, message = duration.parse(value)
    if seconds then breaker[key] = seconds else b:bad(field, "bad_value", field .. ": " .. message) end
  elseif kind == "count" then
    if whole(value, 1) then
      breaker[key] = value
    else
      expected(b, field, "a whole number of at least 1", value)
    end
  elseif type(value) == "string" and value ~= "" then
    breaker[key] = value
  else
    expected(b, field, "a name", value)
  end
end

local function read_breaker(b, out, value)
  if type(value) == "string" and value ~= "" then value = { name = value } end
  if type(value) ~= "table" then
    return expected(b, "breaker", 'a name or a table { name = …, threshold = 5, window = "60s", … }', value)
  end
  local breaker = {}
  for key, given in pairs(value) do read_breaker_field(b, breaker, key, given) end
  if value.name == nil then
    b:bad("breaker.name", "missing", "breaker.name is missing; nodes with the same name share one breaker")
  end
  if breaker.name then out.breaker = breaker end
end

local function read_doc(b, out, value)
  if type(value) == "string" then out.doc = value else expected(b, "doc", "a string", value) end
end

-- Where the handler runs: on the loop, or in a worker.
local function read_strategy(b, _, value)
  if value == "thread" then
    b.in_worker = true
  elseif value == "direct" then
    b.in_worker = false
  else
    b:bad("strategy", "bad_value",
      ('strategy: expected "direct" (the default) or "thread" (in a worker), got %s')
      :format(errors.show(value)))
  end
end

--- The words that a key takes, of those that take one of some.
keys.CHOICES = {
  join = JOINS,
  on_error = { "ignore", "stop" },
  priority = { "critical", "high", "normal", "low", "background" },
  strategy = { "direct", "thread" },
  each_on_failure = { "stop", "drain", "continue" },
}

--- The fields of keys that take a table.
keys.FIELDS = { join = JOIN_FIELDS, loop = LOOP, compensate = COMPENSATE_NAMES, breaker = BREAKER_NAMES,
  pool = POOL_NAMES }

--- Readers by key. `after`, `run` and `with` are the compiler's own.
keys.READ = {
  when = read_when,
  join = read_join,
  retry = read_retry,
  timeout = read_limit,
  deadline = read_limit,
  heartbeat = read_limit,
  estimate = read_duration,
  on_error = one_of(keys.CHOICES.on_error),
  handles = read_handles,
  fallback = read_fallback,
  pool = read_pool,
  priority = one_of(keys.CHOICES.priority),
  breaker = read_breaker,
  each = read_each,
  each_failures = read_each_failures,
  each_on_failure = one_of(keys.CHOICES.each_on_failure),
  each_parallel = read_each_parallel,
  item_name = read_item_name,
  loop = read_loop,
  doc = read_doc,
  cache = read_cache,
  compensate = read_compensate,
  strategy = read_strategy,
}

--- All names that may stand in a node, for suggestions.
keys.NAMES = { "after", "run", "with" }
for name in pairs(keys.READ) do keys.NAMES[#keys.NAMES + 1] = name end

return keys
