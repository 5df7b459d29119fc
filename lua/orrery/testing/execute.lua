--- Runs tests, one after the other, and says what came of each.
local failure = require "orrery.testing.failure"
local snapshot = require "orrery.testing.snapshot"
local spies = require "orrery.testing.spies"
local suite = require "orrery.testing.suite"
local testing = require "orrery.testing"
local uv = require "luv"

local execute = {}

---@class orrery.testing.Result
---@field name string
---@field file string
---@field line integer of the failed assertion, else of the test
---@field status "passed"|"failed"|"error"|"skipped"
---@field seconds number
---@field message string|nil
---@field trace string[]|nil places in the user's code, of an error

-- ---- what was raised ----------------------------------------------------------------------------

-- The lines of a traceback that are not ours: files, without the runner's below them.
local function places(text)
  local list = {}
  for line in text:gmatch "\n%s*([^\n]+)" do
    local ours = line:find("orrery/", 1, true)
    if line:find "^%S+%.lua:%d+:" and not ours then list[#list + 1] = line end
  end
  return list
end

-- The line of the test's file that was left last.
local function line_in(file)
  for level = 3, 200 do
    local info = debug.getinfo(level, "Sl")
    if not info then return nil end
    if info.source == "@" .. file and info.currentline > 0 then return info.currentline end
  end
end

local function text_of(problem)
  if type(problem) == "table" and rawget(problem, "code") and problem.message then
    local at = problem.node and (" (node %s)"):format(problem.node) or ""
    return ("%s: %s%s"):format(problem.code, tostring(problem.message), at)
  end
  return tostring(problem)
end

-- Calls fn; what it raises becomes { status, message, line, trace }.
local function try(file, fn, ...)
  local raised
  local ok = xpcall(fn, function(problem)
    local is_pending, reason = suite.is_pending(problem)
    if is_pending then
      raised = { status = "skipped", message = reason }
    else
      local is_failure = failure.is(problem)
      raised = { status = is_failure and "failed" or "error", message = text_of(problem),
        line = line_in(file),
        trace = not is_failure and places(debug.traceback("", 2)) or nil }
    end
  end, ...)
  return not ok and raised or nil
end

-- ---- around a test ------------------------------------------------------------------------------

local function outermost_first(block)
  local list = {}
  while block do
    table.insert(list, 1, block)
    block = block.parent
  end
  return list
end

-- What has to run once before the tests of a block. Its failure is that of each of them.
local function set_up(block, file)
  if block.was_set_up == nil then
    block.was_set_up = true
    for _, fn in ipairs(block.setup) do
      block.set_up_problem = block.set_up_problem or try(file, fn)
    end
  end
  return block.set_up_problem
end

-- Runs what stands before a test; the first problem ends it.
local function begin(blocks, file)
  for _, block in ipairs(blocks) do
    local problem = set_up(block, file)
    if problem then return problem end
  end
  for _, block in ipairs(blocks) do
    for _, fn in ipairs(block.before_each) do
      local problem = try(file, fn)
      if problem then return problem end
    end
  end
end

-- Runs what stands after it, all of it; returns the first problem.
local function finish(test, blocks, file)
  local problem
  for _, fn in ipairs(test.finally) do problem = try(file, fn) or problem end
  for i = #blocks, 1, -1 do
    for _, fn in ipairs(blocks[i].after_each) do problem = problem or try(file, fn) end
  end
  spies.revert()
  problem = try(file, testing.close) or problem
  return problem
end

local function seconds_since(began) return (uv.hrtime() - began) / 1e9 end

--- Runs one test. *Waits.*
---@param state table of `suite.load`
---@param test orrery.testing.Test
---@return orrery.testing.Result
function execute.test(state, test)
  local result = { name = test.name, file = test.file, line = test.line, status = "passed", seconds = 0 }
  if not test.fn then
    result.status, result.message = "skipped", test.reason
    return result
  end
  local began, blocks, file = uv.hrtime(), outermost_first(test.block), test.file
  test.finally = {}
  state.running, snapshot.now.name = test, test.name
  local problem = begin(blocks, file) or try(file, test.fn)
  local after = finish(test, blocks, file)
  state.running = nil
  problem = problem or after
  if problem then
    result.status, result.message, result.trace = problem.status, problem.message, problem.trace
    result.line = problem.line or result.line
  end
  result.seconds = seconds_since(began)
  return result
end

-- ---- a file -------------------------------------------------------------------------------------

--- Runs what has to run once after the tests of each block.
local function tear_down(state, selected)
  local done, problems = {}, {}
  for _, test in ipairs(selected) do
    local blocks = outermost_first(test.block)
    for i = #blocks, 1, -1 do
      local block = blocks[i]
      if block.was_set_up and not done[block] then
        done[block] = true
        for _, fn in ipairs(block.teardown) do
          local problem = try(state.file, fn)
          if problem then problems[#problems + 1] = problem end
        end
      end
    end
  end
  return problems
end

---@class orrery.testing.Choice
---@field wants fun(test: orrery.testing.Test): boolean
---@field update boolean|nil snapshots that differ are written anew
---@field fail_fast boolean|nil
---@field whole boolean|nil all tests of a file run: then snapshots that none has asked for are unused

--- Runs the tests of a file and reports each. *Waits.*
---@param file string
---@param choice orrery.testing.Choice
---@param report fun(event: table) { event = "test", … } of each result; { event = "problem", file, message } of what
--- fails outside of tests; { event = "snapshots", file, written, updated, unused }
---@return boolean ok
function execute.file(file, choice, report)
  testing.folder = file:match "^(.*)/[^/]*$" or "."
  package.path = testing.folder .. "/?.lua;" .. testing.folder .. "/?/init.lua;" .. package.path
  snapshot.begin(file, choice.update or false)
  local state, problem = suite.load(file)
  if not state then
    report { event = "problem", file = file, message = problem }
    return false
  end
  local selected, good = {}, true
  for _, test in ipairs(state.tests) do
    if choice.wants(test) then selected[#selected + 1] = test end
  end
  for _, test in ipairs(selected) do
    local result = execute.test(state, test)
    result.event = "test"
    report(result)
    good = good and (result.status == "passed" or result.status == "skipped")
    if not good and choice.fail_fast then break end
  end
  for _, each in ipairs(tear_down(state, selected)) do
    good = false
    report { event = "problem", file = file, line = each.line,
      message = "teardown: " .. tostring(each.message) }
  end
  local now = snapshot.now
  report { event = "snapshots", file = file, written = now.written, updated = now.updated,
    unused = choice.whole and good and snapshot.unused(file) or {} }
  return good
end

--- The tests of a file that are wanted.
---@param file string
---@param choice orrery.testing.Choice
---@return orrery.testing.Test[]|nil
---@return string|nil problem
function execute.list(file, choice)
  testing.folder = file:match "^(.*)/[^/]*$" or "."
  package.path = testing.folder .. "/?.lua;" .. testing.folder .. "/?/init.lua;" .. package.path
  local state, problem = suite.load(file)
  if not state then return nil, problem end
  local selected = {}
  for _, test in ipairs(state.tests) do
    if choice.wants(test) then selected[#selected + 1] = test end
  end
  return selected
end

return execute
