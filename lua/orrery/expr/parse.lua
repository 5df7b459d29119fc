--- The grammar of the expression language: words in, a tree out.
---
--- Operators bind as in Lua, by precedence climbing. Operators of one level make one flat node
--- however many operands they have, so that a long sum is as shallow as a short one; what does nest
--- is counted, and refused beyond DEPTH.
local lex = require "orrery.expr.lex"
local nearest = require "orrery.nearest"

local DEPTH = 200
local LONGEST_NAME = 256 -- bytes that are looked back over for a name with a dash

---@class orrery.expr.Node
---@field kind "constant"|"path"|"index"|"call"|"unary"|"arithmetic"|"power"|"concat"|"compare"|"and"|"or"
---@field from integer the first byte in the source
---@field to integer the last byte

-- Levels of binary operators and the kind of node they make. `^` alone binds to the right, and
-- stronger than unary operators on its left.
local BINARY = {}
for level, group in ipairs {
  { "or", "or" }, { "and", "and" }, { "compare", "<", ">", "<=", ">=", "~=", "==" }, { "concat", ".." },
  { "arithmetic", "+", "-" }, { "arithmetic", "*", "/", "//", "%" }, {}, { "power", "^" },
} do
  for i = 2, #group do BINARY[group[i]] = { level = level, kind = group[1] } end
end
local UNARY_LEVEL = 7
local UNARY = { ["not"] = true, ["-"] = true, ["#"] = true }

local CONSTANTS = { ["nil"] = { nil }, ["true"] = { true }, ["false"] = { false } }
local WORD_OPERATORS = { ["and"] = true, ["or"] = true, ["not"] = true }

-- Names whose fields are known only when they are written out: dependencies and permissions are
-- read from them.
local FIXED = {
  nodes = "nodes.fetch", states = "states.fetch", errors = "errors.fetch", env = "env.HOME",
}

-- What other languages write, and what is written here.
local FOREIGN = {
  ["!="] = 'write "~=" for "not equal"', ["&&"] = 'write "and"', ["||"] = 'write "or"', ["!"] = 'write "not"',
  ["="] = 'write "==" to compare', ["=>"] = 'write ">=" to compare',
  ["?"] = 'write "a and b or c" for a choice',
  ["??"] = "write default(a, b)", ["?."] = 'write "."; a field of nothing is nil', ["->"] = 'write "."',
  [":"] = "there are no methods; call a function, such as upper(input.city)",
  ["{"] = "there are no tables here; give lists and tables as config instead",
  ["["] = "a list cannot be written here; give it as config instead",
  ["&"] = 'there are no operators on bits', ["|"] = 'there are no operators on bits',
  ["~"] = 'write "not" or "~="',
  ["<<"] = 'there are no operators on bits', [">>"] = 'there are no operators on bits',
  ["..."] = 'write ".." to join texts',
}

local Parser = {}
Parser.__index = Parser

-- Raises a mistake; `compile` catches it.
function Parser.fail(_, at, message, ...)
  error({ column = at, message = message:format(...) }, 0)
end

function Parser:shown(i)
  if self.kinds[i] == "end" then return "the end" end
  local value = self.values[i]
  if #value > 30 then value = value:sub(1, 27) .. "..." end
  return ("'%s'"):format(value)
end

function Parser:is(value)
  return self.values[self.i] == value and (self.kinds[self.i] == "operator" or WORD_OPERATORS[value])
end

function Parser:take(value)
  if not self:is(value) then return false end
  self.i = self.i + 1
  return true
end

-- The word at hand cannot stand here.
function Parser:unexpected(expected)
  local i = self.i
  local kind, at = self.kinds[i], self.starts[i]
  if kind == "unclosed" then
    self:fail(at, "this string is not closed; end it with the quote that it begins with")
  end
  if kind == "malformed" then
    self:fail(at, "%s is no number; put a space before an operator that follows a number", self:shown(i))
  end
  local advice = kind == "operator" and FOREIGN[self.values[i]]
  if advice then self:fail(at, "%s cannot stand here; %s", self:shown(i), advice) end
  self:fail(at, "expected %s, got %s", expected, self:shown(i))
end

function Parser:close(value, opened)
  if not self:take(value) then
    self:unexpected(("'%s' to close the '%s' at column %d")
      :format(value, self.values[opened], self.starts[opened]))
  end
end

function Parser:deeper()
  self.depth = self.depth + 1
  if self.depth > DEPTH then
    self:fail(self.starts[self.i], "nested deeper than %d levels; compute a part of it in a node of its own",
      DEPTH)
  end
end

-- ---- operands -----------------------------------------------------------------------------------

