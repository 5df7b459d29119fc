--- The assertions about runs in busted: they are added to luassert, where it is loaded.
local assertions = require "orrery.testing.run_assertions"
local failure = require "orrery.testing.failure"
local snapshot = require "orrery.testing.snapshot"

local busted = {}

local function add(luassert, name, fn)
  luassert:register("assertion", name, function(state, arguments)
    local ok, message, values = fn(table.unpack(arguments, 1, arguments.n))
    -- the difference is written by us; of the negated one luassert asks the contrary
    local _, made = pcall(failure.judge, not state.mod, nil, ok, message, values)
    state.failure_message = made and tostring(made) or message
    return ok
  end)
end

--- Adds assert.completed, assert.states, assert.order, assert.matches_snapshot and the others.
---@param luassert table `require "luassert"`
function busted.register(luassert)
  for name, fn in pairs(assertions) do add(luassert, name, fn) end
  -- assert.snapshot is something else there
  add(luassert, "matches_snapshot", snapshot.assertion)
end

return busted
