--- Words that speak of objects.
local compile = require "orrery.schema.json.compile"
local context = require "orrery.schema.json.context"
local errors = require "orrery.errors"
local nearest = require "orrery.nearest"
local short = require "orrery.expr.site".short
local strings = require "orrery.schema.json.keywords.strings"
local values = require "orrery.schema.json.value"

local child, quietly = context.child, context.quietly

local function size(value)
  local n = 0
  for _ in next, value do n = n + 1 end
  return n
end

local function bound(word, text, fits)
  return { word = word, group = "object", make = function(site)
    local count, at = site:count(word), site:place(word)
    if not count then return nil end
    local expected = text:format(count, count == 1 and "y" or "ies")
    return function(value, c)
      local n = size(value)
      if fits(n, count) then return true end
      return c.all and context.problem(c, "range", at,
        ("is out of range, expected %s, got %d"):format(expected, n))
    end
  end }
end

-- ---- required -----------------------------------------------------------------------------------

local function text_list(site, word, list, token)
  local good = type(list) == "table" and (values.is_array(list) or next(list) == nil)
  for _, name in ipairs(good and list or {}) do good = good and type(name) == "string" end
  if good then return list end
  local name = token and ("%q: "):format(token) or ""
  site:mistake(word, "%sexpected a list of names, got %s", name, errors.show(list))
end

