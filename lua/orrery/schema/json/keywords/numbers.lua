--- Words that speak of numbers. Lua compares integers and floats exactly; so does `multipleOf`.
local context = require "orrery.schema.json.context"
local errors = require "orrery.errors"
local shown = require "orrery.schema.json.value".shown

local function number_of(site, word, value)
  if type(value) == "number" then return value end
  site:mistake(word, "expected a number, got %s", errors.show(value))
end

local function compare(at, text, bound, fits)
  local expected = ("%s %s"):format(text, bound)
  return function(value, c)
    if fits(value, bound) then return true end
    return c.all and context.problem(c, "range", at,
      ("is out of range, expected %s, got %s"):format(expected, shown(value)))
  end
end

local function less(value, bound) return value < bound end
local function at_most(value, bound) return value <= bound end
local function more(value, bound) return value > bound end
local function at_least(value, bound) return value >= bound end

-- `minimum` or `maximum`; in draft 4 a boolean beside it says whether the bound itself is out.
local function inclusive(word, other, with, without)
  return { word = word, group = "number", make = function(site, value)
    local bound = number_of(site, word, value)
    if not bound then return nil end
    local form = site.dialect.bounds and site.schema[other] == true and without or with
    return compare(site:place(word), form[1], bound, form[2])
  end }
end

local function exclusive(word, form)
  return { word = word, group = "number", make = function(site, value)
    if site.dialect.bounds then return nil end
    local bound = number_of(site, word, value)
    return bound and compare(site:place(word), form[1], bound, form[2])
  end }
end

local function multiple_of(site, value)
  local of = number_of(site, "multipleOf", value)
  if not of then return nil end
  if not (of > 0 and of < math.huge) then
    site:mistake("multipleOf", "expected a number greater than 0, got %s", of)
    return nil
  end
  local at = site:place "multipleOf"
  local whole = math.type(of) == "integer"
  local exact = require "orrery.schema.json.exact"
  return function(value_of, c)
    local fits
    if whole and math.type(value_of) == "integer" then fits = value_of % of == 0
    else fits = value_of - value_of == 0 and exact.multiple(value_of, of) end
    if fits then return true end
    return c.all and context.problem(c, "range", at,
      ("is wrong, expected a multiple of %s, got %s"):format(of, shown(value_of)))
  end
end

local AT_LEAST, MORE = { "at least", at_least }, { "more than", more }
local AT_MOST, LESS = { "at most", at_most }, { "less than", less }

return {
  inclusive("minimum", "exclusiveMinimum", AT_LEAST, MORE),
  inclusive("maximum", "exclusiveMaximum", AT_MOST, LESS),
  exclusive("exclusiveMinimum", MORE),
  exclusive("exclusiveMaximum", LESS),
  { word = "multipleOf", group = "number", make = multiple_of },
}
