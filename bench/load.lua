-- Loads a large workflow, from a script or from JSON, and compiles it; nothing is run.
-- usage: build/orrery bench/load.lua KIND NODES   a chain of nodes of one kind: see NODE
--        build/orrery bench/load.lua json FILE    a definition in JSON
--        build/orrery bench/load.lua make FILE NODES   writes one, of `const` nodes

local flow = require "orrery"

local function work() return 1 end

-- By kind: the node behind another.
local NODE = {
  shared = function(_, before) return { run = work, after = before } end,
  own = function(_, before) return { run = function() return 1 end, after = before } end,
  captures = function(i, before) return { run = function() return i end, after = before } end,
  policies = function(_, before) return { run = work, after = before, retry = 3, timeout = "5s" } end,
  const = function(i, before) return flow.const { value = i, after = before } end,
}

local function chain(node, count)
  local w = flow.workflow { name = "large" }
  w.n1 = node(1)
  for i = 2, count do w["n" .. i] = node(i, "n" .. (i - 1)) end
  return w
end

local function make(path, count)
  local file = assert(io.open(path, "w"))
  file:write '{"name":"large","nodes":[\n'
  for i = 1, count do
    file:write(('{"id":"n%d","type":"const","with":{"value":%d}%s}%s\n')
      :format(i, i, i > 1 and (',"after":"n%d"'):format(i - 1) or "", i < count and "," or ""))
  end
  file:write "]}\n"
  assert(file:close())
end

local kind, what, count = arg[1], arg[2], math.tointeger(tonumber(arg[3] or arg[2]))
if kind == "make" then return make(what, count) end
assert(NODE[kind] or kind == "json" and what, "usage: load.lua KIND NODES | json FILE | make FILE NODES")
local w = kind == "json" and flow.load(what) or chain(NODE[kind], count)
assert(flow.compile(w))
os.exit(0, false) -- what it took to free all that is not measured