local function string_value(self)
  local text, bad = lex.unescape(self.values[self.i])
  if not text then
    self:fail(self.starts[self.i] + bad - 1,
      "a backslash begins no escape that there is here; a backslash itself is '\\\\'")
  end
  return text
end

-- The fields after a path or a value: `.name`, `[expression]`. Constant ones are plain values,
-- others are nodes.
function Parser:fields(keys)
  local n = 0
  while true do
    local opened = self.i
    if self:take "." then
      if self.kinds[self.i] ~= "name" then self:unexpected "a field's name after '.'" end
      n = n + 1
      keys[n] = self.values[self.i]
      self.i = self.i + 1
    elseif self:take "[" then
      local key = self:expression(0)
      self:close("]", opened)
      n = n + 1
      if key.kind == "constant" and key.value ~= nil then key = key.value end
      keys[n] = key
    else
      return keys
    end
  end
end

function Parser:arguments(opened)
  local list = {}
  if self:take ")" then return list end
  repeat list[#list + 1] = self:expression(0) until not self:take ","
  self:close(")", opened)
  return list
end

function Parser:call(name, at)
  local signature = self.functions[name]
  local opened = self.i
  if not signature then
    local near = nearest(name, self.function_names())
    self:fail(at, 'there is no function "%s"%s', name, near and ('; did you mean "%s"?'):format(near) or
      "; there are " .. table.concat(self.function_names(), ", "))
  end
  self.i = self.i + 1
  self:deeper()
  local arguments = self:arguments(opened)
  self.depth = self.depth - 1
  local n = #arguments
  if n < signature.least or n > signature.most then
    self:fail(at, "%s(%s) takes %s, got %d", name, signature.takes, signature.least == signature.most
      and ("%d argument%s"):format(signature.least, signature.least == 1 and "" or "s")
      or signature.most == math.huge and ("at least %d"):format(signature.least)
      or ("%d to %d arguments"):format(signature.least, signature.most), n)
  end
  return { kind = "call", name = name, arguments = arguments, from = at }
end

-- "a-b" is a difference, also where it was meant as the name of a node.
local function dashed_name(self, at)
  local before = self.source:sub(math.max(1, at - LONGEST_NAME), at - 1)
  return before:match "([%a_]+)%.([%a_][%w_%-]*%-)$"
end

function Parser:unknown_root(name, at)
  local root, head = dashed_name(self, at)
  if FIXED[root] then
    self:fail(at, 'there is no name "%s"; a name with a dash is written %s["%s"]', name, root,
      head .. self.source:match("^[%w_%-]*[%w_]", at))
  end
  if name == "secret" then
    self:fail(at, 'a secret stands in the config of a node type, alone between its braces: '
      .. '"Bearer ${secret.TOKEN}"')
  end
  local near = nearest(name, self.root_names)
  if near then self:fail(at, 'there is no name "%s"; did you mean "%s"?', name, near) end
  local called = self.functions[name] and ("; %s is a function: %s(...)"):format(name, name)
  self:fail(at, 'there is no name "%s"%s', name,
    called or ('; a text is written "%s", and names are %s'):format(name,
    table.concat(self.root_names, ", ")))
end

function Parser:note(root, keys, at)
  self.used[root] = true
  if #keys > (root == "nodes" and 1 or 0) and (root == "nodes" or root == "input" or root == "run") then
    self.paths[#self.paths + 1] = { root = root, keys = keys }
  end
  local example = FIXED[root]
  if not example then return end
  local name = keys[1]
  if type(name) ~= "string" then
    self:fail(at, '"%s" takes a name that is written out, such as %s, because %s', root, example,
      root == "env" and "what may be read is checked before the run" or "dependencies are read from it")
  end
  local mentions = self.mentions
  if not mentions[root][name] then
    mentions[root][name] = true
    local list = root == "env" and mentions.env_list or mentions.list
    if root == "env" or not mentions.known[name] then
      list[#list + 1] = name
      if root ~= "env" then mentions.known[name] = true end
    end
  end
end

function Parser:name()
  local name, at = self.values[self.i], self.starts[self.i]
  local constant = CONSTANTS[name]
  self.i = self.i + 1
  if constant then
    return { kind = "constant", value = constant[1], from = at, to = self.stops[self.i - 1] }
  end
  if self:is "(" then return self:call(name, at) end
  if not self.roots[name] then self:unknown_root(name, at) end
  local keys = self:fields {}
  self:note(name, keys, at)
  return { kind = "path", root = name, keys = keys, from = at, to = self.stops[self.i - 1] }
end

function Parser:operand()
  local i = self.i
  local kind, at = self.kinds[i], self.starts[i]
  local node
  if kind == "name" and not WORD_OPERATORS[self.values[i]] then
    node = self:name()
  elseif kind == "number" then
    self.i = i + 1
    return { kind = "constant", value = tonumber(self.values[i]), from = at, to = self.stops[i] }
  elseif kind == "string" then
    local value = string_value(self)
    self.i = i + 1
    return { kind = "constant", value = value, from = at, to = self.stops[i] }
  elseif self:take "(" then
    node = self:expression(0)
    self:close(")", i)
    node.grouped = true -- (a < b) == c compares on purpose, and a flat chain ends at a parenthesis
  else
    self:unexpected "a value"
  end
  if node.kind ~= "path" or node.grouped then
    local keys = self:fields {}
    if #keys > 0 then node = { kind = "index", base = node, keys = keys, from = at } end
  end
  node.from, node.to = at, self.stops[self.i - 1]
  return node
end

-- ---- operators ----------------------------------------------------------------------------------

-- `nodes.a-b`, written without spaces, may mean a node called "a-b": the builder, which knows the
-- names, decides.
function Parser:note_dash(left, dash)
  while (left.operators or left.operator) and not left.grouped do left = left[#left] end
  if left.kind ~= "path" or not FIXED[left.root] or left.root == "env" or #left.keys ~= 1 then return end
  if self.starts[dash] ~= left.to + 1 or self.kinds[dash + 1] ~= "name"
      or self.starts[dash + 1] ~= left.to + 2 then
    return
  end
  local name = left.keys[1] .. self.source:match("^[%w_%-]*[%w_]", left.to + 1)
  self.dashed[#self.dashed + 1] = { root = left.root, name = name, column = left.from }
end

local function joined(self, left, found, operator, right)
  if left.kind == found.kind and left.level == found.level and not left.grouped and found.kind ~= "power" then
    if found.kind == "compare" then
      self:fail(right.from, 'comparisons do not chain; join them with "and", or use parentheses')
    end
    left.operators[#left.operators + 1] = operator
    left[#left + 1] = right
    left.to = right.to
    return left
  end
  return { kind = found.kind, level = found.level, operators = { operator }, left, right, from = left.from,
    to = right.to }
end

-- An operand with the unary operators before it. They are collected in a loop; each makes the tree
-- one level deeper.
function Parser:unary()
  local first = self.i
  while (self.kinds[self.i] == "operator" or WORD_OPERATORS[self.values[self.i]])
      and UNARY[self.values[self.i]] do
    self:deeper()
    self.i = self.i + 1
  end
  local last = self.i - 1
  local node
  if last < first then return self:operand() end
  node = self:expression(UNARY_LEVEL)
  for i = last, first, -1 do
    node = { kind = "unary", operator = self.values[i], node, from = self.starts[i], to = node.to }
  end
  self.depth = self.depth - (last - first + 1)
  return node
end

--- Reads operands joined by operators that bind stronger than `level`.
---@param level integer
---@return orrery.expr.Node
function Parser:expression(level)
  self:deeper()
  local left = self:unary()
  while true do
    local operator = self.values[self.i]
    local found = (self.kinds[self.i] == "operator" or WORD_OPERATORS[operator]) and BINARY[operator]
    if not found or found.level <= level then break end
    if operator == "-" then self:note_dash(left, self.i) end
    self.i = self.i + 1
    local right = self:expression(found.kind == "power" and UNARY_LEVEL or found.level)
    left = joined(self, left, found, operator, right)
  end
  self.depth = self.depth - 1
  return left
end

--- Parses an expression. Raises {column, message} on a mistake; columns count bytes from 1.
---@param source string
---@param language {roots: table<string, boolean>, root_names: string[], functions: table, function_names: fun(): string[]}
---@return orrery.expr.Node
---@return table parser with `used` (roots), `mentions`, `dashed`, `paths`
return function(source, language)
  local words = lex.words(source)
  local self = setmetatable({
    source = source, kinds = words.kinds, values = words.values, starts = words.starts, stops = words.stops,
    i = 1, depth = 0,
    roots = language.roots, root_names = language.root_names, functions = language.functions,
    function_names = language.function_names, used = {}, dashed = {}, paths = {},
    mentions = { nodes = {}, states = {}, errors = {}, env = {}, list = {}, env_list = {}, known = {} },
  }, Parser)
  if self.kinds[1] == "end" then self:fail(1, "the expression is empty") end
  local node = self:expression(0)
  if self.kinds[self.i] ~= "end" then self:unexpected "an operator or the end" end
  self.mentions.known = nil
  return node, self
end
