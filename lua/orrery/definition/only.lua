--- A part of a definition: what `--only` and `--from` leave of it.
local errors = require "orrery.errors"

local prune = {}

local function index_of(def)
  local index = {}
  for i, node in ipairs(def.nodes) do index[node.name] = i end
  return index
end

-- The names that were given. An empty list would leave a workflow without nodes, so it is a
-- mistake.
local function as_list(names, option)
  if type(names) == "string" then return { names } end
  if type(names) ~= "table" or #names == 0 then
    errors.raise { { kind = "wrong_type", field = option,
      message = ("%s: expected a node's name or a list of names, got %s"):format(option,
        type(names) == "table" and "an empty list" or errors.show(names)) } }
  end
  return names
end

-- The nodes that were named; a group's name stands for its members too.
local function resolve(def, wanted, option, groups)
  local index, found, problems = index_of(def), {}, {}
  local names = {}
  for name in pairs(index) do names[#names + 1] = name end
  for _, name in ipairs(as_list(wanted, option)) do
    if index[name] then
      found[#found + 1] = index[name]
      for _, member in ipairs(groups[name] or {}) do found[#found + 1] = index[member] end
    else
      problems[#problems + 1] = { kind = "unknown_node", field = option,
        message = ('%s: workflow "%s" has no node %s%s')
          :format(option, def.name, errors.show(name):gsub("^the string ", ""),
          errors.did_you_mean(name, names)) }
    end
  end
  if #problems > 0 then errors.raise(problems) end
  return found
end

local function spread(start, next_of)
  local kept, stack = {}, table.move(start, 1, #start, 1, {})
  while #stack > 0 do
    local i = table.remove(stack)
    if not kept[i] then
      kept[i] = true
      for _, j in ipairs(next_of(i)) do stack[#stack + 1] = j end
    end
  end
  return kept
end

local function upstream(def)
  return function(i)
    local list = {}
    for k, dep in ipairs(def.nodes[i].deps or {}) do list[k] = dep.node end
    return list
  end
end

local function downstream(def)
  local after = {}
  for i, node in ipairs(def.nodes) do
    for _, dep in ipairs(node.deps or {}) do
      after[dep.node] = after[dep.node] or {}
      table.insert(after[dep.node], i)
    end
  end
  return function(i) return after[i] or {} end
end

local function copy(t)
  local c = {}
  for key, value in pairs(t) do c[key] = value end
  return c
end

-- Dependencies on nodes that stay, by their new numbers. A join that counts is lowered to what is
-- left.
local function rewire(node, place)
  local made, list = copy(node), {}
  for _, dep in ipairs(node.deps or {}) do
    if place[dep.node] then
      local kept = copy(dep)
      kept.node = place[dep.node]
      list[#list + 1] = kept
    end
  end
  made.deps = #list > 0 and list or nil
  if #list == 0 then
    made.join, made.need, made.cancel_rest = nil, nil, nil
  elseif made.need and made.need > #list then
    made.need = #list
  end
  return made
end

-- What cleans up after a node stays where that does, and the first of them where any does: it waits
-- for all others.
local function keep_cleanups(def, kept)
  local index, first, any
  for i, node in ipairs(def.nodes) do
    local cleaned = node.name:find(".", 1, true) and require("orrery.definition.cleanups").cleaned(node.name)
    if cleaned then
      index, first = index or index_of(def), first or i
      kept[i] = kept[index[cleaned]]
      any = any or kept[i]
    end
  end
  if any then kept[first] = true end
end

-- What is first stays whatever else does, and what is last where a node does that it comes after.
local function keep_ends(def, kept)
  for i, node in ipairs(def.ends and def.nodes or {}) do
    local ends = def.ends[node.name]
    if ends == "first" then kept[i] = true end
    for _, dep in ipairs((ends == "last" or ends == "placed") and node.deps or {}) do
      kept[i] = kept[i] or kept[dep.node]
    end
  end
end

local function keep(def, kept)
  keep_ends(def, kept)
  keep_cleanups(def, kept)
  local made, place = copy(def), {}
  made.nodes = {}
  local n = 0
  for i in ipairs(def.nodes) do
    if kept[i] then
      n = n + 1
      place[i] = n
    end
  end
  for i, node in ipairs(def.nodes) do
    if kept[i] then made.nodes[place[i]] = rewire(node, place) end
  end
  return made
end

--- The named nodes and everything they depend on. Raises where a name is not known.
---@param def table
---@param names string|string[]
---@param groups table<string, string[]>
---@return table def a new one; nodes that stay as they were are shared
function prune.only(def, names, groups)
  return keep(def, spread(resolve(def, names, "only", groups), upstream(def)))
end

--- The named nodes and everything downstream of them. What is upstream does not run; its outputs
--- are nil.
---@param def table
---@param names string|string[]
---@param groups table<string, string[]>
---@return table def
function prune.from(def, names, groups)
  return keep(def, spread(resolve(def, names, "from", groups), downstream(def)))
end

--- What `--only` and `--from` leave of a compiled workflow; the workflow itself where neither is
--- given. Raises mistakes.
---@param compiled orrery.Compiled
---@param options {only: string|string[]|nil, from: string|string[]|nil}
---@param plan fun(def: table): orrery.Plan|nil, table|nil `core.plan`
---@return orrery.Compiled
function prune.compiled(compiled, options, plan)
  if not options.only and not options.from then return compiled end
  local made = copy(compiled)
  if options.only then made.def = prune.only(made.def, options.only, made.groups) end
  if options.from then made.def = prune.from(made.def, options.from, made.groups) end
  local planned, found = plan(made.def)
  if not planned then errors.raise(require "orrery.definition.plan_problems"(found, made.def, {})) end
  made.plan, made.cut = planned, { only = options.only, from = options.from }
  return made
end

return prune
