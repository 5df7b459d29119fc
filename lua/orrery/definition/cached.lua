--- The `cache` key: a handler that first looks for its output among those that were kept.
---
--- An entry's key is a hash over the node's type, the code (the hash of the workflow's bundle),
--- what the handler is given, and the text of `cache.key`:
---
---  * of a typed node, its resolved config, and its inputs where the type's function takes them;
---  * of a Lua node, where `cache.key` does not say what its output depends on: its inputs, its
---    item and the run's input.
local core = require "orrery.core"
local duration = require "orrery.duration"
local errors = require "orrery.errors"

local cache = {}

---@class orrery.Cache
---@field ttl number|nil seconds; nil: for ever
---@field key (fun(ctx: orrery.Context): any)|nil
---@field text string|nil the key as it was written

-- ---- the key of a node --------------------------------------------------------------------------

local function read_ttl(b, made, value, field)
  local seconds, message = duration.parse(value)
  if not seconds then
    b:bad(field, "bad_value", ("%s: %s"):format(field, message))
  elseif seconds == 0 then
    b:bad(field, "bad_value",
      field .. ": nothing is kept for no time; give it more, or leave it out to keep it for ever")
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
      return b:bad("cache.key", "wrong_type",
        'cache.key: expected a text, a template such as "${input.day}" or a function(ctx), got '
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
        b:bad("cache", "unknown_key",
          ("cache: unknown field %q%s"):format(tostring(field), errors.suggest(field, { "key", "ttl" })))
      end
    end
  elseif value ~= true then
    return b:bad("cache", "wrong_type",
      ('cache: expected true, a duration such as "1h" or a table { key = "${…}", ttl = "1h" }, got %s')
      :format(errors.show(value)))
  end
  out.cache = made
end

-- ---- what an entry is found by ------------------------------------------------------------------

-- compilation -> a value in place of the code's hash, for a workflow without a source
local tokens = setmetatable({}, { __mode = "k" })

local function token_of(compilation)
  local token = tokens[compilation]
  if not token then
    token = core.sha256(("%s %s %s"):format(tostring(compilation), core.hrtime(), core.time()))
    tokens[compilation] = token
  end
  return token
end

-- The code's identity. A workflow that a script made has no source to compare: its entries are
-- found by that value only.
local function code_of(compilation)
  return compilation.identity and compilation.identity(compilation.compiled) or token_of(compilation)
end

local function copy(view)
  local made = {}
  for name, value in pairs(view) do made[name] = value end
  return made
end

local function text_of(value) return core.json.encode(value, { sort = true }) end

-- The parts that the handler's output depends on, as text; nil and the reason where one cannot be
-- written.
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
  return nil, (config ~= nil and "its config" or "what it is given")
    .. " holds what cannot be written as JSON"
end

-- Why nothing of the node may be kept, or nil.
local function obstacle(entry)
  if entry.env then return ("its config reads env.%s, which may be a secret"):format(entry.env) end
  if entry.secret then return "its config has a secret" end
end

local function key_of(entry, ctx, config, inputs)
  local refused = obstacle(entry)
  if refused then return nil, refused end
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

-- ---- what an entry holds ------------------------------------------------------------------------

-- An output stands for itself; one with an outcome (or one that looks like it) in { "$outcome",
-- "output" }.
local function packed(value)
  local meta = getmetatable(value)
  if type(meta) == "table" and meta.__name == "orrery.outcome" then
    return { ["$outcome"] = value[1], output = value[2] }
  end
  if type(value) == "table" and value["$outcome"] ~= nil then
    return { ["$outcome"] = false, output = value }
  end
  return value
end

local function unpacked(value)
  if type(value) ~= "table" or value["$outcome"] == nil then return value end
  if value["$outcome"] == false then return value.output end
  return core.outcome(value["$outcome"], value.output)
end

---@class orrery.CacheEntry
---@field cache orrery.Cache|nil nil: only its files matter
---@field type string
---@field T orrery.NodeType|nil of a type that says which files it reads and makes
---@field env string|nil a variable of the environment that the config reads
---@field wants_inputs boolean|nil whether a type's function takes the inputs
---@field compilation {compiled: orrery.Compiled|nil, identity: fun(compiled: orrery.Compiled|nil): string|nil}

-- What the handler is given, as text, where nothing else decides what it does: the code of a type
-- that is not the library's does.
local function given_with_code(entry, ctx, config, inputs)
  local text, reason = given_text(entry, ctx, config, inputs)
  if not text or require("orrery.definition.type").is_standard(entry.T) then return text, reason end
  return text .. code_of(entry.compilation)
end

local function through_files(entry, ctx, given, config, inputs)
  local refused = obstacle(entry)
  given.ctx, given.type, given.pack, given.unpack = ctx, entry.type, packed, unpacked
  given.warn = function(message) ctx:log("warn", message) end
  if not refused and entry.cache then
    given.ttl = entry.cache.ttl
    given.key, refused = key_of(entry, ctx, config, inputs)
  end
  given.reason = refused
  if not refused then given.config, given.reason = given_with_code(entry, ctx, config, inputs) end
  return require("orrery.definition.up_to_date").through(given)
end

--- The output of what a handler calls with config that names files. May wait.
---@param T orrery.NodeType
---@param ctx orrery.Context
---@param config table resolved
---@param files orrery.Files
---@param work fun(): any
---@param has_secrets boolean whether there are values of secrets in the config
---@return any
function cache.here(T, ctx, config, files, work, has_secrets)
  local entry = { type = T.name, T = T, secret = has_secrets, compilation = T }
  return through_files(entry, ctx, { files = files, work = work, note = function() end }, config)
end

--- The output of a node: from the cache, or by calling `work()`, and then it is kept. May wait.
---@param entry orrery.CacheEntry
---@param ctx orrery.Context
---@param config table|nil a typed node's, resolved
---@param inputs table
---@param work fun(): any
---@return any
function cache.through(entry, ctx, config, inputs, work)
  local files = entry.T and require("orrery.definition.up_to_date").files(entry.T, config)
  if files then
    local function note(reason) core.cache_note(ctx, reason) end
    return through_files(entry, ctx, { files = files, work = work, note = note }, config, inputs)
  end
  local key, reason = key_of(entry, ctx, config, inputs)
  if not key then
    core.cache_note(ctx, reason)
    return work()
  end
  local hit, value = core.cache_get(ctx, key)
  core.cache_note(ctx, not hit and value or nil)
  if hit then return unpacked(value) end
  value = core.settled(work())
  core.cache_put(ctx, key, entry.type, packed(value), entry.cache.ttl)
  return value
end

return cache
