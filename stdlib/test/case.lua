--- `test.case`: a command, a function or a workflow as a test.
local flow = require "orrery"
local cases = require "orrery.stdlib.test.shared.cases"

local WAYS = { "argv", "shell", "test", "workflow" }

local function problem(config)
  local given = {}
  for _, key in ipairs(WAYS) do
    if config[key] ~= nil then given[#given + 1] = key end
  end
  if #given ~= 1 then
    return ("give it one thing to do: a command (argv or shell), test or workflow; it has %s")
      :format(#given == 0 and "none" or table.concat(given, " and "))
  end
  if config.argv and #config.argv == 0 then return "argv is empty; its first word is the program", "argv" end
end

local function fail(result)
  local said = { code = "test_failed", details = result,
    message = ("%s: %s"):format(result.name, result.message or result.status) }
  flow.error(said)
end

return flow.type {
  name = "test.case",
  errors = { "test_failed" },
  doc = "Runs a test. It is a command, whose exit code says whether it passed; test, a function(ctx, inputs) "
    .. "that raises or returns false where it fails; or a workflow, which has to complete. What it runs "
    .. "finds suite, case and item in ctx.context, a command in ORRERY_SUITE, ORRERY_CASE, ORRERY_ITEM and "
    .. "ORRERY_TRY. A test ends as passed, failed, error (no verdict: not started, ended by a signal, "
    .. "timeout) or skipped. Outputs { name, status, seconds, tries, … }, and fails with \"test_failed\" "
    .. "unless it passed or was skipped. In cases of test.suite it is one of many; items makes one of each.",
  config = flow.schema {
    name = { type = "string", optional = true, doc = "the node's, where it is a node" },
    argv = "array?", shell = "string?", cwd = "string?", env = "object?", stdin = "string?",
    test = "function?", workflow = "any?", input = "any?",
    items = { type = "array", optional = true, doc = "in a suite: a case for each of them" },
    skip = { type = "string|boolean", optional = true, doc = "why it is not run" },
    skip_code = { type = "integer", optional = true, doc = "the exit code by which a command says skipped" },
    timeout = { type = "duration", optional = true, doc = "of each try" },
    retries = { type = "integer", optional = true, min = 0, max = 100, doc = "further tries where it fails" },
    limit = { type = "integer", default = 1024 * 1024, min = 0, doc = "bytes kept of each output" },
    grace = { type = "duration", default = "2s" },
  },
  output = { name = "string", status = "string", seconds = "number", tries = "integer?", flaky = "boolean?",
    type = "string?", message = "string?", output = "string?", item = "any?" },
  positional = "argv[]",
  own_timeout = true,
  check = problem,
  examples = {
    [[flow.test.case { "./smoke", "--fast", retries = 1, timeout = "30s" }]],
    [[flow.test.case { name = "adds", test = function(ctx) assert(1 + 1 == 2) end }]],
  },
  run = function(ctx, config, inputs)
    if config.items then
      flow.error { code = "config_error", retryable = false,
        message = "test.case: items is for cases of a suite; as a node, write each" }
    end
    local item = ctx.item
    local name = config.name or ctx.item_name and ("%s[%s]"):format(ctx.node, ctx.item_name) or ctx.node
    local result = cases.run { ctx = ctx, inputs = inputs, config = config, name = name, item = item }
    if not cases.passes(result) then fail(result) end
    return result
  end,
}
