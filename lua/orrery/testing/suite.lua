--- The tests of a file: what describe, it and busted's other words in it say, as a tree.
local assert = require "orrery.testing.assert"
local errors = require "orrery.errors"
local spies = require "orrery.testing.spies"

local suite = {}

---@class orrery.testing.Block
---@field name string
---@field parent orrery.testing.Block|nil
---@field setup function[] and teardown, before_each, after_each: what runs around its tests

---@class orrery.testing.Test
---@field name string with the names of the blocks that it stands in
---@field fn function|nil nil: it is pending
---@field reason string|nil why it is pending
---@field block orrery.testing.Block
---@field file string
---@field line integer

local Pending = { __name = "orrery.testing.pending" }

--- Whether what was raised says that the test is pending; why, where that is known.
---@param problem any
---@return boolean
---@return string|nil
function suite.is_pending(problem)
  local is = getmetatable(problem) == Pending
  return is, is and problem.reason or nil
end

local function new_block(name, parent)
  return { name = name, parent = parent, setup = {}, teardown = {}, before_each = {}, after_each = {} }
end

local function full_name(block, name)
  local names = { name }
  while block and block.parent do
    table.insert(names, 1, block.name)
    block = block.parent
  end
  return table.concat(names, " ")
end

local function check(word, name, fn, needs)
  if type(name) ~= "string" then
    error(("%s: expected a name, %s(\"what it does\", function() … end), got %s"):format(word, word,
      errors.show(name)), 3)
  end
  if type(fn) ~= "function" and (needs or fn ~= nil) then
    error(("%s %q: expected a function, got %s"):format(word, name, errors.show(fn)), 3)
  end
end

local HOOKS = { setup = "setup", lazy_setup = "setup", strict_setup = "setup", teardown = "teardown",
  lazy_teardown = "teardown", strict_teardown = "teardown", before_each = "before_each",
  after_each = "after_each" }

-- The words, which add to `state.block` while the file is loaded.
local function words_of(state)
  local words = {}
  local function refuse_inside(word)
    if state.running then
      error(word .. " inside of a test: a test has no tests in it; put it into a describe", 3)
    end
  end
  function words.describe(name, fn)
    refuse_inside "describe"
    check("describe", name, fn, true)
    local outer = state.block
    state.block = new_block(name, outer)
    fn()
    state.block = outer
  end
  local function add(name, fn, reason)
    local info = debug.getinfo(3, "Sl")
    state.tests[#state.tests + 1] = { name = full_name(state.block, name), fn = fn, reason = reason,
      block = state.block, file = state.file, line = info.currentline }
  end
  function words.it(name, fn)
    refuse_inside "it"
    check("it", name, fn)
    add(name, fn)
  end
  function words.pending(name, _)
    if state.running then error(setmetatable({ reason = name }, Pending), 0) end
    check("pending", name, nil)
    add(name, nil)
  end
  function words.finally(fn)
    if not state.running then error("finally stands inside of a test", 2) end
    table.insert(state.running.finally, fn)
  end
  for word, list in pairs(HOOKS) do
    words[word] = function(fn)
      refuse_inside(word)
      if type(fn) ~= "function" then
        error(("%s: expected a function, got %s"):format(word, errors.show(fn)), 2)
      end
      table.insert(state.block[list], fn)
    end
  end
  words.context, words.insulate, words.expose = words.describe, words.describe, words.describe
  words.spec, words.test = words.it, words.it
  words.assert, words.spy, words.stub = assert, spies.spy, spies.stub
  return words
end

--- Loads a file of tests. Its words are globals for that file alone.
---@param file string
---@return { tests: orrery.testing.Test[], running: table|nil, file: string }|nil
---@return string|nil problem why it cannot be loaded
function suite.load(file)
  local state = { file = file, tests = {}, block = new_block(file, nil) }
  local env = setmetatable(words_of(state), { __index = _G })
  local chunk, problem = loadfile(file, "t", env)
  if not chunk then return nil, problem end
  local ok, raised = xpcall(chunk, function(e)
    return type(e) == "string" and e or debug.traceback(tostring(e), 2)
  end, file)
  if not ok then return nil, raised end
  return state
end

return suite
