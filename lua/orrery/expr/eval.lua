--- From the tree of an expression to closures `function(ctx, extra) -> value`. Nothing is ever
--- given to `load`.
---
--- A missing field is nil all the way down, and null counts as nil wherever a value is used; only a
--- value that is passed on whole keeps it. What is wrong with an operand is looked for only after
--- the operation has failed.
local null = require "orrery.core".json.null
local site = require "orrery.expr.site"

local compile -- by kind of node

local function text_of(unit, node) return unit.site.source:sub(node.from, node.to) end

-- ---- paths --------------------------------------------------------------------------------------

local function field(value, key)
  if type(value) == "table" and key ~= nil then return value[key] end
  return nil
end

-- Walks the fields of a value. The first step may call metamethods: what a context keeps under a
-- root may be a proxy.
local function walk(base, keys)
  local n, constant = #keys, true
  for i = 1, n do
    if type(keys[i]) == "function" then constant = false end
  end
  if n == 0 then return base end
  if n == 1 and constant then
    local key = keys[1]
    return function(ctx, extra) return field(base(ctx, extra), key) end
  end
  if constant then
    return function(ctx, extra)
      local value = base(ctx, extra)
      for i = 1, n do
        if type(value) ~= "table" then return nil end
        value = value[keys[i]]
      end
      return value
    end
  end
  return function(ctx, extra)
    local value = base(ctx, extra)
    for i = 1, n do
      local key = keys[i]
      if type(key) == "function" then key = key(ctx, extra) end
      value = field(value, key)
    end
    return value
  end
end

local function compile_keys(unit, node)
  local keys = {}
  for i, key in ipairs(node.keys) do keys[i] = type(key) == "table" and compile(unit, key) or key end
  return keys
end

