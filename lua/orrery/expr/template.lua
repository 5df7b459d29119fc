--- Templates: strings with `${expression}`, alone or anywhere in a tree of tables.
---
--- A string that is one `${…}` and nothing else becomes the expression's value, of whatever type.
--- In a longer string values are joined as text; nothing (nil, null) has no text, so it is a
--- `config_error` there. `$${` stands for a literal `${`. `${for …}` and `${if …}` are blocks: see
--- `orrery.expr.blocks`.
local expr = require "orrery.expr"
local json = require "orrery.core".json
local site = require "orrery.expr.site"
local trim = require "orrery.text".trim

local template = {}

local DEPTH = 200
local MOST_TABLES = 1000000
local LONGEST = 64 * 1024 * 1024 -- bytes of all texts that one evaluation makes of pieces
local MANY = 16 -- times the steps of one expression that those of a tree have together

local inside -- the pattern of an expression in which there are strings, once there is one

local function pattern_inside()
  local lpeg = require "lpeg"
  local function quoted(quote)
    return quote * (lpeg.P "\\" * 1 + (1 - lpeg.S("\\\n" .. quote))) ^ 0 * quote
  end
  return (quoted '"' + quoted "'" + (1 - lpeg.S "}\"'")) ^ 0 * lpeg.Cp()
end

-- Where the expression that begins at `at` ends: at its brace, at a string that is not closed, or
-- behind the source. Braces inside its strings do not end it.
local function end_of(source, at)
  local stop = source:find("[}\"']", at)
  if not stop or source:sub(stop, stop) == "}" then return stop or #source + 1 end
  inside = inside or pattern_inside()
  return inside:match(source, at)
end

---@class orrery.template.Compiled
---@field fn fun(ctx: table, extra: any): any the resolved value. Without templates it is the very value that was given, so
--- what comes from here is never to be changed in place
---@field static boolean whether there is nothing to evaluate
---@field mentions orrery.expr.Mentions
---@field roots table<string, boolean>
---@field dashed table[] as of orrery.expr.Compiled
---@field paths table[] likewise
---@field secrets boolean whether there are secrets in it; what it gives has values that stand for them

---@class orrery.template.Mistake
---@field message string the column and one sentence, and the source with a caret below
---@field reason string the sentence alone
---@field path string where in the tree: "", ".headers[1]"
---@field column? integer
---@field where? string
---@field field? string with the path

-- ---- one string ---------------------------------------------------------------------------------

local function mistake(b, path, source, column, reason)
  b.problems[#b.problems + 1] = {
    message = ("column %d: %s\n%s"):format(column, reason, expr.caret(source, column)),
    reason = reason, column = column, path = path, where = b.where, field = b.field and b.field .. path,
  }
end

local function merge(b, compiled, scope)
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
  for root in pairs(compiled.roots) do
    if not (scope and scope.boxes[root]) then b.roots[root] = true end
  end
  for _, dashed in ipairs(compiled.dashed) do table.insert(b.dashed, dashed) end
  for _, path in ipairs(compiled.paths) do table.insert(b.paths, path) end
end

-- A secret, which stands alone between its braces; nil where secrets may not stand or this is none,
-- false after a mistake.
local function read_secret(b, path, source, at, text)
  local name = b.secrets and text:match "^%s*secret%.([%a_][%w_]*)%s*$"
  if not name then return nil end
  local value, why = b.secrets(name)
  if not value then return mistake(b, path, source, at + 2, why) or false end
  b.has_secrets = true
  return { secret = value, bare = function() return value end }
end

-- What stands between the "${" at a place and its brace, and where that is; nil after a mistake.
local function inside_of(b, path, source, at)
  local stop = end_of(source, at + 2)
  local char = source:sub(stop, stop)
  if char == "" then
    return mistake(b, path, source, at,
      'this "${" is not closed; end it with "}", or write "$${" for a literal "${"')
  elseif char ~= "}" then
    return mistake(b, path, source, stop,
      "this string is not closed; end it with the quote that it begins with")
  end
  return source:sub(at + 2, stop - 1), stop
end

