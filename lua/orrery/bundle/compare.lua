--- Compares two definitions: what differs, in words, and whether a journal of one fits the other.
---
--- A journal names nodes by their index, edges by their number and outcomes by theirs. It fits
--- another definition when these mean the same there, for everything in the journal. The rules, for
--- every node the journal touched and everything upstream of one:
---
---  1. it is there, under the same name and at the same index;
---  2. it waits for the same: the same dependencies in the same order, with the same outcomes and
---     conditions, and the same join;
---  3. it is of the same shape: `each` where it had `each`, `loop` where it had `loop`. Items and
---     iterations are counted in the journal, and an output is a list only with `each`;
---  4. where it has conditional edges, they have the same numbers: as many edges stand before them;
---  5. where the outcome of a touched node is depended on, the outcomes keep their numbers; new
---     ones come after them.
---
--- All else may change: code, config, conditions, retries, limits, the nodes that have not been
--- touched, and the options of the workflow.
local core = require "orrery.core"
local types = require "orrery.definition.type"

local json = core.json

local compare = {}

local function read(definition)
  return type(definition) == "string" and json.decode(definition) or definition
end

local function by_name(nodes)
  local index = {}
  for i, node in ipairs(nodes) do index[node.name] = i end
  return index
end

local function text(value)
  if value == nil then return "nothing" end
  return json.encode(value, { sort = true })
end

local function same(a, b)
  if a == b then return true end
  if type(a) ~= "table" or type(b) ~= "table" then return false end
  return text(a) == text(b)
end

-- ---- differences --------------------------------------------------------------------------------

local function keys_of(a, b, but)
  local list, seen = {}, {}
  for _, t in ipairs { a, b } do
    for key in pairs(t) do
      if not seen[key] and not but[key] then list[#list + 1], seen[key] = key, true end
    end
  end
  table.sort(list)
  return list
end

local function add_fields(into, who, old, new, but)
  for _, key in ipairs(keys_of(old, new, but)) do
    if not same(old[key], new[key]) then
      into[#into + 1] = ("%s: %s was %s, is now %s"):format(who, key, text(old[key]), text(new[key]))
    end
  end
end

local TOP, NODE, RENAMED = { nodes = true }, { name = true }, { name = true, type = true }

-- Whether the library's type is called otherwise than when the first of the nodes was written.
local function is_renamed(node, now)
  if node.type == now.type then return false end
  local T = types.find(node.type)
  return T ~= nil and T.name == now.type and types.is_standard(T)
end

--- What differs, one sentence for each field of each node: options of the workflow first, then
--- nodes in the old order, then those that are new.
---@param old string|table definition
---@param new string|table
---@return string[]
function compare.differences(old, new)
  old, new = read(old), read(new)
  local list, was, is = {}, by_name(old.nodes), by_name(new.nodes)
  add_fields(list, "workflow", old, new, TOP)
  for i, node in ipairs(old.nodes) do
    local j = is[node.name]
    if not j then
      list[#list + 1] = ('node "%s" is gone'):format(node.name)
    else
      if i ~= j then
        list[#list + 1] = ('node "%s": it was node %d, is now node %d'):format(node.name, i, j)
      end
      local now = new.nodes[j]
      add_fields(list, ('node "%s"'):format(node.name), node, now, is_renamed(node, now) and RENAMED or NODE)
    end
  end
  for _, node in ipairs(new.nodes) do
    if not was[node.name] then list[#list + 1] = ('node "%s" is new'):format(node.name) end
  end
  return list
end

-- ---- whether a journal fits ---------------------------------------------------------------------

local function parts(dep)
  if type(dep) == "table" then return dep.node, dep.port, dep.when end
  return dep, nil, nil
end

-- The touched nodes and all upstream of them, by name: the state for one that was touched, else
-- true.
local function that_matter(old, index, touched)
  local set, stack = {}, {}
  for name, state in pairs(touched) do
    set[name] = state
    stack[#stack + 1] = name
  end
  while #stack > 0 do
    local node = old.nodes[index[table.remove(stack)]]
    for _, dep in ipairs(node and node.after or {}) do
      local name = parts(dep)
      if set[name] == nil then
        set[name] = true
        stack[#stack + 1] = name
      end
    end
  end
  return set
end

-- By node: how many edges stand before its own.
local function edges_before(definition)
  local before, n = {}, 0
  for i, node in ipairs(definition.nodes) do
    before[i] = n
    n = n + #(node.after or {})
  end
  return before
end

local function is_conditional(node)
  for _, dep in ipairs(node.after or {}) do
    local _, _, when = parts(dep)
    if when then return true end
  end
  return false
end

local function presence(node, key) return node[key] ~= nil and "has" or "has no" end

-- What is wrong with one node of the old definition, in the new one; nil where it fits.
local function mismatch(c, i, node)
  local j = c.is[node.name]
  if not j then return "it is gone" end
  if i ~= j then return ("it was node %d and is now node %d; add new nodes after it"):format(i, j) end
  local now = c.new.nodes[j]
  if not same(node.after or {}, now.after or {}) then
    return ("after was %s and is now %s"):format(text(node.after), text(now.after))
  end
  for _, key in ipairs { "join", "need" } do
    if not same(node[key], now[key]) then
      return ("%s was %s and is now %s"):format(key, text(node[key]), text(now[key]))
    end
  end
  for _, key in ipairs { "each", "loop" } do
    if (node[key] == nil) ~= (now[key] == nil) then
      return ("it %s `%s` in the journal and %s `%s` now"):format(presence(node, key):gsub("has", "had"), key,
        presence(now, key), key)
    end
  end
  if is_conditional(node) and c.edges_were[i] ~= c.edges_are[j] then
    return ("the conditions of its edges had the numbers from %d on and have those from %d on now; leave the "
      .. "edges of earlier"
      .. " nodes as they were"):format(c.edges_were[i] + 1, c.edges_are[j] + 1)
  end
end

-- The first outcome whose number changed, of those that touched nodes may have taken.
local function port_misfit(c, touched)
  local used = {}
  for _, node in ipairs(c.old.nodes) do
    for _, dep in ipairs(node.after or {}) do
      local name, port = parts(dep)
      if port and touched[name] ~= nil then used[port] = name end
    end
  end
  for k, port in ipairs(c.old.ports or {}) do
    local now = (c.new.ports or {})[k]
    if used[port] and now ~= port then
      return { node = used[port],
        message = ('node "%s": its outcome "%s" was outcome %d of the workflow, which is now %s'):format(
        used[port], port, k, now and ('"%s"'):format(now) or "none") }
    end
  end
end

--- Whether a journal that was written under one definition can go on under another, by the rules
--- above.
---@param old string|table the definition the journal was written under
---@param new string|table
---@param touched table<string, string> the state of every node the journal speaks of, by name
---@return {node: string, message: string}[] problems none: it fits. In the order of the old nodes
function compare.fits(old, new, touched)
  old, new = read(old), read(new)
  local index = by_name(old.nodes)
  local c = { old = old, new = new, is = by_name(new.nodes), edges_were = edges_before(old),
    edges_are = edges_before(new) }
  local set, problems = that_matter(old, index, touched), {}
  for i, node in ipairs(old.nodes) do
    local state = set[node.name]
    local message = state ~= nil and mismatch(c, i, node)
    if message then
      problems[#problems + 1] = { node = node.name, message = ('node "%s" (%s): %s'):format(node.name,
        state == true and "before a node that ran" or state, message) }
    end
  end
  problems[#problems + 1] = port_misfit(c, touched)
  return problems
end

return compare
