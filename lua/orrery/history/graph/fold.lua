--- A graph with fewer nodes: a group is one node, and so are many nodes that are alike, which have
--- the same type, the same dependencies and the same dependents.
local layers_of = require "orrery.history.graph.layers"

local fold = {}

local ALIKE = 4 -- so many at least are worth it

local GROUPS = { parallel = true, sequence = true }

local function neighbours(view)
  local up, down = {}, {}
  for i = 1, #view.nodes do up[i], down[i] = {}, {} end
  for _, edge in ipairs(view.edges) do
    table.insert(up[edge.to], edge.from)
    table.insert(down[edge.from], edge.to)
  end
  return up, down
end

-- The members of a group are named after it, and what closes it is after all of them.
local function fold_group(view, up, closing, into)
  local prefix, open = view.nodes[closing].name .. "_", { closing }
  while #open > 0 do
    for _, i in ipairs(up[table.remove(open)]) do
      if into[i] ~= closing and view.nodes[i].name:sub(1, #prefix) == prefix then
        into[i] = closing
        open[#open + 1] = i
      end
    end
  end
end

-- Of nested groups the outer one counts, whose name is shorter.
local function fold_groups(view, up, into)
  local closings = {}
  for i, node in ipairs(view.nodes) do
    if GROUPS[node.type] then closings[#closings + 1] = i end
  end
  table.sort(closings, function(a, b)
    local m, n = #view.nodes[a].name, #view.nodes[b].name
    if m ~= n then return m > n end
    return a < b
  end)
  for _, closing in ipairs(closings) do fold_group(view, up, closing, into) end
end

local function list_of(indices, into)
  local seen, list = {}, {}
  for _, i in ipairs(indices) do
    i = into[i] or i
    if not seen[i] then
      seen[i] = true
      list[#list + 1] = i
    end
  end
  table.sort(list)
  return table.concat(list, ",")
end

local function fold_alike(view, up, down, into)
  local kinds, order = {}, {}
  for i, node in ipairs(view.nodes) do
    if not into[i] then
      local kind = table.concat({ node.layer, node.type, list_of(up[i], into), list_of(down[i], into) }, "|")
      if not kinds[kind] then
        kinds[kind] = {}
        order[#order + 1] = kind
      end
      table.insert(kinds[kind], i)
    end
  end
  for _, kind in ipairs(order) do
    local list = kinds[kind]
    if #list >= ALIKE then
      for at = 2, #list do into[list[at]] = list[1] end
    end
  end
end

-- What the names of nodes begin with, all of them.
local function common(view, list)
  local name = view.nodes[list[1]].name
  local n = #name
  for _, i in ipairs(list) do
    local other = view.nodes[i].name
    while n > 0 and other:sub(1, n) ~= name:sub(1, n) do n = n - 1 end
  end
  return n > 1 and name:sub(1, n) .. "*" or name .. ", …"
end

local function node_of(view, i, members)
  local node = view.nodes[i]
  if #members == 1 then return { name = node.name, type = node.type, marks = node.marks, at = i } end
  local name = GROUPS[node.type] and node.name or common(view, members)
  return { name = name, type = node.type, marks = { ("× %d"):format(#members) }, at = i, members = members }
end

local function edges_of(view, into, place)
  local edges, seen = {}, {}
  for _, edge in ipairs(view.edges) do
    local from, to = into[edge.from] or edge.from, into[edge.to] or edge.to
    local key = ("%d %d %s"):format(from, to, edge.label or "")
    if from ~= to and not seen[key] then
      seen[key] = true
      edges[#edges + 1] = { from = place[from], to = place[to], label = edge.label, dashed = edge.dashed }
    end
  end
  return edges
end

-- The view in which `into[i]`, where there is one, stands for node i; nil where that closes a
-- cycle, because a node outside of a group stands between two of its members.
local function folded_view(view, into)
  local members, nodes, place = {}, {}, {}
  for i in ipairs(view.nodes) do
    local own = i
    while into[own] do own = into[own] end
    into[i] = own ~= i and own or nil
    members[own] = members[own] or {}
    table.insert(members[own], i)
  end
  for i in ipairs(view.nodes) do
    if not into[i] then
      nodes[#nodes + 1] = node_of(view, i, members[i])
      place[i] = #nodes
    end
  end
  local edges = edges_of(view, into, place)
  local layers, deepest = layers_of(#nodes, edges)
  for i, node in ipairs(layers and nodes or {}) do node.layer = layers[i] end
  return layers and { name = view.name, nodes = nodes, edges = edges, layers = deepest }
end

--- Folds a view.
---@param view orrery.graph.View
---@return orrery.graph.View|nil folded nil where there is nothing to fold; each node has `at`, its
---  index in `view`,
--- and where it stands for several `members`, their indices
function fold.of(view)
  local up, down = neighbours(view)
  for _, with_groups in ipairs { true, false } do
    local into = {} -- index of a node -> of the one that stands for it
    if with_groups then fold_groups(view, up, into) end
    fold_alike(view, up, down, into)
    local folded = next(into) ~= nil and folded_view(view, into)
    if folded then return folded end
  end
end

return fold
