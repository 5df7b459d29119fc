--- `data.flatten`: what is nested, on one level.
local flow = require "orrery"
local refuse = require "orrery.stdlib.shared.refuse"

local json = flow.json

local MOST = 10000000 -- fields of the rows that are made of one
local TOO_MUCH = "it would become rows with more than ten million fields together"

local function is_list(value) return type(value) == "table" and json.is_array(value) end

-- Adds the rows of lists in lists.
local function open(row, rows, depth)
  if depth == 0 or not is_list(row) then
    rows[#rows + 1] = row
    return
  end
  for i = 1, #row do open(row[i], rows, depth - 1) end
end

local function count(row)
  local n = 0
  for _ in next, row do n = n + 1 end
  return n
end

-- Adds a row for each item of a list in it; one that has no such list stays. False where there
-- would be too much.
local function unnest(row, name, rows)
  local list = type(row) == "table" and row[name]
  if not is_list(list) then
    rows[#rows + 1] = row
    return true
  end
  if #list * count(row) > MOST then return false end
  for i = 1, math.max(1, #list) do
    local made = flow.rows.copy(row)
    made[name] = list[i]
    rows[#rows + 1] = made
  end
  return true
end

-- Adds the fields of a value, named by their paths; false and the name where two have one name.
local function spread(value, path, depth, made, config)
  local opens = type(value) == "table" and next(value) ~= nil and depth > 0
  if not opens or is_list(value) and not config.lists then
    if made[path] ~= nil then return false, path end
    made[path] = value
    return true
  end
  for key, inner in next, value do
    local good, name = spread(inner, path .. config.separator .. key, depth - 1, made, config)
    if not good then return false, name end
  end
  return true
end

local function flattened(row, config)
  local made = {}
  for key, value in next, row do
    local good, name = spread(value, key, config.depth, made, config)
    if not good then return nil, ("two fields would be called %q"):format(name) end
  end
  return made
end

local function is_object(row) return type(row) == "table" and not json.is_array(row) end

return flow.type {
  name = "data.flatten",
  errors = { "invalid_data", "file_error" },
  doc = "Makes rows flat: { a = { b = 1 } } becomes { [\"a.b\"] = 1 }, down to depth levels, and with lists "
    .. "= true also { a = { 5 } } becomes { [\"a.1\"] = 5 }. Items that are lists are opened. unnest = "
    .. "FIELD makes a row for each item of the list in that field first; a row without such items stays "
    .. "one. A row of which two fields would have one name is rejected where rejects says so, a file or "
    .. "true, and fails the node with \"invalid_data\" otherwise.",
  config = flow.schema { unnest = "string?", separator = { type = "string", default = "." },
    depth = { type = "integer", default = 1000, min = 0, doc = "levels" },
    lists = { type = "boolean", default = false }, rows = "array?", rejects = "string|boolean?" },
  positional = "unnest",
  examples = { [[flow.data.flatten { rows = "${nodes.orders}" }]],
    [[flow.data.flatten { rows = "${nodes.orders}", unnest = "items" }]] },
  stage = function(config, rows, stage)
    return function()
      local chunk = rows()
      if not chunk then return nil end
      stage:columns(false)
      local items, made = {}, {}
      for i = 1, #chunk do open(chunk[i], items, config.depth) end
      if config.unnest then
        local opened = {}
        for i = 1, #items do
          if not unnest(items[i], config.unnest, opened) then refuse(stage, items[i], TOO_MUCH) end
        end
        items = opened
      end
      for i = 1, #items do
        local row, reason = items[i], nil
        if is_object(row) then row, reason = flattened(row, config) end
        if reason then refuse(stage, items[i], reason)
        else made[#made + 1] = row end
      end
      return made
    end
  end,
}
