--- What goes through a validation: whether all problems are collected or only the first is looked
--- for, where in the value it is, and what was looked at, for `unevaluatedProperties`.
---
--- A check is a function of a value and this, and returns whether the value fits. A value is first
--- asked without collecting, which costs no text; only one that does not fit is asked again.
local site = require "orrery.expr.site"

local context = {}

local MOST_PROBLEMS = 100

---@class orrery.json_schema.Context
---@field all boolean whether problems are collected
---@field path string where it is in the value
---@field problems orrery.schema.Problem[]
---@field count integer
---@field seen? orrery.json_schema.Seen what was looked at of this value; nil where nobody asks
---@field scope table[] the resources with dynamic anchors that were entered, the outermost first
---@field refs integer references that were followed
---@field depth integer of them, those that are under way
---@field deep? boolean too many were under way at a time: the answer is void
---@field memo? table target of a reference -> value -> whether it fits; after many references

---@class orrery.json_schema.Seen
---@field names table<string, boolean>|true true: all of them
---@field items table<integer, boolean>
---@field upto integer all items up to here

--- A new one.
---@param path string what the path begins with
---@param all boolean
---@return orrery.json_schema.Context
function context.new(path, all)
  return { all = all, path = path, problems = {}, count = 0, scope = {}, refs = 0, depth = 0 }
end

--- The path of a field.
---@param path string
---@param name string|integer
---@return string
function context.field(path, name)
  if math.type(name) == "integer" then return ("%s[%d]"):format(path, name) end
  name = tostring(name)
  if path == "" then return name end
  return #name <= 40 and name:find "^[%a_][%w_]*$" and path .. "." .. name
    or ('%s["%s"]'):format(path, site.short(name, 40))
end

--- Notes a problem; what a check returns that found one while problems are collected.
---@param c orrery.json_schema.Context
---@param kind string
---@param at string the place in the schema
---@param message string the rest of a sentence that begins with the path
---@param expected? string of a type: what was expected, for alternatives
---@param more? string what comes behind the place
---@return false
function context.problem(c, kind, at, message, expected, more)
  c.count = c.count + 1
  if c.count > MOST_PROBLEMS then return false end
  c.problems[c.count] = { kind = kind, path = c.path, schema = at, expected = expected,
    message = ("%s %s (%s)%s"):format(c.path == "" and "the value" or c.path, message, at, more or "") }
  return false
end

--- Adds problems that were found apart.
function context.add(c, problems)
  for _, each in ipairs(problems) do
    c.count = c.count + 1
    if c.count <= MOST_PROBLEMS then c.problems[c.count] = each end
  end
  return false
end

--- Asks what stands within the value.
---@param c orrery.json_schema.Context
---@param check fun(value: any, c: orrery.json_schema.Context): boolean
---@param value any
---@param name string|integer
---@return boolean
function context.child(c, check, value, name)
  local all, seen = c.all, c.seen
  if not all and not seen then return check(value, c) end
  local path = c.path
  c.seen = nil
  if all then c.path = context.field(path, name) end
  local fits = check(value, c)
  c.path, c.seen = path, seen
  return fits
end

--- Asks without collecting problems, of another value or where nothing counts as looked at.
function context.quietly(c, check, value)
  local all, seen = c.all, c.seen
  c.all, c.seen = false, nil
  local fits = check(value, c)
  c.all, c.seen = all, seen
  return fits
end

--- Nothing looked at.
---@return orrery.json_schema.Seen
function context.nothing() return { names = {}, items = {}, upto = 0 } end

--- Adds what was looked at.
---@param to orrery.json_schema.Seen
---@param from orrery.json_schema.Seen
function context.merge(to, from)
  if from.names == true then
    to.names = true
  elseif to.names ~= true then
    for name in next, from.names do to.names[name] = true end
  end
  for i in next, from.items do to.items[i] = true end
  if from.upto > to.upto then to.upto = from.upto end
end

--- Asks one way that may fail: without problems, and what it looked at counts only where it fits.
function context.way(c, check, value)
  local all, seen = c.all, c.seen
  c.all, c.seen = false, seen and context.nothing()
  local fits = check(value, c)
  if seen and fits then context.merge(seen, c.seen) end
  c.all, c.seen = all, seen
  return fits
end

--- The problems of one way, apart from all others.
---@return orrery.schema.Problem[]
function context.problems_of(c, check, value)
  local problems, count, seen = c.problems, c.count, c.seen
  c.problems, c.count, c.seen = {}, 0, seen and context.nothing()
  check(value, c)
  local found = c.problems
  c.problems, c.count, c.seen = problems, count, seen
  return found
end

return context
