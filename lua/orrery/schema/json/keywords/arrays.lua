--- Words that speak of arrays.
local compile = require "orrery.schema.json.compile"
local context = require "orrery.schema.json.context"
local values = require "orrery.schema.json.value"

local child, quietly = context.child, context.quietly

local ALL = math.maxinteger

local function bound(word, text, fits)
  return { word = word, group = "array", make = function(site)
    local count, at = site:count(word), site:place(word)
    if not count then return nil end
    local expected = text:format(count, count == 1 and "" or "s")
    return function(value, c)
      if fits(#value, count) then return true end
      return c.all and context.problem(c, "range", at,
        ("is out of range, expected %s, got %d"):format(expected, #value))
    end
  end }
end

-- ---- items --------------------------------------------------------------------------------------

local function saw(c, upto)
  local seen = c.seen
  if seen and upto > seen.upto then seen.upto = upto end
end

-- The first items, each by a schema of its own.
local function first_items(checks)
  local count = #checks
  return function(value, c)
    local fits = true
    for i = 1, math.min(count, #value) do
      if not child(c, checks[i], value[i], i) then
        if not c.all then return false end
        fits = false
      end
    end
    saw(c, count)
    return fits
  end
end

-- The items behind the first `skipped`.
local function other_items(check, skipped)
  if check == compile.anything then
    return function(_, c)
      saw(c, ALL)
      return true
    end
  end
  return function(value, c)
    local fits = true
    if not c.all and not c.seen then
      for i = skipped + 1, #value do
        if not check(value[i], c) then return false end
      end
      return true
    end
    for i = skipped + 1, #value do
      if not child(c, check, value[i], i) then
        if not c.all then return false end
        fits = false
      end
    end
    saw(c, ALL)
    return fits
  end
end

local function length_of(list) return type(list) == "table" and #list or 0 end

local function check_items(site, word)
  if not site.dialect.list_items then
    return other_items(site:sub(word, "items"), length_of(site.schema.prefixItems))
  end
  if type(word) == "table" and values.is_array(word) then return first_items(site:list "items") end
  return other_items(site:sub(word, "items"), 0)
end

-- Beside a list of items, in drafts that have one.
local function check_additional(site, word)
  local items = site.schema.items
  if type(items) ~= "table" or not values.is_array(items) then return nil end
  return other_items(site:sub(word, "additionalItems"), #items)
end

local function check_prefix(site)
  local checks = site:list "prefixItems"
  return checks and first_items(checks)
end

-- ---- contains -----------------------------------------------------------------------------------

local function count_of(site, word, otherwise)
  if site.schema[word] == nil or not site.dialect.words[word] then return otherwise end
  return site:count(word) or otherwise
end

-- Which items fit; counts to `most` and one more, unless somebody asks what was looked at.
local function counted(c, check, value, most)
  local n, seen = 0, c.seen
  for i = 1, #value do
    if quietly(c, check, value[i]) then
      n = n + 1
      if seen then seen.items[i] = true
      elseif n > most then break end
    end
  end
  return n
end

local function check_contains(site, word)
  local check = site:sub(word, "contains")
  local least, most = count_of(site, "minContains", 1), count_of(site, "maxContains", ALL)
  local at = site:place "contains"
  local enough = most == ALL and math.max(least - 1, 0) or most
  local expected = most == ALL and ("at least %d"):format(least) or least == most and ("%d"):format(least)
    or ("%d to %d"):format(least, most)
  return function(value, c)
    local n = counted(c, check, value, enough)
    if n >= least and n <= most then return true end
    return c.all and context.problem(c, "range", at, ("is wrong, expected %s of its items to fit, got %s%d")
      :format(expected, n > most and "at least " or "", n))
  end
end

-- ---- others -------------------------------------------------------------------------------------

local function check_unique(site, word)
  if word ~= true then return nil end
  local at = site:place "uniqueItems"
  return function(value, c)
    local seen = {}
    for i = 1, #value do
      local item = value[i]
      local key = values.key(item)
      if key == key then
        local before = seen[key]
        if before then
          return c.all and context.problem(c, "unique", at, ("is wrong, its items %d and %d are equal: %s")
            :format(before, i, values.shown(item)))
        end
        seen[key] = i
      end
    end
    return true
  end
end

local function check_unevaluated(site, word)
  local check = site:sub(word, "unevaluatedItems")
  return function(value, c)
    if not values.is_array(value) then return true end
    local seen, fits = c.seen, true
    for i = seen.upto + (seen.upto < ALL and 1 or 0), #value do
      if not seen.items[i] and not child(c, check, value[i], i) then
        if not c.all then return false end
        fits = false
      end
    end
    seen.upto = ALL
    return fits
  end
end

local function last(make)
  return function(site, word)
    local check = make(site, word)
    return function(value, c) return type(value) ~= "table" or check(value, c) end
  end
end

return {
  bound("maxItems", "at most %d item%s", function(n, count) return n <= count end),
  bound("minItems", "at least %d item%s", function(n, count) return n >= count end),
  { word = "prefixItems", group = "array", make = check_prefix },
  { word = "items", group = "array", make = check_items },
  { word = "additionalItems", group = "array", make = check_additional },
  { word = "contains", group = "array", make = check_contains },
  { word = "uniqueItems", group = "array", make = check_unique },
  { word = "unevaluatedItems", group = "last", make = last(check_unevaluated) },
}
