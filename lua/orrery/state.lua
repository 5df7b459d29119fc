--- Values that outlive runs: what `ctx:state()` gives a handler.
---
--- What is read is a step, so that a handler that runs again sees the same. A write is a step as
--- well, and is committed with its record: see `runtime/durable/state.c`.
local core = require "orrery.core"
local duration = require "orrery.duration"
local errors = require "orrery.errors"
local mask = require "orrery.mask"

local state = {}

local LONGEST_KEY = 512    -- bytes
local LARGEST = 1024 * 1024 -- bytes of a value as JSON
local TRIES = 100          -- of an update that others come before
local SHARED = ""          -- in the place of a workflow's name

---@class orrery.State what is kept of one workflow, or is shared by all
---@field ctx orrery.Context
---@field workflow string
---@field access orrery.StateAccess
local State = {}
State.__index = State
State.__name = "orrery.state"

---@class orrery.StateAccess
---@field get fun(ctx: orrery.Context, workflow: string, key: string): any, string?
---@field set fun(ctx: orrery.Context, step: string, workflow: string, key: string, write: table): string|false

local HERE = { get = core.state_get, set = core.state_set }

-- ---- what is given ------------------------------------------------------------------------------

local function refuse(message, ...)
  errors.error { code = "invalid_state", retryable = false, message = message:format(...) }
end

local function check_options(options, known, what)
  if options == nil then return {} end
  if type(options) ~= "table" then
    refuse("%s: expected a table of options, got %s", what, errors.show(options))
  end
  for key in pairs(options) do
    if not known[key] then
      local names = {}
      for name in pairs(known) do names[#names + 1] = name end
      refuse("%s: unknown option %q%s", what, tostring(key), errors.suggest(tostring(key), names))
    end
  end
  return options
end

-- Control characters (C0, DEL, C1 in UTF-8) would make a key that nobody can read or type. A secret
-- in it is masked, as in the names of steps.
local function check_key(key)
  if type(key) ~= "string" then refuse("a key of state is a text, got %s", errors.show(key)) end
  if key == "" then refuse "a key of state is empty; give it a name such as \"watermark\"" end
  if #key > LONGEST_KEY then
    refuse("a key of state has %d bytes, and may have %d: use a shorter name, or a hash of it", #key,
      LONGEST_KEY)
  end
  if not utf8.len(key) or key:find "%c" or key:find "\xc2[\x80-\x9f]" then
    refuse("the key %q has a character that cannot be printed; it is UTF-8 without control characters", key)
  end
  return mask.text(key)
end

local function seconds(ttl)
  if ttl == nil then return nil end
  local parsed, message = duration.parse(ttl)
  if not parsed then refuse("ttl: %s", message) end
  if parsed <= 0 then refuse "ttl: expected more than no time; state:remove(key) removes a value" end
  return parsed
end

-- ---- reading and writing ------------------------------------------------------------------------

--- The value of a key, and its version, which is another one after each write. Nothing where there
--- is none, or its time to live is over. A handler that runs again is given the same. Waits.
---@param key string 1 to 512 bytes of UTF-8 without control characters
---@return any value, string? version
function State:get(key)
  key = check_key(key)
  local found = self.ctx:step("state.get " .. key, function()
    local value, version = self.access.get(self.ctx, self.workflow, key)
    return { value = value, version = version }
  end)
  return found.value, found.version
end

local function write(self, what, key, value, options)
  if options.version ~= nil and type(options.version) ~= "string" then
    refuse("version: expected a text that state:get gave, or \"\" for a key without a value, got %s",
      errors.show(options.version))
  end
  return self.access.set(self.ctx, what .. " " .. key, self.workflow, key,
    { value = value, ttl = seconds(options.ttl), version = options.version, limit = LARGEST })
end

local SET = { ttl = true, version = true }

--- Sets a value, whatever is there; with `version` only where that is still the version ("": where
--- there is no value). Decided when it is committed, so of two that write at once one is made.
--- Waits until it is on disk, where there is one. Raises `state_too_large` for more than 1 MiB as
--- JSON, and `invalid_state`.
---@param key string
---@param value any plain data
---@param options? { ttl: orrery.Duration?, version: string? } without ttl it is kept for ever
---@return string|false version the new one; false: another version is there
function State:set(key, value, options)
  key = check_key(key)
  if value == nil then refuse("the value of %q is nil; state:remove(key) removes one", key) end
  return write(self, "state.set", key, value, check_options(options, SET, "state:set"))
end

local REMOVE = { version = true }

--- Removes a value, where there is one; with `version` only where that is still the version.
---@param key string
---@param options? { version: string? }
---@return boolean removed false: another version is there
function State:remove(key, options)
  key = check_key(key)
  options = check_options(options, REMOVE, "state:remove")
  return write(self, "state.remove", key, nil, options) ~= false
end

local UPDATE = { ttl = true }

--- Sets a value to what a function makes of the present one. Where another run has written
--- meanwhile, the function is called once more, with what is there then. Waits. Raises
--- `state_conflict`, which is retryable, where others were quicker a hundred times.
---@param key string
---@param fn fun(value: any): any nil in: there is none; nil out: removes it
---@param options? { ttl: orrery.Duration? }
---@return any value, string version
function State:update(key, fn, options)
  key = check_key(key)
  options = check_options(options, UPDATE, "state:update")
  for _ = 1, TRIES do
    local seen = self.ctx:step("state.update " .. key, function()
      local value, version = self.access.get(self.ctx, self.workflow, key)
      return { read = value, version = version or "", value = fn(value) }
    end)
    local version = write(self, "state.set", key, seen.value, { ttl = options.ttl, version = seen.version })
    if version then return seen.value, version end
  end
  errors.error { code = "state_conflict", retryable = true,
    message = ("others have written the value of %q each of %d times between reading it and writing it")
      :format(key, TRIES) }
end

-- ---- making -------------------------------------------------------------------------------------

--- What `ctx:state(options)` gives: the state of the handler's workflow; with `shared` that of all
--- workflows of the store.
---@param ctx orrery.Context
---@param options? { shared: boolean? }
---@param access? orrery.StateAccess a worker's
---@return orrery.State
function state.of(ctx, options, access)
  options = check_options(options, { shared = true }, "ctx:state")
  return setmetatable({ ctx = ctx, workflow = options.shared and SHARED or ctx.run.workflow,
    access = access or HERE }, State)
end

return state