local function compile_path(unit, node)
  local root = node.root
  local keys = compile_keys(unit, node)
  local box = unit.boxes and unit.boxes[root]
  if box then return walk(function() return box[1] end, keys) end
  if root == unit.extra and #keys == 1 and type(keys[1]) ~= "function" then
    local key = keys[1]
    return function(_, extra)
      if type(extra) == "table" then return extra[key] end
      return nil
    end
  end
  if root == unit.extra then return walk(function(_, extra) return extra end, keys) end
  local first = keys[1]
  if first == nil then return function(ctx) return ctx[root] end end
  local function base(ctx, extra)
    local value = ctx[root]
    local key = first
    if type(key) == "function" then key = key(ctx, extra) end
    local kind = type(value)
    if key ~= nil and (kind == "table" or kind == "userdata" and value ~= null) then return value[key] end
    return nil
  end
  if #keys == 1 then return base end
  return walk(base, table.move(keys, 2, #keys, 1, {}))
end

-- ---- operators ----------------------------------------------------------------------------------

local function truthy(value) return value and value ~= null end

-- The sentence about a pair of operands; a missing one is named first.
local function mismatch(unit, node, i, a, b, rule)
  local left = i == 1 and text_of(unit, node[1]) or unit.site.source:sub(node.from, node[i].to)
  local what
  if a == nil or a == null then
    what = site.operand(left, a)
  elseif b == nil or b == null then
    what = site.operand(text_of(unit, node[i + 1]), b)
  else
    what = ("%s, %s"):format(site.operand(left, a), site.operand(text_of(unit, node[i + 1]), b))
  end
  return site.fail(unit.site, ("%s; %s"):format(what, rule:format(node.operators[i])))
end

local ARITHMETIC = {
  ["+"] = function(a, b) return a + b end,
  ["-"] = function(a, b) return a - b end,
  ["*"] = function(a, b) return a * b end,
  ["/"] = function(a, b) return a / b end,
  ["//"] = function(a, b) return a // b end,
  ["%"] = function(a, b) return a % b end,
  ["^"] = function(a, b) return a ^ b end,
}

-- A text that reads as a number is one, as in Lua.
local function number_of(value)
  if type(value) == "string" then return tonumber(value) end
  return nil
end

local function careful(unit, node, i, operator, a, b)
  local x = type(a) == "number" and a or number_of(a)
  local y = type(b) == "number" and b or number_of(b)
  if not x or not y then return mismatch(unit, node, i, a, b, "'%s' takes two numbers") end
  if y == 0 and (operator == "//" or operator == "%") and math.type(x) == "integer"
      and math.type(y) == "integer" then
    return site.fail(unit.site,
      ("%s is zero, and a whole number is not divided by it"):format(text_of(unit, node[i + 1])))
  end
  return ARITHMETIC[operator](x, y)
end

local DIVIDES = { ["//"] = true, ["%"] = true }

local function arithmetic(unit, node, i, operator)
  local fn, divides = ARITHMETIC[operator], DIVIDES[operator]
  return function(a, b)
    if type(a) == "number" and type(b) == "number" and not (divides and b == 0) then return fn(a, b) end
    return careful(unit, node, i, operator, a, b)
  end
end

local function compile_operands(unit, node)
  local list = {}
  for i = 1, #node do list[i] = compile(unit, node[i]) end
  return list
end

-- Of two operands, as most are: with one call less.
local function compile_two(unit, node, left, right)
  local operator = node.operators[1]
  local fn, divides = ARITHMETIC[operator], DIVIDES[operator]
  return function(ctx, extra)
    local a, b = left(ctx, extra), right(ctx, extra)
    if type(a) == "number" and type(b) == "number" and not (divides and b == 0) then return fn(a, b) end
    return careful(unit, node, 1, operator, a, b)
  end
end

local function compile_arithmetic(unit, node)
  local operands, steps, n = compile_operands(unit, node), {}, #node
  if n == 2 then return compile_two(unit, node, operands[1], operands[2]) end
  for i, operator in ipairs(node.operators) do steps[i] = arithmetic(unit, node, i, operator) end
  return function(ctx, extra)
    local value = operands[1](ctx, extra)
    for i = 2, n do value = steps[i - 1](value, operands[i](ctx, extra)) end
    return value
  end
end

local COMPARE = {
  ["<"] = function(a, b) return a < b end,
  [">"] = function(a, b) return a > b end,
  ["<="] = function(a, b) return a <= b end,
  [">="] = function(a, b) return a >= b end,
}

local function equal(a, b)
  if a == null then a = nil end
  if b == null then b = nil end
  return a == b
end

local function compile_compare(unit, node)
  local left, right, operator = compile(unit, node[1]), compile(unit, node[2]), node.operators[1]
  if operator == "==" then
    return function(ctx, extra) return equal(left(ctx, extra), right(ctx, extra)) end
  elseif operator == "~=" then
    return function(ctx, extra) return not equal(left(ctx, extra), right(ctx, extra)) end
  end
  local fn = COMPARE[operator]
  return function(ctx, extra)
    local a, b = left(ctx, extra), right(ctx, extra)
    local kind = type(a)
    if (kind == "number" or kind == "string") and type(b) == kind then return fn(a, b) end
    return mismatch(unit, node, 1, a, b, "'%s' compares two numbers or two strings")
  end
end

-- The text of an operand of '..'.
local function part_of(unit, node, value)
  if type(value) == "string" then return value end
  if type(value) == "number" then return tostring(value) end
  return site.fail(unit.site,
    ("%s; '..' joins strings and numbers"):format(site.operand(text_of(unit, node), value)))
end

-- Of two or three operands, as most are: without a list.
local function concat_few(unit, node, a, b, c)
  return function(ctx, extra)
    local x = part_of(unit, node[1], a(ctx, extra))
    local y = part_of(unit, node[2], b(ctx, extra))
    local z = c and part_of(unit, node[3], c(ctx, extra)) or ""
    site.fits(unit.site, #x + #y + #z)
    return x .. y .. z
  end
end

local function compile_concat(unit, node)
  local operands, n = compile_operands(unit, node), #node
  unit.costly = true
  if n <= 3 then return concat_few(unit, node, operands[1], operands[2], operands[3]) end
  return function(ctx, extra)
    local parts, length = {}, 0
    for i = 1, n do
      local value = part_of(unit, node[i], operands[i](ctx, extra))
      parts[i] = value
      length = length + #value
      if length > site.LONGEST then site.fits(unit.site, length) end
    end
    site.fits(unit.site, length)
    return table.concat(parts)
  end
end

local function compile_and(unit, node)
  local operands, n = compile_operands(unit, node), #node
  return function(ctx, extra)
    local value = operands[1](ctx, extra)
    for i = 2, n do
      if not truthy(value) then return value end
      value = operands[i](ctx, extra)
    end
    return value
  end
end

local function compile_or(unit, node)
  local operands, n = compile_operands(unit, node), #node
  return function(ctx, extra)
    local value = operands[1](ctx, extra)
    for i = 2, n do
      if truthy(value) then return value end
      value = operands[i](ctx, extra)
    end
    return value
  end
end

local UNARY = {
  ["not"] = function(value) return not truthy(value) end,
  ["-"] = function(value, unit, node)
    local number = type(value) == "number" and value or number_of(value)
    if number then return -number end
    return site.fail(unit.site,
      ("%s; '-' takes a number"):format(site.operand(text_of(unit, node[1]), value)))
  end,
  ["#"] = function(value, unit, node)
    if type(value) == "string" then return #value end
    if type(value) == "table" and (#value > 0 or next(value) == nil) then return #value end
    return site.fail(unit.site, ("%s; '#' takes a string or an array, and count() any table"):format(
      site.operand(text_of(unit, node[1]), value)))
  end,
}

local function compile_unary(unit, node)
  local operand, fn = compile(unit, node[1]), UNARY[node.operator]
  return function(ctx, extra) return fn(operand(ctx, extra), unit, node) end
end

-- ---- calls --------------------------------------------------------------------------------------

local function compile_call(unit, node)
  local fn, arguments, n = require "orrery.expr.functions"[node.name].fn, {}, #node.arguments
  local here = unit.site
  local call = { name = node.name, texts = {}, source = here.source, field = here.field, where = here.where }
  for i, argument in ipairs(node.arguments) do
    arguments[i], call.texts[i] = compile(unit, argument), text_of(unit, argument)
  end
  unit.costly = true
  local a, b = arguments[1], arguments[2]
  if n == 1 then return function(ctx, extra) return fn(call, a(ctx, extra)) end end
  if n == 2 then
    if node.name == "default" then -- the second argument is evaluated only where the first is missing
      return function(ctx, extra)
        local value = a(ctx, extra)
        if value == nil or value == null then return b(ctx, extra) end
        return value
      end
    end
    return function(ctx, extra) return fn(call, a(ctx, extra), (b(ctx, extra))) end
  end
  return function(ctx, extra)
    local values = {}
    for i = 1, n do values[i] = arguments[i](ctx, extra) end
    return fn(call, table.unpack(values, 1, n))
  end
end

-- Noted by its text, where who shows a value asks what it was made of.
local function compile_noted_path(unit, node)
  local fn, text = compile_path(unit, node), unit.named and text_of(unit, node)
  if text and not unit.named[text] then
    unit.named[text] = true
    unit.named[#unit.named + 1] = { text = text, fn = fn }
  end
  return fn
end

local COMPILE = {
  constant = function(_, node)
    local value = node.value
    return function() return value end
  end,
  path = compile_noted_path,
  index = function(unit, node) return walk(compile(unit, node.base), compile_keys(unit, node)) end,
  call = compile_call,
  unary = compile_unary,
  arithmetic = compile_arithmetic,
  power = compile_arithmetic,
  concat = compile_concat,
  compare = compile_compare,
  ["and"] = compile_and,
  ["or"] = compile_or,
}

function compile(unit, node) return COMPILE[node.kind](unit, node) end

--- Makes the closure of a tree.
---@param node orrery.expr.Node
---@param place orrery.expr.Site for messages
---@param extra? string the root whose value is the second argument
---@param named? table gets `{ text, fn }` of each path that it reads, in the order of the text
---@param boxes? table<string, {[1]: any}> further roots, with where their values stand
---@return fun(ctx: table, extra: any): any
---@return fun(ctx: table, extra: any): any bare the same, without a budget of its own: for many that have one together
return function(node, place, extra, named, boxes)
  local unit = { site = place, extra = extra, costly = false, named = named, boxes = boxes }
  local fn = compile(unit, node)
  if not unit.costly then return fn, fn end
  return function(ctx, value)
    site.begin()
    return fn(ctx, value)
  end, fn
end
