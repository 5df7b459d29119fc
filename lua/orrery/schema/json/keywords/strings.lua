--- Words that speak of strings. Lengths count characters.
local context = require "orrery.schema.json.context"
local errors = require "orrery.errors"

local function length(value) return utf8.len(value) or #value end

local function bound(word, text, fits)
  return { word = word, group = "string", make = function(site)
    local count, at = site:count(word), site:place(word)
    if not count then return nil end
    local expected = text:format(count, count == 1 and "" or "s")
    return function(value, c)
      if fits(value, count) then return true end
      return c.all and context.problem(c, "range", at, ("is out of range, expected %s, got %d")
        :format(expected, length(value)))
    end
  end }
end

-- The number of bytes says enough in most cases.
local function at_most(value, count) return #value <= count or length(value) <= count end
local function at_least(value, count) return #value >= count and length(value) >= count end

--- Compiles the expression of a word; nil after a mistake.
local function expression(site, word, text)
  if type(text) ~= "string" then
    site:mistake(word, "expected a regular expression, got %s", errors.show(text))
    return nil
  end
  local match, mistake = require "orrery.schema.regex".compile(text)
  if match then return match end
  site:mistake(word, "%s is no expression that is known here: %s", errors.show(text), mistake.message)
end

local function check_pattern(site, text)
  local match, at = expression(site, "pattern", text), site:place "pattern"
  if not match then return nil end
  local shown = #text <= 60 and text or text:sub(1, 57) .. "..."
  return function(value, c)
    if match(value) then return true end
    return c.all and context.problem(c, "pattern", at, ("is wrong, expected a text that matches %s, got %s")
      :format(shown, errors.show(value)))
  end
end

local function check_format(site, name)
  local asserted = site.dialect.formats
  if asserted == nil then asserted = site.world.formats end
  local fits = asserted and require "orrery.schema.json.formats"[name]
  if not fits then return nil end
  local at = site:place "format"
  return function(value, c)
    if fits(value) then return true end
    return c.all and context.problem(c, "pattern", at, ("is wrong, expected a text of the format %s, got %s")
      :format(name, errors.show(value)))
  end
end

return {
  bound("maxLength", "at most %d character%s", at_most),
  bound("minLength", "at least %d character%s", at_least),
  { word = "pattern", group = "string", make = check_pattern },
  { word = "format", group = "string", make = check_format },
  expression = expression,
}
