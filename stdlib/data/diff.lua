--- `data.diff`: what is different between two lists of rows, or two objects.
local flow = require "orrery"
local keys = require "orrery.stdlib.shared.keys"

local json = flow.json

local function present(value)
  if value == json.null then return nil end
  return value
end

local function is_list(value) return type(value) == "table" and json.is_array(value) end

-- ---- values -------------------------------------------------------------------------------------

-- The names or places that either has, sorted.
local function names_of(old, new)
  local names, seen = {}, {}
  for _, value in ipairs { old, new } do
    for name in next, value do
      if not seen[name] then names[#names + 1], seen[name] = name, true end
    end
  end
  table.sort(names)
  return names
end

-- JSON Pointer, RFC 6901.
local function step(path, name)
  return path .. "/" .. (math.type(name) == "integer" and name - 1
    or tostring(name):gsub("~", "~0"):gsub("/", "~1"))
end

local is_same

local function is_same_table(old, new)
  for name, value in next, old do
    if not is_same(value, new[name]) then return false end
  end
  for name, value in next, new do
    if old[name] == nil and present(value) ~= nil then return false end
  end
  return true
end

function is_same(old, new)
  old, new = present(old), present(new)
  if type(old) ~= "table" or type(new) ~= "table" then return old == new end
  if next(old) ~= nil and next(new) ~= nil and is_list(old) ~= is_list(new) then return false end
  return is_same_table(old, new)
end

-- Two that are opened: both objects, or both lists.
local function are_alike(old, new)
  return type(old) == "table" and type(new) == "table"
    and (is_list(old) == is_list(new) or next(old) == nil or next(new) == nil)
end

-- Notes what is different at a path and below.
local function compare(old, new, path, out)
  old, new = present(old), present(new)
  if are_alike(old, new) then
    for _, name in ipairs(names_of(old, new)) do
      compare(old[name], new[name], step(path, name), out)
    end
  elseif old == new then
    out.same = out.same + (old ~= nil and 1 or 0)
  elseif old == nil then
    out.added:push { path = path, value = new }
  elseif new == nil then
    out.removed:push { path = path, value = old }
  else
    out.changed:push { path = path, old = old, new = new }
  end
end

-- ---- lists --------------------------------------------------------------------------------------

-- What tells which item is which: its key, or all of it.
local function key_of(item, by)
  if not by then return json.encode(item, { sort = true }) end
  if type(item) ~= "table" or is_list(item) then
    flow.error { code = "config_error", retryable = false,
      message = "data.diff: by names fields, and one of the items is no object; leave it out to compare "
        .. "whole items" }
  end
  return flow.rows.sort_key(item, by)
end

local function different_fields(old, new)
  local fields = {}
  for _, name in ipairs(names_of(old, new)) do
    if not is_same(old[name], new[name]) then fields[#fields + 1] = name end
  end
  return json.array(fields)
end

-- Of items with one key the first stands beside the first, the second beside the second.
local function compare_lists(lists, old, new, by, out)
  local places, taken = {}, {}
  for i = 1, #old do
    lists:turn()
    local key = key_of(old[i], by)
    local queue = places[key] or { from = 1 }
    places[key] = queue
    queue[#queue + 1] = i
  end
  for i = 1, #new do
    lists:turn()
    local queue = places[key_of(new[i], by)]
    local place = queue and queue[queue.from]
    if not place then
      out.added:push(new[i])
    else
      queue.from, taken[place] = queue.from + 1, true
      local fields = by and different_fields(old[place], new[i])
      if fields and #fields > 0 then
        out.changed:push { old = old[place], new = new[i], fields = fields }
      else
        out.same = out.same + 1
      end
    end
  end
  for i = 1, #old do
    if not taken[i] then out.removed:push(old[i]) end
  end
end

local function what(value)
  if type(value) ~= "table" then return value == nil and "nil" or "a " .. type(value) end
  return is_list(value) and "a list" or "an object"
end

local function refuse(message)
  flow.error { code = "config_error", retryable = false, message = "data.diff: " .. message }
end

-- An output of a data node that holds its rows beside others.
local function rows_of(value)
  if type(value) == "table" and not is_list(value) and is_list(value.rows) then return value.rows end
  return value
end

return flow.type {
  name = "data.diff",
  doc = "Compares two lists of rows, or two objects, old and new. Outputs { added, removed, changed, same, "
    .. "equal }. Of lists these are rows, and changed has { old, new, fields }; by names the field, or a "
    .. "list of fields, that tells which row is which; without it whole items are compared, in any order. Of "
    .. "objects they are { path, value } and { path, old, new }, with the path as a JSON Pointer, at every "
    .. "level. same counts what is equal; null and a missing field are.",
  config = flow.schema { old = "array|object", new = "array|object", by = "string|string[]?" },
  output = { added = "array", removed = "array", changed = "array", same = "integer", equal = "boolean" },
  examples = { [[flow.data.diff { old = "${nodes.yesterday}", new = "${nodes.today}", by = "id" }]],
    [[flow.data.diff { old = { a = 1, b = { 1, 2 } }, new = { a = 1, b = { 1, 3 } } }]] },
  run = function(ctx, config)
    local old, new = rows_of(config.old), rows_of(config.new)
    if not are_alike(old, new) then
      refuse(("old is %s and new %s; give it two lists, or two objects"):format(what(old), what(new)))
    end
    local lists <close> = flow.rows.lists(ctx, "data.diff")
    local out = { added = lists:new(), removed = lists:new(), changed = lists:new(), same = 0 }
    if is_list(old) or is_list(new) then
      compare_lists(lists, old, new, config.by and keys.names(config.by), out)
    elseif config.by then
      refuse "by is for lists of rows, and these are objects"
    else
      compare(old, new, "", out)
    end
    for _, name in ipairs { "added", "removed", "changed" } do out[name] = out[name]:finish() end
    lists:keep()
    out.equal = #out.added + #out.removed + #out.changed == 0
    return out
  end,
}
