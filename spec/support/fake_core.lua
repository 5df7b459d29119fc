--- A stand-in for `orrery.core` for specs of the builder: it plans a definition (mistakes of the
--- graph included) and runs nothing. JSON is the real one's. Specs that run things use the real one
--- altogether.
local fake = {}

local real = require "orrery.core"
local json = real.json

-- Walks along dependencies; returns the nodes of a cycle, each depending on the one before.
local function find_cycle(def)
  local state = {}
  local function visit(i, path)
    state[i] = "open"
    path[#path + 1] = i
    for _, dep in ipairs(def.nodes[i].deps or {}) do
      if dep.node ~= i and state[dep.node] == "open" then
        local cycle = {}
        for k = #path, 1, -1 do
          cycle[#cycle + 1] = path[k]
          if path[k] == dep.node then return cycle end
        end
      elseif dep.node ~= i and not state[dep.node] then
        local cycle = visit(dep.node, path)
        if cycle then return cycle end
      end
    end
    path[#path] = nil
    state[i] = "done"
  end
  for i = 1, #def.nodes do
    local cycle = not state[i] and visit(i, {})
    if cycle then return cycle end
  end
end

local function edge_problems(def, i, add)
  local node, seen = def.nodes[i], {}
  for _, dep in ipairs(node.deps or {}) do
    local before = seen[dep.node]
    if dep.node == i then add { kind = "self_edge", node = i, other = i } end
    if before and (before == (dep.port or "")) then
      add { kind = "duplicate_edge", node = i, other = dep.node }
    elseif before and (before == "" or not dep.port) then
      add { kind = "mixed_edge", node = i, other = dep.node }
    end
    seen[dep.node] = dep.port or ""
  end
  if node.join == "need" and (node.need < 1 or node.need > #(node.deps or {})) then
    add { kind = "need", node = i }
  end
end

-- No node is taken to be like another.
local function alike(flat, build)
  for i = 1, flat.count do build(i) end
end

local function node_setter(_, assign) return assign end

local function plan(def)
  local problems = {}
  local function add(problem) problems[#problems + 1] = problem end
  if #def.nodes == 0 then add { kind = "empty" } end
  for i = 1, #def.nodes do edge_problems(def, i, add) end
  local cycle = find_cycle(def)
  if cycle then add { kind = "cycle", node = cycle[1], path = cycle } end
  if #problems > 0 then return nil, problems end
  return { def = def }
end

--- Makes a fresh one.
---@return table core
function fake.make()
  local core = { json = json, here = real.here, copy = real.copy, node_names = real.node_names,
    plan = plan, alike = alike, node_setter = node_setter,
    pools = {}, started = {}, handler = nil }
  local runtime = {}
  function runtime.pool(_, name, options) core.pools[name] = options end
  function runtime.has_pool(_, name) return core.pools[name] ~= nil end
  function runtime.on(_, fn)
    core.listener = fn
    return function() core.listener = nil end
  end
  function runtime.start(_, started_plan, options)
    local run = { id = "run-1", plan = started_plan, options = options }
    core.started[#core.started + 1] = run
    return run
  end
  function runtime.wait(_, run) return run end
  function runtime.durable() return false end
  function core.running_runtime() return runtime end
  function core.host_runtime() return nil end
  function core.runtime() return runtime end
  function core.running() return core.handler end
  function core.settled(value) return value end
  function core.outcome(name, value) return { outcome = name, value = value } end
  function core.set_compiler(fn) core.compiler = fn end
  core.await, core.gather = function() end, function() end
  return core
end

-- The file of one of Orrery's modules.
local function file_of(name)
  local stdlib = name:match "^orrery%.stdlib%.([%w_.]+)$"
  if stdlib then return "stdlib/" .. stdlib:gsub("%.", "/") .. ".lua" end
  return package.searchpath(name, "lua/?.lua;lua/?/init.lua")
end

-- A `require` that loads Orrery's modules anew, apart from those that may be loaded already, also
-- those that are asked for late.
local function require_on(core)
  local loaded, world = { ["orrery.core"] = core }, {}
  function world.require(name)
    if name ~= "orrery" and not name:find "^orrery%." then return require(name) end
    if loaded[name] == nil then
      local path = assert(file_of(name))
      local value = assert(loadfile(path, "t", world))(name, path)
      if loaded[name] == nil then loaded[name] = value == nil and true or value end
    end
    return loaded[name]
  end
  setmetatable(world, { __index = _G, __newindex = _G })
  return world.require
end

--- Loads the module `orrery` afresh on a fake core, apart from the one that may be loaded already.
---@return table flow
---@return table core
function fake.load()
  local core = fake.make()
  local flow = require_on(core) "orrery"
  flow.types()
  return flow, core
end

return fake