-- An expression of the source that stands behind a column; nil after a mistake.
local function compile_part(b, path, source, text, column, scope)
  local compiled, wrong = expr.compile(text,
    { where = b.where, field = b.field and b.field .. path, extra = b.extra, names = b.names, scope = scope })
  if not compiled then return mistake(b, path, source, column + wrong.column, wrong.reason) end
  merge(b, compiled, scope)
  return compiled
end

local BLOCK_WORDS = { ["for"] = "for", ["if"] = "if", ["elseif"] = "elseif", ["else"] = "else",
  ["end"] = "end" }

local function new_reader(b, path, source, pieces)
  local reader = { pieces = pieces, open = {}, extra = b.extra }
  function reader.say(at, reason) return mistake(b, path, source, at, reason) end
  function reader.compile(text, column) return compile_part(b, path, source, text, column, reader.scope) end
  return reader
end

local function is_blank(byte) return byte == 32 or byte == 9 end

-- Of a block's line in which nothing else stands: the text before it without the line's beginning,
-- and the place behind the line. What it was given elsewhere.
local function without_line(source, text, from, next_at)
  local before = from - 1
  while before > from - 1 - #text and is_blank(source:byte(before)) do before = before - 1 end
  local behind = source:match("^[ \t]*\r?\n()", next_at) or source:match("^[ \t]*()$", next_at)
  local begins = before == 0 or source:byte(before) == 10
  if not begins or not behind then return text, next_at end
  return text:sub(1, #text - (from - 1 - before)), behind
end

-- The pieces of a string, texts and compiled expressions, and whether there are blocks in it; nil
-- after a mistake.
local function read_pieces(b, path, source)
  local root, at, text = {}, 1, {}
  local pieces, blocks, reader = root, nil, nil
  while true do
    local found = source:find("${", at, true)
    if not found then break end
    if source:sub(found - 1, found - 1) == "$" and found > at then
      text[#text + 1] = source:sub(at, found - 2) .. "${"
      at = found + 2
    else
      local inner, stop = inside_of(b, path, source, found)
      if not inner then return nil end
      local word = BLOCK_WORDS[inner:match "^%s*([%a_][%w_]*)"]
      local before, next_at = source:sub(at, found - 1), stop + 1
      if word then before, next_at = without_line(source, before, found, next_at) end
      text[#text + 1] = before
      pieces[#pieces + 1] = table.concat(text)
      text, at = {}, next_at
      if word then
        blocks = blocks or require "orrery.expr.blocks"
        reader = reader or new_reader(b, path, source, pieces)
        if not blocks.take(reader, word, { text = inner, at = found }) then return nil end
        pieces = reader.pieces
      else
        local compiled = read_secret(b, path, source, found, inner)
        if compiled == nil then
          compiled = compile_part(b, path, source, inner, found + 1, reader and reader.scope)
        end
        if not compiled then return nil end
        pieces[#pieces + 1] = compiled
      end
    end
  end
  text[#text + 1] = source:sub(at)
  pieces[#pieces + 1] = table.concat(text)
  if reader and not blocks.all_closed(reader) then return nil end
  return root, blocks
end

local function as_text(here, compiled, value)
  local kind = type(value)
  if kind == "string" then return value end
  if kind == "number" or kind == "boolean" then return tostring(value) end
  local source = trim(compiled.source)
  if value == nil or value == json.null then
    return site.fail(here, ('%s, which has no text; write ${default(%s, "")} where it may be missing'):format(
      site.operand(source, value), site.short(source, 60)))
  end
  return site.fail(here, ("%s; write ${json(%s)} to put it into a text"):format(site.operand(source, value),
    site.short(source, 60)))
end

local left = LONGEST -- of the evaluation that is under way; none begins within another

local function too_long(here, alone)
  site.fail(here, alone and "the text would be longer than 64 MiB; hand the parts on, or write a file"
    or "the texts made here would be longer than 64 MiB together; hand the parts on, or write a file")
end

local function count(here, bytes)
  left = left - bytes
  if left < 0 then too_long(here, false) end
end

-- A string with more in it than one expression.
local function join(here, pieces)
  local n = #pieces
  local secret
  for i = 2, n, 2 do secret = secret or pieces[i].secret and require "orrery.secret" end
  return function(ctx, extra)
    local parts, length = {}, 0
    for i = 1, n do
      local piece = pieces[i]
      if i % 2 == 0 then piece = piece.secret or as_text(here, piece, piece.bare(ctx, extra)) end
      parts[i] = piece
      if type(piece) == "string" then length = length + #piece end
      if length > left then too_long(here, left == LONGEST) end
    end
    left = left - length
    return secret and secret.join(parts) or table.concat(parts)
  end
end

-- A function, or nil where the string is static or wrong.
local function compile_string(b, source, path)
  if not source:find("${", 1, true) then return nil end
  local pieces, blocks = read_pieces(b, path, source)
  if not pieces then return nil end
  local here = { source = source, where = b.where, field = b.field and b.field .. path }
  if blocks then return blocks.compile(here, pieces, as_text, count) end
  if #pieces == 3 and pieces[1] == "" and pieces[3] == "" and not b.text then return pieces[2].bare end
  if #pieces == 1 then -- escapes only
    local text = pieces[1]
    return function() return text end
  end
  return join(here, pieces)
end

-- ---- trees --------------------------------------------------------------------------------------

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
  return #key <= 40 and key:find "^[%a_][%w_]*$" and "." .. key or ('["%s"]'):format(site.short(key, 40))
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

-- A table with a metatable is no tree of config but an object (a node, a schema): it is passed on
-- as it is.
local function is_opaque(t)
  local mark = getmetatable(t)
  return mark ~= nil and mark ~= json.array_mt and mark ~= json.object_mt
end

local function compile_table(b, t, path, depth)
  if b.static[t] or is_opaque(t) then return nil end
  if b.open[t] then return refuse_tree(b, path, "a table contains itself; config is a tree") end
  b.tables = b.tables + 1
  if depth > DEPTH then
    return refuse_tree(b, path, ("nested deeper than %d levels; make it flatter"):format(DEPTH))
  end
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
    where = options.where, field = options.field, extra = options.extra, names = options.names,
    secrets = options.secrets, text = options.text,
    problems = {}, static = {},
    open = {}, tables = 0,
    mentions = { nodes = {}, states = {}, errors = {}, env = {}, list = {}, env_list = {} },
    known = { list = {}, env_list = {} }, roots = {}, dashed = {}, paths = {},
  }
end

--- Compiles a value: a string, or a tree of tables with strings in it. Keys are never templates;
--- functions and tables with metatables are passed on as they are.
---@param value any
---@param options? {where?: string, field?: string, extra?: string, secrets: (fun(name: string): any, string?)?, text?: boolean}
--- as for orrery.expr; `secrets` gives what stands for `${secret.NAME}`, or nil and why it may not
--- be used here; text: a string that is one expression becomes a text as well
---@return orrery.template.Compiled|nil
---@return orrery.template.Mistake[]|nil problems all of them
function template.compile(value, options)
  local b = builder(options)
  local fn = compile_value(b, value, "", 1)
  if #b.problems > 0 then return nil, b.problems end
  local evaluate = fn and function(ctx, extra)
    left = LONGEST
    site.begin(MANY)
    return fn(ctx, extra)
  end
  return {
    fn = evaluate or function() return value end, static = fn == nil, mentions = b.mentions, roots = b.roots,
    dashed = b.dashed, paths = b.paths, secrets = b.has_secrets or false,
  }
end

--- Compiles one expression, written as it is or as one `${…}`, such as a condition.
---@param text string
---@param options? {where?: string, field?: string, extra?: string}
---@return orrery.expr.Compiled|nil
---@return orrery.expr.Mistake|nil
function template.expression(text, options)
  local at = type(text) == "string" and text:match "^%s*()%${"
  if not at then return expr.compile(text, options) end
  local b = builder(options)
  local inner, stop = inside_of(b, "", text, at)
  local compiled = inner and compile_part(b, "", text, inner, at + 1)
  if compiled and text:find("%S", stop + 1) then
    mistake(b, "", text, text:find("%S", stop + 1),
      'this is more than one "${…}"; write the whole as one expression, without "${" and "}"')
  end
  if #b.problems > 0 then return nil, b.problems[1] end
  return compiled
end

return template
