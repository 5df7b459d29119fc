--- `data.map`: rows with other fields.
local flow = require "orrery"
local sorted_names = require "orrery.stdlib.shared.sorted_names"

local function constant_of(value)
  if type(value) == "function" then return value end
  return function() return value end
end

-- Expressions by name, as two lists.
local function functions_of(set)
  local names, fns = sorted_names(set), {}
  for i, name in ipairs(names) do fns[i] = constant_of(set[name]) end
  return names, fns
end

-- The columns of the rows that are made, in their order; nil where it is not known.
local function new_columns(config, former)
  if config.keep then return config.keep end
  if config.fields then return sorted_names(config.fields) end
  if not former then return nil end
  local list, seen, dropped = {}, {}, {}
  for _, name in ipairs(config.drop or {}) do dropped[name] = true end
  local function add(name)
    if not seen[name] and not dropped[name] then list[#list + 1] = name end
    seen[name] = true
  end
  for _, name in ipairs(former) do add((config.rename or {})[name] or name) end
  for _, name in ipairs(sorted_names(config.set)) do add(name) end
  return list
end

-- A function(ctx, row) that makes the new row.
local function maker(config)
  local only_names, only = functions_of(config.fields)
  local set_names, set = functions_of(config.set)
  local copy, added = flow.rows.copy, math.min(#set, 1000)
  local rename, drop, kept = config.rename, config.drop or {}, config.keep
  return function(ctx, row)
    local made
    if config.fields then
      made = {}
      for i = 1, #only do made[only_names[i]] = only[i](ctx, row) end
    elseif rename then
      made = {}
      for name, value in next, row do
        if not rename[name] then made[name] = value end
      end
      for from, to in next, rename do made[to] = row[from] end
    else
      made = copy(row, added)
    end
    for i = 1, #set do made[set_names[i]] = set[i](ctx, row) end
    for i = 1, #drop do made[drop[i]] = nil end
    if not kept then return made end
    local few = {}
    for i = 1, #kept do few[kept[i]] = made[kept[i]] end
    return few
  end
end

local function map(chunk, make, ctx, made, at)
  for i = at.i, #chunk do
    at.i = i
    made[#made + 1] = make(ctx, chunk[i])
  end
  at.i = #chunk + 1
end

return flow.type {
  name = "data.map",
  errors = { "file_error" },
  doc = "Makes rows with other fields: rename = { old = \"new\" }, then set = { name = expression } for "
    .. "fields that are added or replaced, then drop and keep, lists of names. fields = { name = "
    .. "expression } makes rows of exactly these. Expressions see the row as it came. A row on which one "
    .. "fails is rejected where rejects says so, a file or true, and fails the node otherwise.",
  config = flow.schema { set = "object?", fields = "object?", rename = "object?", drop = "string[]?",
    keep = "string[]?", rows = "array?", rejects = "string|boolean?" },
  expressions = { set = "row", fields = "row" },
  examples = {
    [[flow.data.map { set = { total = "row.price * row.count", source = "'shop'" }, drop = { "note" } }]],
    [[flow.data.map { rows = "${nodes.people}", fields = { name = "row.first .. ' ' .. row.last" } }]],
  },
  check = function(config)
    if config.fields and (config.rename or config.drop) then
      return "fields names all that the new rows have; leave out rename and drop", "fields"
    end
  end,
  stage = function(config, rows, stage)
    local make, known = maker(config), false
    return function()
      local chunk = rows()
      if not known then
        known = true
        stage:columns(new_columns(config, stage:columns()))
      end
      if not chunk then return nil end
      local made, at = {}, { i = 1 }
      while at.i <= #chunk do
        local ok, e = pcall(map, chunk, make, stage.ctx, made, at)
        if not ok then
          if not config.rejects or type(e) ~= "table" or e.code ~= "config_error" then error(e, 0) end
          stage:reject(chunk[at.i], e.message)
          at.i = at.i + 1
        end
      end
      return made
    end
  end,
}
