--- The mistakes that only the graph shows, in words.
local ENDS = 6 -- nodes that are printed at each end of a long cycle

local function path_text(names, path)
  local words = {}
  for k, i in ipairs(path) do
    if k <= ENDS or k > #path - ENDS then
      words[#words + 1] = names[i]
    elseif k == ENDS + 1 then
      words[#words + 1] = ("… (%d more)"):format(#path - 2 * ENDS)
    end
  end
  words[#words + 1] = words[1]
  return table.concat(words, " -> ")
end

---@type table<string, fun(p: table, names: string[], def: table): string, integer?>
local WORDS = {
  empty = function()
    return "the workflow has no node; assign one: w.hello = { run = function(ctx) … end }"
  end,
  cycle = function(p, names)
    return ("the nodes wait for each other in a cycle: %s; remove one of these dependencies"):format(
      path_text(names, p.path)), p.path[1]
  end,
  self_edge = function(p, names)
    return ('node "%s": it depends on itself; remove it from its own `after` and expressions')
      :format(names[p.node]), p.node
  end,
  duplicate_edge = function(p, names)
    return ('node "%s": it depends on "%s" twice; keep one'):format(names[p.node], names[p.other]), p.node
  end,
  mixed_edge = function(p, names)
    return ('node "%s": it depends on "%s" both as a whole and by an outcome; keep one'):format(names[p.node],
      names[p.other]), p.node
  end,
  duplicate_name = function(p, names)
    return ('node "%s": the name is taken by an earlier node; give one of them another name')
      :format(names[p.node]), p.node
  end,
  unknown_node = function(p, names)
    return ('node "%s": it depends on a node that is not in the plan'):format(names[p.node] or "?"), p.node
  end,
  need = function(p, names, def)
    local node = def.nodes[p.node]
    local count = #(node.deps or {})
    return ('node "%s": join.need is %d, but it has %s; lower it, or give it more to come after')
      :format(names[p.node], node.need or 0,
        count == 1 and "one dependency" or count .. " dependencies"), p.node
  end,
}

--- Turns what `core.plan` found into mistakes.
---@param found table[] {kind, node, other, path}
---@param def table the definition
---@param spoiled table<string, boolean> nodes with mistakes already, whose dependencies are not complete
---@return orrery.Problem[]
return function(found, def, spoiled)
  local names, problems = {}, {}
  for i, node in ipairs(def.nodes) do names[i] = node.name end
  for _, p in ipairs(found) do
    local say = WORDS[p.kind]
    local message, i
    if say then
      message, i = say(p, names, def)
    elseif tostring(p.message):find "^not enough memory" then
      error(p.message, 0)
    else
      message = "the runtime refuses the plan: " .. tostring(p.message or p.kind)
    end
    if not (p.kind == "need" and spoiled[names[p.node]]) then
      problems[#problems + 1] = { kind = p.kind, node = i and names[i], message = message, order = i,
        where = i and def.nodes[i].where, path = p.path }
    end
  end
  return problems
end
