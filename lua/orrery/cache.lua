--- The `cache` key: a handler that first looks whether its output is known.
---
--- An entry's key is a hash over the node's type, the code (the hash of the workflow's bundle), what the handler is given, and
--- the text of `cache.key`:
---
---  * of a typed node, its resolved config, and its inputs where the type's function takes them;
---  * of a Lua node, where `cache.key` does not say what its output depends on: its inputs, its item and the run's input.
local core = require "orrery.core"
local duration = require "orrery.duration"
local errors = require "orrery.errors"

local cache = {}

---@class orrery.Cache
---@field ttl number|nil seconds; nil: for ever
---@field key (fun(ctx: orrery.Context): any)|nil
---@field text string|nil the key as it was written

-- ---- the key of a node ------------------------------------------------------------------------------------

local function read_ttl(b, made, value, field)
  local seconds, message = duration.parse(value)
  if not seconds then
    b:bad(field, "bad_value", ("%s: %s"):format(field, message))
  elseif seconds == 0 then
    b:bad(field, "bad_value", field .. ": nothing is kept for no time; give it more, or leave it out to keep it for ever")
  else
    made.ttl = seconds
  end
end

local READ = {
  ttl = function(b, made, value) read_ttl(b, made, value, "cache.ttl") end,
  key = function(b, made, value)
    if type(value) == "function" then
      made.key = value
      return
    end
    if type(value) ~= "string" or value == "" then
      return b:bad("cache.key", "wrong_type", 'cache.key: expected a text, a template such as "${input.day}" or a function(ctx), got '
        .. errors.show(value))
    end
    local constant, resolve = b:value("cache.key", value)
    made.text, made.key = value, resolve or function() return constant end
  end,
}

--- Reads `cache`: true, how long an output is kept, or `{ key = …, ttl = … }`.
function cache.read(b, out, value)
  if value == false then return end
  local made = {}
  if type(value) == "string" or type(value) == "number" then
    read_ttl(b, made, value, "cache")
  elseif type(value) == "table" then
    for field, given in pairs(value) do
      local read = READ[field]
      if read then
        read(b, made, given)
      else
        b:bad("cache", "unknown_key", ("cache: unknown field %q%s"):format(tostring(field), errors.suggest(field, { "key", "ttl" })))
      end
    end
  elseif value ~= true then
    return b:bad("cache", "wrong_type", ('cache: expected true, a duration such as "1h" or a table { key = "${…}", ttl = "1h" }, got %s')
      :format(errors.show(value)))
  end
  out.cache = made
end

-- ---- what an entry is found by ----------------------------------------------------------------------------

local tokens = setmetatable({}, { __mode = "k" }) -- compilation -> what stands for the code of a workflow without a source

local function token_of(compilation)
  local token = tokens[compilation]
  if not token then
    token = core.sha256(("%s %s %s"):format(tostring(compilation), core.hrtime(), core.time()))
    tokens[compilation] = token
  end
  return token
end

-- The code's identity. A workflow that a script made has no source to compare: its entries are found by that value only.
local function code_of(compilation)
  local bundle = require "orrery.bundle"
  local made = bundle.running() or compilation.compiled and bundle.of(compilation.compiled)
  return made and made.hash or token_of(compilation)
end

local function copy(view)
  local made = {}
  for name, value in pairs(view) do made[name] = value end
  return made
end

local function text_of(value) return core.json.encode(value, { sort = true }) end

-- The parts that the handler's output depends on, as text; nil and the reason where one cannot be written.
local function given_text(entry, ctx, config, inputs)
  local parts = { iteration = ctx.iteration, config = config }
  if config == nil and not entry.cache.key then
    parts.item, parts.input = ctx.item, ctx.input
    parts.inputs = copy(inputs)
  elseif config ~= nil and entry.wants_inputs then
    parts.inputs = copy(inputs)
  end
  local ok, text = pcall(text_of, parts)
  if ok then return text end
  return nil, (config ~= nil and "its config" or "what it is given") .. " holds what cannot be written as JSON"
end

local function key_of(entry, ctx, config, inputs)
  if entry.env then return nil, ("its config reads env.%s, which may be a secret"):format(entry.env) end
  local own = ""
  if entry.cache.key then
    local value = entry.cache.key(ctx)
    if value == nil then return nil, "key is nil" end
    local ok, text = pcall(text_of, value)
    if not ok then return nil, "key cannot be written as JSON" end
    own = text
  end
  local given, reason = given_text(entry, ctx, config, inputs)
  if not given then return nil, reason end
  local parts = { entry.type, config == nil and ctx.node or "", code_of(entry.compilation), given, own }
  for i, part in ipairs(parts) do parts[i] = #part .. ":" .. part end
  return core.sha256(table.concat(parts, ","))
end

-- ---- what an entry holds ----------------------------------------------------------------------------------

-- An output stands for itself; one with an outcome (or one that looks like it) in { "$outcome", "output" }.
local function packed(value)
  local meta = getmetatable(value)
  if type(meta) == "table" and meta.__name == "orrery.outcome" then return { ["$outcome"] = value[1], output = value[2] } end
  if type(value) == "table" and value["$outcome"] ~= nil then return { ["$outcome"] = false, output = value } end
  return value
end

local function unpacked(value)
  if type(value) ~= "table" or value["$outcome"] == nil then return value end
  if value["$outcome"] == false then return value.output end
  return core.outcome(value["$outcome"], value.output)
end

---@class orrery.CacheEntry
---@field cache orrery.Cache
---@field type string
---@field env string|nil a variable of the environment that the config reads
---@field wants_inputs boolean|nil whether a type's function takes the inputs
---@field compilation {compiled: orrery.Compiled|nil}

--- The output of a node: from the cache, or by calling `work()`, and then it is kept. May wait.
---@param entry orrery.CacheEntry
---@param ctx orrery.Context
---@param config table|nil a typed node's, resolved
---@param inputs table
---@param work fun(): any
---@return any
function cache.through(entry, ctx, config, inputs, work)
  local key, reason = key_of(entry, ctx, config, inputs)
  if not key then
    core.cache_skip(ctx, reason)
    return work()
  end
  local hit, value = core.cache_get(ctx, key)
  if hit then return unpacked(value) end
  value = core.settled(work())
  core.cache_put(ctx, key, entry.type, packed(value), entry.cache.ttl)
  return value
end

return cache
