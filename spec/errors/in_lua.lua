-- The codes of errors and the mistakes of definitions in Lua, found where a table with a message is
-- made:
--
--   { code = "run_owned", message = … }           an error with a code
--   { kind = "unknown_key", message = … }         a mistake of that kind
--   { column = …, reason = … }                    a mistake in an expression
--
-- Where the code, kind or words of the message are a parameter of the function around it, its calls
-- say what it is, and so on: `b:bad("after", "wrong_type", "after: …")` through `function
-- Builder:bad(field, kind, message)`.
local calls = require "spec.errors.calls"
local functions = require "spec.errors.functions"
local message = require "spec.errors.message"
local returned = require "spec.errors.returned"
local words = require "spec.errors.words"

local in_lua = {}

-- The kinds of mistakes that a file reports without one; whoever asked it adds this kind.
local KIND_OF_FILE = {
  ["lua/orrery/expr/template.lua"] = "bad_template",
  ["lua/orrery/expr/parse.lua"] = "bad_expression",
  ["lua/orrery/expr/lex.lua"] = "bad_expression",
  ["lua/orrery/expr/init.lua"] = "bad_expression",
}
-- Parameters that hold words of a message; others, such as a field or a name, differ with each
-- definition.
local WORDS = { message = true, what = true, reason = true, problem = true }
-- A function that is given to be told of mistakes, where it is a parameter.
local TOLD = { name = "say", params = { "field", "kind", "message" } }

-- The fields of a table: name -> the words of its value.
local function fields_of(list, open)
  local fields = {}
  for _, part in ipairs((words.parts(list, open))) do
    local name = list[part.from]
    if name.kind == "name" and part.to > part.from + 1 and words.follow(list, part.from + 1, "=") then
      fields[name.text] = { from = part.from + 2, to = part.to }
    end
  end
  return fields
end

-- What a code or kind may be: texts, or the name of a parameter.
local function words_of(list, part, params)
  local names = {}
  words.each_code(list, part, function(text) names[#names + 1] = { text = text } end)
  for i = part.from, part.to do
    if list[i].kind == "name" and params[list[i].text] and list[i + 1].text ~= "(" then
      names[#names + 1] = { param = list[i].text }
    end
  end
  return names
end

-- Whether a message is text at all: { code = "string", message = "string" } describes fields.
local function is_sentence(parts)
  return not (#parts == 1 and parts[1].text and not parts[1].text:find "[ …]")
end

local function is_named(fn) return fn.name ~= nil end

local function report_at(file, list, open)
  local fields = fields_of(list, open)
  local said = fields.message or fields.reason
  local named = fields.code or fields.kind or fields.column and KIND_OF_FILE[file.path]
  if not said or not named then return nil end
  if fields.reason and fields.kind and not fields.message then return nil end
  local fn = functions.around(file.functions, open, is_named)
  local params = fn and fn.position or {}
  local names = type(named) == "string" and { { text = named } } or words_of(list, named, params)
  local parts = message.read(list, KIND_OF_FILE[file.path] and fields.reason or said, params)
  if not is_sentence(parts) then return nil end
  local what = fields.code and "code" or "kind"
  return { what = what, fn = fn, names = names, parts = parts, line = list[open].line }
end

-- `made.code = made.code or "error"`
local function from_assignment(list, i)
  if not (words.follow(list, i, ".", "code", "=") and list[i + 3]) then return nil end
  local names, to = {}, i + 3
  while list[to + 1] and list[to + 1].line == list[i].line do to = to + 1 end
  words.each_code(list, { from = i + 3, to = to }, function(text) names[#names + 1] = { text = text } end)
  return #names > 0 and { what = "code", names = names, parts = {}, line = list[i].line } or nil
end

-- Whether calls of the function around it say more: which code or kind it is, or words of the
-- message.
local function is_open(report)
  for _, part in ipairs(report.parts) do if WORDS[part.param] then return true end end
  for _, name in ipairs(report.names) do if name.param then return true end end
  return false
end

-- The arguments of a call of `fn` as parts by parameter; a method that is declared with a dot has
-- its object as the first.
local function given_by(list, call, fn, around)
  local given, parts, params = {}, words.parts(list, call + 1), around and around.position or {}
  local shift = list[call - 1].text == ":" and fn.mark == "." and 1 or 0
  for k, part in ipairs(parts) do
    local param = fn.params[k + shift]
    if param then given[param] = { part = part, parts = message.read(list, part, params) } end
  end
  return given
end

-- The report that a call makes through a function.
local function expand(file, list, call, report, fn)
  local around = functions.around(file.functions, call, is_named)
  local given, names, parts = given_by(list, call, fn, around), {}, {}
  for _, name in ipairs(report.names) do
    local argument = name.param and given[name.param]
    if argument then
      local more = words_of(list, argument.part, around and around.position or {})
      table.move(more, 1, #more, #names + 1, names)
    elseif name.text then
      names[#names + 1] = name
    end
  end
  for param, argument in pairs(given) do parts[param] = argument.parts end
  return { what = report.what, fn = around, names = names, parts = message.with(report.parts, parts),
    line = list[call].line, file = file, within = fn.name }
end

local function say(found, report)
  local text = message.text(report.parts)
  for _, name in ipairs(report.names) do
    if name.text then found(report.what, name.text, text, report.file.path, report.line) end
  end
end

-- Functions that report through a parameter of theirs: `say("name", "missing", …)`.
local function told_in(file, fn_found)
  local list, has_own = file.words, false
  for _, fn in ipairs(file.functions) do
    has_own = has_own or fn.name == TOLD.name and fn.is_local and not fn.position.kind
  end
  if has_own then return end
  for i = 2, #list - 1 do
    local before = list[i - 1].text
    if words.follow(list, i, TOLD.name, "(") and before ~= "." and before ~= "function" then
      local parts = words.parts(list, i + 1)
      local kind = parts[2] and parts[2].from == parts[2].to and words.is_code(list[parts[2].from])
      local within = functions.around(file.functions, i, function(fn) return fn.position[TOLD.name] end)
      if kind and within and parts[3] then
        fn_found { what = "kind", names = { { text = list[parts[2].from].text } }, file = file,
          line = list[i].line, parts = message.read(list, parts[3], {}) }
      end
    end
  end
end

local MOST_CALLS_DEEP = 4 -- of functions that hand a message on

--- @param sources {path: string, text: string}[] Lua files
--- @param found fun(what: string, name: string, text: string|nil, path: string, line: integer) told
---   of each "code" and "kind"
function in_lua.scan(sources, found)
  local files, open = {}, {}
  for k, source in ipairs(sources) do
    local list = words.of(source.text, "lua")
    files[k] = { path = source.path, words = list, functions = functions.of(list) }
  end
  local function note(report)
    say(found, report)
    if report.fn and report.within ~= report.fn.name and is_open(report) then open[#open + 1] = report end
  end
  for _, file in ipairs(files) do
    for i = 1, #file.words do
      local is_table = file.words[i].kind == "sign" and file.words[i].text == "{"
      local report = is_table and report_at(file, file.words, i) or from_assignment(file.words, i)
        or returned.at(file, i)
      if report then
        report.file = file
        note(report)
      end
    end
    told_in(file, note)
  end
  for _ = 1, MOST_CALLS_DEEP do
    local these = open
    open = {}
    for _, report in ipairs(these) do
      calls.each(files, report.fn, report.file, function(file, i)
        note(expand(file, file.words, i, report, report.fn))
      end)
    end
  end
end

return in_lua
