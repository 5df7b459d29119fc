--- `test.suite`: many tests as one node, with counts and a report.
local flow = require "orrery"
local cases = require "orrery.stdlib.test.shared.cases"
local results = require "orrery.stdlib.test.shared.results"
local summary = require "orrery.stdlib.test.shared.summary"
local uv = require "luv"

-- ---- which cases --------------------------------------------------------------------------------

-- A function(name) that says whether a case is wanted: patterns of which one has to fit, and
-- others, after "!", of which none may.
local function filter_of(patterns)
  if type(patterns) == "string" then patterns = { patterns } end
  local wanted, unwanted = {}, {}
  for _, pattern in ipairs(patterns or {}) do
    local inverse = pattern:sub(1, 1) == "!"
    local ok, match = pcall(flow.glob, inverse and pattern:sub(2) or pattern)
    if not ok then
      flow.error { code = "config_error", retryable = false,
        message = "test.suite: filter: " .. tostring(match) }
    end
    table.insert(inverse and unwanted or wanted, match)
  end
  local function fits(list, name)
    for _, match in ipairs(list) do
      if match(name) then return true end
    end
    return false
  end
  return function(name) return (#wanted == 0 or fits(wanted, name)) and not fits(unwanted, name) end
end

-- What an item of a case is called: a text or number itself, the name of an object, or its number.
local function label_of(item, i)
  if type(item) == "table" then item = item.name end
  return type(item) == "table" and tostring(i) or item ~= nil and tostring(item) or tostring(i)
end

local function check_inner(node)
  if node.type.name ~= "test.case" then
    flow.error { code = "config_error", retryable = false,
      message = ("test.suite: cases are flow.test.case { … }, and one is %s"):format(node.type.name) }
  end
end

-- The cases that are to run, those with items once for each.
local function list_of(suite, config)
  local list, wanted = {}, filter_of(config.filter)
  local function add(node, name, item)
    if not wanted(name) then return end
    list[#list + 1] = { ctx = suite.ctx, inputs = suite.inputs, config = node.config,
      name = name, item = item, suite = suite.refs }
  end
  for i, node in ipairs(config.cases) do
    check_inner(node)
    local name = node.config.name or ("case %d"):format(i)
    if not node.config.items then add(node, name, suite.ctx.item) end
    for k, item in ipairs(node.config.items or {}) do
      add(node, ("%s[%s]"):format(name, label_of(item, k)), item)
    end
  end
  return list
end

-- ---- running them -------------------------------------------------------------------------------

-- Lets so many at a time, in the order in which they come. Each case has a coroutine of its own, so
-- that the steps of one are the same ones however long another takes.
local function new_gate(most)
  local gate = { free = most, waiting = {}, first = 1 }
  function gate.enter()
    if gate.free > 0 then
      gate.free = gate.free - 1
      return
    end
    local entry = {}
    gate.waiting[#gate.waiting + 1] = entry
    flow.await(function(resume)
      entry.resume = resume
      return function() entry.resume = nil end
    end)
  end
  function gate.leave()
    while gate.first <= #gate.waiting do
      local entry = gate.waiting[gate.first]
      gate.first = gate.first + 1
      if entry.resume then return entry.resume() end
    end
    gate.free = gate.free + 1
  end
  return gate
end

-- The result of a case that is not begun any more; nil where it is.
local function not_run(suite, config, case)
  local made = { name = case.name, item = case.item, seconds = 0 }
  local left = suite.left()
  if left and left <= 0 then
    made.status, made.type, made.message = "error", "timeout", "not run: the time of the suite is over"
  elseif config.fail_fast and suite.failed > 0 then
    made.status, made.message = "skipped", "not run: a case before it has failed"
  end
  return made.status and made or nil
end

local function tell(suite, result, count)
  suite.ended = suite.ended + 1
  if not cases.passes(result) then
    suite.failed = suite.failed + 1
    suite.ctx:log("warn", ("%s failed: %s"):format(result.name, result.message or result.status),
      { case = result.name })
  elseif result.flaky then
    suite.ctx:log("warn", ("%s passed at try %d"):format(result.name, result.tries), { case = result.name })
  end
  suite.ctx:progress(suite.ended / count, suite.failed == 0 and ("%d of %d cases"):format(suite.ended, count)
    or ("%d of %d cases, %d failed"):format(suite.ended, count, suite.failed))
end

local function run_cases(suite, config)
  local list, made = list_of(suite, config), {}
  local gate = new_gate(config.parallel)
  local defaults = { timeout = config.case_timeout, retries = config.retries }
  for i, case in ipairs(list) do
    made[i] = function()
      gate.enter()
      local result = not_run(suite, config, case) or cases.run(case, defaults, suite.left)
      tell(suite, result, #list)
      gate.leave()
      return result
    end
  end
  return flow.gather(made)
end

-- ---- the type -----------------------------------------------------------------------------------

local function has_command(config) return config.argv ~= nil or config.shell ~= nil end

local ONLY_CASES = { "filter", "fail_fast", "retries", "case_timeout", "parallel" }

local function problem(config)
  local command = has_command(config)
  if type(config.cases) == "string" then
    return "cases is a list of flow.test.case { … }; a case is made for each of a list by its items", "cases"
  elseif config.argv ~= nil and config.shell ~= nil then
    return "give the command as argv or as shell, not both", "shell"
  elseif config.cases and (command or config.results ~= nil) then
    return "give it cases, or a command or results, not both", "cases"
  elseif not config.cases and not command and config.results == nil then
    return "it has no tests: give it cases, a command (argv or shell) or results"
  end
  for _, key in ipairs(config.cases and {} or ONLY_CASES) do
    if config[key] then return ("%s is for cases; a command runs its tests itself"):format(key), key end
  end
end

local function new_suite(ctx, config, inputs)
  local name = config.name or ctx.item_name and ("%s[%s]"):format(ctx.node, ctx.item_name) or ctx.node
  local begun, suite = uv.hrtime(), { ctx = ctx, inputs = inputs, name = name, failed = 0, ended = 0 }
  suite.refs = { name = name, node = ctx.node, run = ctx.run.id, item = ctx.item }
  function suite.seconds() return (uv.hrtime() - begun) / 1e9 end
  function suite.left() return config.timeout and config.timeout - suite.seconds() end
  return suite
end

local function cases_of(suite, config)
  if config.cases then return run_cases(suite, config) end
  local ctx = suite.ctx
  if not has_command(config) then return results.of_files(ctx, config) end
  return results.of_command(ctx, config, { ORRERY_SUITE = suite.name,
    ORRERY_ITEM = cases.text_of(ctx.item) }, config.timeout)
end

local function defaulted(config)
  local made = { parallel = 1, fail_fast = false, retries = 0 }
  for key, value in pairs(config) do made[key] = value end
  if type(made.results) == "string" then made.results = { made.results } end
  return made
end

return flow.type {
  name = "test.suite",
  errors = { "tests_failed", "no_tests" },
  doc = "Runs tests and reports on all of them. They are cases, a list of test.case; or those of a command "
    .. "that says how they ended, in TAP or JUnit's XML, on stdout or in the files that results names; or of "
    .. "such files alone. Outputs { name, total, passed, failed, errors, skipped, flaky, seconds, cases }, "
    .. "and fails with \"tests_failed\" where a case did not pass, unless check = false, or with "
    .. "\"no_tests\". report is a file that is written in either case, in JUnit's XML. What is wrong with a "
    .. "report that is read, or with the command, is a case as well.",
  config = flow.schema {
    name = { type = "string", optional = true, doc = "the node's where it is left out" },
    cases = { type = "any[]", optional = true, doc = "flow.test.case { … }, …" },
    argv = "array?", shell = "string?", cwd = "string?", env = "object?", stdin = "string?",
    results = { type = "string|string[]", optional = true, doc = "patterns of files, from cwd" },
    format = { enum = { "auto", "tap", "junit" }, default = "auto", doc = "of stdout and of files" },
    report = { type = "string", optional = true, doc = "a file" },
    properties = { type = "object", optional = true, doc = "for the report" },
    filter = { type = "string|string[]", optional = true,
      doc = "patterns of the names of cases to run; with ! in front: not to run" },
    parallel = { type = "integer", optional = true, min = 1, doc = "cases at a time (1)" },
    fail_fast = { type = "boolean", optional = true, doc = "after a failure no further case is begun" },
    retries = { type = "integer", optional = true, min = 0, max = 100,
      doc = "of each case that says nothing else" },
    case_timeout = { type = "duration", optional = true,
      doc = "of each try of a case that says nothing else" },
    timeout = { type = "duration", optional = true,
      doc = "of the whole; what has not ended then is an error" },
    check = { type = "boolean", default = true, doc = "false: outputs also where cases failed" },
    allow_empty = { type = "boolean", default = false, doc = "true: no test at all is well" },
    limit = { type = "integer", default = 64 * 1024 * 1024, min = 0,
      doc = "bytes kept of a command's outputs" },
    max_size = { type = "integer", default = 64 * 1024 * 1024, min = 1, doc = "bytes of a file" },
    grace = { type = "duration", default = "2s" },
  },
  output = { name = "string", total = "integer", passed = "integer", failed = "integer", errors = "integer",
    skipped = "integer", flaky = "integer", seconds = "number", cases = "object[]", report = "string?" },
  positional = "cases[]",
  nodes = "cases",
  own_timeout = true,
  check = problem,
  examples = {
    [[flow.test.suite { report = "build/unit.xml", parallel = 4,
  flow.test.case { name = "adds", test = function() assert(1 + 1 == 2) end },
  flow.test.case { name = "says hello", shell = "./hello | grep -q hello", retries = 2 } }]],
    [[flow.test.suite { argv = { "pytest", "--junitxml=out.xml" }, results = "out.xml" }]],
    [[flow.test.suite { shell = "prove -v t", report = "build/prove.xml", timeout = "10m" }]],
  },
  run = function(ctx, config, inputs)
    config = defaulted(config)
    local began, suite = os.time(), new_suite(ctx, config, inputs)
    local list = cases_of(suite, config)
    local made = summary.of(suite.name, list, suite.seconds())
    if made.total == 0 and not config.allow_empty then
      flow.error { code = "no_tests", retryable = false,
        message = ("%s: there was no test to run%s"):format(suite.name,
          config.filter and "; filter leaves none" or "") }
    end
    return summary.finish(config, made, began)
  end,
}
