--- Words that put schemas together: all, any, one or none of them, and one for the case of another.
local context = require "orrery.schema.json.context"
local values = require "orrery.schema.json.value"

local way = context.way

local function check_all(site)
  local checks = site:list "allOf"
  return checks and require "orrery.schema.json.compile".all_of(checks)
end

-- ---- messages -----------------------------------------------------------------------------------

-- Whether a way is of another type altogether.
local function is_other(problems, path)
  for _, each in ipairs(problems) do
    if each.kind == "type" and each.path == path then return true end
  end
  return false
end

-- How far a value is from a way: another type or name within weighs more than anything else.
local function distance(problems)
  local sum = 0
  for _, each in ipairs(problems) do
    sum = sum + ((each.kind == "type" or each.kind == "enum") and 3 or 1)
  end
  return sum
end

-- "a string or an object", where no way takes a value of the type.
local function all_expected(found, path)
  local list, has = {}, {}
  for _, problems in ipairs(found) do
    local first = problems[1]
    if not (first and first.expected and first.path == path) then return nil end
    if not has[first.expected] then
      has[first.expected] = true
      list[#list + 1] = first.expected
    end
  end
  return #list > 0 and #list <= 8 and table.concat(list, " or ") or nil
end

-- The ways that are not of another type, the nearest first.
local function near_ways(found, path)
  local list = {}
  for i, problems in ipairs(found) do
    if not is_other(problems, path) then
      list[#list + 1] = { at = i, far = distance(problems), problems = problems }
    end
  end
  table.sort(list, function(a, b) return a.far < b.far or a.far == b.far and a.at < b.at end)
  return list
end

local function fits_none(c, checks, value, at)
  local found = {}
  for i = 1, #checks do found[i] = context.problems_of(c, checks[i], value) end
  local expected = all_expected(found, c.path)
  if expected then
    return context.problem(c, "type", at,
      ("is wrong, expected %s, got %s"):format(expected, values.shown(value)), expected)
  end
  local near = near_ways(found, c.path)
  if #near == 1 then return context.add(c, near[1].problems) end
  local first = near[1] and near[1].problems[1]
  return context.problem(c, "way", at, ("fits none of the %d alternatives"):format(#checks), nil,
    first and "; of the nearest: " .. first.message or "")
end

-- ---- words --------------------------------------------------------------------------------------

local function check_any(site)
  local checks, at = site:list "anyOf", site:place "anyOf"
  if not checks then return nil end
  return function(value, c)
    local fits = false
    for i = 1, #checks do
      if way(c, checks[i], value) then
        fits = true
        if not c.seen then return true end
      end
    end
    return fits or c.all and fits_none(c, checks, value, at)
  end
end

local function check_one(site)
  local checks, at = site:list "oneOf", site:place "oneOf"
  if not checks then return nil end
  return function(value, c)
    local first
    for i = 1, #checks do
      if way(c, checks[i], value) then
        if first then
          return c.all and context.problem(c, "way", at,
            ("fits two alternatives, %d and %d, expected exactly one"):format(first, i))
        end
        first = i
      end
    end
    return first ~= nil or c.all and fits_none(c, checks, value, at)
  end
end

local function check_not(site, word)
  local check, at = site:sub(word, "not"), site:place "not"
  return function(value, c)
    if not context.quietly(c, check, value) then return true end
    return c.all and context.problem(c, "way", at, "is what it must not be")
  end
end

local function check_if(site, word)
  local schema = site.schema
  local test = site:sub(word, "if")
  local yes = schema["then"] ~= nil and site:sub(schema["then"], "then") or nil
  local no = schema["else"] ~= nil and site:sub(schema["else"], "else") or nil
  return function(value, c)
    if not yes and not no and not c.seen then return true end
    local next_check
    if way(c, test, value) then next_check = yes else next_check = no end
    return not next_check or next_check(value, c)
  end
end

return {
  { word = "allOf", group = "any", make = check_all },
  { word = "anyOf", group = "any", make = check_any },
  { word = "oneOf", group = "any", make = check_one },
  { word = "not", group = "any", make = check_not },
  { word = "if", group = "any", make = check_if },
}
