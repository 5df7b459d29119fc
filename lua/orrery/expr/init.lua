--- Expressions: a safe subset of Lua's own, for conditions, templates and workflows that are data.
---
--- Literals, paths from a few roots, arithmetic, comparison, `and or not`, `..`, `#` and a list of
--- pure functions. They are read once and become closures. Depth (200), length (64 KiB), the texts
--- they make (1 MiB) and the items they look at (a million) are bounded, so that an expression from
--- a file cannot hang or fill the process.
local evaluate = require "orrery.expr.eval"
local null = require "orrery.core".json.null
local parse = require "orrery.expr.parse"

local expr = {}

local LONGEST = 65536 -- bytes of source
local SHOWN = 76      -- columns of source beside a caret

local ROOTS = { "input", "nodes", "states", "errors", "context", "env", "item", "index", "item_name",
  "previous", "run" }
local ROOT = {}
for _, name in ipairs(ROOTS) do ROOT[name] = true end

-- Loaded where the first function is called: most expressions call none, and start faster without.
local FUNCTIONS = setmetatable({}, { __index = function(_, name)
  return require "orrery.expr.functions"[name]
end })

local function function_names()
  local names = {}
  for name in pairs(require "orrery.expr.functions") do names[#names + 1] = name end
  table.sort(names)
  return names
end

---@class orrery.expr.Mentions what an expression reads by name
---@field nodes table<string, boolean> names under `nodes`; likewise `states`, `errors` and `env`
---@field states table<string, boolean>
---@field errors table<string, boolean>
---@field env table<string, boolean>
---@field list string[] names of nodes under `nodes`, `states` or `errors`, each once, in the order of their first mention
---@field env_list string[] names under `env`, likewise

---@class orrery.expr.Compiled
---@field fn fun(ctx: table, extra: any): any the value; raises a `config_error` where an operation does not work
---@field bare fun(ctx: table, extra: any): any the same, for a template, whose expressions have one budget together
---@field test fun(ctx: table, extra: any): boolean whether the value is neither nil, null nor false
---@field mentions orrery.expr.Mentions
---@field roots table<string, boolean> which roots it reads
---@field dashed {root: string, name: string, column: integer}[] differences such as `nodes.a-b` that could have been meant as
--- the node "a-b"; to be written nodes["a-b"]
---@field paths {root: "input"|"nodes"|"run", keys: any[]}[] fields of the input, of
--- outputs and of the run that it reads
---@field constant boolean whether it reads nothing, so that its value is always the same
---@field named {text: string, fn: function}[]|nil with the option `names`: the paths that it reads, as they are written
---@field source string

---@class orrery.expr.Mistake
---@field message string the column and one sentence, and the source with a caret below
---@field reason string the sentence alone, without column
---@field column integer in bytes, from 1
---@field where? string
---@field field? string

-- The part of the source around a column, and a caret under it. Characters of more bytes count as
-- one column.
local function caret(source, column)
  local line = source:gsub("[%c]", " ")
  local from = math.max(1, column - SHOWN // 2)
  while from > 1 and line:byte(from) and line:byte(from) & 0xC0 == 0x80 do from = from - 1 end
  local to = math.min(#line, from + SHOWN - 1)
  while line:byte(to + 1) and line:byte(to + 1) & 0xC0 == 0x80 do to = to + 1 end
  local before = (from > 1 and "..." or "") .. line:sub(from, column - 1)
  local width = utf8.len(before) or #before
  return ("  %s%s%s\n  %s^")
    :format(from > 1 and "..." or "", line:sub(from, to), to < #line and "..." or "", (" "):rep(width))
end
expr.caret = caret

local function mistake(source, options, column, reason)
  return {
    message = ("column %d: %s\n%s"):format(column, reason, caret(source, column)),
    reason = reason, column = column, where = options.where, field = options.field,
  }
end

local languages = setmetatable({}, { __mode = "v" })

-- The roots with one more, which the caller gives when it evaluates.
local function language_of(extra)
  local key = extra or ""
  if languages[key] then return languages[key] end
  local roots, names = setmetatable({}, { __index = ROOT }), table.move(ROOTS, 1, #ROOTS, 1, {})
  if extra then
    roots[extra] = true
    names[#names + 1] = extra
  end
  local language = { roots = roots, root_names = names, functions = FUNCTIONS,
    function_names = function_names }
  languages[key] = language
  return language
end

--- The words of expressions with further roots.
---@param extra string|nil
---@param names string[]
---@return table language for the `scope` of `compile`
function expr.language(extra, names)
  local base = language_of(extra)
  local roots = setmetatable({}, { __index = base.roots })
  for _, name in ipairs(names) do roots[name] = true end
  return { roots = roots, root_names = table.move(names, 1, #names, #base.root_names + 1,
      table.move(base.root_names, 1, #base.root_names, 1, {})),
    functions = FUNCTIONS, function_names = function_names }
end

--- Whether every expression may begin with the name.
---@param name string
---@return boolean
function expr.is_root(name) return ROOT[name] == true end

--- Compiles an expression.
---@param source string
---@param options? {where?: string, field?: string, extra?: string, names?: boolean, scope?: table} `where` and `field` are
--- named by errors; `extra` is a further root, whose value is the second argument of `fn`; `names`:
--- see `named`; `scope` has the `language` with more roots, and the `boxes` in which their values
--- stand
---@return orrery.expr.Compiled|nil
---@return orrery.expr.Mistake|nil
function expr.compile(source, options)
  options = options or {}
  if type(source) ~= "string" then
    return nil, mistake("", options, 1, "expected an expression as a string, got a " .. type(source))
  end
  if #source > LONGEST then
    return nil, mistake(source, options, LONGEST,
      ("the expression is longer than %d bytes; compute a part of it in a node of its own"):format(LONGEST))
  end
  local scope = options.scope
  local good, node, parsed = pcall(parse, source, scope and scope.language or language_of(options.extra))
  if not good then
    if type(node) ~= "table" or not node.column then error(node, 0) end
    return nil, mistake(source, options, node.column, node.message)
  end
  local place = { source = source, where = options.where, field = options.field }
  local named = options.names and {} or nil
  local fn, bare = evaluate(node, place, options.extra, named, scope and scope.boxes)
  return {
    named = named,
    fn = fn, bare = bare,
    test = function(ctx, extra)
      local value = fn(ctx, extra)
      return value ~= nil and value ~= false and value ~= null
    end,
    mentions = parsed.mentions, roots = parsed.used, dashed = parsed.dashed, paths = parsed.paths,
    constant = next(parsed.used) == nil,
    source = source,
  }
end

return expr
