--- `data.merge`: several values as one.
local flow = require "orrery"
local keys = require "orrery.stdlib.shared.keys"

local json = flow.json

-- What is merged: the given values in their order, or the outputs of all dependencies in the order
-- of their names.
local function sources(config, inputs)
  if config.values ~= nil then
    local n = 0
    for k in pairs(config.values) do n = math.max(n, k) end
    return config.values, n
  end
  local names, values = {}, {}
  for name in pairs(inputs) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do values[i] = inputs[name] end
  return values, #names
end

local function is_present(value) return value ~= nil and value ~= json.null end

local function is_object(value) return type(value) == "table" and not json.is_array(value) end

-- An empty table may be a list whose kind was lost.
local function is_list(value)
  return type(value) == "table" and (json.is_array(value) or next(value) == nil)
end

local TESTS = { object = is_object, array = is_list }

local function fail(message) flow.error { code = "merge_error", retryable = false, message = message } end

local function expect(as, value, what)
  if TESTS[what](value) then return end
  local got = type(value) == "table" and (json.is_array(value) and "array" or "object") or type(value)
  fail(('data.merge: as = "%s" joins %ss, and one of the values is of type %s; as = "list" takes any value')
    :format(as, what, got))
end

-- The values that are there, each of a type.
local function all(values, n, as, what)
  local list = {}
  for i = 1, n do
    if is_present(values[i]) then
      if what then expect(as, values[i], what) end
      list[#list + 1] = values[i]
    end
  end
  return list
end

local function lay_over(merged, object)
  for key, value in next, object do merged[key] = value end
  return merged
end

-- ---- deep ---------------------------------------------------------------------------------------

local deep

local function deep_value(former, value, config)
  if is_object(former) and is_object(value) then return deep(lay_over({}, former), value, config) end
  if config.lists == "append" and is_list(former) and is_list(value) then
    local joined = table.move(former, 1, #former, 1, {})
    return json.array(table.move(value, 1, #value, #joined + 1, joined))
  end
  return value
end

-- Lays an object over one that is ours.
function deep(merged, object, config)
  for key, value in next, object do merged[key] = deep_value(merged[key], value, config) end
  return json.object(merged)
end

-- ---- side by side, and by key -------------------------------------------------------------------

-- The items at a place: one object, where they are objects.
local function zipped(lists, place)
  local items, objects = {}, true
  for i, list in ipairs(lists) do
    local item = list[place]
    if item == nil then item = json.null end
    items[i] = item
    objects = objects and (not is_present(item) or is_object(item))
  end
  if not objects then return json.array(items) end
  local merged = {}
  for _, item in ipairs(items) do
    if is_present(item) then lay_over(merged, item) end
  end
  return json.object(merged)
end

-- Objects without a key stay by themselves.
local function by_key(lists, by)
  local merged, places = {}, {}
  for _, list in ipairs(lists) do
    for i = 1, #list do
      local row = list[i]
      expect("key", row, "object")
      local key = keys.of(row, by)
      local place = key and places[key]
      if not place then
        place = #merged + 1
        merged[place] = {}
        if key then places[key] = place end
      end
      lay_over(merged[place], row)
    end
  end
  return json.array(merged)
end

-- One list, of those that are lists their items.
local function joined(lists, values, is_joined)
  local merged = lists:new()
  for _, value in ipairs(values) do
    local joins = is_joined(value)
    for i = 1, joins and #value or 0 do
      merged:push(value[i])
      lists:turn()
    end
    if not joins then merged:push(value) end
  end
  return merged:finish()
end

-- ---- the modes ----------------------------------------------------------------------------------

local MODES = {
  object = function(values, n)
    local merged = {}
    for _, value in ipairs(all(values, n, "object", "object")) do lay_over(merged, value) end
    return json.object(merged)
  end,
  deep = function(values, n, config)
    local merged = {}
    for _, value in ipairs(all(values, n, "deep", "object")) do deep(merged, value, config) end
    return json.object(merged)
  end,
  array = function(values, n, _, lists)
    return joined(lists, all(values, n, "array", "array"), is_list)
  end,
  append = function(values, n, _, lists) return joined(lists, all(values, n), json.is_array) end,
  list = function(values, n) return json.array(all(values, n)) end,
  zip = function(values, n, _, lists)
    local given, longest, merged = all(values, n, "zip", "array"), 0, lists:new()
    for _, list in ipairs(given) do longest = math.max(longest, #list) end
    for place = 1, longest do
      merged:push(zipped(given, place))
      lists:turn()
    end
    return merged:finish()
  end,
  key = function(values, n, config)
    return by_key(all(values, n, "key", "array"), keys.names(config.by))
  end,
}

local LISTS = { array = true, append = true, zip = true } -- modes that make a list of rows as they come

return flow.type {
  name = "data.merge",
  errors = { "merge_error" },
  doc = "Merges values, or the outputs of its dependencies in the order of their names; also called merge. "
    .. 'as = "object": one object, later keys win; "deep": so at every level, and with lists = "append" '
    .. 'lists are joined. "array": lists joined; "append": so, and what is no list is an item. "list": a '
    .. 'list with an item for each value. "zip": lists side by side, the objects at one place merged, '
    .. 'other values in a list. "key": lists of objects, those with the same key, by, merged, in the order '
    .. 'in which keys first come. Absent values are left out. Fails with "merge_error" where the values do '
    .. "not go together so.",
  config = flow.schema { values = "array?", by = "string|string[]?",
    as = { enum = { "object", "deep", "array", "append", "list", "zip", "key" }, default = "object" },
    lists = { enum = { "replace", "append" }, default = "replace" } },
  check = function(config)
    if (config.as == "key") ~= (config.by ~= nil) then
      return 'as = "key" and by = FIELD stand together', "by"
    end
  end,
  examples = {
    [[flow.merge { after = { "user", "orders" } }]],
    [[flow.merge { as = "array", values = { "${nodes.first}", "${nodes.second}" } }]],
    [[flow.merge { as = "key", by = "id", values = { "${nodes.people}", "${nodes.addresses}" } }]],
  },
  run = function(ctx, config, inputs)
    local values, n = sources(config, inputs)
    if not LISTS[config.as] then return MODES[config.as](values, n, config) end
    local lists <close> = flow.rows.lists(ctx, "data.merge")
    local merged = MODES[config.as](values, n, config, lists)
    lists:keep()
    return merged
  end,
}
