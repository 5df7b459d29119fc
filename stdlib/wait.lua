--- `wait`: until a signal comes, until a time, or until somebody has decided.
---
--- No slot is held meanwhile, and a run that is kept in a store waits through restarts. `timeout`
--- limits the wait itself: the attempt's own timeout does not run while it waits.
local flow = require "orrery"

-- Days from 1970-01-01 to a day of the proleptic Gregorian calendar, counted in years that begin in
-- March.
local function days_of(year, month, day)
  local shifted = month > 2 and year or year - 1
  local era, of_era = shifted // 400, shifted % 400
  local of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
  return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468
end

local LENGTHS = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

local function zone_of(text)
  if text == "Z" or text == "z" then return 0 end
  local sign, hours, minutes = text:match "^([+-])(%d%d):?(%d%d)$"
  if not sign or tonumber(hours) > 23 or tonumber(minutes) > 59 then return nil end
  return (sign == "-" and -1 or 1) * (tonumber(hours) * 3600 + tonumber(minutes) * 60)
end

-- Seconds since the epoch of a time in ISO 8601, with its zone; nil where it is none.
local function seconds_of(text)
  local year, month, day, rest = text:match "^(%d%d%d%d)%-(%d%d)%-(%d%d)[Tt ](.*)$"
  if not year then return nil end
  local hour, minute, after = rest:match "^(%d%d):(%d%d)(.*)$"
  if not hour then return nil end
  local second, zone = after:match "^:(%d%d%.?%d*)(.*)$"
  if not second then second, zone = "0", after end
  local offset = zone_of(zone)
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  hour, minute, second = tonumber(hour), tonumber(minute), tonumber(second)
  if not offset or not LENGTHS[month] or day < 1 or day > LENGTHS[month] or hour > 23 or minute > 59
      or second >= 61 then
    return nil
  end
  return days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset
end

local function time_of(value)
  if type(value) == "number" then return value end
  return type(value) == "string" and seconds_of(value) or nil
end

local function is_template(value) return type(value) == "string" and value:find("${", 1, true) ~= nil end

local function is_names(value)
  if type(value) ~= "table" or #value == 0 then return false end
  for _, name in pairs(value) do
    if type(name) ~= "string" then return false end
  end
  return true
end

local APPROVAL = {
  message = function(value) return type(value) == "string" end,
  by = function(value) return type(value) == "string" and value ~= "" or is_names(value) end,
}

local function check_approval(approval)
  if type(approval) ~= "table" then
    if approval == true or type(approval) == "string" then return nil end
    return ("approval: expected true, a text or { message = …, by = { … } }, got %s")
      :format(tostring(approval))
  end
  for key, value in pairs(approval) do
    if not APPROVAL[key] or not APPROVAL[key](value) then
      return ("approval: it takes a text `message` and `by`, the name or the list of names of who may "
        .. "decide; what is wrong is %s"):format(
        tostring(key))
    end
  end
end

local function check(config)
  local approval = config.approval or nil
  if config.time ~= nil then
    if config.signal ~= nil or approval ~= nil then
      return "it waits for a time or for a signal; keep one of them", "time"
    end
    if config.timeout ~= nil then
      return "a wait for a time ends at that time; leave timeout out", "timeout"
    end
    if not is_template(config.time) and not time_of(config.time) then
      return ('time: expected a time with its zone such as "2026-01-01T00:00:00Z" or seconds since the '
        .. 'epoch, got %s'):format(
        tostring(config.time)), "time"
    end
    return nil
  end
  if config.signal == nil and approval == nil then
    return "it has nothing to wait for; give it signal, time or approval", "signal"
  end
  if config.signal == "" then return "signal: expected a name", "signal" end
  if approval == nil and config.on_reject ~= nil then
    return "on_reject: only an approval can be rejected", "on_reject"
  end
  if approval ~= nil and not is_template(approval) then return check_approval(approval), "approval" end
end

local function until_time(ctx, time)
  ctx:sleep(math.max(0, time_of(time) - ctx:now()))
  return ctx:now()
end

