--- A compiled workflow as `graph` and `plan` see it: nodes with layers, edges with labels.
local view = {}

---@class orrery.graph.ViewNode
---@field name string
---@field type string
---@field layer integer from 1
---@field marks string[] "when", "each", "retry 3" …: policies that change what the node does

---@class orrery.graph.View
---@field name string
---@field nodes orrery.graph.ViewNode[]
---@field edges { from: integer, to: integer, label: string|nil, dashed: boolean|nil }[]
---@field layers integer

local function marks_of(node)
  local marks = {}
  if node.when then marks[#marks + 1] = "when" end
  if node.each then marks[#marks + 1] = "each" end
  if node.loop then marks[#marks + 1] = "loop" end
  if node.join and node.join ~= "all" then
    marks[#marks + 1] = node.join == "need" and ("needs %d"):format(node.need or 1) or "join " .. node.join
  end
  local retries = type(node.retry) == "table" and node.retry.max or node.retry
  if type(node.retry) == "table" and node.retry[1] then marks[#marks + 1] = "retry by error" end
  if type(retries) == "number" and retries > 0 then marks[#marks + 1] = ("retry %d"):format(retries) end
  if node.fallback then marks[#marks + 1] = "fallback" end
  if node.on_error == "ignore" then marks[#marks + 1] = "errors ignored" end
  if node.on_error == "stop" then marks[#marks + 1] = "stops the run" end
  return marks
end

-- Of a cleanup node: the dependencies that have settled when the others have, because one of those
-- waits for them. A node after all others would have an edge from each.
local WAITS_FOR_ALL = { all = true, all_completed = true, done = true, failed = true }

local function implied(def, node)
  local after, known = {}, {}
  if node.join ~= "done" or #(node.deps or {}) < 2 then return known end
  for _, dep in ipairs(node.deps) do after[dep.node] = true end
  for i in pairs(after) do
    local other = def.nodes[i]
    local waits = WAITS_FOR_ALL[other.join or "all"]
    for _, dep in ipairs(waits and other.deps or {}) do known[dep.node] = true end
  end
  return known
end

local function edge_of(dep, node, i)
  local label = dep.port
  if dep.when then label = label and label .. ", when" or "when" end
  local dashed = dep.port ~= nil or dep.when ~= nil or node.join == "failed"
  return { from = dep.node, to = i, label = label, dashed = dashed or nil }
end

--- Makes the view.
---@param def table the definition handed to the engine
---@param layers integer[] layer per node, from 1
---@return orrery.graph.View
function view.of(def, layers)
  local nodes, edges, deepest = {}, {}, 0
  for i, node in ipairs(def.nodes) do
    nodes[i] = { name = node.name or ("#" .. i), type = node.type or "lua", layer = layers[i],
      marks = marks_of(node) }
    deepest = math.max(deepest, layers[i])
    local known = implied(def, node)
    for _, dep in ipairs(node.deps or {}) do
      if dep.port or dep.when or not known[dep.node] then edges[#edges + 1] = edge_of(dep, node, i) end
    end
  end
  return { name = def.name or "workflow", nodes = nodes, edges = edges, layers = deepest }
end

--- The nodes of each layer, in the order of creation.
---@param graph orrery.graph.View
---@return integer[][]
function view.by_layer(graph)
  local layers = {}
  for l = 1, graph.layers do layers[l] = {} end
  for i, node in ipairs(graph.nodes) do
    local layer = layers[node.layer]
    layer[#layer + 1] = i
  end
  return layers
end

return view
