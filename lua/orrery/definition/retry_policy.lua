--- Retry policies: the presets, and what the short forms mean in full.
local duration = require "orrery.duration"
local errors = require "orrery.errors"

local retry = {}

--- The presets. Delays in seconds. `quick` is for what recovers within a second (a lock, a busy
--- file), `standard` for services on a network, `aggressive` for what must get through,
--- `conservative` for services that dislike being asked again.
retry.PRESETS = {
  quick = { max = 3, strategy = "fixed", delay = 0.2, factor = 1, max_delay = 0.2, jitter = "none" },
  standard = { max = 3, strategy = "exponential", delay = 1, factor = 2, max_delay = 30, jitter = "equal" },
  aggressive = { max = 10, strategy = "exponential", delay = 0.5, factor = 2, max_delay = 60,
    jitter = "full" },
  conservative = { max = 2, strategy = "exponential", delay = 10, factor = 3, max_delay = 300,
    jitter = "equal" },
}
local PRESET_NAMES = { "quick", "standard", "aggressive", "conservative" }

local STRATEGIES = { "fixed", "linear", "exponential", "random" }
local JITTERS = { "none", "full", "equal" }
local FIELDS = { "max", "strategy", "delay", "factor", "max_delay", "jitter", "on", "unless" }

--- What may stand in a policy, and the words that its fields take; for descriptions of it.
retry.FIELDS, retry.STRATEGIES, retry.JITTERS, retry.NAMES = FIELDS, STRATEGIES, JITTERS, PRESET_NAMES

local function one_of(names)
  local set = {}
  for _, name in ipairs(names) do set[name] = true end
  return function(value)
    if set[value] then return value end
    return nil, "expected " .. errors.list(names, "or") .. ", got " .. errors.show(value)
      .. errors.did_you_mean(value, names)
  end
end

local MOST = 32766 -- attempts and those of the compensation are counted in 16 bits
local STEEPEST = 1e6
local MOST_POLICIES = 8
retry.MOST, retry.STEEPEST, retry.MOST_POLICIES = MOST, STEEPEST, MOST_POLICIES

local function count(value)
  local n = math.tointeger(value)
  if n and n >= 0 and n <= MOST and type(value) == "number" then return n end
  return nil, ("expected a whole number of retries, at most %d, got %s"):format(MOST, errors.show(value))
end

local function seconds(value)
  return duration.parse(value)
end

local function factor(value)
  if type(value) == "number" and value >= 1 and value <= STEEPEST then return value end
  return nil, "expected a number from 1 to 1,000,000, got " .. errors.show(value)
end

local function codes(value)
  if type(value) == "string" then return { value } end
  if type(value) ~= "table" or #value == 0 then
    return nil, 'expected a list of error codes, { "timeout", … }, got ' .. errors.show(value)
  end
  for _, code in ipairs(value) do
    if type(code) ~= "string" then return nil, "expected error codes (strings), got " .. errors.show(code) end
  end
  return table.move(value, 1, #value, 1, {})
end

local READ = {
  max = count, strategy = one_of(STRATEGIES), delay = seconds, factor = factor, max_delay = seconds,
  jitter = one_of(JITTERS), on = codes, unless = codes,
}

-- Every number is used as it is written, or refused.
local function check_use(given, policy, say)
  if given.factor ~= nil and policy.strategy ~= "exponential" then
    local text = 'the strategy "%s" has no use for it; leave it out, or say strategy = "exponential"'
    say(".factor", "bad_value", text:format(policy.strategy))
  end
  if given.max_delay ~= nil and given.delay ~= nil and policy.max_delay < policy.delay then
    say(".max_delay", "bad_value", "it is shorter than the delay, which would never be waited; raise it")
  end
end

local function from_table(given, say)
  local policy = {}
  for key, value in pairs(retry.PRESETS.standard) do policy[key] = value end
  for key, value in pairs(given) do
    local read = READ[key]
    if read then
      local got, message = read(value)
      if message then say("." .. key, "bad_value", message) else policy[key] = got end
    elseif key == 1 then
      say("", "bad_value", "the number of retries is written { max = 3, … }")
    else
      say("." .. tostring(key), "unknown_key",
        ("unknown field %q%s"):format(tostring(key), errors.suggest(key, FIELDS)))
    end
  end
  check_use(given, policy, say)
  -- A given `delay` is not cut by the default of `max_delay`; "random" needs room above the
  -- shortest wait.
  if given.max_delay ~= nil then
    policy.after_max = policy.max_delay
  else
    policy.max_delay = math.max(policy.max_delay,
      policy.strategy == "random" and 3 * policy.delay or policy.delay)
  end
  return policy
end

-- A list: each policy is for the errors that its `on` and `unless` let through. One behind another
-- that takes all errors would never be asked.
local function from_list(list, say)
  if #list > MOST_POLICIES then
    return say("", "bad_value", ("expected at most %d policies, got %d"):format(MOST_POLICIES, #list))
  end
  local policies, all = {}, nil
  for i, given in ipairs(list) do
    local function say_of(field, kind, message) say(("[%d]%s"):format(i, field), kind, message) end
    if type(given) ~= "table" or given[1] ~= nil then
      say_of("", "bad_value", "expected a policy, { on = { … }, max = … }, got " .. errors.show(given))
    else
      policies[#policies + 1] = from_table(given, say_of)
      if all then
        say_of("", "bad_value",
          ("policy %d takes every error, so this one is never asked; put it first"):format(all))
      end
      all = all or given.on == nil and given.unless == nil and i or nil
    end
  end
  return #policies == #list and policies or nil
end

--- Reads a node's `retry`: a number of retries, a preset's name, a table, or a list of tables. What
--- a number or a table leaves out is as in `standard`; `max_delay` is then at least `delay`.
---@param value any
---@param say fun(field: string, kind: string, message: string) told what is wrong; `field` is "" or ".max" and so on
---@return table|nil policy as the definition wants it, or a list of them
function retry.read(value, say)
  if type(value) == "table" and type(value[1]) == "table" then
    return from_list(value, say)
  end
  if type(value) == "table" then return from_table(value, say) end
  if type(value) == "number" then
    local max, message = count(value)
    if max then return from_table({ max = max }, say) end
    return say("", "bad_value", message)
  end
  local preset = retry.PRESETS[value]
  if preset then return preset end
  say("", "bad_value", ("expected a number of retries, a table, or one of %s, got %s%s"):format(
    errors.list(PRESET_NAMES, "and"), errors.show(value),
    errors.did_you_mean(value, PRESET_NAMES)))
end

return retry