-- A key of the object that may be a required one, mistyped.
local function mistyped(value, name, properties)
  local names = {}
  for key in next, value do
    if type(key) == "string" and not (properties and properties[key]) then names[#names + 1] = key end
  end
  table.sort(names)
  local near = nearest(name, names)
  return near and ('; is "%s" meant to be it?'):format(near) or ""
end

local function missing(c, at, value, name, properties, why)
  local path = c.path
  c.path = context.field(path, name)
  context.problem(c, "missing", at, ("is missing%s%s"):format(why, mistyped(value, name, properties)))
  c.path = path
  return false
end

local function has_all(names, at, properties, why)
  return function(value, c)
    local fits = true
    for i = 1, #names do
      if value[names[i]] == nil then
        if not c.all then return false end
        fits = missing(c, at, value, names[i], properties, why)
      end
    end
    return fits
  end
end

local function check_required(site, word)
  if site.dialect.bounds and type(word) == "boolean" then return nil end -- draft 3 said it within
  local names = text_list(site, "required", word)
  return names and has_all(names, site:place "required", site.schema.properties, "")
end

-- ---- properties ---------------------------------------------------------------------------------

local function check_properties(site, word)
  local names = site:names "properties"
  if not names then return nil end
  local checks, n = {}, #names
  for i, name in ipairs(names) do checks[i] = site:sub(word[name], "properties", name) end
  local function ask(value, c)
    for i = 1, n do
      local inner = value[names[i]]
      if inner ~= nil and not checks[i](inner, c) then return false end
    end
    return true
  end
  return function(value, c)
    if not c.all and not c.seen then return ask(value, c) end
    local fits, seen = true, c.seen
    for i = 1, n do
      local name = names[i]
      local inner = value[name]
      if inner ~= nil then
        if seen and seen.names ~= true then seen.names[name] = true end
        if not child(c, checks[i], inner, name) then
          if not c.all then return false end
          fits = false
        end
      end
    end
    return fits
  end
end

-- The expressions of patternProperties, compiled once for both words that ask for them.
local function patterns_of(site)
  if site.patterns then return site.patterns end
  local list, word = {}, site.schema.patternProperties
  for _, text in ipairs(word ~= nil and site:names "patternProperties" or {}) do
    local match = strings.expression(site, "patternProperties", text)
    if match then list[#list + 1] = { match = match, text = text, schema = word[text] } end
  end
  site.patterns = list
  return list
end

local function check_patterns(site)
  local list = patterns_of(site)
  for _, each in ipairs(list) do each.check = site:sub(each.schema, "patternProperties", each.text) end
  return function(value, c)
    local fits, seen = true, c.seen
    for key, inner in next, value do
      for i = 1, #list do
        if list[i].match(tostring(key)) then
          if seen and seen.names ~= true then seen.names[key] = true end
          if not child(c, list[i].check, inner, key) then
            if not c.all then return false end
            fits = false
          end
        end
      end
    end
    return fits
  end
end

-- Those keys of an object that no other word speaks of, sorted where problems are told.
local function others(value, known, patterns, sorted)
  local keys
  for key in next, value do
    if not known[key] then
      local matched = false
      for i = 1, #patterns do matched = matched or patterns[i].match(tostring(key)) end
      if not matched then
        keys = keys or {}
        keys[#keys + 1] = key
      end
    end
  end
  if keys and sorted then table.sort(keys, function(a, b) return tostring(a) < tostring(b) end) end
  return keys
end

local function not_known(c, at, key, names)
  local path = c.path
  local near = nearest(tostring(key), names)
  local list = #names <= 12 and #names > 0 and "; expected " .. table.concat(names, ", ") or ""
  c.path = context.field(path, key)
  local remedy = near and ('; did you mean "%s"?'):format(near) or list
  context.problem(c, "unknown", at, ("is not known%s"):format(remedy))
  c.path = path
  return false
end

local function each_other(c, keys, value, check)
  local fits = true
  for i = 1, #keys do
    if not child(c, check, value[keys[i]], keys[i]) then
      if not c.all then return false end
      fits = false
    end
  end
  return fits
end

local function check_additional(site, word)
  local check, at = site:sub(word, "additionalProperties"), site:place "additionalProperties"
  local known = type(site.schema.properties) == "table" and site.schema.properties or {}
  local patterns, names = patterns_of(site), {}
  for name in next, known do names[#names + 1] = tostring(name) end
  table.sort(names)
  return function(value, c)
    local keys = check ~= compile.anything and others(value, known, patterns, c.all)
    local fits = true
    if keys and word == false then
      for i = 1, c.all and #keys or 0 do not_known(c, at, keys[i], names) end
      fits = false
    elseif keys then
      fits = each_other(c, keys, value, check)
    end
    if c.seen and fits then c.seen.names = true end
    return fits
  end
end

local function check_unevaluated(site, word)
  local check, at = site:sub(word, "unevaluatedProperties"), site:place "unevaluatedProperties"
  return function(value, c)
    if type(value) ~= "table" or not values.is_object(value) then return true end
    local seen, fits = c.seen, true
    local keys = seen.names ~= true and others(value, seen.names, {}, c.all)
    if keys and word == false then
      local names = {}
      for name in pairs(type(site.schema.properties) == "table" and site.schema.properties or {}) do
        names[#names + 1] = tostring(name)
      end
      table.sort(names)
      for i = 1, c.all and #keys or 0 do not_known(c, at, keys[i], names) end
      fits = false
    elseif keys then
      fits = each_other(c, keys, value, check)
    end
    seen.names = true
    return fits
  end
end

local function check_names(site, word)
  local check = site:sub(word, "propertyNames")
  return function(value, c)
    local fits = true
    for key in next, value do
      if not quietly(c, check, tostring(key)) then
        if not c.all then return false end
        fits = false
        local path, seen = c.path, c.seen
        local within = path == "" and "" or " in " .. path
        c.path, c.seen = ('the name "%s"%s'):format(short(tostring(key), 60), within), nil
        check(tostring(key), c)
        c.path, c.seen = path, seen
      end
    end
    return fits
  end
end

-- ---- dependencies -------------------------------------------------------------------------------

local function when_present(list)
  if #list == 0 then return nil end
  return function(value, c)
    local fits = true
    for i = 1, #list do
      if value[list[i].name] ~= nil and not list[i].check(value, c) then
        if not c.all then return false end
        fits = false
      end
    end
    return fits
  end
end

local function with_names(site, word, name, list)
  local names = text_list(site, word, list, name)
  return names and has_all(names, site:place(word, name), nil, (', as "%s" is there'):format(name))
end

-- `both`: whether values may be lists, schemas, or either.
local function dependencies(word, lists, schemas)
  return { word = word, group = "object", make = function(site, value)
    local list = {}
    for _, name in ipairs(site:names(word) or {}) do
      local each = value[name]
      local is_list = lists and (not schemas or type(each) == "table" and values.is_array(each)
        or type(each) == "string")
      if site.dialect.bounds and type(each) == "string" then each = { each } end
      local check
      if is_list then check = with_names(site, word, name, each) else check = site:sub(each, word, name) end
      if check then list[#list + 1] = { name = name, check = check } end
    end
    return when_present(list)
  end }
end

return {
  { word = "required", group = "object", make = check_required },
  bound("maxProperties", "at most %d propert%s", function(n, count) return n <= count end),
  bound("minProperties", "at least %d propert%s", function(n, count) return n >= count end),
  { word = "properties", group = "object", make = check_properties },
  { word = "patternProperties", group = "object", make = check_patterns },
  { word = "additionalProperties", group = "object", make = check_additional },
  { word = "propertyNames", group = "object", make = check_names },
  dependencies("dependentRequired", true, false),
  dependencies("dependentSchemas", false, true),
  dependencies("dependencies", true, true),
  { word = "unevaluatedProperties", group = "last", make = check_unevaluated },
}
