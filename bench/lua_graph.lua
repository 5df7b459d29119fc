-- Lua handlers that do nothing, on the real engine.
-- usage: build/orrery bench/lua_graph.lua SHAPE NODES own|shared
--
-- `own`: each node has a closure of its own, as where handlers are written in a loop and take its
-- variables, and as oneTBB's nodes have bodies of their own; reaching a million of them in memory
-- is most of the cost. `shared`: one function is the handler of all nodes. `build` compiles a
-- definition that stands as tables already; `run` goes from rt:start to the end of the run. What is
-- garbage of the definition is collected before, so that no node pays for it.

package.path = arg[0]:gsub("[^/]*$", "") .. "?.lua;" .. package.path
local graphs = require "graphs"
local core = require "orrery.core"

local function say(key, value) print(("%s %.12g"):format(key, value)) end

local function seconds_since(start) return (core.hrtime() - start) / 1e9 end

local function nothing() end

local HANDLERS = {
  own = function() return function() end end,
  shared = function() return nothing end,
}

local function definition(shape, asked, handler)
  local nodes = {}
  for i = 1, asked do nodes[i] = { run = handler() } end
  local n, mark = graphs.each(shape, asked, function(from, to)
    local node = nodes[to]
    local deps = node.deps
    if deps then deps[#deps + 1] = { node = from } else node.deps = { { node = from } } end
  end)
  for i = n + 1, asked do nodes[i] = nil end
  say("mark", mark)
  return { name = shape, nodes = nodes }
end

local function build(shape, asked, handler)
  local def = definition(shape, asked, handler)
  local start = core.hrtime()
  local plan = assert(core.plan(def))
  say("build", seconds_since(start))
  say("nodes", #plan)
  return plan
end

local function run_once(rt, plan)
  local start = core.hrtime()
  local run = rt:start(plan, { seed = 1 })
  rt:wait(run)
  local seconds = seconds_since(start)
  assert(run.state == "completed", "the run ended as " .. run.state)
  assert(run:stats().by_state.completed == #plan, "not every node ran")
  return seconds
end

local shape, asked, handler = arg[1], math.tointeger(tonumber(arg[2])), HANDLERS[arg[3]]
assert(asked and handler, "usage: lua_graph.lua SHAPE NODES own|shared")
local rt = core.runtime()
local plan = build(shape, asked, handler)
collectgarbage()
collectgarbage()
local before = collectgarbage("count")
run_once(rt, plan) -- warms up
say("run_lua_bytes", (collectgarbage("count") - before) * 1024)
collectgarbage()
collectgarbage()
say("run", run_once(rt, plan))