local function among(list, name)
  for _, one in ipairs(list) do
    if one == name then return true end
  end
  return false
end

local function is_text(value) return value == nil or type(value) == "string" end

local function decision_of(data)
  if type(data) ~= "table" or type(data.approved) ~= "boolean" or not is_text(data.by)
      or not is_text(data.why) then
    return nil
  end
  return { approved = data.approved, by = data.by, why = data.why }
end

-- What is asked for, of whom, and since when: kept as a step, so that `show` and `why` can print it
-- while the run waits.
local function ask(ctx, config)
  local wrong = check_approval(config.approval) -- templates have their values only now
  if wrong then flow.error { code = "config_error", message = wrong } end
  local approval = type(config.approval) == "table" and config.approval or { message = config.approval }
  local by = approval.by
  if type(by) == "string" then by = { by } end
  return ctx:step("approval_requested", function()
    return { message = type(approval.message) == "string" and approval.message or nil, by = by,
      since = ctx:now() }
  end)
end

-- Waits for a decision by somebody who may decide; any other signal is reported, and the wait goes
-- on.
local function decided(ctx, name, config)
  local asked, left = ask(ctx, config), config.timeout
  ctx:emit("approval_requested", { signal = name, message = asked.message, by = asked.by })
  while true do
    local decision = decision_of(ctx:wait(name, { timeout = left }))
    if not decision then
      ctx:log("warn", ('signal "%s" is no decision; send { "approved": true or false, "by": "…", "why": "…" '
        .. '}'):format(name))
    elseif asked.by and not among(asked.by, decision.by) then
      ctx:log("warn", ('signal "%s": %s may not decide'):format(name, decision.by or "nobody"))
    else
      return decision
    end
    left = config.timeout and math.max(0, config.timeout - (ctx:now() - asked.since))
  end
end

local function reject(decision)
  flow.error { code = "rejected", retryable = false, details = decision, message = ("%s said no%s"):format(
    decision.by or "somebody", decision.why and ": " .. decision.why or "") }
end

local function received(ctx, config)
  local name = config.signal or ctx.node
  if not config.approval then return ctx:wait(name, { timeout = config.timeout }) end
  local decision = decided(ctx, name, config)
  if not decision.approved and config.on_reject ~= "output" then reject(decision) end
  return decision
end

return flow.type {
  name = "wait",
  errors = { "signal_timeout", "rejected" },
  doc = "Waits until a signal comes (its data is the output), until a time, or until somebody has approved "
    .. "or rejected. Signals are "
    .. 'sent with `orrery signal RUN NAME JSON` or run:signal(name, data); an approval is { "approved": '
      .. 'true, "by": "…", "why": "…" }.',
  own_timeout = true,
  config = flow.schema {
    signal = { type = "string", optional = true,
      doc = "the signal's name; an approval's is the node's unless given" },
    time = { type = "any", optional = true,
      doc = "a time in ISO 8601 with its zone, or seconds since the epoch" },
    approval = { type = "any", optional = true,
      doc = "true, what is to be approved, or { message = …, by = { … } }" },
    timeout = { type = "duration", optional = true, doc = "how long it waits for a signal" },
    on_timeout = { type = "string", enum = { "fail", "continue" }, optional = true,
      doc = "continue: the output is { timed_out = true }" },
    on_reject = { type = "string", enum = { "fail", "output" }, optional = true,
      doc = "output: a rejection is output like an approval" },
  },
  check = check,
  examples = {
    [[flow.wait { signal = "payment", timeout = "3d" }]],
    [[flow.wait { time = "${input.opens_at}" }]],
    [[flow.wait { approval = "Deploy ${input.version}?", timeout = "1d" }]],
  },
  run = function(ctx, config)
    if config.time ~= nil then return until_time(ctx, config.time) end
    if config.on_timeout ~= "continue" then return received(ctx, config) end
    local ok, result = pcall(received, ctx, config)
    if ok then return result end
    if type(result) == "table" and result.code == "signal_timeout" then return { timed_out = true } end
    error(result, 0)
  end,
}
