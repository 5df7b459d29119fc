--- Random workflows for simulations of the engine: graphs with joins, conditions, retries,
--- timeouts, items, loops, pools, steps, signals, compensations and children. A seed decides all.
local flow = require "orrery"

local graphs = {}

-- What handlers do; each is a function(chance) -> handler.
local HANDLERS = {
  function() return function() return { n = 1 } end end,
  function(chance)
    local long = chance:pick { 0.01, 1, 30 }
    return function(ctx)
      ctx:sleep(long)
      return long
    end
  end,
  function(chance)
    local n = chance:int(1, 3)
    return function(ctx)
      local sum = 0
      for i = 1, n do
        sum = sum + ctx:step("part", function() return i end)
        if i == 2 then ctx:sleep(0.5) end
      end
      return sum
    end
  end,
  function()
    return function(ctx)
      local draw = ctx:random()
      ctx:step("draw", function() return draw end)
      flow.gather {
        function() ctx:sleep(0.2) end,
        function() return ctx:step("beside", function() return 1 end) end,
      }
      return draw
    end
  end,
  function(chance)
    local name, timeout = chance:pick { "go", "stop" }, chance:pick { "5s", "1h" }
    return function(ctx)
      local ok, data = pcall(ctx.wait, ctx, name, { timeout = timeout })
      if not ok and type(data) == "table" and data.code ~= "signal_timeout" then error(data, 0) end
      return { came = ok }
    end
  end,
  function(chance)
    local rate = chance:pick { 0.2, 0.6 }
    return function(ctx)
      if ctx:random() < rate then flow.error { code = "shaky", message = "it fails by itself" } end
      return true
    end
  end,
}

local function after(chance, names)
  local list, seen = {}, {}
  for _ = 1, math.min(#names, chance:int(0, 3)) do
    local name = names[chance:int(math.max(1, #names - 5), #names)]
    if not seen[name] then
      seen[name] = true
      list[#list + 1] = name
    end
  end
  return #list > 0 and list or nil
end

-- A retry keeps its order with random delays, and so do timeouts.
local function policies(chance, node)
  if chance:truth(0.4) then
    node.retry = { max = chance:int(1, 3), delay = chance:pick { 0, "1s", "1m" },
      jitter = chance:pick { "none", "full" } }
  end
  if chance:truth(0.3) then node.timeout = chance:pick { "2s", "10m" } end
  if chance:truth(0.1) then node.deadline = chance:pick { "20s", "2h" } end
  if chance:truth(0.1) then node.priority = chance:pick { "high", "low", "background" } end
  if chance:truth(0.15) then node.pool = chance:pick { "sim_narrow", "sim_wide" } end
  if chance:truth(0.15) then node.on_error = "ignore" end
  if chance:truth(0.1) then node.fallback = 7 end
  if chance:truth(0.25) then
    local slow = chance:truth(0.3)
    node.compensate = function(ctx)
      if slow then ctx:sleep(1) end
    end
  end
end

local function joins(chance, node)
  if not node.after then return end
  local join = chance:pick { "all", "all", "all", "all", "any", "done", "all_completed", "failed" }
  if join ~= "all" then node.join = join end
  if #node.after > 1 and chance:truth(0.1) then
    node.join = { need = chance:int(1, #node.after), cancel_rest = chance:truth(0.5) }
  end
  if chance:truth(0.1) then node.when = chance:pick { "true", "false", "input.yes" } end
end

local function repeats(chance, node)
  if chance:truth(0.12) then
    node.each = "${input.items}"
    node.each_failures = chance:pick { 0, 1, "100%" }
    if chance:truth(0.5) then node.each_parallel = chance:int(1, 2) end
  elseif chance:truth(0.08) then
    node.loop = { times = chance:int(1, 3), delay = chance:pick { 0, "1s" } }
  end
end

local child

-- A workflow of two nodes that others call.
local function called()
  if child then return child end
  child = flow.workflow { name = "sim_child" }
  child.first = { run = function(ctx)
    ctx:sleep(0.3)
    return 1
  end }
  child.second = { after = "first", retry = 1, run = function() return 2 end }
  return child
end

--- A workflow.
---@param chance orrery.sim.Chance
---@return orrery.Workflow
---@return any input
function graphs.make(chance)
  flow.pool("sim_narrow", { max = 1 })
  flow.pool("sim_wide", { max = 3 })
  local w = flow.workflow { name = "graph", on_error = chance:pick { "stop", "stop", "drain", "continue" },
    concurrency = chance:pick { 1, 2, 16 }, timeout = chance:truth(0.1) and "3h" or nil,
    cleanup_timeout = "30s" }
  local names = {}
  for i = 1, chance:int(1, 12) do
    local name = "n" .. i
    local node = { after = after(chance, names), run = chance:pick(HANDLERS)(chance) }
    policies(chance, node)
    joins(chance, node)
    repeats(chance, node)
    if chance:truth(0.05) then
      node.run = function(ctx) return ctx:call(called(), {}) end
    end
    w[name] = node
    names[i] = name
  end
  return w, { yes = true, items = { 1, 2, 3 } }
end

return graphs
