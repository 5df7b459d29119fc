--- Templates: strings with `${expression}`, alone or anywhere in a tree of tables.
---
--- A string that is one `${…}` and nothing else becomes the expression's value, of whatever type. In a longer string values
--- are joined as text; nothing (nil, null) has no text, so it is a `config_error` there. `$${` stands for a literal `${`.
local expr = require "orrery.expr"
local json = require "orrery.core".json
local lpeg = require "lpeg"
local site = require "orrery.expr_site"

local template = {}

local DEPTH = 200
local MOST_TABLES = 1000000
local LONGEST = 64 * 1024 * 1024 -- bytes of a text made of pieces

-- An expression up to the brace that ends it; braces inside its strings do not.
local function quoted(quote)
  return quote * (lpeg.P "\\" * 1 + (1 - lpeg.S("\\\n" .. quote))) ^ 0 * quote
end
local inside = (quoted '"' + quoted "'" + (1 - lpeg.S "}\"'")) ^ 0 * lpeg.Cp()

---@class orrery.template.Compiled
---@field fn fun(ctx: table, extra: any): any the resolved value. Without templates it is the very value that was given, so
--- what comes from here is never to be changed in place
---@field static boolean whether there is nothing to evaluate
---@field mentions orrery.expr.Mentions
---@field roots table<string, boolean>
---@field dashed table[] as of orrery.expr.Compiled

---@class orrery.template.Mistake
---@field message string the column and one sentence, and the source with a caret below
---@field reason string the sentence alone
---@field path string where in the tree: "", ".headers[1]"
---@field column? integer
---@field where? string
---@field field? string with the path

-- ---- one string -----------------------------------------------------------------------------------------

local function mistake(b, path, source, column, reason)
  b.problems[#b.problems + 1] = {
    message = ("column %d: %s\n%s"):format(column, reason, expr.caret(source, column)),
    reason = reason, column = column, path = path, where = b.where, field = b.field and b.field .. path,
  }
end

local function merge(b, compiled)
  local mentions, found = b.mentions, compiled.mentions
  for _, root in ipairs { "nodes", "states", "errors", "env" } do
    for name in pairs(found[root]) do mentions[root][name] = true end
  end
  for _, list in ipairs { "list", "env_list" } do
    for _, name in ipairs(found[list]) do
      if not b.known[list][name] then
        b.known[list][name] = true
        table.insert(mentions[list], name)
      end
    end
  end
  for root in pairs(compiled.roots) do b.roots[root] = true end
  for _, dashed in ipairs(compiled.dashed) do table.insert(b.dashed, dashed) end
end

-- The expression whose "${" stands at `at`, and the place after its brace; nil after a mistake.
local function read_expression(b, path, source, at)
  local stop = inside:match(source, at + 2)
  local char = source:sub(stop, stop)
  if char == "" then
    return mistake(b, path, source, at, 'this "${" is not closed; end it with "}", or write "$${" for a literal "${"')
  elseif char ~= "}" then
    return mistake(b, path, source, stop, "this string is not closed")
  end
  local text = source:sub(at + 2, stop - 1)
  local compiled, wrong = expr.compile(text, { where = b.where, field = b.field and b.field .. path, extra = b.extra })
  if not compiled then return mistake(b, path, source, at + 1 + wrong.column, wrong.reason) end
  merge(b, compiled)
  return compiled, stop + 1
end

