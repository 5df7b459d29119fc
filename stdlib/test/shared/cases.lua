--- Runs cases: commands, functions and workflows, each until it has a verdict.
local flow = require "orrery"
local program = require "orrery.stdlib.test.shared.program"
local uv = require "luv"

local cases = {}

-- ---- what a case sees of where it stands --------------------------------------------------------

-- The run's context, with what the handlers of a case can refer to.
local function context_of(ctx, refs)
  local merged, given = {}, ctx.context
  for key, value in pairs(type(given) == "table" and given or { outer = given }) do merged[key] = value end
  for key, value in pairs(refs) do merged[key] = value end
  return merged
end

-- A ctx like another, but for its context, which child runs are given too.
local function with_context(ctx, context)
  local function call(_, workflow, input, options)
    return ctx:call(workflow, input, options or { context = context })
  end
  return setmetatable({}, {
    __index = function(_, key)
      if key == "context" then return context elseif key == "call" then return call end
      local value = ctx[key]
      if type(value) ~= "function" then return value end
      return function(_, ...) return value(ctx, ...) end
    end,
    __newindex = function(_, key)
      error(("ctx.%s cannot be set: ctx is read only"):format(tostring(key)), 2)
    end,
  })
end

local function text_of(value)
  if value == nil then return nil end
  return type(value) == "table" and flow.json.encode(value) or tostring(value)
end

-- The same for commands.
local function variables_of(refs)
  return { ORRERY_SUITE = refs.suite and refs.suite.name, ORRERY_CASE = refs.case.name,
    ORRERY_ITEM = text_of(refs.item), ORRERY_TRY = tostring(refs.case.try) }
end

-- ---- verdicts -----------------------------------------------------------------------------------

local function message_of(e)
  if type(e) ~= "table" then return tostring(e) end
  local inner = e.code == "child_failed" and type(e.details) == "table" and e.details.error
  return tostring(type(inner) == "table" and inner.message or e.message or e)
end

-- A call that came to its end, or an error that it raised.
local function verdict_of(ok, value, reason)
  if ok then
    if value ~= false then return { status = "passed" } end
    return { status = "failed", type = "false", message = reason and tostring(reason) or "returned false" }
  end
  local code = type(value.error) == "table" and value.error.code or "error"
  if code == "test_skipped" then return { status = "skipped", message = message_of(value.error) } end
  return { status = "failed", type = tostring(code), message = message_of(value.error), output = value.trace }
end

local function late_verdict(seconds)
  return { status = "error", type = "timeout", message = ("took longer than %gs"):format(seconds) }
end

-- What called the test is no matter of its writer.
local function own_part(trace)
  local at = trace:find("\n\t[C]: in function 'xpcall'", 1, true)
  return at and trace:sub(1, at - 1) or trace
end

local function with_trace(e)
  local trace = type(e) == "table" and e.traceback or debug.traceback(tostring(e), 2)
  return { error = e, trace = own_part(trace) }
end

-- ---- one try ------------------------------------------------------------------------------------

local function pause(seconds)
  flow.await(function(resume)
    local timer = uv.new_timer()
    timer:start(math.max(1, math.ceil(seconds * 1000)), 0, function()
      timer:close()
      resume()
    end)
    return function() timer:close() end
  end)
end

-- What was cancelled from outside has no verdict.
local function leave_if_cancelled(ctx, e)
  if ctx.cancelled then error(e or { code = "cancelled", message = "cancelled" }, 0) end
end

-- A call, which is cancelled when its time is over.
local function call_within(ctx, seconds, fn, ...)
  local args, verdict, late = table.pack(...), nil, false
  local function body()
    verdict = verdict_of(xpcall(fn, with_trace, table.unpack(args, 1, args.n)))
  end
  if not seconds then
    body()
    leave_if_cancelled(ctx)
    return verdict
  end
  local _, e = pcall(flow.gather, { -- the first that ends ends the other
    function()
      body()
      error("done", 0)
    end,
    function()
      pause(seconds)
      late = true
      error("late", 0)
    end,
  })
  leave_if_cancelled(ctx, e)
  return late and late_verdict(seconds) or verdict
end

local function run_function(case, refs, seconds)
  local ctx = with_context(case.ctx, context_of(case.ctx, refs))
  return call_within(case.ctx, seconds, case.config.test, ctx, case.inputs)
end

local function run_workflow(case, refs, seconds)
  local ctx, context = case.ctx, context_of(case.ctx, refs)
  return call_within(ctx, seconds, function()
    ctx:call(case.config.workflow, case.config.input, { context = context })
  end)
end

local function judge_program(config, ran, seconds)
  local message, type = program.complaint(ran, seconds)
  if not message then return { status = "passed" } end
  if config.skip_code and ran.code == config.skip_code and type == "exit_status" then
    return { status = "skipped", message = message }
  end
  return { status = type == "exit_status" and "failed" or "error", type = type, message = message,
    output = program.output(ran) }
end

-- A command that has ended is not run again where the node is, after a crash.
local function run_command(case, refs, seconds)
  local config = case.config
  return case.ctx:step(("%s, try %d"):format(refs.case.name, refs.case.try), function()
    return judge_program(config, program.run(config, variables_of(refs), seconds), seconds)
  end)
end

local function runner_of(config)
  return config.test and run_function or config.workflow ~= nil and run_workflow or run_command
end

-- ---- a case -------------------------------------------------------------------------------------

-- A try, in its own time or what is left for all, whichever is less.
local function try_once(case, refs, timeout, left)
  local run, bounded = runner_of(case.config), left and (not timeout or left < timeout)
  local result = run(case, refs, bounded and left or timeout)
  if bounded and result.type == "timeout" then
    result.message = "it had not ended when the time of the suite was over"
  end
  return result
end

local function passes(result) return result.status == "passed" or result.status == "skipped" end

---@class stdlib.test.Case
---@field ctx orrery.Context
---@field inputs table
---@field config table of `test.case`
---@field name string
---@field item any
---@field suite? table what `ctx.context.suite` is

--- Runs a case, again where it fails and may be tried again. *Waits.*
---@param case stdlib.test.Case
---@param defaults? { timeout: number?, retries: integer? } where its config has none
---@param left? fun(): number|nil seconds that are left for all cases
---@return table result { name, status, seconds, type?, message?, output?, tries?, flaky?, item? }
function cases.run(case, defaults, left)
  local config, result, begun = case.config, nil, uv.hrtime()
  if config.skip then
    return { name = case.name, item = case.item, status = "skipped", seconds = 0,
      message = type(config.skip) == "string" and config.skip or nil }
  end
  local most = (config.retries or defaults and defaults.retries or 0) + 1
  local timeout = config.timeout or defaults and defaults.timeout
  for try = 1, most do
    local rest = left and left()
    if try > 1 and rest and rest <= 0 then break end
    local refs = { suite = case.suite, item = case.item, case = { name = case.name, try = try } }
    result = try_once(case, refs, timeout, rest)
    result.tries = try
    if passes(result) then break end
  end
  result.name, result.item = case.name, case.item
  result.flaky = result.status == "passed" and result.tries > 1 or nil
  result.seconds = (uv.hrtime() - begun) / 1e9
  return result
end

cases.passes = passes
cases.text_of = text_of -- of an item, for commands

return cases
