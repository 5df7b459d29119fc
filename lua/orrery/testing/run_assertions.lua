--- Assertions about runs under test. Each is a function that gives whether it holds and, where it
--- does not, a sentence, and where two values differ both of them: ok, message, { expected, actual
--- }.
local Run = require "orrery.testing.run"
local duration = require "orrery.duration"
local errors = require "orrery.errors"
local show = require "orrery.testing.show"

local assertions = {}

-- A mistake of the test's, not of what it tests.
local function misuse(format, ...) error(format:format(...), 0) end

local function check_run(run, name)
  if not Run.is(run) then
    misuse("assert.%s: expected a run of testing.start or testing.run, got %s", name, errors.show(run))
  end
end

-- What there is to say of how a run stands.
local function standing(run)
  local problem = run.state ~= "killed" and run.error
  if problem then
    local node = problem.node and ("node %s: "):format(problem.node) or ""
    return ("%s (%s%s)"):format(run.state, node, tostring(problem))
  end
  return run.state
end

-- ---- how it ended -------------------------------------------------------------------------------

for _, state in ipairs { "completed", "cancelled", "compensated", "killed" } do
  assertions[state] = function(run)
    check_run(run, state)
    return run.state == state, ("expected the run to be %s, it is %s"):format(state, standing(run))
  end
end

--- assert.failed(run, code?): it failed, with an error of that code.
function assertions.failed(run, code)
  check_run(run, "failed")
  if run.state ~= "failed" then return false, "expected the run to have failed, it is " .. standing(run) end
  local found = run.error and run.error.code
  return code == nil or found == code,
    ("expected the run to have failed with %s, it failed with %s"):format(tostring(code), standing(run))
end

-- The entries of a table that are expected, as they are in another.
local function part_of(expected, all)
  local part = {}
  for key in pairs(expected) do part[key] = all[key] end
  return part
end

local function check_node(run, node, name) run:check_node(node, "assert." .. name) end

local function check_nodes(run, expected, name)
  if type(expected) ~= "table" then
    misuse("assert.%s: expected a table by node, { fetch = … }, got %s", name, errors.show(expected))
  end
  for node in pairs(expected) do check_node(run, node, name) end
end

--- assert.states({ node = state, … }, run): these nodes are in these states.
function assertions.states(expected, run)
  check_run(run, "states")
  check_nodes(run, expected, "states")
  local actual = part_of(expected, run:states())
  return show.same(expected, actual), "the states of nodes differ", { expected, actual }
end

--- assert.outputs({ node = output, … }, run): these nodes have these outputs.
function assertions.outputs(expected, run)
  check_run(run, "outputs")
  check_nodes(run, expected, "outputs")
  local actual = part_of(expected, run:outputs())
  return show.same(expected, actual), "the outputs of nodes differ", { expected, actual }
end

--- assert.output(value, run): the run has completed with this output.
function assertions.output(expected, run)
  check_run(run, "output")
  if run.state ~= "completed" then
    return false, "expected an output, but the run is " .. standing(run)
  end
  return show.same(expected, run.output), "the output differs", { expected, run.output }
end

-- ---- times --------------------------------------------------------------------------------------

local NEAR = 1e-6 -- seconds: what a time loses as a number

local function seconds_of(time, name)
  local seconds, message = duration.parse(time)
  if not seconds then misuse("assert.%s: %s", name, message) end
  return seconds
end

local function same_time(expected, actual) return math.abs(expected - actual) < NEAR end

--- assert.took(duration, run): so long the run took, by its clock.
function assertions.took(time, run)
  check_run(run, "took")
  local expected, actual = seconds_of(time, "took"), run.elapsed
  return same_time(expected, actual), ("expected the run to take %s, it took %s"):format(
    duration.format(expected), duration.format(actual))
end

local function at(method, name, words)
  assertions[name] = function(time, run, node)
    check_run(run, name)
    check_node(run, node, name)
    local expected, actual = seconds_of(time, name), run[method](run, node)
    if not actual then return false, ("expected %s to %s, it has not"):format(node, words) end
    return same_time(expected, actual), ("expected %s to %s after %s, it was after %s"):format(node, words,
      duration.format(expected), duration.format(actual))
  end
end

at("started", "started_at", "have started")
at("settled", "settled_at", "be over")

-- ---- what was done ------------------------------------------------------------------------------

--- assert.attempts(n, run, node): the node has had so many attempts.
function assertions.attempts(n, run, node)
  check_run(run, "attempts")
  check_node(run, node, "attempts")
  local actual = run:attempts(node)
  return actual == n, ("expected %s to have %s attempts, it had %d"):format(node, tostring(n), actual)
end

--- assert.calls(n, run, name): the handlers of a node or of a node type were called so often.
function assertions.calls(n, run, name)
  check_run(run, "calls")
  run:check_called(name, "assert.calls")
  local actual = #run:calls(name)
  return actual == n,
    ("expected %s to be called %s times, it was called %d times"):format(tostring(name), tostring(n), actual)
end

-- "fetch" is its first start, "fetch retrying" an event of it, "run completed" one of the run.
local function wanted_event(text)
  local subject, what = text:match "^(%S+)%s+(%S+)$"
  if not subject then
    if text:find "^run_" then return { event = text } end
    return { node = text, event = "node_started" }
  end
  if subject == "run" then return { event = "run_" .. what } end
  return { node = subject, event = what:find "^node_" and what or "node_" .. what, own = what }
end

local function fits(event, wanted)
  local name = event.event == wanted.event or event.event == wanted.own
  return name and (wanted.node == nil or event.node == wanted.node)
end

--- assert.order({ "fetch", "fetch retrying", "parse completed", "run completed" }, run): these
--- happened one after the other; others may have happened between them.
function assertions.order(list, run)
  check_run(run, "order")
  if type(list) ~= "table" or #list == 0 then
    error("assert.order: expected a list of events, got " .. show.line(list), 0)
  end
  local events, place, before = run:events(), 0, nil
  for _, text in ipairs(list) do
    local wanted, found = wanted_event(text), nil
    for i = place + 1, #events do
      if fits(events[i], wanted) then
        found = i
        break
      end
    end
    if not found then
      if wanted.node and #run:events(nil, wanted.node) == 0 then check_node(run, wanted.node, "order") end
      return false, ("expected %q%s; this happened:\n%s"):format(text,
        before and (" after %q"):format(before) or "", run:trace())
    end
    place, before = found, text
  end
  return true, "expected another order, but this happened:\n" .. run:trace()
end

return assertions