-- The pieces of a string: texts and compiled expressions; nil after a mistake.
local function read_pieces(b, path, source)
  local pieces, at, text = {}, 1, {}
  while true do
    local found = source:find("${", at, true)
    if not found then break end
    if source:sub(found - 1, found - 1) == "$" and found > at then
      text[#text + 1] = source:sub(at, found - 2) .. "${"
      at = found + 2
    else
      local compiled, next_at = read_expression(b, path, source, found)
      if not compiled then return nil end
      text[#text + 1] = source:sub(at, found - 1)
      pieces[#pieces + 1] = table.concat(text)
      pieces[#pieces + 1] = compiled
      text, at = {}, next_at
    end
  end
  text[#text + 1] = source:sub(at)
  pieces[#pieces + 1] = table.concat(text)
  return pieces
end

local function trimmed(text) return text:match "^%s*(.-)%s*$" end

local function as_text(here, compiled, value)
  local kind = type(value)
  if kind == "string" then return value end
  if kind == "number" or kind == "boolean" then return tostring(value) end
  local source = trimmed(compiled.source)
  if value == nil or value == json.null then
    return site.fail(here, ('%s, which has no text; write ${default(%s, "")} where it may be missing'):format(
      site.operand(source, value), site.short(source, 60)))
  end
  return site.fail(here, ("%s; write ${json(%s)} to put it into a text"):format(site.operand(source, value),
    site.short(source, 60)))
end

-- A string with more in it than one expression.
local function join(b, path, source, pieces)
  local here = { source = source, where = b.where, field = b.field and b.field .. path }
  local n = #pieces
  return function(ctx, extra)
    local parts, length = {}, 0
    for i = 1, n do
      local piece = pieces[i]
      if i % 2 == 0 then piece = as_text(here, piece, piece.fn(ctx, extra)) end
      parts[i] = piece
      length = length + #piece
      if length > LONGEST then
        site.fail(here, "the text would be longer than 64 MiB; hand the parts on, or write a file")
      end
    end
    return table.concat(parts)
  end
end

-- A function, or nil where the string is static or wrong.
local function compile_string(b, source, path)
  if not source:find("${", 1, true) then return nil end
  local pieces = read_pieces(b, path, source)
  if not pieces then return nil end
  if #pieces == 3 and pieces[1] == "" and pieces[3] == "" then return pieces[2].fn end
  if #pieces == 1 then -- escapes only
    local text = pieces[1]
    return function() return text end
  end
  return join(b, path, source, pieces)
end

-- ---- trees ----------------------------------------------------------------------------------------------

local compile_value

-- All keys in an order that does not change from run to run, as the order of mentions must not.
local function ordered_keys(t)
  local n, keys, others = #t, {}, {}
  for i = 1, n do keys[i] = i end
  for key in next, t do
    if not (math.type(key) == "integer" and key >= 1 and key <= n) then others[#others + 1] = key end
  end
  table.sort(others, function(a, b)
    if type(a) == type(b) and (type(a) == "string" or type(a) == "number") then return a < b end
    return tostring(a) < tostring(b)
  end)
  return table.move(others, 1, #others, n + 1, keys), n
end

local function segment(key)
  if math.type(key) == "integer" then return ("[%d]"):format(key) end
  key = tostring(key)
  return key:find "^[%a_][%w_]*$" and "." .. key or ('["%s"]'):format(site.short(key, 40))
end

-- A path that is far too long to be read, without its middle.
local function readable(path)
  return #path > 80 and path:sub(1, 40) .. "..." .. path:sub(-20) or path
end

local function refuse_tree(b, path, reason)
  path = readable(path)
  b.problems[#b.problems + 1] = { message = reason, reason = reason, path = path, where = b.where,
    field = b.field and b.field .. path }
end

local function rebuild(b, t, fns, dynamic, items, path)
  local mark = getmetatable(t)
  return function(ctx, extra)
    local made = {}
    for key, value in next, t do
      if not fns[key] then made[key] = value end
    end
    for i = 1, #dynamic do
      local key = dynamic[i]
      local value = fns[key](ctx, extra)
      if value == nil and math.type(key) == "integer" and key <= items then
        local at = path .. segment(key)
        site.fail({ source = tostring(t[key]), where = b.where, field = b.field and b.field .. at },
          ("item %d is nil, and a list has no holes; give it a value with default(…)"):format(key))
      end
      made[key] = value
    end
    return mark and setmetatable(made, mark) or made
  end
end

-- A table with a metatable of its own is not a tree of config but a thing (a node, a schema): it is handed on as it is.
local function is_opaque(t)
  local mark = getmetatable(t)
  return mark ~= nil and mark ~= json.array_mt and mark ~= json.object_mt
end

local function compile_table(b, t, path, depth)
  if b.static[t] or is_opaque(t) then return nil end
  if b.open[t] then return refuse_tree(b, path, "a table contains itself; config is a tree") end
  b.tables = b.tables + 1
  if depth > DEPTH then return refuse_tree(b, path, ("nested deeper than %d levels"):format(DEPTH)) end
  if b.tables > MOST_TABLES then
    if b.tables == MOST_TABLES + 1 then refuse_tree(b, path, "more than a million tables with templates") end
    return nil
  end
  b.open[t] = true
  local fns, dynamic = {}, {}
  local keys, items = ordered_keys(t)
  for _, key in ipairs(keys) do
    local value = t[key]
    if type(value) == "string" or type(value) == "table" then
      local fn = compile_value(b, value, path .. segment(key), depth + 1)
      if fn then
        fns[key] = fn
        dynamic[#dynamic + 1] = key
      end
    end
  end
  b.open[t] = nil
  if #dynamic == 0 then
    b.static[t] = true
    return nil
  end
  return rebuild(b, t, fns, dynamic, items, path)
end

function compile_value(b, value, path, depth)
  if type(value) == "string" then return compile_string(b, value, path) end
  if type(value) == "table" then return compile_table(b, value, path, depth) end
  return nil
end

local function builder(options)
  options = options or {}
  return {
    where = options.where, field = options.field, extra = options.extra, problems = {}, static = {}, open = {}, tables = 0,
    mentions = { nodes = {}, states = {}, errors = {}, env = {}, list = {}, env_list = {} },
    known = { list = {}, env_list = {} }, roots = {}, dashed = {},
  }
end

--- Compiles a value: a string, or a tree of tables with strings in it. Keys are never templates; functions and tables with
--- metatables are handed on as they are.
---@param value any
---@param options? {where?: string, field?: string, extra?: string} as for orrery.expr
---@return orrery.template.Compiled|nil
---@return orrery.template.Mistake[]|nil problems all of them
function template.compile(value, options)
  local b = builder(options)
  local fn = compile_value(b, value, "", 1)
  if #b.problems > 0 then return nil, b.problems end
  return {
    fn = fn or function() return value end, static = fn == nil, mentions = b.mentions, roots = b.roots, dashed = b.dashed,
  }
end

--- Compiles what is to be one expression, bare or as one `${…}`, such as a condition.
---@param text string
---@param options? {where?: string, field?: string, extra?: string}
---@return orrery.expr.Compiled|nil
---@return orrery.expr.Mistake|nil
function template.expression(text, options)
  local at = type(text) == "string" and text:match "^%s*()%${"
  if not at then return expr.compile(text, options) end
  local b = builder(options)
  local compiled, stop = read_expression(b, "", text, at)
  if compiled and text:find("%S", stop) then
    mistake(b, "", text, text:find("%S", stop),
      'this is more than one "${…}"; write the whole as one expression, without "${" and "}"')
  end
  if #b.problems > 0 then return nil, b.problems[1] end
  return compiled
end

return template
