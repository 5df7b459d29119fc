--- Runs tests, one after the other, and says what came of each.
local failure = require "orrery.testing.failure"
local snapshot = require "orrery.testing.snapshot"
local spies = require "orrery.testing.spies"
local suite = require "orrery.testing.suite"
local testing = require "orrery.testing"
local World = require "orrery.testing.world"
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

-- Where spies stand and which runs are under test: what comes later is undone by `undo_to`.
local function mark() return { spies = spies.mark(), worlds = World.mark() } end

local function undo_to(before, file)
  spies.revert(before.spies)
  return try(file, World.close_from, before.worlds)
end

-- What has to run once before the tests of a block. Its failure is that of each of them.
local function set_up(block, file)
  if block.was_set_up == nil then
    block.was_set_up, block.before = true, mark()
    for _, fn in ipairs(block.setup) do
      block.set_up_problem = block.set_up_problem or try(file, fn)
    end
  end
  return block.set_up_problem
end

local function set_up_all(blocks, file)
  for _, block in ipairs(blocks) do
    local problem = set_up(block, file)
    if problem then return problem end
  end
end

-- Runs what stands before a test; the first problem ends it.
local function begin(blocks, file)
  for _, block in ipairs(blocks) do
    for _, fn in ipairs(block.before_each) do
      local problem = try(file, fn)
      if problem then return problem end
    end
  end
end

-- Runs what stands after it, all of it; returns the first problem.
local function finish(test, blocks, before, file)
  local problem
  for _, fn in ipairs(test.finally) do problem = try(file, fn) or problem end
  for i = #blocks, 1, -1 do
    for _, fn in ipairs(blocks[i].after_each) do problem = problem or try(file, fn) end
  end
  return undo_to(before, file) or problem
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
  local problem = set_up_all(blocks, file)
  local before = mark()
  problem = problem or begin(blocks, file) or try(file, test.fn)
  local after = finish(test, blocks, before, file)
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

-- Runs what has to run once after the tests of a block, and undoes what was made before them.
local function tear_down(block, file, report)
  local function note(problem)
    if not problem then return true end
    report { event = "problem", file = file, line = problem.line,
      message = "teardown: " .. tostring(problem.message) }
    return false
  end
  local good = true
  for _, fn in ipairs(block.teardown) do good = note(try(file, fn)) and good end
  return note(undo_to(block.before, file)) and good
end

-- The tests that are run, and of each block which of them is its last.
local function selection(state, choice)
  local selected, last = {}, {}
  for _, test in ipairs(state.tests) do
    if choice.wants(test) then
      selected[#selected + 1] = test
      for _, block in ipairs(outermost_first(test.block)) do last[block] = #selected end
    end
  end
  return selected, last
end

-- Ends the blocks, innermost first, whose last test this was; all of them where no other will run.
local function leave(blocks, is_over, file, report)
  local good = true
  for i = #blocks, 1, -1 do
    local block = blocks[i]
    if block.was_set_up and is_over(block) then good = tear_down(block, file, report) and good end
  end
  return good
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
  local selected, last = selection(state, choice)
  local good = true
  for i, test in ipairs(selected) do
    local result = execute.test(state, test)
    result.event = "test"
    report(result)
    good = good and (result.status == "passed" or result.status == "skipped")
    local stops = not good and choice.fail_fast
    local function is_over(block) return stops or last[block] == i end
    good = leave(outermost_first(test.block), is_over, file, report) and good
    if stops then break end
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
  return (selection(state, choice))
end

return execute
