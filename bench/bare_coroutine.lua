-- The least that Lua costs, under the plain interpreter.
-- usage: lua5.4 bench/bare_coroutine.lua SHAPE NODES
--
-- `resume`: resuming one coroutine that yields at once, NODES times: what a node cannot cost less
-- than, if it runs in a coroutine that is reused. `run`: Kahn's algorithm over the graph in Lua
-- tables, each handler called in one pooled coroutine: what a person writes who wants nothing but
-- the order.

package.path = arg[0]:gsub("[^/]*$", "") .. "?.lua;" .. package.path
local graphs = require "graphs"

local function say(key, value) print(("%s %.12g"):format(key, value)) end

local function resume_one(times)
  local resume, yield = coroutine.resume, coroutine.yield
  local co = coroutine.create(function() while true do yield() end end)
  resume(co)
  local start = os.clock()
  for _ = 1, times do resume(co) end
  return os.clock() - start
end

local function build(shape, asked)
  local dependents, left, handlers = {}, {}, {}
  for i = 1, asked do dependents[i], left[i], handlers[i] = false, 0, function() end end
  local nodes, mark = graphs.each(shape, asked, function(from, to)
    local list = dependents[from]
    if list then list[#list + 1] = to else dependents[from] = { to } end
    left[to] = left[to] + 1
  end)
  return { nodes = nodes, mark = mark, dependents = dependents, left = left, handlers = handlers }
end

local function run(graph)
  local resume, yield = coroutine.resume, coroutine.yield
  local worker = coroutine.create(function(handler)
    while true do
      handler()
      handler = yield()
    end
  end)
  local dependents, handlers = graph.dependents, graph.handlers
  local left = table.move(graph.left, 1, graph.nodes, 1, {})
  local queue, tail = {}, 0
  for i = 1, graph.nodes do
    if left[i] == 0 then
      tail = tail + 1
      queue[tail] = i
    end
  end
  local head = 0
  while head < tail do
    head = head + 1
    local node = queue[head]
    assert(resume(worker, handlers[node]))
    for _, to in ipairs(dependents[node] or {}) do
      left[to] = left[to] - 1
      if left[to] == 0 then
        tail = tail + 1
        queue[tail] = to
      end
    end
  end
  return tail
end

local shape, asked = arg[1], assert(math.tointeger(arg[2]), "usage: bare_coroutine.lua SHAPE NODES")
local graph = build(shape, asked)
collectgarbage()
assert(run(graph) == graph.nodes) -- warms up
collectgarbage()
local start = os.clock()
local ran = run(graph)
say("run", os.clock() - start)
assert(ran == graph.nodes, "not every node ran")
say("nodes", graph.nodes)
say("mark", graph.mark)
say("resume", resume_one(graph.nodes))
