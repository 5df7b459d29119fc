--- The lock of a workflow's runs: `singleton` says its value, `on_conflict` what becomes of a run
--- whose lock another has.
local errors = require "orrery.errors"
local json = require "orrery.core".json

local singleton = {}

--- What `on_conflict` may be.
singleton.CONFLICTS = { "queue", "cancel_running", "skip", "fail" }

local LONGEST = 512 -- bytes of a value
local KNOWN = { input = true, context = true, env = true }

-- The value as a text, or nil and what is wrong with it.
local function text_of(value)
  if type(value) == "table" then return nil, "the value is a text or a number, got " .. errors.show(value) end
  local text = tostring(value)
  if text == "" or #text > LONGEST or not utf8.len(text) or text:find "%c" then
    return nil, ("the value is 1 to %d bytes of UTF-8 without control characters, got %s"):format(LONGEST,
      errors.show(value))
  end
  return text
end

--- Reads the template of the value. It is evaluated before the run is there, from what that is
--- begun with.
---@param value any
---@param where string of the workflow
---@return { fn: function, source: any, compiled: orrery.template.Compiled }|nil
---@return { kind: string, message: string }[] problems
function singleton.read(value, where)
  if value ~= true and type(value) ~= "string" then
    return nil, { { kind = "wrong_type",
      message = 'expected the value of a lock, "${input.account}", or true for one lock of all its runs, got '
      .. errors.show(value) } }
  end
  local compiled, mistakes = require("orrery.expr.template").compile(value,
    { where = where, field = "singleton" })
  local problems = {}
  for i, mistake in ipairs(mistakes or {}) do
    problems[i] = { kind = "bad_template", message = (mistake.message:gsub("^column %d+: ", "")) }
  end
  if not compiled then return nil, problems end
  local text, wrong = "", nil
  if compiled.static then text, wrong = text_of(value) end
  if not text then problems[1] = { kind = "bad_value", message = wrong } end
  for root in pairs(compiled.roots) do
    if not KNOWN[root] then
      problems[#problems + 1] = { kind = "bad_value",
        message = ("it is asked for before the run begins, so it may use input, context and env, not %s")
          :format(root) }
    end
  end
  return { fn = compiled.fn, source = value, compiled = compiled }, problems
end

local function refuse(compiled, message)
  errors.error { code = "config_error", retryable = false,
    message = ('workflow "%s": singleton: %s'):format(compiled.name, message) }
end

-- The environment variables that the workflow may read.
local function env_of(compiled)
  local env = {}
  for _, name in ipairs(compiled.env or {}) do env[name] = os.getenv(name) end
  return env
end

--- The value of a run's lock, and what becomes of it where another has that; nil for a run without
--- one. Raises `config_error` for what is no value.
---@param compiled orrery.Compiled
---@param input any
---@param context any
---@return string|nil value
---@return "queue"|"cancel_running"|"skip"|"fail"|nil on_conflict
function singleton.of(compiled, input, context)
  local own = compiled.def and compiled.def.singleton
  if not own then return nil end
  local value = own.fn { input = input, context = context, env = env_of(compiled) }
  if value == nil or value == false or value == json.null then return nil end
  local text, wrong = text_of(value)
  if not text then refuse(compiled, wrong) end
  return text, compiled.def.on_conflict or "queue"
end

return singleton
