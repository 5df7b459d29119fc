--- `data.join`: two lists of rows by key. Both are sorted by it and read side by side (a sort-merge
--- join), so either may be larger than memory.
local flow = require "orrery"
local keys = require "orrery.stdlib.shared.keys"

local SIZE = 500 -- rows of a chunk
local TURN = 500 -- rows between which others may go on

-- Which rows there are: pairs, left ones without a right one, right ones without a left one.
local HOW = {
  inner = { pairs = true },
  left = { pairs = true, left = true },
  outer = { pairs = true, left = true, right = true },
  anti = { left = true },
}

-- What a side is called, and what the keys of its rows that have none begin with.
local LEFT, RIGHT = { name = "rows", mark = "0" }, { name = "right", mark = "1" }

-- ---- one side -----------------------------------------------------------------------------------

-- Keys that are whole come last; those with a missing field are never equal to one of the other
-- side.
local function place_of(row, names, mark)
  local key = keys.of(row, names)
  return key and "2" .. key or mark .. flow.rows.sort_key(row, names)
end

-- What a sorter holds, row by row: `key` and `row` are those at hand, nil at the end.
local function new_reader(stage, sorter)
  local next_chunk, rows, row_keys, at = stage.sorted(sorter), {}, {}, 0
  local reader = {}
  function reader.advance()
    at = at + 1
    if rows and at > #rows then
      rows, row_keys = next_chunk()
      at = 1
    end
    reader.key, reader.row = rows and row_keys[at], rows and rows[at]
  end
  reader.advance()
  return reader
end

-- ---- rows that are made -------------------------------------------------------------------------

-- Functions that make rows: of a pair, and of a right row alone. A field of the right that is no
-- key, and whose name a left row has too, gets the prefix.
local function makers(config, by, right_by, left_names)
  local name_of = {}
  for i, name in ipairs(right_by) do name_of[name] = by[i] end
  local is_key = {}
  for _, name in ipairs(right_by) do is_key[name] = true end
  local function new_name(name)
    local known = name_of[name]
    if known then return known end
    known = left_names[name] and config.prefix .. name or name
    name_of[name] = known
    return known
  end
  local function pair(left, right)
    local made = flow.rows.copy(left)
    for name, value in next, right do
      if not is_key[name] then made[new_name(name)] = value end
    end
    return made
  end
  local function alone(right)
    local made = {}
    for name, value in next, right do made[new_name(name)] = value end
    return made
  end
  return pair, alone, new_name
end

-- The columns of the left, then those of the right by their names.
local function say_columns(stage, right_names, right_by, new_name)
  local former = stage:columns()
  if not former then return end
  local list, seen, added = table.move(former, 1, #former, 1, {}), {}, {}
  for _, name in ipairs(list) do seen[name] = true end
  for _, name in ipairs(right_by) do seen[new_name(name)] = true end
  for name in next, right_names do
    local new = new_name(name)
    if not seen[new] then added[#added + 1], seen[new] = new, true end
  end
  table.sort(added)
  stage:columns(table.move(added, 1, #added, #list + 1, list))
end

-- ---- side by side -------------------------------------------------------------------------------

-- A function that adds rows to a list, and says whether there may be more.
local function merger(left, right, how, pair, alone)
  local group, group_key = {}, nil -- the right rows with the key of the left one

  local function gather(key)
    group, group_key = {}, key
    while right.key == key do
      group[#group + 1] = right.row
      right.advance()
    end
  end

  local function add_left(made)
    if left.key ~= group_key then
      if how.left then made[#made + 1] = left.row end
    elseif how.pairs then
      for i = 1, #group do made[#made + 1] = pair(left.row, group[i]) end
    end
    left.advance()
  end

  return function(made)
    if right.key and (not left.key or right.key < left.key) then
      if how.right then made[#made + 1] = alone(right.row) end
      right.advance()
    elseif left.key then
      if right.key == left.key then gather(left.key) end
      add_left(made)
    else
      return false
    end
    return true
  end
end

local function add_all(sorter, chunk, names, side, fields)
  for i = 1, #chunk do
    local row = chunk[i]
    if type(row) ~= "table" then
      flow.error { code = "config_error", retryable = false,
        message = ("data.join: %s: expected a list of objects, one is a %s"):format(side.name, type(row)) }
    end
    for name in next, row do fields[name] = true end
    sorter:add(place_of(row, names, side.mark), row)
  end
end

return flow.type {
  name = "data.join",
  errors = { "spool_error" },
  doc = "Joins rows with those of the list right whose key is equal: by names the field, or a list of "
    .. "fields, and right_by those of the right where they are called otherwise. how = \"inner\": pairs; "
    .. "\"left\": also rows that find none; \"outer\": also those of the right; \"anti\": only rows that "
    .. "find none. A missing key equals nothing. Fields of the right are added; one whose name rows have, "
    .. "too, gets prefix before it. Rows come in the order of their keys. What does not fit in 16 MiB of "
    .. "memory lies in a file; the rows of the right with one key have to fit.",
  config = flow.schema { by = "string|string[]", right = "array", right_by = "string|string[]?",
    how = { enum = { "inner", "left", "outer", "anti" }, default = "inner" },
    prefix = { type = "string", default = "right_" }, rows = "array?",
    memory = { type = "integer", default = 16 * 1024 * 1024, min = 0, doc = "bytes, of each side" } },
  examples = {
    [[flow.data.join { rows = "${nodes.orders}", by = "customer", right = "${nodes.people}", right_by = "id" }]],
    [[flow.data.join { after = "read", by = "email", right = "${nodes.blocked}", how = "anti" }]],
  },
  check = function(config)
    if config.right_by and #keys.names(config.right_by) ~= #keys.names(config.by) then
      return "by and right_by name as many fields", "right_by"
    end
  end,
  stage = function(config, rows, stage)
    local by = keys.names(config.by)
    local right_by = keys.names(config.right_by or config.by)
    local next_rows

    local function begin()
      local left, right = stage:sorter(config.memory), stage:sorter(config.memory)
      local left_names, right_names = {}, {}
      for chunk in rows do add_all(left, chunk, by, LEFT, left_names) end
      for at = 1, #config.right, TURN do
        local chunk = table.move(config.right, at, math.min(at + TURN - 1, #config.right), 1, {})
        add_all(right, chunk, right_by, RIGHT, right_names)
        stage:turn()
      end
      local pair, alone, new_name = makers(config, by, right_by, left_names)
      local how = HOW[config.how]
      if how.pairs then say_columns(stage, right_names, right_by, new_name) end
      next_rows = merger(new_reader(stage, left), new_reader(stage, right), how, pair, alone)
    end

    return function()
      if not next_rows then begin() end
      local made, more, steps = {}, true, 0
      while more and #made < SIZE do
        more, steps = next_rows(made), steps + 1
        if steps % TURN == 0 then stage:turn() end
      end
      return (more or #made > 0) and made or nil
    end
  end,
}
